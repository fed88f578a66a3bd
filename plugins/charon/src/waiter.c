/*
 * Part of Ironlane's plugin for strongSwan. Copyright (C) the Ironlane authors.
 *
 * This program is free software; you can redistribute it and/or modify it under the terms of the GNU
 * General Public License as published by the Free Software Foundation; either version 2 of the License,
 * or (at your option) any later version. It comes without any warranty; see LICENSE beside it.
 */

#include "waiter.h"

/** The waiter is no longer in the list. */
static void wake(waiter_t *waiter, link_result_t result)
{
	waiter->done = TRUE;
	waiter->result = result;
	waiter->woken->signal(waiter->woken);
}

void waiters_answer(linked_list_t *waiters, uint32_t id, uint8_t status, chunk_t body)
{
	enumerator_t *enumerator = waiters->create_enumerator(waiters);
	waiter_t *waiter;

	while (enumerator->enumerate(enumerator, &waiter))
	{
		if (waiter->id == id)
		{
			waiters->remove_at(waiters, enumerator);
			waiter->body = chunk_clone(body);
			wake(waiter, status);
			break;
		}
	}
	enumerator->destroy(enumerator);
}

void waiters_fail(linked_list_t *waiters)
{
	waiter_t *waiter;

	while (waiters->remove_first(waiters, (void**)&waiter) == SUCCESS)
	{
		wake(waiter, LINK_LOST);
	}
}
