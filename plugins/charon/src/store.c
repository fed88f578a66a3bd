/*
 * Part of Ironlane's plugin for strongSwan. Copyright (C) the Ironlane authors.
 *
 * This program is free software; you can redistribute it and/or modify it under the terms of the GNU
 * General Public License as published by the Free Software Foundation; either version 2 of the License,
 * or (at your option) any later version. It comes without any warranty; see LICENSE beside it.
 */

#include "store.h"
#include "kept.h"

#include <daemon.h>
#include <collections/hashtable.h>
#include <threading/mutex.h>

typedef struct private_store_t private_store_t;
typedef struct kept_port_t kept_port_t;

struct kept_port_t {
	port_use_t use;
	int family;
	uint16_t port;
};

struct private_store_t {
	store_t public;
	/** Guards all below. */
	mutex_t *mutex;
	keys_t *keys;
	/** kernel_ipsec_sa_id_t => kept_sa_t */
	hashtable_t *sas;
	/** kernel_ipsec_policy_id_t => kept_policy_t */
	hashtable_t *policies;
	/** kept_port_t */
	linked_list_t *ports;
};

static void drop_sa(private_store_t *this, kept_sa_t *sa)
{
	if (sa)
	{
		this->keys->drop(this->keys, sa->keys);
		kept_sa_destroy(sa);
	}
}

METHOD(store_t, add_sa, bool,
	private_store_t *this, kernel_ipsec_sa_id_t *id, kernel_ipsec_add_sa_t *data)
{
	key_pair_t pair = {
		.enc = data->enc_key,
		.integ = data->int_key,
	};
	kept_keys_t *keys;
	kept_sa_t *sa;

	this->mutex->lock(this->mutex);
	keys = this->keys->keep(this->keys, &pair);
	if (keys)
	{
		sa = kept_sa_create(id, data);
		sa->keys = keys;
		drop_sa(this, this->sas->remove(this->sas, id));
		this->sas->put(this->sas, &sa->id, sa);
	}
	this->mutex->unlock(this->mutex);
	return keys != NULL;
}

METHOD(store_t, update_sa, bool,
	private_store_t *this, kernel_ipsec_sa_id_t *id, kernel_ipsec_update_sa_t *data)
{
	kept_sa_t *sa;

	this->mutex->lock(this->mutex);
	sa = this->sas->remove(this->sas, id);
	if (sa)
	{
		kept_sa_update(sa, data);
		this->sas->put(this->sas, &sa->id, sa);
	}
	this->mutex->unlock(this->mutex);
	return sa != NULL;
}

METHOD(store_t, remove_sa, void,
	private_store_t *this, kernel_ipsec_sa_id_t *id)
{
	this->mutex->lock(this->mutex);
	drop_sa(this, this->sas->remove(this->sas, id));
	this->mutex->unlock(this->mutex);
}

METHOD(store_t, flush_sas, void,
	private_store_t *this)
{
	enumerator_t *enumerator;
	kept_sa_t *sa;

	this->mutex->lock(this->mutex);
	enumerator = this->sas->create_enumerator(this->sas);
	while (enumerator->enumerate(enumerator, NULL, &sa))
	{
		this->sas->remove_at(this->sas, enumerator);
		drop_sa(this, sa);
	}
	enumerator->destroy(enumerator);
	this->mutex->unlock(this->mutex);
}

METHOD(store_t, add_policy, void,
	private_store_t *this, kernel_ipsec_policy_id_t *id, kernel_ipsec_manage_policy_t *data)
{
	kept_policy_t *policy;

	this->mutex->lock(this->mutex);
	policy = this->policies->get(this->policies, id);
	if (!policy)
	{
		policy = kept_policy_create(id);
		this->policies->put(this->policies, &policy->id, policy);
	}
	policy->uses->insert_last(policy->uses, kept_use_create(data));
	this->mutex->unlock(this->mutex);
}

METHOD(store_t, remove_policy, void,
	private_store_t *this, kernel_ipsec_policy_id_t *id, kernel_ipsec_manage_policy_t *data)
{
	enumerator_t *enumerator;
	kept_policy_t *policy;
	kept_use_t *use;

	this->mutex->lock(this->mutex);
	policy = this->policies->get(this->policies, id);
	if (policy)
	{
		enumerator = policy->uses->create_enumerator(policy->uses);
		while (enumerator->enumerate(enumerator, &use))
		{
			if (kept_use_matches(use, data))
			{
				policy->uses->remove_at(policy->uses, enumerator);
				kept_use_destroy(use);
				break;
			}
		}
		enumerator->destroy(enumerator);
		if (!policy->uses->get_count(policy->uses))
		{
			this->policies->remove(this->policies, id);
			kept_policy_destroy(policy);
		}
	}
	this->mutex->unlock(this->mutex);
}

METHOD(store_t, flush_policies, void,
	private_store_t *this)
{
	enumerator_t *enumerator;
	kept_policy_t *policy;

	this->mutex->lock(this->mutex);
	enumerator = this->policies->create_enumerator(this->policies);
	while (enumerator->enumerate(enumerator, NULL, &policy))
	{
		this->policies->remove_at(this->policies, enumerator);
		kept_policy_destroy(policy);
	}
	enumerator->destroy(enumerator);
	this->mutex->unlock(this->mutex);
}

METHOD(store_t, add_port, void,
	private_store_t *this, port_use_t use, int family, uint16_t port)
{
	kept_port_t *kept;

	INIT(kept,
		.use = use,
		.family = family,
		.port = port,
	);
	this->mutex->lock(this->mutex);
	this->ports->insert_last(this->ports, kept);
	this->mutex->unlock(this->mutex);
}

chunk_t port_frame(port_use_t use, int family, uint16_t port)
{
	bio_writer_t *w = message_begin(MSG_PORT);

	w->write_uint8(w, use);
	w->write_uint8(w, family == AF_INET ? 4 : 6);
	w->write_uint16(w, port);
	return message_end(w);
}

static uint64_t age_ms(kept_sa_t *sa)
{
	timeval_t now, age;

	time_monotonic(&now);
	timersub(&now, &sa->added, &age);
	return (uint64_t)age.tv_sec * 1000 + age.tv_usec / 1000;
}

/** Whether the connection still holds; a refusal does not end it, and is in the log. */
static bool tell(link_t *link, bio_writer_t *w)
{
	link_result_t result = link->exchange(link, message_end(w), NULL);

	return result != LINK_LOST && result != LINK_MALFORMED;
}

static bool resend_sas(private_store_t *this, link_t *link, bool restarted, u_int *count)
{
	enumerator_t *enumerator;
	kept_sa_t *sa;
	key_pair_t keys;
	bio_writer_t *w;
	bool good = TRUE;

	enumerator = this->sas->create_enumerator(this->sas);
	while (good && enumerator->enumerate(enumerator, NULL, &sa))
	{
		if (restarted && !sa->data.inbound)
		{
			sa->lost = TRUE;
		}
		if (!sa->lost)
		{
			w = message_begin(MSG_ADD_SA);
			keys = this->keys->get(this->keys, sa->keys);
			write_sa(w, &sa->id, &sa->data, &keys, age_ms(sa), TRUE);
			good = tell(link, w);
			(*count)++;
		}
	}
	enumerator->destroy(enumerator);
	return good;
}

static bool resend_policies(private_store_t *this, link_t *link, u_int *count)
{
	enumerator_t *enumerator, *uses;
	kept_policy_t *policy;
	kept_use_t *use;
	bio_writer_t *w;
	bool good = TRUE;

	enumerator = this->policies->create_enumerator(this->policies);
	while (good && enumerator->enumerate(enumerator, NULL, &policy))
	{
		uses = policy->uses->create_enumerator(policy->uses);
		while (good && uses->enumerate(uses, &use))
		{
			w = message_begin(MSG_ADD_POLICY);
			write_policy_id(w, &policy->id);
			write_policy(w, &use->data);
			good = tell(link, w);
			(*count)++;
		}
		uses->destroy(uses);
	}
	enumerator->destroy(enumerator);
	return good;
}

static bool resend_ports(private_store_t *this, link_t *link)
{
	enumerator_t *enumerator;
	kept_port_t *port;
	bool good = TRUE;

	enumerator = this->ports->create_enumerator(this->ports);
	while (good && enumerator->enumerate(enumerator, &port))
	{
		good = link->exchange(link, port_frame(port->use, port->family, port->port), NULL) != LINK_LOST;
	}
	enumerator->destroy(enumerator);
	return good;
}

METHOD(store_t, resend, bool,
	private_store_t *this, link_t *link, bool restarted)
{
	u_int sas = 0, policies = 0;
	bool good;

	this->mutex->lock(this->mutex);
	good = resend_ports(this, link) && resend_sas(this, link, restarted, &sas) &&
		   resend_policies(this, link, &policies) && tell(link, message_begin(MSG_SYNCED));
	this->mutex->unlock(this->mutex);
	if (good && (sas || policies))
	{
		DBG1(DBG_KNL, "ironlane: told the router again of %u SAs and %u uses of policies", sas, policies);
	}
	return good;
}

METHOD(store_t, expire_lost, void,
	private_store_t *this)
{
	enumerator_t *enumerator;
	linked_list_t *lost = linked_list_create();
	kernel_ipsec_sa_id_t *id;
	kept_sa_t *sa;

	this->mutex->lock(this->mutex);
	enumerator = this->sas->create_enumerator(this->sas);
	while (enumerator->enumerate(enumerator, NULL, &sa))
	{
		if (sa->lost)
		{
			INIT(id,
				.spi = sa->id.spi,
				.proto = sa->id.proto,
				.dst = sa->id.dst->clone(sa->id.dst),
			);
			lost->insert_last(lost, id);
		}
	}
	enumerator->destroy(enumerator);
	this->mutex->unlock(this->mutex);

	if (lost->get_count(lost))
	{
		DBG1(DBG_KNL, "ironlane: the router restarted; %d outbound SAs are rekeyed, since their sequence "
			 "numbers are not known", lost->get_count(lost));
	}
	/* without the mutex: charon's handlers are not ours to know */
	while (lost->remove_first(lost, (void**)&id) == SUCCESS)
	{
		charon->kernel->expire(charon->kernel, id->proto, id->spi, id->dst, FALSE);
		id->dst->destroy(id->dst);
		free(id);
	}
	lost->destroy(lost);
}

METHOD(store_t, destroy, void,
	private_store_t *this)
{
	flush_sas(this);
	flush_policies(this);
	this->sas->destroy(this->sas);
	this->policies->destroy(this->policies);
	this->ports->destroy_function(this->ports, free);
	this->keys->destroy(this->keys);
	this->mutex->destroy(this->mutex);
	free(this);
}

store_t *store_create()
{
	private_store_t *this;

	INIT(this,
		.public = {
			.add_sa = _add_sa,
			.update_sa = _update_sa,
			.remove_sa = _remove_sa,
			.flush_sas = _flush_sas,
			.add_policy = _add_policy,
			.remove_policy = _remove_policy,
			.flush_policies = _flush_policies,
			.add_port = _add_port,
			.resend = _resend,
			.expire_lost = _expire_lost,
			.destroy = _destroy,
		},
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.keys = keys_create(),
		.sas = hashtable_create((hashtable_hash_t)kept_sa_hash, (hashtable_equals_t)kept_sa_equals, 64),
		.policies = hashtable_create((hashtable_hash_t)kept_policy_hash,
									 (hashtable_equals_t)kept_policy_equals, 64),
		.ports = linked_list_create(),
	);
	return &this->public;
}
