/*
 * Part of Ironlane's plugin for strongSwan. Copyright (C) the Ironlane authors.
 *
 * This program is free software; you can redistribute it and/or modify it under the terms of the GNU
 * General Public License as published by the Free Software Foundation; either version 2 of the License,
 * or (at your option) any later version. It comes without any warranty; see LICENSE beside it.
 */

#include "plugin.h"
#include "ipsec.h"
#include "version.h"

#include <linux/capability.h>

#include <daemon.h>

/** Registers the backend, or says why another is in its place. */
static bool register_ipsec(plugin_t *plugin, plugin_feature_t *feature, bool reg, void *data)
{
	bool good = kernel_ipsec_register(plugin, feature, reg, data);

	if (reg && !good)
	{
		DBG1(DBG_KNL, "kernel-ironlane: another plugin is charon's IPsec backend already, so the kernel gets "
			 "the SAs; load kernel-ironlane before it: \"load = 10\" in kernel-ironlane.conf, or its place "
			 "in charon.load");
	}
	return good;
}

METHOD(plugin_t, get_name, char*,
	plugin_t *this)
{
	return "kernel-ironlane";
}

METHOD(plugin_t, get_features, int,
	plugin_t *this, plugin_feature_t *features[])
{
	static plugin_feature_t f[] = {
		PLUGIN_CALLBACK(register_ipsec, ironlane_ipsec_create),
			PLUGIN_PROVIDE(CUSTOM, "kernel-ipsec"),
	};

	*features = f;
	return countof(f);
}

METHOD(plugin_t, destroy, void,
	plugin_t *this)
{
	free(this);
}

plugin_t *kernel_ironlane_plugin_create()
{
	plugin_t *this;

	if (lib->settings->get_bool(lib->settings, "%s.plugins.kernel-ironlane.version_check", TRUE, lib->ns) &&
		!ironlane_version_fits())
	{
		return NULL;
	}
	/* for mlock(): keys are kept in memory that is not swapped out */
	if (!lib->caps->keep(lib->caps, CAP_IPC_LOCK))
	{
		DBG1(DBG_KNL, "kernel-ironlane: CAP_IPC_LOCK cannot be kept");
	}
	INIT(this,
		.get_name = _get_name,
		.get_features = _get_features,
		.destroy = _destroy,
	);
	return this;
}
