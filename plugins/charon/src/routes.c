/*
 * Part of Ironlane's plugin for strongSwan. Copyright (C) the Ironlane authors.
 *
 * This program is free software; you can redistribute it and/or modify it under the terms of the GNU
 * General Public License as published by the Free Software Foundation; either version 2 of the License,
 * or (at your option) any later version. It comes without any warranty; see LICENSE beside it.
 */

#include "routes.h"
#include "kept.h"

#include <daemon.h>
#include <collections/hashtable.h>
#include <threading/mutex.h>

typedef struct private_routes_t private_routes_t;
typedef struct route_t route_t;

struct private_routes_t {
	routes_t public;
	bool wanted;
	mutex_t *mutex;
	/** kernel_ipsec_policy_id_t => route_t */
	hashtable_t *routes;
};

/** The route of a policy. */
struct route_t {
	/** Copy of what names the policy. */
	kept_policy_t *policy;
	/** Uses of the policy. */
	u_int uses;
	/** Whether it is in the kernel by us; another may have been there before. */
	bool installed;
	host_t *net;
	uint8_t prefix;
	host_t *gateway;
	host_t *source;
	char *interface;
	bool pass;
};

static void route_destroy(route_t *this)
{
	kept_policy_destroy(this->policy);
	DESTROY_IF(this->net);
	DESTROY_IF(this->gateway);
	DESTROY_IF(this->source);
	free(this->interface);
	free(this);
}

/** Whether such a policy has a route at all: none that an interface leads to, by if_id or mark. */
static bool has_route(private_routes_t *this, kernel_ipsec_policy_id_t *id)
{
	return this->wanted && id->dir == POLICY_OUT && !id->if_id && !id->mark.mask &&
		   !id->dst_ts->get_protocol(id->dst_ts) && !id->src_ts->get_protocol(id->src_ts) &&
		   id->dst_ts->get_from_port(id->dst_ts) == 0 && id->dst_ts->get_to_port(id->dst_ts) == 0xffff &&
		   id->src_ts->get_from_port(id->src_ts) == 0 && id->src_ts->get_to_port(id->src_ts) == 0xffff;
}

/** Finds gateway, source and interface; FALSE if this host has no address inside the policy. */
static bool resolve(route_t *this, kernel_ipsec_manage_policy_t *data)
{
	kernel_ipsec_policy_id_t *id = &this->policy->id;
	host_t *local;

	id->dst_ts->to_subnet(id->dst_ts, &this->net, &this->prefix);
	if (charon->kernel->get_address_by_ts(charon->kernel, id->src_ts, &this->source, NULL) != SUCCESS)
	{
		this->source = NULL;
		if (!this->pass)
		{
			return FALSE;
		}
		this->source = host_create_any(this->net->get_family(this->net));
	}
	/* A tunnel over the other family says nothing of a gateway of this one: the way to the net itself does. Without a
	 * gateway the kernel would look for each far host on the link. */
	if (data->dst->is_anyaddr(data->dst) ||
		data->dst->get_family(data->dst) != this->net->get_family(this->net))
	{
		this->gateway = charon->kernel->get_nexthop(charon->kernel, this->net, this->prefix, this->source,
													&this->interface);
	}
	else
	{
		this->gateway = charon->kernel->get_nexthop(charon->kernel, data->dst, -1, data->src,
													&this->interface);
	}
	if (!this->interface)
	{
		local = data->src->is_anyaddr(data->src) ? this->source : data->src;
		return charon->kernel->get_interface(charon->kernel, local, &this->interface) || this->pass;
	}
	return TRUE;
}

static void uninstall(route_t *this)
{
	if (this->installed)
	{
		charon->kernel->del_route(charon->kernel, this->net->get_address(this->net), this->prefix,
								  this->gateway, this->source, this->interface, this->pass);
		this->installed = FALSE;
	}
}

static void install(route_t *this, kernel_ipsec_manage_policy_t *data)
{
	if (!resolve(this, data))
	{
		DBG2(DBG_KNL, "ironlane: no route for %R === %R: no local address inside",
			 this->policy->id.src_ts, this->policy->id.dst_ts);
		return;
	}
	switch (charon->kernel->add_route(charon->kernel, this->net->get_address(this->net), this->prefix,
									  this->gateway, this->source, this->interface, this->pass))
	{
		case SUCCESS:
			this->installed = TRUE;
			DBG2(DBG_KNL, "ironlane: route to %R via %H src %H dev %s", this->policy->id.dst_ts,
				 this->gateway, this->source, this->interface);
			break;
		case ALREADY_DONE:
			break;
		default:
			DBG1(DBG_KNL, "ironlane: no route can be installed for source %H", this->source);
			break;
	}
}

METHOD(routes_t, add, void,
	private_routes_t *this, kernel_ipsec_policy_id_t *id, kernel_ipsec_manage_policy_t *data)
{
	route_t *route;

	if (!has_route(this, id) || data->type == POLICY_DROP || data->sa->mode == MODE_TRANSPORT)
	{
		return;
	}
	this->mutex->lock(this->mutex);
	route = this->routes->get(this->routes, id);
	if (route)
	{
		route->uses++;
	}
	else
	{
		INIT(route,
			.policy = kept_policy_create(id),
			.uses = 1,
			.pass = data->type == POLICY_PASS,
		);
		install(route, data);
		this->routes->put(this->routes, &route->policy->id, route);
	}
	this->mutex->unlock(this->mutex);
}

METHOD(routes_t, remove_, void,
	private_routes_t *this, kernel_ipsec_policy_id_t *id, kernel_ipsec_manage_policy_t *data)
{
	route_t *route;

	if (!has_route(this, id) || data->type == POLICY_DROP || data->sa->mode == MODE_TRANSPORT)
	{
		return;
	}
	this->mutex->lock(this->mutex);
	route = this->routes->get(this->routes, id);
	if (route && --route->uses == 0)
	{
		this->routes->remove(this->routes, id);
		uninstall(route);
		route_destroy(route);
	}
	this->mutex->unlock(this->mutex);
}

METHOD(routes_t, flush, void,
	private_routes_t *this)
{
	enumerator_t *enumerator;
	route_t *route;

	this->mutex->lock(this->mutex);
	enumerator = this->routes->create_enumerator(this->routes);
	while (enumerator->enumerate(enumerator, NULL, &route))
	{
		this->routes->remove_at(this->routes, enumerator);
		uninstall(route);
		route_destroy(route);
	}
	enumerator->destroy(enumerator);
	this->mutex->unlock(this->mutex);
}

METHOD(routes_t, destroy, void,
	private_routes_t *this)
{
	flush(this);
	this->routes->destroy(this->routes);
	this->mutex->destroy(this->mutex);
	free(this);
}

routes_t *routes_create()
{
	private_routes_t *this;

	INIT(this,
		.public = {
			.add = _add,
			.remove = _remove_,
			.flush = _flush,
			.destroy = _destroy,
		},
		.wanted = lib->settings->get_bool(lib->settings, "%s.install_routes", TRUE, lib->ns),
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.routes = hashtable_create((hashtable_hash_t)kept_policy_hash,
								   (hashtable_equals_t)kept_policy_equals, 16),
	);
	return &this->public;
}
