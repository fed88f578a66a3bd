/* DPDK's own lookup libraries, for measurements beside ours: one interface over the versions.
 * Addresses are in host order for IPv4, 16 bytes for IPv6; a nexthop is below 2^15. */
#ifndef IRONLANE_DPDK_BASELINES_H
#define IRONLANE_DPDK_BASELINES_H

#include <stdint.h>

/* A library with a table; `kind` of il_base_open. */
enum il_base_kind {
	IL_BASE_FIB_2B,
	IL_BASE_FIB_4B,
	IL_BASE_LPM,
	IL_BASE_FIB6_2B,
	IL_BASE_FIB6_4B,
	IL_BASE_LPM6,
	IL_BASE_KINDS,
};

struct il_base;

/* NULL if there is no memory for it. */
struct il_base *il_base_open(int kind, uint32_t max_routes);
void il_base_close(struct il_base *base);
/* 0, or negative; `address` is a uint32_t in host order or 16 bytes. */
int il_base_add(struct il_base *base, const void *address, uint8_t len, uint32_t nexthop);
/* The name of lookup function number `which`; NULL behind the last. */
const char *il_base_variant(const struct il_base *base, int which);
/* Takes lookup function number `which`; negative if this CPU or build has none. */
int il_base_select(struct il_base *base, int which);
/* Looks up a multiple of 4, at most 64, and returns the sum of the nexthops. */
uint64_t il_base_lookup(struct il_base *base, const void *addresses, uint32_t count);

#endif
