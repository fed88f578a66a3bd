/*
 * Part of Ironlane's plugin for strongSwan. Copyright (C) the Ironlane authors.
 *
 * This program is free software; you can redistribute it and/or modify it under the terms of the GNU
 * General Public License as published by the Free Software Foundation; either version 2 of the License,
 * or (at your option) any later version. It comes without any warranty; see LICENSE beside it.
 */

/*
 * Routes into charon's own table (220) for outbound tunnel policies: they give what this host itself
 * sends into a tunnel a source address that the policy covers. Forwarded packets need none.
 */

#ifndef IRONLANE_ROUTES_H_
#define IRONLANE_ROUTES_H_

#include <kernel/kernel_ipsec.h>

typedef struct routes_t routes_t;

struct routes_t {

	/** A policy was installed: adds its route, if it needs one that can be had. */
	void (*add)(routes_t *this, kernel_ipsec_policy_id_t *id, kernel_ipsec_manage_policy_t *data);

	/** One use of a policy, as it was added, ended: removes the route with the last of them. */
	void (*remove)(routes_t *this, kernel_ipsec_policy_id_t *id, kernel_ipsec_manage_policy_t *data);

	/** Removes all routes. */
	void (*flush)(routes_t *this);

	/** Removes all routes and ends. */
	void (*destroy)(routes_t *this);
};

/** Creates an empty list of routes. With charon.install_routes = no it stays empty. */
routes_t *routes_create();

#endif /** IRONLANE_ROUTES_H_ */
