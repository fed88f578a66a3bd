/* For CPUs that libipsec-mb is not made for: what there is to ask says so. See crypto.h. */
#include "crypto.h"

#include <errno.h>

#include <rte_errno.h>

const char *il_mb_instructions(void)
{
	return NULL;
}

int il_mb_lacks(const struct il_crypto_spec *spec)
{
	RTE_SET_USED(spec);
	return IL_CRYPTO_LACKS_CIPHER;
}

struct rte_mempool *il_mb_session_pool(const char *name, uint32_t sessions, int socket)
{
	RTE_SET_USED(name);
	RTE_SET_USED(sessions);
	RTE_SET_USED(socket);
	rte_errno = ENOTSUP;
	return NULL;
}

void *il_mb_session(const struct il_crypto_spec *spec, struct rte_mempool *pool)
{
	RTE_SET_USED(spec);
	RTE_SET_USED(pool);
	rte_errno = ENOTSUP;
	return NULL;
}

void il_mb_session_free(void *session, struct rte_mempool *pool)
{
	RTE_SET_USED(session);
	RTE_SET_USED(pool);
}

struct il_mb_engine *il_mb_engine_open(void)
{
	rte_errno = ENOTSUP;
	return NULL;
}

void il_mb_engine_close(struct il_mb_engine *engine)
{
	RTE_SET_USED(engine);
}

void il_mb_burst(struct il_mb_engine *engine, struct il_crypto_job *jobs, unsigned int count)
{
	RTE_SET_USED(engine);
	for (unsigned int i = 0; i < count; i++)
		jobs[i].status = IL_CRYPTO_FAILED;
}
