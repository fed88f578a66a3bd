/* What the two files of libipsec-mb share. */
#ifndef IRONLANE_DPDK_IPSEC_MB_H
#define IRONLANE_DPDK_IPSEC_MB_H

#include <intel-ipsec-mb.h>

#include "crypto.h"

/* Since 1.4 the library dispatches jobs of a burst by a number that it gives to their algorithms, and
 * crashes without. */
#define IL_MB_SUITES (IMB_VERSION_NUM >= IMB_VERSION(1, 4, 0))

/* AES-GCM and GMAC run by functions of their own, one packet after the other, which is fastest; all
 * else by the library's jobs, which work on several packets at once. */
struct il_mb_session {
	union {
		struct gcm_key_data gcm;
		uint8_t wide[IL_CRYPTO_WIDE_BYTES] __attribute__((aligned(64)));
		struct {
			uint8_t encrypt[16 * 15] __attribute__((aligned(16)));
			uint8_t decrypt[16 * 15] __attribute__((aligned(16)));
			uint8_t inner[64] __attribute__((aligned(16)));
			uint8_t outer[64] __attribute__((aligned(16)));
			IMB_CIPHER_MODE cipher;
			IMB_HASH_ALG hash;
			uint8_t iv_len;
			uint32_t suite[2]; /* the library's number for them; since 1.4 */
		} chain;
	};
};

struct il_mb_engine {
	IMB_MGR *manager;
	/* AES-GCM by key length: 16, 24, 32 bytes; to encrypt, to decrypt. */
	aes_gcm_enc_dec_t gcm[3][2];
	/* How many powers of the hash key a session has, and where in it they end. */
	uint32_t powers, powers_end;
	struct gcm_context_data context;
};

/* A manager for the instructions of this CPU; NULL if they are too few, or without memory. */
IMB_MGR *il_mb_manager(void);

#endif
