/* See crypto.h. */
#include "crypto.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include <rte_cycles.h>
#include <rte_errno.h>
#include <rte_malloc.h>
#include <rte_prefetch.h>

/* What each operation carries behind itself, where devices can reach it. */
struct extra {
	uint8_t iv[16];
	uint8_t aad[16]; /* drivers read whole blocks */
	uint16_t job;
};

#define IV_OFFSET (sizeof(struct rte_crypto_op) + sizeof(struct rte_crypto_sym_op))

struct il_crypto_engine {
	uint8_t dev;
	uint16_t queue_pair;
	uint64_t patience; /* ticks without an answer after which jobs are lost */
	struct rte_mempool *pool;
	struct rte_crypto_op *ops[IL_CRYPTO_BURST];
};

static struct extra *extra_of(struct rte_crypto_op *op)
{
	return rte_crypto_op_ctod_offset(op, struct extra *, IV_OFFSET);
}

int il_crypto_info(uint8_t dev, struct il_crypto_info *out)
{
	struct rte_cryptodev_info info;

	if (!rte_cryptodev_is_valid_dev(dev))
		return -ENODEV;
	rte_cryptodev_info_get(dev, &info);
	out->driver = info.driver_name;
	out->session_size = rte_cryptodev_sym_get_private_session_size(dev);
	out->max_sessions = info.sym.max_nb_sessions;
	out->max_queue_pairs = info.max_nb_queue_pairs;
	out->in_cpu = !(info.feature_flags & RTE_CRYPTODEV_FF_HW_ACCELERATED);
	return 0;
}

static enum rte_crypto_aead_algorithm aead_of(const struct il_crypto_spec *spec)
{
	return spec->cipher == IL_CIPHER_AES_GCM ? RTE_CRYPTO_AEAD_AES_GCM :
						   RTE_CRYPTO_AEAD_CHACHA20_POLY1305;
}

static enum rte_crypto_cipher_algorithm cipher_of(const struct il_crypto_spec *spec)
{
	return spec->cipher == IL_CIPHER_AES_CBC ? RTE_CRYPTO_CIPHER_AES_CBC :
						   RTE_CRYPTO_CIPHER_AES_CTR;
}

static enum rte_crypto_auth_algorithm auth_of(const struct il_crypto_spec *spec)
{
	switch (spec->auth) {
	case IL_AUTH_HMAC_SHA1:
		return RTE_CRYPTO_AUTH_SHA1_HMAC;
	case IL_AUTH_HMAC_SHA256:
		return RTE_CRYPTO_AUTH_SHA256_HMAC;
	case IL_AUTH_HMAC_SHA384:
		return RTE_CRYPTO_AUTH_SHA384_HMAC;
	case IL_AUTH_HMAC_SHA512:
		return RTE_CRYPTO_AUTH_SHA512_HMAC;
	default:
		return RTE_CRYPTO_AUTH_AES_GMAC;
	}
}

static int is_aead(const struct il_crypto_spec *spec)
{
	return spec->cipher >= IL_CIPHER_AES_GCM;
}

/* Only GMAC takes an IV to authenticate. */
static uint16_t auth_iv_len(const struct il_crypto_spec *spec)
{
	return spec->auth == IL_AUTH_AES_GMAC ? spec->iv_len : 0;
}

int il_crypto_lacks(uint8_t dev, const struct il_crypto_spec *spec)
{
	const struct rte_cryptodev_symmetric_capability *has;
	struct rte_cryptodev_sym_capability_idx wanted;

	if (is_aead(spec)) {
		wanted.type = RTE_CRYPTO_SYM_XFORM_AEAD;
		wanted.algo.aead = aead_of(spec);
		has = rte_cryptodev_sym_capability_get(dev, &wanted);
		return has != NULL && rte_cryptodev_sym_capability_check_aead(
					      has, spec->cipher_key_len, spec->icv_len,
					      spec->aad_len, spec->iv_len) == 0 ?
			       IL_CRYPTO_HAS_BOTH :
			       IL_CRYPTO_LACKS_CIPHER;
	}
	if (spec->cipher != IL_CIPHER_NONE) {
		wanted.type = RTE_CRYPTO_SYM_XFORM_CIPHER;
		wanted.algo.cipher = cipher_of(spec);
		has = rte_cryptodev_sym_capability_get(dev, &wanted);
		if (has == NULL || rte_cryptodev_sym_capability_check_cipher(
					   has, spec->cipher_key_len, spec->iv_len) != 0)
			return IL_CRYPTO_LACKS_CIPHER;
	}
	wanted.type = RTE_CRYPTO_SYM_XFORM_AUTH;
	wanted.algo.auth = auth_of(spec);
	has = rte_cryptodev_sym_capability_get(dev, &wanted);
	if (has == NULL || rte_cryptodev_sym_capability_check_auth(has, spec->auth_key_len,
								    spec->icv_len,
								    auth_iv_len(spec)) != 0)
		return IL_CRYPTO_LACKS_AUTH;
	return IL_CRYPTO_HAS_BOTH;
}

int il_crypto_start(uint8_t dev, uint16_t queue_pairs, uint16_t descriptors, int socket)
{
	struct rte_cryptodev_config config = {
		.socket_id = socket,
		.nb_queue_pairs = queue_pairs,
		.ff_disable = RTE_CRYPTODEV_FF_ASYMMETRIC_CRYPTO | RTE_CRYPTODEV_FF_SECURITY,
	};
	struct rte_cryptodev_qp_conf qp = { .nb_descriptors = descriptors };
	int rc = rte_cryptodev_configure(dev, &config);

	for (uint16_t i = 0; rc == 0 && i < queue_pairs; i++)
		rc = rte_cryptodev_queue_pair_setup(dev, i, &qp, socket);
	return rc == 0 ? rte_cryptodev_start(dev) : rc;
}

struct rte_mempool *il_crypto_session_pool(const char *name, uint32_t sessions, uint8_t dev,
					   int socket)
{
	return rte_cryptodev_sym_session_pool_create(
		name, sessions, rte_cryptodev_sym_get_private_session_size(dev), 0, 0, socket);
}

void *il_crypto_session(uint8_t dev, const struct il_crypto_spec *spec, struct rte_mempool *pool)
{
	struct rte_crypto_sym_xform cipher, auth, *first = &cipher;

	memset(&cipher, 0, sizeof(cipher));
	memset(&auth, 0, sizeof(auth));
	if (is_aead(spec)) {
		cipher.type = RTE_CRYPTO_SYM_XFORM_AEAD;
		cipher.aead.op = spec->seal ? RTE_CRYPTO_AEAD_OP_ENCRYPT :
					      RTE_CRYPTO_AEAD_OP_DECRYPT;
		cipher.aead.algo = aead_of(spec);
		cipher.aead.key.data = spec->cipher_key;
		cipher.aead.key.length = spec->cipher_key_len;
		cipher.aead.iv.offset = IV_OFFSET;
		cipher.aead.iv.length = spec->iv_len;
		cipher.aead.digest_length = spec->icv_len;
		cipher.aead.aad_length = spec->aad_len;
		return rte_cryptodev_sym_session_create(dev, first, pool);
	}
	auth.type = RTE_CRYPTO_SYM_XFORM_AUTH;
	auth.auth.op = spec->seal ? RTE_CRYPTO_AUTH_OP_GENERATE : RTE_CRYPTO_AUTH_OP_VERIFY;
	auth.auth.algo = auth_of(spec);
	auth.auth.key.data = spec->auth_key;
	auth.auth.key.length = spec->auth_key_len;
	auth.auth.digest_length = spec->icv_len;
	auth.auth.iv.offset = IV_OFFSET;
	auth.auth.iv.length = auth_iv_len(spec);
	if (spec->cipher == IL_CIPHER_NONE)
		return rte_cryptodev_sym_session_create(dev, &auth, pool);
	cipher.type = RTE_CRYPTO_SYM_XFORM_CIPHER;
	cipher.cipher.op = spec->seal ? RTE_CRYPTO_CIPHER_OP_ENCRYPT : RTE_CRYPTO_CIPHER_OP_DECRYPT;
	cipher.cipher.algo = cipher_of(spec);
	cipher.cipher.key.data = spec->cipher_key;
	cipher.cipher.key.length = spec->cipher_key_len;
	cipher.cipher.iv.offset = IV_OFFSET;
	cipher.cipher.iv.length = spec->iv_len;
	/* The ICV is over the ciphertext, so it is made last and verified first. */
	if (spec->seal) {
		cipher.next = &auth;
	} else {
		auth.next = &cipher;
		first = &auth;
	}
	return rte_cryptodev_sym_session_create(dev, first, pool);
}

int il_crypto_session_free(uint8_t dev, void *session)
{
	/* rte_cryptodev clears what is the driver's, which is all that holds keys. */
	return rte_cryptodev_sym_session_free(dev, session);
}

static void protect(struct rte_mempool *pool, void *opaque, struct rte_mempool_memhdr *chunk,
		    unsigned int index)
{
	const struct rte_memseg_list *list = rte_mem_virt2memseg_list(chunk->addr);
	size_t page = list != NULL ? list->page_sz : 4096;
	uintptr_t from = RTE_ALIGN_FLOOR((uintptr_t)chunk->addr, page);
	uintptr_t to = RTE_ALIGN_CEIL((uintptr_t)chunk->addr + chunk->len, page);
	int *rc = opaque;

	RTE_SET_USED(pool);
	RTE_SET_USED(index);
	/* A kernel splits the mapping of huge pages at their borders only. What else lies in the same
	 * pages is left out of core dumps as well. EAL does this for what it has reserved and not
	 * mapped, not for what it maps. */
	if (mlock((void *)from, to - from) != 0 ||
	    madvise((void *)from, to - from, MADV_DONTDUMP) != 0)
		*rc = -errno;
}

int il_crypto_pool_protect(struct rte_mempool *pool)
{
	int rc = 0;

	rte_mempool_mem_iter(pool, protect, &rc);
	return rc;
}

struct il_crypto_engine *il_crypto_engine_open(uint8_t dev, uint16_t queue_pair, int socket)
{
	struct il_crypto_engine *engine = rte_zmalloc_socket("il_crypto", sizeof(*engine), 64, socket);
	char name[RTE_MEMPOOL_NAMESIZE];

	if (engine == NULL) {
		rte_errno = ENOMEM;
		return NULL;
	}
	snprintf(name, sizeof(name), "il_crypto_ops_%u_%u", dev, queue_pair);
	engine->dev = dev;
	engine->queue_pair = queue_pair;
	engine->patience = rte_get_tsc_hz();
	engine->pool = rte_crypto_op_pool_create(name, RTE_CRYPTO_OP_TYPE_SYMMETRIC, IL_CRYPTO_BURST,
						 0, sizeof(struct extra), socket);
	if (engine->pool == NULL ||
	    rte_crypto_op_bulk_alloc(engine->pool, RTE_CRYPTO_OP_TYPE_SYMMETRIC, engine->ops,
				     IL_CRYPTO_BURST) != IL_CRYPTO_BURST) {
		rte_mempool_free(engine->pool);
		rte_free(engine);
		return NULL;
	}
	for (unsigned int i = 0; i < IL_CRYPTO_BURST; i++)
		engine->ops[i]->sess_type = RTE_CRYPTO_OP_WITH_SESSION;
	return engine;
}

void il_crypto_engine_close(struct il_crypto_engine *engine)
{
	rte_mempool_free(engine->pool);
	rte_free(engine);
}

static int is_aead_kind(uint8_t kind)
{
	return kind == IL_CRYPTO_GCM || kind == IL_CRYPTO_CHACHA;
}

static inline void prepare(struct rte_crypto_op *op, const struct il_crypto_job *job, uint16_t index)
{
	struct rte_mbuf *mbuf = job->mbuf;
	uint8_t *data = rte_pktmbuf_mtod(mbuf, uint8_t *);
	struct rte_crypto_sym_op *sym = op->sym;
	struct extra *extra = extra_of(op);
	uint8_t *icv = data + job->icv_offset;
	rte_iova_t icv_iova = rte_pktmbuf_iova_offset(mbuf, job->icv_offset);

	op->status = RTE_CRYPTO_OP_STATUS_NOT_PROCESSED;
	extra->job = index;
	memcpy(extra->iv, job->iv, 16);
	sym->m_src = mbuf;
	sym->m_dst = NULL;
	sym->session = job->session;
	if (is_aead_kind(job->facts.kind)) {
		sym->aead.data.offset = job->cipher_offset;
		sym->aead.data.length = job->cipher_len;
		sym->aead.digest.data = icv;
		sym->aead.digest.phys_addr = icv_iova;
		if (job->auth_len > 0) {
			sym->aead.aad.data = data + job->auth_offset;
			sym->aead.aad.phys_addr = rte_pktmbuf_iova_offset(mbuf, job->auth_offset);
		} else {
			memcpy(extra->aad, job->aad, 12);
			sym->aead.aad.data = extra->aad;
			sym->aead.aad.phys_addr = rte_crypto_op_ctophys_offset(
				op, IV_OFFSET + offsetof(struct extra, aad));
		}
	} else {
		sym->cipher.data.offset = job->cipher_offset;
		sym->cipher.data.length = job->cipher_len;
		sym->auth.data.offset = job->auth_offset;
		sym->auth.data.length = job->auth_len;
		sym->auth.digest.data = icv;
		sym->auth.digest.phys_addr = icv_iova;
	}
}

static inline void conclude(struct rte_crypto_op *op, struct il_crypto_job *jobs)
{
	struct extra *extra = extra_of(op);
	struct il_crypto_job *job = &jobs[extra->job];

	if (likely(op->status == RTE_CRYPTO_OP_STATUS_SUCCESS))
		job->status = IL_CRYPTO_DONE;
	else if (op->status == RTE_CRYPTO_OP_STATUS_AUTH_FAILED)
		job->status = IL_CRYPTO_BAD_ICV;
	else
		job->status = IL_CRYPTO_FAILED;
}

unsigned int il_crypto_burst(struct il_crypto_engine *engine, struct il_crypto_job *jobs,
			     unsigned int count)
{
	struct rte_crypto_op *done[IL_CRYPTO_BURST];
	unsigned int sent = 0, back = 0;
	uint64_t last = 0;

	for (unsigned int i = 0; i < count; i++) {
		rte_prefetch0(jobs[i].session);
		rte_prefetch0(rte_pktmbuf_mtod(jobs[i].mbuf, void *));
	}
	for (unsigned int i = 0; i < count; i++) {
		prepare(engine->ops[i], &jobs[i], i);
		jobs[i].status = IL_CRYPTO_WAITING;
	}
	while (back < count) {
		unsigned int got;

		if (sent < count)
			sent += rte_cryptodev_enqueue_burst(engine->dev, engine->queue_pair,
							    engine->ops + sent, count - sent);
		got = rte_cryptodev_dequeue_burst(engine->dev, engine->queue_pair, done, count - back);
		for (unsigned int i = 0; i < got; i++)
			conclude(done[i], jobs);
		back += got;
		if (unlikely(got == 0 && back < count)) {
			if (last == 0)
				last = rte_rdtsc();
			else if (rte_rdtsc() - last > engine->patience)
				break;
		} else {
			last = 0;
		}
	}
	for (unsigned int i = 0; unlikely(back < count) && i < count; i++)
		if (jobs[i].status == IL_CRYPTO_WAITING)
			jobs[i].status = IL_CRYPTO_LOST;
	return count - back;
}
