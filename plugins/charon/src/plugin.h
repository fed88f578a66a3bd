/*
 * Part of Ironlane's plugin for strongSwan. Copyright (C) the Ironlane authors.
 *
 * This program is free software; you can redistribute it and/or modify it under the terms of the GNU
 * General Public License as published by the Free Software Foundation; either version 2 of the License,
 * or (at your option) any later version. It comes without any warranty; see LICENSE beside it.
 */

/*
 * The plugin kernel-ironlane: makes the router charon's IPsec backend.
 */

#ifndef KERNEL_IRONLANE_PLUGIN_H_
#define KERNEL_IRONLANE_PLUGIN_H_

#include <plugins/plugin.h>

/** Called by charon's plugin loader, which finds it by its name: all other symbols stay hidden. */
__attribute__((visibility("default"))) plugin_t *kernel_ironlane_plugin_create();

#endif /** KERNEL_IRONLANE_PLUGIN_H_ */
