/* Crypto by libipsec-mb on the CPU that asks: the bursts. See crypto.h. */
#include "ipsec_mb.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <rte_common.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>

struct il_mb_engine *il_mb_engine_open(void)
{
	struct il_mb_engine *engine = rte_zmalloc("il_mb", sizeof(*engine), 64);
	IMB_MGR *m = il_mb_manager();

	if (engine == NULL || m == NULL) {
		rte_errno = m == NULL ? ENOTSUP : ENOMEM;
		if (m != NULL)
			free_mb_mgr(m);
		rte_free(engine);
		return NULL;
	}
	engine->manager = m;
	engine->powers = m->features & IMB_FEATURE_VAES ? 48 : 8;
	engine->powers_end = offsetof(struct gcm_key_data, ghash_keys) + engine->powers * 16;
	engine->gcm[0][1] = m->gcm128_enc;
	engine->gcm[0][0] = m->gcm128_dec;
	engine->gcm[1][1] = m->gcm192_enc;
	engine->gcm[1][0] = m->gcm192_dec;
	engine->gcm[2][1] = m->gcm256_enc;
	engine->gcm[2][0] = m->gcm256_dec;
	return engine;
}

void il_mb_engine_close(struct il_mb_engine *engine)
{
	free_mb_mgr(engine->manager);
	explicit_bzero(engine, sizeof(*engine));
	rte_free(engine);
}

static inline uint64_t word_at(const uint8_t *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof(word));
	return word;
}

/* In a time that does not depend on where they differ. */
static inline int differ(const uint8_t *one, const uint8_t *other, unsigned int len)
{
	uint8_t bits = 0;

	/* Two words, which may overlap: all ICVs but those of the longer hashes. */
	if (likely(len >= 8 && len <= 16)) {
		unsigned int last = len - 8;

		return ((word_at(one) ^ word_at(other)) | (word_at(one + last) ^ word_at(other + last))) != 0;
	}
	for (unsigned int i = 0; i < len; i++)
		bits |= one[i] ^ other[i];
	return bits != 0;
}

static inline uint8_t *data_of(const struct il_crypto_job *job)
{
	return rte_pktmbuf_mtod(job->mbuf, uint8_t *);
}

/* The ICV that was made goes to the packet, or is compared with the one there. */
static inline void conclude(struct il_crypto_job *job, IMB_STATUS status, const uint8_t *made,
			    uint8_t *icv)
{
	job->status = IL_CRYPTO_DONE;
	if (unlikely(status != IMB_STATUS_COMPLETED))
		job->status = IL_CRYPTO_FAILED;
	else if (job->facts.seal)
		memcpy(icv, made, job->facts.icv_len);
	else if (differ(made, icv, job->facts.icv_len))
		job->status = IL_CRYPTO_BAD_ICV;
}

static inline void gcm(struct il_mb_engine *engine, struct il_crypto_job *job)
{
	const struct il_mb_session *session = job->session;
	aes_gcm_enc_dec_t *by_way = engine->gcm[job->facts.key_words - 2];
	uint8_t *data = data_of(job), *text = data + job->cipher_offset;
	const uint8_t *aad = job->auth_len > 0 ? data + job->auth_offset : job->aad;
	uint8_t *icv = data + job->icv_offset, made[16];

	if (job->facts.seal) {
		by_way[1](&session->gcm, &engine->context, text, text, job->cipher_len, job->iv, aad,
			  job->facts.aad_len, icv, job->facts.icv_len);
		job->status = IL_CRYPTO_DONE;
	} else {
		by_way[0](&session->gcm, &engine->context, text, text, job->cipher_len, job->iv, aad,
			  job->facts.aad_len, made, job->facts.icv_len);
		conclude(job, IMB_STATUS_COMPLETED, made, icv);
	}
}

/* GCM of an empty text, its additional data the range; to open it is made anew and compared. */
static void gmac(struct il_mb_engine *engine, struct il_crypto_job *job)
{
	const struct il_mb_session *session = job->session;
	uint8_t *data = data_of(job), *icv = data + job->icv_offset, made[16], none[16];

	engine->gcm[job->facts.key_words - 2][1](&session->gcm, &engine->context, none, none, 0, job->iv,
						 data + job->auth_offset, job->auth_len, made,
						 job->facts.icv_len);
	conclude(job, IMB_STATUS_COMPLETED, made, icv);
}

/* A chain, or ChaCha20-Poly1305. The ICV that is made goes to `made`. */
static inline void fill(IMB_JOB *to, struct il_crypto_job *job, uint8_t *made)
{
	struct il_mb_session *session = job->session;
	uint8_t *data = data_of(job);

	to->cipher_mode = session->chain.cipher;
	to->hash_alg = session->chain.hash;
	to->cipher_direction = job->facts.seal ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
	to->chain_order = job->facts.seal ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
	to->enc_keys = session->chain.encrypt;
	to->dec_keys = session->chain.decrypt;
	to->key_len_in_bytes = job->facts.key_words * 8u;
	to->src = data;
	to->dst = data + job->cipher_offset;
	to->iv = job->iv;
	to->iv_len_in_bytes = session->chain.iv_len;
	to->cipher_start_src_offset_in_bytes = job->cipher_offset;
	to->msg_len_to_cipher_in_bytes = job->cipher_len;
	if (job->facts.kind == IL_CRYPTO_CHACHA) {
		to->hash_start_src_offset_in_bytes = job->cipher_offset;
		to->msg_len_to_hash_in_bytes = job->cipher_len;
		to->u.CHACHA20_POLY1305.aad = job->auth_len > 0 ? data + job->auth_offset : job->aad;
		to->u.CHACHA20_POLY1305.aad_len_in_bytes = job->facts.aad_len;
	} else {
		to->hash_start_src_offset_in_bytes = job->auth_offset;
		to->msg_len_to_hash_in_bytes = job->auth_len;
		to->u.HMAC._hashed_auth_key_xor_ipad = session->chain.inner;
		to->u.HMAC._hashed_auth_key_xor_opad = session->chain.outer;
	}
	to->auth_tag_output = made;
	to->auth_tag_output_len_in_bytes = job->facts.icv_len;
	to->user_data = job;
#if IL_MB_SUITES
	memcpy(to->suite_id, session->chain.suite, sizeof(to->suite_id));
#endif
}

static void finish(IMB_JOB *const *done, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		struct il_crypto_job *job = done[i]->user_data;

		conclude(job, done[i]->status, done[i]->auth_tag_output, data_of(job) + job->icv_offset);
	}
}

static void chains(struct il_mb_engine *engine, struct il_crypto_job **jobs, unsigned int count)
{
	uint8_t made[IL_CRYPTO_BURST][64];
	IMB_JOB *burst[IL_CRYPTO_BURST];
	unsigned int back;

	/* None of an earlier burst is left in it, so there is room. */
	if (unlikely(IMB_GET_NEXT_BURST(engine->manager, count, burst) < count)) {
		for (unsigned int i = 0; i < count; i++)
			jobs[i]->status = IL_CRYPTO_FAILED;
		return;
	}
	for (unsigned int i = 0; i < count; i++)
		fill(burst[i], jobs[i], made[i]);
	back = IMB_SUBMIT_BURST_NOCHECK(engine->manager, count, burst);
	finish(burst, back);
	while (back < count) {
		unsigned int more = IMB_FLUSH_BURST(engine->manager, count - back, burst);

		finish(burst, more);
		back += more;
	}
}

/* How many jobs ahead keys are fetched: those of many sessions come from memory. */
#define AHEAD 8u

#define LINE 64u

/* The round keys are at the start, 240 bytes at most. The powers of the hash key come behind them in falling order,
 * the first one last, and a text of n blocks needs n + 1 of them, as far as there are. */
static inline void prefetch_keys(const struct il_mb_engine *engine, const struct il_crypto_job *job)
{
	const char *session = job->session;
	uint32_t round_keys, powers, at;

	if (job->facts.kind == IL_CRYPTO_GCM_WIDE)
		return;
	if (job->facts.kind != IL_CRYPTO_GCM) {
		for (at = 0; at < 3 * LINE; at += LINE)
			rte_prefetch0(session + at);
		return;
	}
	round_keys = (job->facts.key_words * 2u + 7) * 16;
	powers = RTE_MIN((job->cipher_len + 15u) / 16 + 1, engine->powers);
	for (at = 0; at < round_keys; at += LINE)
		rte_prefetch0(session + at);
	for (at = RTE_ALIGN_FLOOR(engine->powers_end - powers * 16, LINE); at < engine->powers_end; at += LINE)
		rte_prefetch0(session + at);
}

/* What job `i` works with, unless the one before it has fetched its keys. */
static inline void prefetch(const struct il_mb_engine *engine, const struct il_crypto_job *jobs, unsigned int i)
{
	if (i == 0 || jobs[i].session != jobs[i - 1].session)
		prefetch_keys(engine, &jobs[i]);
	rte_prefetch0(data_of(&jobs[i]));
}

void il_mb_burst(struct il_mb_engine *engine, struct il_crypto_job *jobs, unsigned int count)
{
	struct il_crypto_job *others[IL_CRYPTO_BURST];
	unsigned int chained = 0;

	for (unsigned int i = 0; i < RTE_MIN(count, AHEAD); i++)
		prefetch(engine, jobs, i);
	for (unsigned int i = 0; i < count; i++) {
		if (i + AHEAD < count)
			prefetch(engine, jobs, i + AHEAD);
		if (jobs[i].facts.kind == IL_CRYPTO_GCM)
			gcm(engine, &jobs[i]);
		else if (jobs[i].facts.kind == IL_CRYPTO_GMAC)
			gmac(engine, &jobs[i]);
		else if (jobs[i].facts.kind != IL_CRYPTO_GCM_WIDE)
			others[chained++] = &jobs[i];
	}
	if (chained > 0)
		chains(engine, others, chained);
}
