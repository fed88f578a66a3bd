/* Symmetric crypto as Rust sees it: plain structs, and a burst in one call. Two ways do the same:
 * il_mb_*, by libipsec-mb on the CPU that asks (ipsec_mb.c, ipsec_mb_session.c), and il_crypto_*, by any device of
 * rte_cryptodev (cryptodev.c). */
#ifndef IRONLANE_DPDK_CRYPTO_H
#define IRONLANE_DPDK_CRYPTO_H

#include <stdint.h>

#include <rte_crypto.h>
#include <rte_cryptodev.h>

/* Ciphers; those from IL_CIPHER_AES_GCM on authenticate as well. */
enum il_cipher {
	IL_CIPHER_NONE,
	IL_CIPHER_AES_CBC,
	IL_CIPHER_AES_CTR,
	IL_CIPHER_AES_GCM,
	IL_CIPHER_CHACHA20_POLY1305,
};

enum il_auth {
	IL_AUTH_NONE,
	IL_AUTH_HMAC_SHA1,
	IL_AUTH_HMAC_SHA256,
	IL_AUTH_HMAC_SHA384,
	IL_AUTH_HMAC_SHA512,
	IL_AUTH_AES_GMAC,
};

/* What a session does. The keys are read while it is made, and not kept. */
struct il_crypto_spec {
	const uint8_t *cipher_key;
	const uint8_t *auth_key;
	uint16_t cipher_key_len;
	uint16_t auth_key_len;
	uint16_t aad_len;
	uint8_t cipher; /* enum il_cipher */
	uint8_t auth; /* enum il_auth */
	uint8_t iv_len;
	uint8_t icv_len;
	uint8_t seal; /* encrypt and make the ICV; otherwise verify and decrypt */
	uint8_t wide; /* of libipsec-mb's: for the caller's own AES-GCM, which makes the keys ready itself */
};

/* Bytes of a session that is `wide`, from a cache line on. */
#define IL_CRYPTO_WIDE_BYTES 832

/* A device, in a form that does not depend on how struct rte_cryptodev_info is made. */
struct il_crypto_info {
	const char *driver;
	uint32_t session_size; /* bytes of a session that are the driver's */
	uint32_t max_sessions; /* 0: as many as memory has */
	uint16_t max_queue_pairs;
	uint8_t in_cpu; /* works on the CPU that asks, so that waiting for it is no loss */
};

enum il_crypto_kind {
	IL_CRYPTO_CHAIN, /* a cipher, a HMAC, or both */
	IL_CRYPTO_GCM,
	IL_CRYPTO_GMAC, /* nothing encrypted: the range is authenticated */
	IL_CRYPTO_CHACHA,
	IL_CRYPTO_GCM_WIDE, /* the caller's own: a burst leaves it as it is */
};

/* Lengths and ways of a session, carried in each job so that a burst does not read them from
 * memory of the session. */
struct il_crypto_facts {
	uint16_t aad_len;
	uint8_t kind; /* enum il_crypto_kind */
	uint8_t seal;
	uint8_t icv_len;
	uint8_t key_words; /* of the cipher, or of GMAC: its length in units of 8 bytes */
	uint8_t reserved[2];
};

enum il_crypto_status {
	IL_CRYPTO_DONE,
	IL_CRYPTO_BAD_ICV,
	IL_CRYPTO_FAILED, /* the device could not do it */
	IL_CRYPTO_LOST, /* the device did not answer, and may yet write to the packet */
	IL_CRYPTO_WAITING,
};

/* One packet. Offsets are from the start of the data of the mbuf, which has one segment; what they
 * name lies in its buffer. */
struct il_crypto_job {
	void *session;
	struct rte_mbuf *mbuf;
	struct il_crypto_facts facts;
	uint16_t cipher_offset;
	uint16_t cipher_len;
	/* Authenticated where the cipher does not; for one that does, its additional data if that lies
	 * in the packet, and none if it is in `aad`. */
	uint16_t auth_offset;
	uint16_t auth_len;
	uint16_t icv_offset;
	uint8_t status; /* enum il_crypto_status */
	uint8_t aad[12];
	uint8_t iv[16];
};

/* Numbers of devices are below this. */
#define IL_CRYPTO_DEVICES RTE_CRYPTO_MAX_DEVS

/* Jobs under way at once. */
#define IL_CRYPTO_BURST 64

struct il_crypto_engine;

int il_crypto_info(uint8_t dev, struct il_crypto_info *info);
/* Whether the device has the algorithms in these lengths. 0, or which of the two it has not. */
enum il_crypto_lack { IL_CRYPTO_HAS_BOTH, IL_CRYPTO_LACKS_CIPHER, IL_CRYPTO_LACKS_AUTH };
int il_crypto_lacks(uint8_t dev, const struct il_crypto_spec *spec);
/* Configures and starts the device. 0 or a negative errno. */
int il_crypto_start(uint8_t dev, uint16_t queue_pairs, uint16_t descriptors, int socket);

/* Pools of sessions: one kind a way. NULL with rte_errno set. */
struct rte_mempool *il_crypto_session_pool(const char *name, uint32_t sessions, uint8_t dev,
					   int socket);
/* NULL with rte_errno set. */
void *il_crypto_session(uint8_t dev, const struct il_crypto_spec *spec, struct rte_mempool *pool);
/* Overwrites the session with zeros, and gives it back to its pool. */
int il_crypto_session_free(uint8_t dev, void *session);
/* Locks the memory of a pool and leaves it out of core dumps. 0 or a negative errno. */
int il_crypto_pool_protect(struct rte_mempool *pool);
/* One engine a thread and queue pair. NULL with rte_errno set. */
struct il_crypto_engine *il_crypto_engine_open(uint8_t dev, uint16_t queue_pair, int socket);
void il_crypto_engine_close(struct il_crypto_engine *engine);
/* Does `count` jobs, at most IL_CRYPTO_BURST, and returns how many did not come back in time. */
unsigned int il_crypto_burst(struct il_crypto_engine *engine, struct il_crypto_job *jobs,
			     unsigned int count);

/* The same by libipsec-mb. NULL or an error where the CPU has not its instructions. */
struct il_mb_engine;

/* The instructions that it would use ("AVX512"); NULL if this CPU has too few. */
const char *il_mb_instructions(void);
int il_mb_lacks(const struct il_crypto_spec *spec);
struct rte_mempool *il_mb_session_pool(const char *name, uint32_t sessions, int socket);
void *il_mb_session(const struct il_crypto_spec *spec, struct rte_mempool *pool);
void il_mb_session_free(void *session, struct rte_mempool *pool);
struct il_mb_engine *il_mb_engine_open(void);
void il_mb_engine_close(struct il_mb_engine *engine);
void il_mb_burst(struct il_mb_engine *engine, struct il_crypto_job *jobs, unsigned int count);

#endif
