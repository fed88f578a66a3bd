/*
 * Part of Ironlane's plugin for strongSwan. Copyright (C) the Ironlane authors.
 *
 * This program is free software; you can redistribute it and/or modify it under the terms of the GNU
 * General Public License as published by the Free Software Foundation; either version 2 of the License,
 * or (at your option) any later version. It comes without any warranty; see LICENSE beside it.
 */

#include "version.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <daemon.h>

/** The program that runs, even if its file was replaced meanwhile. */
#define PROGRAM "/proc/self/exe"
/** What each of strongSwan's daemons says at its start, before its version. */
#define BEFORE_VERSION "(strongSwan "

/** Finds the version in the program's own text; no library of strongSwan exports it. */
static bool find_version(chunk_t program, char *version, size_t size)
{
	char *at, *end = (char*)program.ptr + program.len;
	size_t len = 0;

	at = memmem(program.ptr, program.len, BEFORE_VERSION, strlen(BEFORE_VERSION));
	if (!at)
	{
		return FALSE;
	}
	at += strlen(BEFORE_VERSION);
	while (at < end && len < size - 1 && (isalnum(*at) || *at == '.'))
	{
		version[len++] = *at++;
	}
	version[len] = '\0';
	return len > 0;
}

bool ironlane_version_fits()
{
	char version[32];
	struct stat st;
	void *map = MAP_FAILED;
	bool found = FALSE;
	int fd;

	fd = open(PROGRAM, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && fstat(fd, &st) == 0)
	{
		map = mmap(NULL, st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	}
	if (map != MAP_FAILED)
	{
		found = find_version(chunk_create(map, st.st_size), version, sizeof(version));
		munmap(map, st.st_size);
	}
	if (fd >= 0)
	{
		close(fd);
	}
	if (!found)
	{
		DBG1(DBG_KNL, "kernel-ironlane: the version of the running strongSwan cannot be found in " PROGRAM
			 "; if it is " VERSION ", set charon.plugins.kernel-ironlane.version_check = no");
		return FALSE;
	}
	if (!streq(version, VERSION))
	{
		DBG1(DBG_KNL, "kernel-ironlane: built for strongSwan " VERSION ", running in %s: not loaded; build it "
			 "again with: make plugins install-plugins", version);
		return FALSE;
	}
	return TRUE;
}
