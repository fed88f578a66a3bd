/*
 * Part of Ironlane's plugin for strongSwan. Copyright (C) the Ironlane authors.
 *
 * This program is free software; you can redistribute it and/or modify it under the terms of the GNU
 * General Public License as published by the Free Software Foundation; either version 2 of the License,
 * or (at your option) any later version. It comes without any warranty; see LICENSE beside it.
 */

/*
 * charon's kernel_ipsec_t, answered by the router.
 */

#ifndef IRONLANE_IPSEC_H_
#define IRONLANE_IPSEC_H_

#include <kernel/kernel_ipsec.h>

/** Creates the backend; it connects by itself, as soon as the router is there. */
kernel_ipsec_t *ironlane_ipsec_create();

#endif /** IRONLANE_IPSEC_H_ */
