/*
 * Part of Ironlane's plugin for strongSwan. Copyright (C) the Ironlane authors.
 *
 * This program is free software; you can redistribute it and/or modify it under the terms of the GNU
 * General Public License as published by the Free Software Foundation; either version 2 of the License,
 * or (at your option) any later version. It comes without any warranty; see LICENSE beside it.
 */

#include "wire.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <daemon.h>

static struct timeval milliseconds(u_int ms)
{
	return (struct timeval){
		.tv_sec = ms / 1000,
		.tv_usec = ms % 1000 * 1000,
	};
}

int wire_open(char *path, u_int timeout_ms, int *error)
{
	struct sockaddr_un address = {
		.sun_family = AF_UNIX,
	};
	struct timeval tv = milliseconds(timeout_ms);
	int fd;

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
	{
		*error = errno;
		return -1;
	}
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	strncpy(address.sun_path, path, WIRE_PATH_MAX);
	if (connect(fd, (struct sockaddr*)&address, sizeof(address)) != 0)
	{
		*error = errno;
		close(fd);
		return -1;
	}
	return fd;
}

void wire_set_timeout(int fd, u_int timeout_ms)
{
	struct timeval tv = milliseconds(timeout_ms);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
}

bool wire_send(int fd, chunk_t data)
{
	ssize_t len;

	while (data.len)
	{
		len = send(fd, data.ptr, data.len, MSG_NOSIGNAL);
		if (len < 0 && errno == EINTR)
		{
			continue;
		}
		if (len <= 0)
		{
			return FALSE;
		}
		data = chunk_skip(data, len);
	}
	return TRUE;
}

static bool read_all(int fd, chunk_t into)
{
	ssize_t len;

	while (into.len)
	{
		len = recv(fd, into.ptr, into.len, 0);
		if (len < 0 && errno == EINTR)
		{
			continue;
		}
		if (len <= 0)
		{
			return FALSE;
		}
		into = chunk_skip(into, len);
	}
	return TRUE;
}

bool wire_read(int fd, uint8_t *type, uint8_t *status, uint32_t *id, chunk_t *body)
{
	uint8_t header[IRONLANE_HEADER_LEN];
	uint32_t len;

	if (!read_all(fd, chunk_create(header, sizeof(header))))
	{
		return FALSE;
	}
	len = untoh32(header);
	if (len < IRONLANE_COUNTED_LEN || len > IRONLANE_LENGTH_MAX)
	{
		DBG1(DBG_KNL, "ironlane: the router sent a length of %u, which no message has", len);
		return FALSE;
	}
	*type = header[4];
	*status = header[5];
	*id = untoh32(header + IRONLANE_ID_AT);
	*body = chunk_alloc(len - IRONLANE_COUNTED_LEN);
	if (!read_all(fd, *body))
	{
		chunk_free(body);
		return FALSE;
	}
	return TRUE;
}
