/*
 * Part of Ironlane's plugin for strongSwan. Copyright (C) the Ironlane authors.
 *
 * This program is free software; you can redistribute it and/or modify it under the terms of the GNU
 * General Public License as published by the Free Software Foundation; either version 2 of the License,
 * or (at your option) any later version. It comes without any warranty; see LICENSE beside it.
 */

/*
 * Events of the router, handed to charon.
 */

#ifndef IRONLANE_EVENTS_H_
#define IRONLANE_EVENTS_H_

#include "message.h"

/** Raises what an event says: expire, acquire or mapping. One that is malformed is logged and ignored. */
void ironlane_event(uint8_t type, bio_reader_t *body);

#endif /** IRONLANE_EVENTS_H_ */
