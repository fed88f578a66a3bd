/* See baselines.h. */
#include "baselines.h"

#include <rte_mbuf.h>

static uint8_t *data_of(const struct il_crypto_job *job)
{
	return rte_pktmbuf_mtod(job->mbuf, uint8_t *);
}

/* One call for `count` jobs of one session with ranges of the same offsets. */
static unsigned int cpu_call(uint8_t dev, struct il_crypto_job *jobs, unsigned int count)
{
	struct rte_crypto_vec vec[IL_CRYPTO_BURST];
	struct rte_crypto_sgl sgl[IL_CRYPTO_BURST];
	struct rte_crypto_va_iova_ptr iv[IL_CRYPTO_BURST], aad[IL_CRYPTO_BURST], icv[IL_CRYPTO_BURST];
	int32_t status[IL_CRYPTO_BURST];
	union rte_crypto_sym_ofs ofs = { .raw = 0 };
	struct rte_crypto_sym_vec burst = {
		.num = count, .src_sgl = sgl, .iv = iv, .digest = icv, .aad = aad, .status = status,
	};

	for (unsigned int i = 0; i < count; i++) {
		struct il_crypto_job *job = &jobs[i];
		int aead = job->facts.kind == IL_CRYPTO_GCM || job->facts.kind == IL_CRYPTO_CHACHA;
		unsigned int from = aead ? job->cipher_offset : job->auth_offset;
		unsigned int len = aead ? job->cipher_len : job->auth_len;

		if (!aead)
			ofs.ofs.cipher.head = job->cipher_offset - job->auth_offset;
		vec[i] = (struct rte_crypto_vec){ .base = data_of(job) + from, .len = len, .tot_len = len };
		sgl[i] = (struct rte_crypto_sgl){ .vec = &vec[i], .num = 1 };
		iv[i].va = job->iv;
		aad[i].va = job->aad;
		icv[i].va = data_of(job) + job->icv_offset;
		status[i] = 0;
	}
	return count - rte_cryptodev_sym_cpu_crypto_process(dev, jobs[0].session, ofs, &burst);
}

unsigned int il_base_cpu_burst(uint8_t dev, struct il_crypto_job *jobs, unsigned int count)
{
	unsigned int failed = 0;

	for (unsigned int from = 0, to; from < count; from = to) {
		for (to = from + 1; to < count && jobs[to].session == jobs[from].session; to++)
			;
		failed += cpu_call(dev, jobs + from, to - from);
	}
	return failed;
}
