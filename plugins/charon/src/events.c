/*
 * Part of Ironlane's plugin for strongSwan. Copyright (C) the Ironlane authors.
 *
 * This program is free software; you can redistribute it and/or modify it under the terms of the GNU
 * General Public License as published by the Free Software Foundation; either version 2 of the License,
 * or (at your option) any later version. It comes without any warranty; see LICENSE beside it.
 */

#include "events.h"

#include <daemon.h>

/** An SA reached a lifetime: charon rekeys it (soft), or deletes it (hard). */
static bool expire(bio_reader_t *r)
{
	uint8_t protocol, hard;
	uint32_t spi;
	host_t *dst;

	if (!r->read_uint8(r, &protocol) || !r->read_uint32(r, &spi) || !read_address(r, 0, &dst))
	{
		return FALSE;
	}
	if (!r->read_uint8(r, &hard) || r->remaining(r))
	{
		dst->destroy(dst);
		return FALSE;
	}
	charon->kernel->expire(charon->kernel, protocol, htonl(spi), dst, hard);
	dst->destroy(dst);
	return TRUE;
}

/** A packet met an outbound policy that has no SA yet. */
static bool acquire(bio_reader_t *r)
{
	kernel_acquire_data_t data = {};
	uint32_t reqid;
	bool good;

	good = r->read_uint32(r, &reqid) && read_selector(r, &data.src) && read_selector(r, &data.dst) &&
		   !r->remaining(r);
	if (good)
	{
		charon->kernel->acquire(charon->kernel, reqid, &data);
	}
	DESTROY_IF(data.src);
	DESTROY_IF(data.dst);
	return good;
}

/** A peer behind a NAT has another address or port. */
static bool mapping(bio_reader_t *r)
{
	uint8_t protocol;
	uint16_t port;
	uint32_t spi;
	host_t *dst = NULL, *remote = NULL;
	bool good;

	good = r->read_uint8(r, &protocol) && r->read_uint32(r, &spi) && read_address(r, 0, &dst) &&
		   r->read_uint16(r, &port) && read_address(r, port, &remote) && !r->remaining(r);
	if (good)
	{
		charon->kernel->mapping(charon->kernel, protocol, htonl(spi), dst, remote);
	}
	DESTROY_IF(dst);
	DESTROY_IF(remote);
	return good;
}

void ironlane_event(uint8_t type, bio_reader_t *body)
{
	bool good;

	switch (type)
	{
		case EVENT_EXPIRE:
			good = expire(body);
			break;
		case EVENT_ACQUIRE:
			good = acquire(body);
			break;
		case EVENT_MAPPING:
			good = mapping(body);
			break;
		default:
			good = FALSE;
			break;
	}
	if (!good)
	{
		DBG1(DBG_KNL, "ironlane: the router sent an event (%s) that is not understood", message_name(type));
	}
}
