/*
 * Part of Ironlane's plugin for strongSwan. Copyright (C) the Ironlane authors.
 *
 * This program is free software; you can redistribute it and/or modify it under the terms of the GNU
 * General Public License as published by the Free Software Foundation; either version 2 of the License,
 * or (at your option) any later version. It comes without any warranty; see LICENSE beside it.
 */

#include "ipsec.h"
#include "events.h"
#include "link.h"
#include "routes.h"
#include "store.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <daemon.h>

/** Where the router listens, unless charon.plugins.kernel-ironlane.socket says otherwise. */
#define DEFAULT_SOCKET "/run/ironlane/ipsec.sock"
/** Milliseconds that an answer may take. */
#define DEFAULT_TIMEOUT 5000

typedef struct private_ipsec_t private_ipsec_t;

struct private_ipsec_t {
	kernel_ipsec_t public;
	/** What the link calls. */
	link_user_t user;
	link_t *link;
	store_t *store;
	routes_t *routes;
	/** SPIs are chosen within these, both included. */
	uint32_t spi_min;
	uint32_t spi_max;
};

static status_t to_status(link_result_t result)
{
	switch (result)
	{
		case LINK_OK:
			return SUCCESS;
		case LINK_NOT_SUPPORTED:
			return NOT_SUPPORTED;
		case LINK_NOT_FOUND:
			return NOT_FOUND;
		default:
			return FAILED;
	}
}

METHOD(kernel_ipsec_t, get_features, kernel_feature_t,
	private_ipsec_t *this)
{
	/* policies name the SPI they use, so a new outbound SA can wait until the peer has it, too */
	return KERNEL_ESP_V3_TFC | KERNEL_POLICY_SPI;
}

METHOD(kernel_ipsec_t, get_spi, status_t,
	private_ipsec_t *this, host_t *src, host_t *dst, uint8_t protocol, uint32_t *spi)
{
	bio_writer_t *w = message_begin(MSG_GET_SPI);
	bio_reader_t *r;
	chunk_t body;
	link_result_t result;
	uint32_t host_order;
	status_t status = FAILED;

	w->write_uint8(w, protocol);
	write_address(w, src);
	write_address(w, dst);
	w->write_uint32(w, this->spi_min);
	w->write_uint32(w, this->spi_max);
	result = this->link->request(this->link, TRUE, message_end(w), &body);
	if (result != LINK_OK)
	{
		return to_status(result);
	}
	r = bio_reader_create(body);
	if (r->read_uint32(r, &host_order) && !r->remaining(r))
	{
		*spi = htonl(host_order);
		status = SUCCESS;
	}
	r->destroy(r);
	chunk_free(&body);
	return status;
}

METHOD(kernel_ipsec_t, get_cpi, status_t,
	private_ipsec_t *this, host_t *src, host_t *dst, uint16_t *cpi)
{
	DBG1(DBG_KNL, "ironlane: the router does not compress (IPComp); set ipcomp = no for this child");
	return NOT_SUPPORTED;
}

/** Takes an SA from the router, without waiting for a connection where there is none. */
static link_result_t delete_sa(private_ipsec_t *this, kernel_ipsec_sa_id_t *id)
{
	bio_writer_t *w = message_begin(MSG_DEL_SA);

	this->store->remove_sa(this->store, id);
	write_sa_id(w, id);
	return this->link->request(this->link, FALSE, message_end(w), NULL);
}

METHOD(kernel_ipsec_t, add_sa, status_t,
	private_ipsec_t *this, kernel_ipsec_sa_id_t *id, kernel_ipsec_add_sa_t *data)
{
	key_pair_t keys = {
		.enc = data->enc_key,
		.integ = data->int_key,
	};
	bio_writer_t *w;
	link_result_t result;

	if (data->ipcomp != IPCOMP_NONE || data->label || data->hw_offload == HW_OFFLOAD_YES)
	{
		DBG1(DBG_KNL, "ironlane: SA 0x%08x wants %s, which the router does not do", ntohl(id->spi),
			 data->ipcomp != IPCOMP_NONE ? "IPComp" : data->label ? "a security label" :
			 "hw_offload = yes (auto is good)");
		return NOT_SUPPORTED;
	}
	/* kept before it is sent: a connection that is made anew after the answer must find it */
	if (!this->store->add_sa(this->store, id, data))
	{
		DBG1(DBG_KNL, "ironlane: SA 0x%08x has keys of %zu and %zu bytes, which cannot be kept",
			 ntohl(id->spi), keys.enc.len, keys.integ.len);
		return FAILED;
	}
	w = message_begin(MSG_ADD_SA);
	write_sa(w, id, data, &keys, 0, FALSE);
	result = this->link->request(this->link, TRUE, message_end(w), NULL);
	if (result == LINK_LOST)
	{	/* it may have arrived */
		delete_sa(this, id);
	}
	else if (result != LINK_OK)
	{
		this->store->remove_sa(this->store, id);
		DBG1(DBG_KNL, "ironlane: the router refuses SA 0x%08x from %H to %H", ntohl(id->spi), id->src, id->dst);
	}
	return to_status(result);
}

METHOD(kernel_ipsec_t, update_sa, status_t,
	private_ipsec_t *this, kernel_ipsec_sa_id_t *id, kernel_ipsec_update_sa_t *data)
{
	bio_writer_t *w = message_begin(MSG_UPDATE_SA);
	link_result_t result;

	write_sa_id(w, id);
	write_address(w, data->new_src);
	write_address(w, data->new_dst);
	w->write_uint8(w, data->new_encap);
	w->write_uint16(w, data->new_encap ? data->new_src->get_port(data->new_src) : 0);
	w->write_uint16(w, data->new_encap ? data->new_dst->get_port(data->new_dst) : 0);
	w->write_uint32(w, data->new_reqid);
	result = this->link->request(this->link, TRUE, message_end(w), NULL);
	if (result == LINK_OK)
	{
		this->store->update_sa(this->store, id, data);
	}
	return to_status(result);
}

/** The last use in the monotonic time that charon compares with; 0 for never. */
static time_t last_use(uint64_t idle_ms)
{
	return idle_ms == UINT64_MAX ? 0 : time_monotonic(NULL) - idle_ms / 1000;
}

METHOD(kernel_ipsec_t, query_sa, status_t,
	private_ipsec_t *this, kernel_ipsec_sa_id_t *id, kernel_ipsec_query_sa_t *data, uint64_t *bytes,
	uint64_t *packets, time_t *time)
{
	bio_writer_t *w = message_begin(MSG_QUERY_SA);
	bio_reader_t *r;
	chunk_t body;
	link_result_t result;
	uint64_t counted_bytes, counted_packets, idle_ms;
	status_t status = FAILED;

	write_sa_id(w, id);
	result = this->link->request(this->link, FALSE, message_end(w), &body);
	if (result != LINK_OK)
	{
		return to_status(result);
	}
	r = bio_reader_create(body);
	if (r->read_uint64(r, &counted_bytes) && r->read_uint64(r, &counted_packets) &&
		r->read_uint64(r, &idle_ms) && !r->remaining(r))
	{
		if (bytes)
		{
			*bytes = counted_bytes;
		}
		if (packets)
		{
			*packets = counted_packets;
		}
		if (time)
		{
			*time = last_use(idle_ms);
		}
		status = SUCCESS;
	}
	r->destroy(r);
	chunk_free(&body);
	return status;
}

METHOD(kernel_ipsec_t, del_sa, status_t,
	private_ipsec_t *this, kernel_ipsec_sa_id_t *id, kernel_ipsec_del_sa_t *data)
{
	link_result_t result = delete_sa(this, id);

	/* without a connection it is gone all the same: the next one is not told of it */
	return result == LINK_LOST ? SUCCESS : to_status(result);
}

METHOD(kernel_ipsec_t, flush_sas, status_t,
	private_ipsec_t *this)
{
	this->store->flush_sas(this->store);
	this->link->request(this->link, FALSE, message_end(message_begin(MSG_FLUSH_SAS)), NULL);
	return SUCCESS;
}

/** Takes one use of a policy from the router. */
static link_result_t delete_policy(private_ipsec_t *this, kernel_ipsec_policy_id_t *id,
								   kernel_ipsec_manage_policy_t *data)
{
	bio_writer_t *w = message_begin(MSG_DEL_POLICY);

	this->store->remove_policy(this->store, id, data);
	write_policy_id(w, id);
	write_policy(w, data);
	return this->link->request(this->link, FALSE, message_end(w), NULL);
}

METHOD(kernel_ipsec_t, add_policy, status_t,
	private_ipsec_t *this, kernel_ipsec_policy_id_t *id, kernel_ipsec_manage_policy_t *data)
{
	bio_writer_t *w;
	link_result_t result;

	if (id->label)
	{
		DBG1(DBG_KNL, "ironlane: policy %R === %R has a security label, which the router does not know",
			 id->src_ts, id->dst_ts);
		return NOT_SUPPORTED;
	}
	this->store->add_policy(this->store, id, data);
	w = message_begin(MSG_ADD_POLICY);
	write_policy_id(w, id);
	write_policy(w, data);
	result = this->link->request(this->link, FALSE, message_end(w), NULL);
	if (result == LINK_OK || result == LINK_LOST)
	{	/* without a connection it is told with the next one: charon asks for a trap only once, and may
		 * have started before the router */
		this->routes->add(this->routes, id, data);
		return SUCCESS;
	}
	this->store->remove_policy(this->store, id, data);
	DBG1(DBG_KNL, "ironlane: the router refuses policy %R === %R %N", id->src_ts, id->dst_ts,
		 policy_dir_names, id->dir);
	return to_status(result);
}

METHOD(kernel_ipsec_t, query_policy, status_t,
	private_ipsec_t *this, kernel_ipsec_policy_id_t *id, kernel_ipsec_query_policy_t *data, time_t *use_time)
{
	bio_writer_t *w = message_begin(MSG_QUERY_POLICY);
	bio_reader_t *r;
	chunk_t body;
	link_result_t result;
	uint64_t idle_ms;
	status_t status = FAILED;

	write_policy_id(w, id);
	result = this->link->request(this->link, FALSE, message_end(w), &body);
	if (result != LINK_OK)
	{
		return to_status(result);
	}
	r = bio_reader_create(body);
	if (r->read_uint64(r, &idle_ms) && !r->remaining(r))
	{
		*use_time = last_use(idle_ms);
		status = SUCCESS;
	}
	r->destroy(r);
	chunk_free(&body);
	return status;
}

METHOD(kernel_ipsec_t, del_policy, status_t,
	private_ipsec_t *this, kernel_ipsec_policy_id_t *id, kernel_ipsec_manage_policy_t *data)
{
	link_result_t result;

	this->routes->remove(this->routes, id, data);
	result = delete_policy(this, id, data);
	return result == LINK_LOST ? SUCCESS : to_status(result);
}

METHOD(kernel_ipsec_t, flush_policies, status_t,
	private_ipsec_t *this)
{
	this->routes->flush(this->routes);
	this->store->flush_policies(this->store);
	this->link->request(this->link, FALSE, message_end(message_begin(MSG_FLUSH_POLICIES)), NULL);
	return SUCCESS;
}

/** Keeps and tells what a port is used for. charon opens its sockets early: it may be told later only. */
static void tell_port(private_ipsec_t *this, port_use_t use, int family, uint16_t port)
{
	this->store->add_port(this->store, use, family, port);
	this->link->request(this->link, FALSE, port_frame(use, family, port), NULL);
}

METHOD(kernel_ipsec_t, bypass_socket, bool,
	private_ipsec_t *this, int fd, int family)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} address;
	socklen_t len = sizeof(address);

	if (getsockname(fd, &address.any, &len) == 0)
	{
		tell_port(this, PORT_BYPASS, family,
				  ntohs(family == AF_INET ? address.in.sin_port : address.in6.sin6_port));
	}
	return TRUE;
}

METHOD(kernel_ipsec_t, enable_udp_decap, bool,
	private_ipsec_t *this, int fd, int family, uint16_t port)
{
	tell_port(this, PORT_DECAP, family, port);
	return TRUE;
}

/** Gets from the link's user to the backend around it. */
#define USER_OF(user) ((private_ipsec_t*)((char*)(user) - offsetof(private_ipsec_t, user)))

static bool user_resend(link_user_t *user, link_t *link, bool restarted)
{
	private_ipsec_t *this = USER_OF(user);

	return this->store->resend(this->store, link, restarted);
}

static void user_resent(link_user_t *user, bool restarted)
{
	private_ipsec_t *this = USER_OF(user);

	this->store->expire_lost(this->store);
}

static void user_event(link_user_t *user, uint8_t type, bio_reader_t *body)
{
	ironlane_event(type, body);
}

METHOD(kernel_ipsec_t, destroy, void,
	private_ipsec_t *this)
{
	DESTROY_IF(this->link);
	this->routes->destroy(this->routes);
	this->store->destroy(this->store);
	free(this);
}

kernel_ipsec_t *ironlane_ipsec_create()
{
	private_ipsec_t *this;
	char *path;
	u_int timeout;

	INIT(this,
		.public = {
			.get_features = _get_features,
			.get_spi = _get_spi,
			.get_cpi = _get_cpi,
			.add_sa = _add_sa,
			.update_sa = _update_sa,
			.query_sa = _query_sa,
			.del_sa = _del_sa,
			.flush_sas = _flush_sas,
			.add_policy = _add_policy,
			.query_policy = _query_policy,
			.del_policy = _del_policy,
			.flush_policies = _flush_policies,
			.bypass_socket = _bypass_socket,
			.enable_udp_decap = _enable_udp_decap,
			.destroy = _destroy,
		},
		.user = {
			.resend = user_resend,
			.resent = user_resent,
			.event = user_event,
		},
		.store = store_create(),
		.routes = routes_create(),
		.spi_min = lib->settings->get_int(lib->settings, "%s.spi_min", KERNEL_SPI_MIN, lib->ns),
		.spi_max = lib->settings->get_int(lib->settings, "%s.spi_max", KERNEL_SPI_MAX, lib->ns),
	);
	path = lib->settings->get_str(lib->settings, "%s.plugins.kernel-ironlane.socket", DEFAULT_SOCKET, lib->ns);
	timeout = lib->settings->get_int(lib->settings, "%s.plugins.kernel-ironlane.timeout_ms", DEFAULT_TIMEOUT,
									 lib->ns);
	this->link = link_create(path, timeout, &this->user);
	if (!this->link)
	{
		destroy(this);
		return NULL;
	}
	return &this->public;
}
