/* Shims for DPDK's inline functions, and all that differs between DPDK versions. */

#define _GNU_SOURCE /* fopencookie */
#include "shim.h"

#include <stdio.h>

uint16_t il_eth_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t n)
{
	return rte_eth_rx_burst(port, queue, mbufs, n);
}

uint16_t il_eth_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **mbufs, uint16_t n)
{
	return rte_eth_tx_burst(port, queue, mbufs, n);
}

int il_pktmbuf_alloc_bulk(struct rte_mempool *pool, struct rte_mbuf **mbufs, unsigned int n)
{
	return rte_pktmbuf_alloc_bulk(pool, mbufs, n);
}

unsigned int il_ring_enqueue_burst(struct rte_ring *ring, struct rte_mbuf **mbufs, unsigned int n)
{
	return rte_ring_sp_enqueue_burst(ring, (void *const *)mbufs, n, NULL);
}

unsigned int il_ring_dequeue_burst(struct rte_ring *ring, struct rte_mbuf **mbufs, unsigned int n)
{
	return rte_ring_sc_dequeue_burst(ring, (void **)mbufs, n, NULL);
}

unsigned int il_ring_count(const struct rte_ring *ring)
{
	return rte_ring_count(ring);
}

unsigned int il_ring_capacity(const struct rte_ring *ring)
{
	return rte_ring_get_capacity(ring);
}

uint64_t il_rdtsc(void)
{
	return rte_rdtsc();
}

int il_errno(void)
{
	return rte_errno;
}

int il_eth_link(uint16_t port, uint32_t *speed_mbps, int *full_duplex, int *up)
{
	struct rte_eth_link link = { 0 };
	int rc = rte_eth_link_get_nowait(port, &link);

	*speed_mbps = link.link_speed;
	*full_duplex = link.link_duplex == RTE_ETH_LINK_FULL_DUPLEX;
	*up = link.link_status == RTE_ETH_LINK_UP;
	return rc;
}

static ssize_t log_write(void *cookie, const char *text, size_t len)
{
	/* The level of the message being written is kept per thread by the log library. */
	((il_log_fn)cookie)(rte_log_cur_msg_loglevel(), text, len);
	return (ssize_t)len;
}

int il_log_to(il_log_fn line)
{
	cookie_io_functions_t io = { .write = log_write };
	FILE *stream = fopencookie((void *)line, "w", io);

	if (stream == NULL)
		return -1;
	setvbuf(stream, NULL, _IOLBF, 1024);
	return rte_openlog_stream(stream);
}
