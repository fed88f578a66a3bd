/*
 * Part of Ironlane's plugin for strongSwan. Copyright (C) the Ironlane authors.
 *
 * This program is free software; you can redistribute it and/or modify it under the terms of the GNU
 * General Public License as published by the Free Software Foundation; either version 2 of the License,
 * or (at your option) any later version. It comes without any warranty; see LICENSE beside it.
 */

/*
 * Bytes in and out of the router's socket.
 */

#ifndef IRONLANE_WIRE_H_
#define IRONLANE_WIRE_H_

#include "message.h"

/** Longest path that a Unix socket can have. */
#define WIRE_PATH_MAX 107

/** Connects; -1 if that fails, and then errno in "error". Writes that take longer than the timeout fail. */
int wire_open(char *path, u_int timeout_ms, int *error);

/** How long wire_read() waits for bytes; 0 for ever. */
void wire_set_timeout(int fd, u_int timeout_ms);

/** Writes all; FALSE if the connection has ended or does not take it in time. */
bool wire_send(int fd, chunk_t data);

/**
 * Reads one frame; FALSE if the connection has ended, or brought what is none.
 *
 * @param body		what comes after the header, to be freed
 */
bool wire_read(int fd, uint8_t *type, uint8_t *status, uint32_t *id, chunk_t *body);

#endif /** IRONLANE_WIRE_H_ */
