/*
 * Part of Ironlane's plugin for strongSwan. Copyright (C) the Ironlane authors.
 *
 * This program is free software; you can redistribute it and/or modify it under the terms of the GNU
 * General Public License as published by the Free Software Foundation; either version 2 of the License,
 * or (at your option) any later version. It comes without any warranty; see LICENSE beside it.
 */

/*
 * Keys at rest: in memory that is neither swapped out nor part of a core dump, and zeroised when
 * given back. charon hands keys over and forgets them; the store needs them for a router that
 * lost its connection.
 */

#ifndef IRONLANE_KEYS_H_
#define IRONLANE_KEYS_H_

#include "message.h"

typedef struct keys_t keys_t;

/** Keys of one SA, in locked memory. */
typedef struct kept_keys_t kept_keys_t;

struct keys_t {

	/** Copies keys; NULL if they are longer than any algorithm's, or there is no memory. */
	kept_keys_t *(*keep)(keys_t *this, key_pair_t *pair);

	/** What was kept, valid until it is dropped. */
	key_pair_t (*get)(keys_t *this, kept_keys_t *kept);

	/** Zeroises what was kept. */
	void (*drop)(keys_t *this, kept_keys_t *kept);

	/** Zeroises and returns all memory. */
	void (*destroy)(keys_t *this);
};

/** Creates an empty place for keys. Threads must take turns, as the store does. */
keys_t *keys_create();

#endif /** IRONLANE_KEYS_H_ */
