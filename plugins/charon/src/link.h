/*
 * Part of Ironlane's plugin for strongSwan. Copyright (C) the Ironlane authors.
 *
 * This program is free software; you can redistribute it and/or modify it under the terms of the GNU
 * General Public License as published by the Free Software Foundation; either version 2 of the License,
 * or (at your option) any later version. It comes without any warranty; see LICENSE beside it.
 */

/*
 * The connection to the router: made, kept, made again. A thread of its own reads; requests of any
 * number of charon's threads may be under way at once.
 */

#ifndef IRONLANE_LINK_H_
#define IRONLANE_LINK_H_

#include "message.h"

typedef struct link_t link_t;
typedef struct link_user_t link_user_t;
typedef enum link_result_t link_result_t;

enum link_result_t {
	/** As answer_status_t; the router's words are in the log. */
	LINK_OK = ANSWER_OK,
	LINK_REFUSED = ANSWER_REFUSED,
	LINK_NOT_SUPPORTED = ANSWER_NOT_SUPPORTED,
	LINK_NOT_FOUND = ANSWER_NOT_FOUND,
	LINK_MALFORMED = ANSWER_MALFORMED,
	/** No answer: the router may have done it, or not. */
	LINK_LOST = 0x100,
};

/** Who uses a link. Called on the link's thread; must not call link_t.request. */
struct link_user_t {

	/**
	 * A new connection: tell the router what it should have, by link_t.exchange.
	 *
	 * @param restarted		whether the router has forgotten what it was told before
	 * @return				FALSE to try again from the beginning
	 */
	bool (*resend)(link_user_t *this, link_t *link, bool restarted);

	/** All was resent, and requests of others go through again. */
	void (*resent)(link_user_t *this, bool restarted);

	/** An event; what the reader does not understand is ignored. */
	void (*event)(link_user_t *this, uint8_t type, bio_reader_t *body);
};

struct link_t {

	/**
	 * Sends a request and waits for the answer. While a connection is being made, it waits for that.
	 *
	 * @param patient		whether to wait for a connection where none is in sight, too. What removes
	 *						something need not: the next connection is not told of it any more.
	 * @param frame			the request, of message_end(); is cleared and freed
	 * @param body			set to the answer's body, to be freed; may be NULL
	 */
	link_result_t (*request)(link_t *this, bool patient, chunk_t frame, chunk_t *body);

	/** The same for link_user_t.resend, on the link's thread. */
	link_result_t (*exchange)(link_t *this, chunk_t frame, chunk_t *body);

	/** Closes the connection; requests under way are lost. */
	void (*destroy)(link_t *this);
};

/** Starts to connect to the router's socket. */
link_t *link_create(char *path, u_int timeout_ms, link_user_t *user);

#endif /** IRONLANE_LINK_H_ */
