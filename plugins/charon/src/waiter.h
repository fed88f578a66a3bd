/*
 * Part of Ironlane's plugin for strongSwan. Copyright (C) the Ironlane authors.
 *
 * This program is free software; you can redistribute it and/or modify it under the terms of the GNU
 * General Public License as published by the Free Software Foundation; either version 2 of the License,
 * or (at your option) any later version. It comes without any warranty; see LICENSE beside it.
 */

/*
 * Requests under way: each waits on its own thread's stack for the answer that the link's thread reads.
 */

#ifndef IRONLANE_WAITER_H_
#define IRONLANE_WAITER_H_

#include "link.h"

#include <collections/linked_list.h>
#include <threading/condvar.h>

typedef struct waiter_t waiter_t;

/** A request under way, on its thread's stack. Whoever guards the list guards its waiters. */
struct waiter_t {
	/** Of the request. */
	uint32_t id;
	/** Whether somebody has set the result. */
	bool done;
	link_result_t result;
	/** Of the answer; the waiter's to free. */
	chunk_t body;
	/** Signalled when it is done. */
	condvar_t *woken;
};

/** Takes the request that this answers out of a list of waiter_t and wakes it, if it still waits. */
void waiters_answer(linked_list_t *waiters, uint32_t id, uint8_t status, chunk_t body);

/** Nobody will answer these any more: wakes all with LINK_LOST. */
void waiters_fail(linked_list_t *waiters);

#endif /** IRONLANE_WAITER_H_ */
