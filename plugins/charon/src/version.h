/*
 * Part of Ironlane's plugin for strongSwan. Copyright (C) the Ironlane authors.
 *
 * This program is free software; you can redistribute it and/or modify it under the terms of the GNU
 * General Public License as published by the Free Software Foundation; either version 2 of the License,
 * or (at your option) any later version. It comes without any warranty; see LICENSE beside it.
 */

/*
 * Which strongSwan has loaded us.
 */

#ifndef IRONLANE_VERSION_H_
#define IRONLANE_VERSION_H_

#include <library.h>

/**
 * Whether the running charon is of the version whose headers this was built with. The structures
 * that both sides share have no version of their own: another layout would crash charon, or worse.
 */
bool ironlane_version_fits();

#endif /** IRONLANE_VERSION_H_ */
