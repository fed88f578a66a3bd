/* Sessions of libipsec-mb: keys as its functions take them. See crypto.h. */
#include "ipsec_mb.h"

#include <errno.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_mempool.h>

/* Used to make sessions, under the caller's lock: one for the process. */
static IMB_MGR *keys;

IMB_MGR *il_mb_manager(void)
{
	IMB_MGR *manager = alloc_mb_mgr(0);

	if (manager == NULL)
		return NULL;
	if (!(manager->features & IMB_FEATURE_AESNI)) {
		free_mb_mgr(manager);
		return NULL;
	}
	init_mb_mgr_auto(manager, NULL);
	return manager;
}

static IMB_MGR *manager_of_keys(void)
{
	if (keys == NULL)
		keys = il_mb_manager();
	return keys;
}

const char *il_mb_instructions(void)
{
	IMB_MGR *manager = manager_of_keys();

	if (manager == NULL)
		return NULL;
	if ((manager->features & IMB_FEATURE_AVX512_SKX) == IMB_FEATURE_AVX512_SKX)
		return manager->features & IMB_FEATURE_VAES ? "AVX512, VAES" : "AVX512";
	return manager->features & IMB_FEATURE_AVX2 ? "AVX2" : "SSE";
}

static int is_aes_key(uint16_t len)
{
	return len == 16 || len == 24 || len == 32;
}

/* The length of a HMAC's ICV in IPsec (RFC 2404, RFC 4868); 0 for none. */
static uint8_t icv_of(uint8_t auth)
{
	switch (auth) {
	case IL_AUTH_HMAC_SHA1:
		return 12;
	case IL_AUTH_HMAC_SHA256:
		return 16;
	case IL_AUTH_HMAC_SHA384:
		return 24;
	case IL_AUTH_HMAC_SHA512:
		return 32;
	default:
		return 0;
	}
}

int il_mb_lacks(const struct il_crypto_spec *spec)
{
	switch (spec->cipher) {
	case IL_CIPHER_AES_GCM:
		return is_aes_key(spec->cipher_key_len) && spec->iv_len == 12 && spec->icv_len <= 16 ?
			       IL_CRYPTO_HAS_BOTH :
			       IL_CRYPTO_LACKS_CIPHER;
	case IL_CIPHER_CHACHA20_POLY1305:
		return spec->cipher_key_len == 32 && spec->iv_len == 12 && spec->icv_len == 16 ?
			       IL_CRYPTO_HAS_BOTH :
			       IL_CRYPTO_LACKS_CIPHER;
	case IL_CIPHER_AES_CBC:
	case IL_CIPHER_AES_CTR:
		if (!is_aes_key(spec->cipher_key_len) || spec->iv_len != 16)
			return IL_CRYPTO_LACKS_CIPHER;
		break;
	default:
		break;
	}
	if (spec->auth == IL_AUTH_AES_GMAC)
		return spec->cipher == IL_CIPHER_NONE && is_aes_key(spec->auth_key_len) &&
				       spec->iv_len == 12 && spec->icv_len <= 16 ?
			       IL_CRYPTO_HAS_BOTH :
			       IL_CRYPTO_LACKS_AUTH;
	return spec->icv_len != 0 && spec->icv_len == icv_of(spec->auth) ? IL_CRYPTO_HAS_BOTH :
									    IL_CRYPTO_LACKS_AUTH;
}

struct rte_mempool *il_mb_session_pool(const char *name, uint32_t sessions, int socket)
{
	return rte_mempool_create(name, sessions, sizeof(struct il_mb_session), 0, 0, NULL, NULL, NULL, NULL,
				  socket, 0);
}

/* The two hash states that a HMAC starts from (RFC 2104). */
static void hmac_states(IMB_MGR *m, const struct il_crypto_spec *spec, uint8_t *inner, uint8_t *outer)
{
	size_t block = spec->auth == IL_AUTH_HMAC_SHA1 || spec->auth == IL_AUTH_HMAC_SHA256 ? 64 : 128;
	uint8_t key[128] = { 0 }, pad[128];
	uint8_t *states[2] = { inner, outer };

	if (spec->auth_key_len <= block) {
		memcpy(key, spec->auth_key, spec->auth_key_len);
	} else {
		switch (spec->auth) {
		case IL_AUTH_HMAC_SHA1:
			IMB_SHA1(m, spec->auth_key, spec->auth_key_len, key);
			break;
		case IL_AUTH_HMAC_SHA256:
			IMB_SHA256(m, spec->auth_key, spec->auth_key_len, key);
			break;
		case IL_AUTH_HMAC_SHA384:
			IMB_SHA384(m, spec->auth_key, spec->auth_key_len, key);
			break;
		default:
			IMB_SHA512(m, spec->auth_key, spec->auth_key_len, key);
		}
	}
	for (int which = 0; which < 2; which++) {
		for (size_t i = 0; i < block; i++)
			pad[i] = key[i] ^ (which == 0 ? 0x36 : 0x5c);
		switch (spec->auth) {
		case IL_AUTH_HMAC_SHA1:
			IMB_SHA1_ONE_BLOCK(m, pad, states[which]);
			break;
		case IL_AUTH_HMAC_SHA256:
			IMB_SHA256_ONE_BLOCK(m, pad, states[which]);
			break;
		case IL_AUTH_HMAC_SHA384:
			IMB_SHA384_ONE_BLOCK(m, pad, states[which]);
			break;
		default:
			IMB_SHA512_ONE_BLOCK(m, pad, states[which]);
		}
	}
	explicit_bzero(key, sizeof(key));
	explicit_bzero(pad, sizeof(pad));
}

static void gcm_key(IMB_MGR *m, const uint8_t *key, uint16_t len, struct gcm_key_data *to)
{
	if (len == 16)
		IMB_AES128_GCM_PRE(m, key, to);
	else if (len == 24)
		IMB_AES192_GCM_PRE(m, key, to);
	else
		IMB_AES256_GCM_PRE(m, key, to);
}

static void aes_keys(IMB_MGR *m, const struct il_crypto_spec *spec, struct il_mb_session *session)
{
	uint8_t *encrypt = session->chain.encrypt, *decrypt = session->chain.decrypt;

	if (spec->cipher_key_len == 16)
		IMB_AES_KEYEXP_128(m, spec->cipher_key, encrypt, decrypt);
	else if (spec->cipher_key_len == 24)
		IMB_AES_KEYEXP_192(m, spec->cipher_key, encrypt, decrypt);
	else
		IMB_AES_KEYEXP_256(m, spec->cipher_key, encrypt, decrypt);
}

static IMB_HASH_ALG hash_of(uint8_t auth)
{
	switch (auth) {
	case IL_AUTH_HMAC_SHA1:
		return IMB_AUTH_HMAC_SHA_1;
	case IL_AUTH_HMAC_SHA256:
		return IMB_AUTH_HMAC_SHA_256;
	case IL_AUTH_HMAC_SHA384:
		return IMB_AUTH_HMAC_SHA_384;
	default:
		return IMB_AUTH_HMAC_SHA_512;
	}
}

static void suite(IMB_MGR *m, const struct il_crypto_spec *spec, struct il_mb_session *session)
{
#if IL_MB_SUITES
	IMB_JOB job;

	memset(&job, 0, sizeof(job));
	job.cipher_mode = session->chain.cipher;
	job.hash_alg = session->chain.hash;
	job.cipher_direction = spec->seal ? IMB_DIR_ENCRYPT : IMB_DIR_DECRYPT;
	job.chain_order = spec->seal ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
	job.key_len_in_bytes = spec->cipher_key_len;
	imb_set_session(m, &job);
	memcpy(session->chain.suite, job.suite_id, sizeof(session->chain.suite));
#else
	RTE_SET_USED(m);
	RTE_SET_USED(spec);
	RTE_SET_USED(session);
#endif
}

void *il_mb_session(const struct il_crypto_spec *spec, struct rte_mempool *pool)
{
	IMB_MGR *m = manager_of_keys();
	struct il_mb_session *session;
	void *object;

	if (m == NULL || il_mb_lacks(spec) != IL_CRYPTO_HAS_BOTH) {
		rte_errno = ENOTSUP;
		return NULL;
	}
	if (rte_mempool_get(pool, &object) != 0) {
		rte_errno = ENOMEM;
		return NULL;
	}
	session = object;
	memset(session, 0, sizeof(*session));
	if (spec->wide)
		return session;
	if (spec->cipher == IL_CIPHER_AES_GCM) {
		gcm_key(m, spec->cipher_key, spec->cipher_key_len, &session->gcm);
		return session;
	}
	if (spec->auth == IL_AUTH_AES_GMAC) {
		gcm_key(m, spec->auth_key, spec->auth_key_len, &session->gcm);
		return session;
	}
	session->chain.iv_len = spec->iv_len;
	if (spec->cipher == IL_CIPHER_CHACHA20_POLY1305) {
		session->chain.cipher = IMB_CIPHER_CHACHA20_POLY1305;
		session->chain.hash = IMB_AUTH_CHACHA20_POLY1305;
		memcpy(session->chain.encrypt, spec->cipher_key, 32);
		memcpy(session->chain.decrypt, spec->cipher_key, 32);
		suite(m, spec, session);
		return session;
	}
	session->chain.hash = hash_of(spec->auth);
	hmac_states(m, spec, session->chain.inner, session->chain.outer);
	if (spec->cipher == IL_CIPHER_NONE) {
		session->chain.cipher = IMB_CIPHER_NULL;
	} else {
		session->chain.cipher = spec->cipher == IL_CIPHER_AES_CBC ? IMB_CIPHER_CBC :
									      IMB_CIPHER_CNTR;
		aes_keys(m, spec, session);
	}
	suite(m, spec, session);
	return session;
}

void il_mb_session_free(void *session, struct rte_mempool *pool)
{
	explicit_bzero(session, sizeof(struct il_mb_session));
	rte_mempool_put(pool, session);
}
