/*
 * Part of Ironlane's plugin for strongSwan. Copyright (C) the Ironlane authors.
 *
 * This program is free software; you can redistribute it and/or modify it under the terms of the GNU
 * General Public License as published by the Free Software Foundation; either version 2 of the License,
 * or (at your option) any later version. It comes without any warranty; see LICENSE beside it.
 */

/*
 * Copies of what charon passes by reference.
 */

#ifndef IRONLANE_KEPT_H_
#define IRONLANE_KEPT_H_

#include "keys.h"

typedef struct kept_sa_t kept_sa_t;
typedef struct kept_policy_t kept_policy_t;
typedef struct kept_use_t kept_use_t;

/** An SA. */
struct kept_sa_t {
	kernel_ipsec_sa_id_t id;
	/** Without keys. */
	kernel_ipsec_add_sa_t data;
	lifetime_cfg_t lifetime;
	kept_keys_t *keys;
	/** When it was added, by the monotonic clock. */
	timeval_t added;
	/** An outbound SA whose sequence numbers were lost with a router. */
	bool lost;
};

/** One CHILD_SA's use of a policy. */
struct kept_use_t {
	kernel_ipsec_manage_policy_t data;
	ipsec_sa_cfg_t sa;
};

/** A policy with its uses, oldest first. */
struct kept_policy_t {
	kernel_ipsec_policy_id_t id;
	linked_list_t *uses;
};

/** Copies an SA; its keys are added by the caller. */
kept_sa_t *kept_sa_create(kernel_ipsec_sa_id_t *id, kernel_ipsec_add_sa_t *data);

/** Gives the SA other addresses, as charon asked by an update. */
void kept_sa_update(kept_sa_t *this, kernel_ipsec_update_sa_t *data);

/** Frees all but the keys. */
void kept_sa_destroy(kept_sa_t *this);

/** By what names an SA: protocol, SPI, destination, mark, if_id. */
u_int kept_sa_hash(kernel_ipsec_sa_id_t *id);
bool kept_sa_equals(kernel_ipsec_sa_id_t *a, kernel_ipsec_sa_id_t *b);

/** Copies what names a policy; it has no uses yet. */
kept_policy_t *kept_policy_create(kernel_ipsec_policy_id_t *id);
void kept_policy_destroy(kept_policy_t *this);

/** By what names a policy: direction, selectors, mark, if_id, interface. */
u_int kept_policy_hash(kernel_ipsec_policy_id_t *id);
bool kept_policy_equals(kernel_ipsec_policy_id_t *a, kernel_ipsec_policy_id_t *b);

/** Copies a use. */
kept_use_t *kept_use_create(kernel_ipsec_manage_policy_t *data);
void kept_use_destroy(kept_use_t *this);

/** Whether "data", given with a removal, means this use. */
bool kept_use_matches(kept_use_t *this, kernel_ipsec_manage_policy_t *data);

#endif /** IRONLANE_KEPT_H_ */
