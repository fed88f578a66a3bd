/* What Rust sees of DPDK: its public headers, and shims for what they define inline.
 * A shim that packets pass works on a whole burst; none is called per packet. */
#ifndef IRONLANE_DPDK_SHIM_H
#define IRONLANE_DPDK_SHIM_H

#include <stddef.h>
#include <stdint.h>

#include <rte_bus.h>
#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_ring.h>
#include <rte_version.h>

/* Where each field of struct rte_mbuf that Rust reads or writes lies in this DPDK. Rust compares
 * its own struct with these when it is compiled (src/mbuf.rs). */
enum il_mbuf_layout {
	IL_MBUF_BUF_ADDR = offsetof(struct rte_mbuf, buf_addr),
	IL_MBUF_DATA_OFF = offsetof(struct rte_mbuf, data_off),
	IL_MBUF_REFCNT = offsetof(struct rte_mbuf, refcnt),
	IL_MBUF_NB_SEGS = offsetof(struct rte_mbuf, nb_segs),
	IL_MBUF_PORT = offsetof(struct rte_mbuf, port),
	IL_MBUF_OL_FLAGS = offsetof(struct rte_mbuf, ol_flags),
	IL_MBUF_PACKET_TYPE = offsetof(struct rte_mbuf, packet_type),
	IL_MBUF_PKT_LEN = offsetof(struct rte_mbuf, pkt_len),
	IL_MBUF_DATA_LEN = offsetof(struct rte_mbuf, data_len),
	IL_MBUF_VLAN_TCI = offsetof(struct rte_mbuf, vlan_tci),
	IL_MBUF_HASH_RSS = offsetof(struct rte_mbuf, hash.rss),
	IL_MBUF_HASH_FDIR_HI = offsetof(struct rte_mbuf, hash.fdir.hi),
	IL_MBUF_BUF_LEN = offsetof(struct rte_mbuf, buf_len),
	IL_MBUF_POOL = offsetof(struct rte_mbuf, pool),
	IL_MBUF_NEXT = offsetof(struct rte_mbuf, next),
	IL_MBUF_TX_OFFLOAD = offsetof(struct rte_mbuf, tx_offload),
	IL_MBUF_SIZE = sizeof(struct rte_mbuf),
};

/* Bursts: up to n mbufs, at once. Each returns how many it moved. */
uint16_t il_eth_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t n);
uint16_t il_eth_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t n);
/* 0, or -ENOENT when the pool has not n mbufs; then none is taken. */
int il_pktmbuf_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **mbufs, unsigned int n);
/* Rings with one producer and one consumer. */
unsigned int il_ring_enqueue_burst(struct rte_ring *ring, struct rte_mbuf **mbufs, unsigned int n);
unsigned int il_ring_dequeue_burst(struct rte_ring *ring, struct rte_mbuf **mbufs, unsigned int n);
unsigned int il_ring_count(const struct rte_ring *ring);
unsigned int il_ring_capacity(const struct rte_ring *ring);

uint64_t il_rdtsc(void);
int il_errno(void);

/* Link state, in a form that does not depend on how struct rte_eth_link is made (24.11 changed
 * it). Returns 0 or the negative errno of rte_eth_link_get_nowait. */
int il_eth_link(uint16_t port, uint32_t *speed_mbps, int *full_duplex, int *up);

/* Sends DPDK's log lines to `line` (level is RTE_LOG_*, text has no terminator). Returns 0 or -1. */
typedef void (*il_log_fn)(int level, const char *text, size_t len);
int il_log_to(il_log_fn line);

/* Constants that DPDK builds from macros in a way that bindgen does not evaluate. */
enum il_constants {
	IL_ETH_MQ_RX_NONE = RTE_ETH_MQ_RX_NONE,
	IL_ETH_MQ_RX_RSS = RTE_ETH_MQ_RX_RSS,
};

static const uint64_t IL_RX_OFFLOAD_SCATTER = RTE_ETH_RX_OFFLOAD_SCATTER;
static const uint64_t IL_RX_OFFLOAD_IPV4_CKSUM = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM;
static const uint64_t IL_RX_OFFLOAD_RSS_HASH = RTE_ETH_RX_OFFLOAD_RSS_HASH;
static const uint64_t IL_TX_OFFLOAD_MULTI_SEGS = RTE_ETH_TX_OFFLOAD_MULTI_SEGS;

static const uint64_t IL_MBUF_RX_RSS_HASH = RTE_MBUF_F_RX_RSS_HASH;
static const uint64_t IL_MBUF_RX_VLAN_STRIPPED = RTE_MBUF_F_RX_VLAN_STRIPPED;
static const uint64_t IL_MBUF_RX_IP_CKSUM_MASK = RTE_MBUF_F_RX_IP_CKSUM_MASK;
static const uint64_t IL_MBUF_RX_IP_CKSUM_GOOD = RTE_MBUF_F_RX_IP_CKSUM_GOOD;
static const uint64_t IL_MBUF_RX_IP_CKSUM_BAD = RTE_MBUF_F_RX_IP_CKSUM_BAD;

/* Receive side scaling over addresses and ports; what a device cannot do is masked by the caller. */
static const uint64_t IL_ETH_RSS_FLOWS = RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP;

#endif
