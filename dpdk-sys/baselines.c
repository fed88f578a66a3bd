/* See baselines.h. */
#include <stdlib.h>
#include <string.h>

#include <rte_fib.h>
#include <rte_fib6.h>
#include <rte_lpm.h>
#include <rte_lpm6.h>
#include <rte_vect.h>

#include "baselines.h"

struct il_base {
	int kind;
	union {
		struct rte_fib *fib;
		struct rte_lpm *lpm;
		struct rte_fib6 *fib6;
		struct rte_lpm6 *lpm6;
		void *any;
	};
};

struct variant {
	const char *name;
	int type;
};

static const struct variant fib_variants[] = {
	{"scalar_macro", RTE_FIB_LOOKUP_DIR24_8_SCALAR_MACRO},
	{"scalar_inline", RTE_FIB_LOOKUP_DIR24_8_SCALAR_INLINE},
	{"scalar_uni", RTE_FIB_LOOKUP_DIR24_8_SCALAR_UNI},
	{"avx512", RTE_FIB_LOOKUP_DIR24_8_VECTOR_AVX512},
	{NULL, 0},
};

static const struct variant fib6_variants[] = {
	{"scalar", RTE_FIB6_LOOKUP_TRIE_SCALAR},
	{"avx512", RTE_FIB6_LOOKUP_TRIE_VECTOR_AVX512},
	{NULL, 0},
};

static const struct variant lpm_variants[] = {{"x4", 0}, {"bulk", 1}, {NULL, 0}};
static const struct variant lpm6_variants[] = {{"bulk", 0}, {NULL, 0}};

static const struct variant *variants(int kind)
{
	switch (kind) {
	case IL_BASE_FIB_2B:
	case IL_BASE_FIB_4B:
		return fib_variants;
	case IL_BASE_FIB6_2B:
	case IL_BASE_FIB6_4B:
		return fib6_variants;
	case IL_BASE_LPM:
		return lpm_variants;
	default:
		return lpm6_variants;
	}
}

static int lpm_bulk;

struct il_base *il_base_open(int kind, uint32_t max_routes)
{
	struct il_base *base = calloc(1, sizeof(*base));
	struct rte_fib_conf fib;
	struct rte_fib6_conf fib6;
	struct rte_lpm_config lpm = {.max_rules = max_routes, .number_tbl8s = 60000};
	struct rte_lpm6_config lpm6 = {.max_rules = max_routes, .number_tbl8s = 1 << 18};

	if (base == NULL)
		return NULL;
	base->kind = kind;
	memset(&fib, 0, sizeof(fib));
	memset(&fib6, 0, sizeof(fib6));
	fib.max_routes = fib6.max_routes = max_routes;
	fib.type = RTE_FIB_DIR24_8;
	fib6.type = RTE_FIB6_TRIE;
	switch (kind) {
	case IL_BASE_FIB_2B:
		fib.dir24_8.nh_sz = RTE_FIB_DIR24_8_2B;
		fib.dir24_8.num_tbl8 = 32000;
		base->fib = rte_fib_create("il_fib2", -1, &fib);
		break;
	case IL_BASE_FIB_4B:
		fib.dir24_8.nh_sz = RTE_FIB_DIR24_8_4B;
		fib.dir24_8.num_tbl8 = 60000;
		base->fib = rte_fib_create("il_fib4", -1, &fib);
		break;
	case IL_BASE_FIB6_2B:
		fib6.trie.nh_sz = RTE_FIB6_TRIE_2B;
		fib6.trie.num_tbl8 = 32000;
		base->fib6 = rte_fib6_create("il_fib62", -1, &fib6);
		break;
	case IL_BASE_FIB6_4B:
		fib6.trie.nh_sz = RTE_FIB6_TRIE_4B;
		fib6.trie.num_tbl8 = 400000;
		base->fib6 = rte_fib6_create("il_fib64", -1, &fib6);
		break;
	case IL_BASE_LPM:
		base->lpm = rte_lpm_create("il_lpm", -1, &lpm);
		break;
	case IL_BASE_LPM6:
		base->lpm6 = rte_lpm6_create("il_lpm6", -1, &lpm6);
		break;
	}
	if (base->any == NULL) {
		free(base);
		return NULL;
	}
	return base;
}

void il_base_close(struct il_base *base)
{
	switch (base->kind) {
	case IL_BASE_FIB_2B:
	case IL_BASE_FIB_4B:
		rte_fib_free(base->fib);
		break;
	case IL_BASE_FIB6_2B:
	case IL_BASE_FIB6_4B:
		rte_fib6_free(base->fib6);
		break;
	case IL_BASE_LPM:
		rte_lpm_free(base->lpm);
		break;
	case IL_BASE_LPM6:
		rte_lpm6_free(base->lpm6);
		break;
	}
	free(base);
}

/* 24.11 has a type for IPv6 addresses, of the same bytes. */
int il_base_add(struct il_base *base, const void *address, uint8_t len, uint32_t nexthop)
{
	uint32_t ip4;

	switch (base->kind) {
	case IL_BASE_FIB_2B:
	case IL_BASE_FIB_4B:
		memcpy(&ip4, address, sizeof(ip4));
		return rte_fib_add(base->fib, ip4, len, nexthop);
	case IL_BASE_LPM:
		memcpy(&ip4, address, sizeof(ip4));
		return rte_lpm_add(base->lpm, ip4, len, nexthop);
	case IL_BASE_FIB6_2B:
	case IL_BASE_FIB6_4B:
		return rte_fib6_add(base->fib6, (void *)(uintptr_t)address, len, nexthop);
	default:
		return rte_lpm6_add(base->lpm6, (void *)(uintptr_t)address, len, nexthop);
	}
}

const char *il_base_variant(const struct il_base *base, int which)
{
	return variants(base->kind)[which].name;
}

int il_base_select(struct il_base *base, int which)
{
	int type = variants(base->kind)[which].type;

	switch (base->kind) {
	case IL_BASE_FIB_2B:
	case IL_BASE_FIB_4B:
		return rte_fib_select_lookup(base->fib, type);
	case IL_BASE_FIB6_2B:
	case IL_BASE_FIB6_4B:
		return rte_fib6_select_lookup(base->fib6, type);
	case IL_BASE_LPM:
		lpm_bulk = type;
		return 0;
	default:
		return 0;
	}
}

static uint64_t sum32(const uint32_t *hops, uint32_t count)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < count; i++)
		sum += hops[i] & 0xffffff;
	return sum;
}

uint64_t il_base_lookup(struct il_base *base, const void *addresses, uint32_t count)
{
	uint64_t wide[64], sum = 0;
	uint32_t hops[64];
	int32_t signed_hops[64];

	switch (base->kind) {
	case IL_BASE_FIB_2B:
	case IL_BASE_FIB_4B:
		rte_fib_lookup_bulk(base->fib, (void *)(uintptr_t)addresses, wide, count);
		break;
	case IL_BASE_FIB6_2B:
	case IL_BASE_FIB6_4B:
		rte_fib6_lookup_bulk(base->fib6, (void *)(uintptr_t)addresses, wide, count);
		break;
	case IL_BASE_LPM:
		if (lpm_bulk) {
			rte_lpm_lookup_bulk(base->lpm, (const uint32_t *)addresses, hops, count);
			/* What is not found has no bit that says it is valid. */
			for (uint32_t i = 0; i < count; i++)
				if ((hops[i] & RTE_LPM_LOOKUP_SUCCESS) == 0)
					hops[i] = 0;
		} else {
			const uint32_t *ip4 = addresses;

			for (uint32_t i = 0; i < count; i += 4) {
				xmm_t four;

				memcpy(&four, ip4 + i, sizeof(four));
				rte_lpm_lookupx4(base->lpm, four, hops + i, 0);
			}
		}
		return sum32(hops, count);
	default:
		rte_lpm6_lookup_bulk_func(base->lpm6, (void *)(uintptr_t)addresses, signed_hops, count);
		for (uint32_t i = 0; i < count; i++)
			sum += signed_hops[i] < 0 ? 0 : signed_hops[i];
		return sum;
	}
	for (uint32_t i = 0; i < count; i++)
		sum += wide[i];
	return sum;
}
