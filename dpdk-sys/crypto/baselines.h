/* Another way to do the same crypto on the same CPU, for measurements beside those that are used. */
#ifndef IRONLANE_DPDK_CRYPTO_BASELINES_H
#define IRONLANE_DPDK_CRYPTO_BASELINES_H

#include "crypto.h"

/* rte_cryptodev_sym_cpu_crypto_process: neighbours in the burst that have one session are one call.
 * Sessions are the device's; jobs have no flags. Returns how many failed. */
unsigned int il_base_cpu_burst(uint8_t dev, struct il_crypto_job *jobs, unsigned int count);

#endif
