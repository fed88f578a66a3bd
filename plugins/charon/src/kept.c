/*
 * Part of Ironlane's plugin for strongSwan. Copyright (C) the Ironlane authors.
 *
 * This program is free software; you can redistribute it and/or modify it under the terms of the GNU
 * General Public License as published by the Free Software Foundation; either version 2 of the License,
 * or (at your option) any later version. It comes without any warranty; see LICENSE beside it.
 */

#include "kept.h"

#include <string.h>

kept_sa_t *kept_sa_create(kernel_ipsec_sa_id_t *id, kernel_ipsec_add_sa_t *data)
{
	kept_sa_t *this;

	INIT(this,
		.id = *id,
		.data = *data,
		.lifetime = *data->lifetime,
	);
	this->id.src = id->src->clone(id->src);
	this->id.dst = id->dst->clone(id->dst);
	this->data.lifetime = &this->lifetime;
	this->data.enc_key = this->data.int_key = chunk_empty;
	this->data.label = NULL;
	this->data.interface = strdupnull(data->interface);
	this->data.src_ts = data->src_ts->clone_offset(data->src_ts, offsetof(traffic_selector_t, clone));
	this->data.dst_ts = data->dst_ts->clone_offset(data->dst_ts, offsetof(traffic_selector_t, clone));
	time_monotonic(&this->added);
	return this;
}

void kept_sa_update(kept_sa_t *this, kernel_ipsec_update_sa_t *data)
{
	this->id.src->destroy(this->id.src);
	this->id.dst->destroy(this->id.dst);
	this->id.src = data->new_src->clone(data->new_src);
	this->id.dst = data->new_dst->clone(data->new_dst);
	this->data.encap = data->new_encap;
	if (data->new_reqid)
	{
		this->data.reqid = data->new_reqid;
	}
}

void kept_sa_destroy(kept_sa_t *this)
{
	this->id.src->destroy(this->id.src);
	this->id.dst->destroy(this->id.dst);
	this->data.src_ts->destroy_offset(this->data.src_ts, offsetof(traffic_selector_t, destroy));
	this->data.dst_ts->destroy_offset(this->data.dst_ts, offsetof(traffic_selector_t, destroy));
	free(this->data.interface);
	free(this);
}

u_int kept_sa_hash(kernel_ipsec_sa_id_t *id)
{
	return chunk_hash_inc(id->dst->get_address(id->dst), chunk_hash(chunk_from_thing(id->spi)));
}

bool kept_sa_equals(kernel_ipsec_sa_id_t *a, kernel_ipsec_sa_id_t *b)
{
	return a->spi == b->spi && a->proto == b->proto && a->dst->ip_equals(a->dst, b->dst) &&
		   a->mark.value == b->mark.value && a->mark.mask == b->mark.mask && a->if_id == b->if_id;
}

kept_policy_t *kept_policy_create(kernel_ipsec_policy_id_t *id)
{
	kept_policy_t *this;

	INIT(this,
		.id = *id,
		.uses = linked_list_create(),
	);
	this->id.src_ts = id->src_ts->clone(id->src_ts);
	this->id.dst_ts = id->dst_ts->clone(id->dst_ts);
	this->id.interface = strdupnull(id->interface);
	this->id.label = NULL;
	return this;
}

void kept_policy_destroy(kept_policy_t *this)
{
	this->uses->destroy_function(this->uses, (void*)kept_use_destroy);
	this->id.src_ts->destroy(this->id.src_ts);
	this->id.dst_ts->destroy(this->id.dst_ts);
	free(this->id.interface);
	free(this);
}

u_int kept_policy_hash(kernel_ipsec_policy_id_t *id)
{
	return id->src_ts->hash(id->src_ts, id->dst_ts->hash(id->dst_ts, id->dir ^ id->if_id << 8));
}

bool kept_policy_equals(kernel_ipsec_policy_id_t *a, kernel_ipsec_policy_id_t *b)
{
	return a->dir == b->dir && a->if_id == b->if_id && a->mark.value == b->mark.value &&
		   a->mark.mask == b->mark.mask && a->src_ts->equals(a->src_ts, b->src_ts) &&
		   a->dst_ts->equals(a->dst_ts, b->dst_ts) &&
		   (a->interface == b->interface ||
			(a->interface && b->interface && streq(a->interface, b->interface)));
}

kept_use_t *kept_use_create(kernel_ipsec_manage_policy_t *data)
{
	kept_use_t *this;

	INIT(this,
		.data = *data,
		.sa = *data->sa,
	);
	this->data.sa = &this->sa;
	this->data.src = data->src->clone(data->src);
	this->data.dst = data->dst->clone(data->dst);
	return this;
}

void kept_use_destroy(kept_use_t *this)
{
	this->data.src->destroy(this->data.src);
	this->data.dst->destroy(this->data.dst);
	free(this);
}

bool kept_use_matches(kept_use_t *this, kernel_ipsec_manage_policy_t *data)
{
	return this->data.type == data->type && this->data.prio == data->prio &&
		   this->data.manual_prio == data->manual_prio && ipsec_sa_cfg_equals(&this->sa, data->sa);
}
