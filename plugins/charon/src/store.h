/*
 * Part of Ironlane's plugin for strongSwan. Copyright (C) the Ironlane authors.
 *
 * This program is free software; you can redistribute it and/or modify it under the terms of the GNU
 * General Public License as published by the Free Software Foundation; either version 2 of the License,
 * or (at your option) any later version. It comes without any warranty; see LICENSE beside it.
 */

/*
 * What charon installed and has not removed: what a router that lost its connection is told again.
 */

#ifndef IRONLANE_STORE_H_
#define IRONLANE_STORE_H_

#include "link.h"

typedef struct store_t store_t;

struct store_t {

	/** Keeps an SA, keys included, in the place of one of the same name; FALSE if that cannot be done. */
	bool (*add_sa)(store_t *this, kernel_ipsec_sa_id_t *id, kernel_ipsec_add_sa_t *data);

	/** Follows an update of addresses; FALSE if there is no such SA. */
	bool (*update_sa)(store_t *this, kernel_ipsec_sa_id_t *id, kernel_ipsec_update_sa_t *data);

	/** Forgets an SA, and zeroises its keys. */
	void (*remove_sa)(store_t *this, kernel_ipsec_sa_id_t *id);

	/** Forgets all SAs. */
	void (*flush_sas)(store_t *this);

	/** Keeps one use of a policy; a policy has as many as CHILD_SAs installed it. */
	void (*add_policy)(store_t *this, kernel_ipsec_policy_id_t *id, kernel_ipsec_manage_policy_t *data);

	/** Forgets one use of a policy. */
	void (*remove_policy)(store_t *this, kernel_ipsec_policy_id_t *id, kernel_ipsec_manage_policy_t *data);

	/** Forgets all policies. */
	void (*flush_policies)(store_t *this);

	/** Keeps what a UDP port is used for. */
	void (*add_port)(store_t *this, port_use_t use, int family, uint16_t port);

	/**
	 * Tells the router all that is kept. Nothing can be added or removed meanwhile.
	 *
	 * A router that has restarted does not know which sequence numbers it used. With them the
	 * counters of GCM, GMAC, CTR and ChaCha20 would be used twice, so outbound SAs are not told
	 * again: expire_lost() asks charon for new ones.
	 *
	 * @return				FALSE if the connection ended
	 */
	bool (*resend)(store_t *this, link_t *link, bool restarted);

	/** Raises a soft expire for each outbound SA that the last resend() left out. */
	void (*expire_lost)(store_t *this);

	/** Forgets and zeroises everything. */
	void (*destroy)(store_t *this);
};

/** Creates an empty store. */
store_t *store_create();

/** Frame of a message about a UDP port. */
chunk_t port_frame(port_use_t use, int family, uint16_t port);

#endif /** IRONLANE_STORE_H_ */
