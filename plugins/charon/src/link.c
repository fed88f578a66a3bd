/*
 * Part of Ironlane's plugin for strongSwan. Copyright (C) the Ironlane authors.
 *
 * This program is free software; you can redistribute it and/or modify it under the terms of the GNU
 * General Public License as published by the Free Software Foundation; either version 2 of the License,
 * or (at your option) any later version. It comes without any warranty; see LICENSE beside it.
 */

#include "link.h"
#include "waiter.h"
#include "wire.h"

#include <sys/socket.h>
#include <unistd.h>

#include <daemon.h>
#include <threading/condvar.h>
#include <threading/mutex.h>
#include <threading/thread.h>

/** Between two tries to connect, in milliseconds. */
#define RETRY_MS 300

typedef struct private_link_t private_link_t;

struct private_link_t {
	link_t public;
	link_user_t *user;
	char *path;
	u_int timeout_ms;
	/** Names this process to the router, so that it knows a new charon from a new connection. */
	uint64_t instance;
	/** Names the router's process that was told of everything; 0 for none yet. */
	uint64_t boot;
	/** Guards all below. */
	mutex_t *mutex;
	/** The state changed. */
	condvar_t *changed;
	enum {
		STATE_DOWN,
		STATE_UP,
		STATE_CLOSED,
	} state;
	/** -1 if there is none. Written by the thread alone, closed by it alone. */
	int fd;
	uint32_t last_id;
	/** Requests with ids up to this were sent by an earlier connection. */
	uint32_t first_id;
	/** waiter_t, of requests sent. */
	linked_list_t *waiting;
	/** One frame at a time is written. */
	mutex_t *writing;
	thread_t *thread;
	/** What failed last, so that it is said once and not with every try. */
	char said[256];
};

/** Logs what is wrong, unless it was wrong before. */
static void say_once(private_link_t *this, const char *text)
{
	if (strncmp(this->said, text, sizeof(this->said) - 1) != 0)
	{
		snprintf(this->said, sizeof(this->said), "%s", text);
		DBG1(DBG_KNL, "ironlane: %s", text);
	}
}

static void dispatch_event(private_link_t *this, uint8_t type, chunk_t body)
{
	bio_reader_t *reader = bio_reader_create(body);

	this->user->event(this->user, type, reader);
	reader->destroy(reader);
}

/** Hands an answer to the thread that waits for it, if it still does. */
static void dispatch_answer(private_link_t *this, uint32_t id, uint8_t status, chunk_t body)
{
	this->mutex->lock(this->mutex);
	waiters_answer(this->waiting, id, status, body);
	this->mutex->unlock(this->mutex);
}

METHOD(link_t, exchange, link_result_t,
	private_link_t *this, chunk_t request, chunk_t *answer)
{
	uint8_t sent = request.ptr[4], type, status;
	uint32_t id, wanted = ++this->last_id;
	chunk_t body;
	bool written;

	htoun32(request.ptr + IRONLANE_ID_AT, wanted);
	written = wire_send(this->fd, request);
	chunk_clear(&request);
	while (written && wire_read(this->fd, &type, &status, &id, &body))
	{
		if (type == (sent | MSG_ANSWER) && id == wanted)
		{
			message_log_refusal(type, status, body);
			if (answer && status == ANSWER_OK)
			{
				*answer = body;
			}
			else
			{
				chunk_free(&body);
			}
			return status;
		}
		if (!(type & MSG_ANSWER))
		{
			dispatch_event(this, type, body);
		}
		chunk_free(&body);
	}
	return LINK_LOST;
}

/** Says who we are and learns who answers. */
static bool hello(private_link_t *this, uint64_t *boot)
{
	bio_writer_t *w = message_begin(MSG_HELLO);
	bio_reader_t *reader;
	chunk_t body = chunk_empty, name;
	link_result_t result;
	uint16_t version;
	bool good;

	w->write_uint16(w, IRONLANE_PROTOCOL);
	w->write_uint64(w, this->instance);
	w->write_data16(w, chunk_from_str("strongSwan " VERSION));
	result = exchange(this, message_end(w), &body);
	if (result != LINK_OK)
	{
		say_once(this, result == LINK_LOST ? "the router does not answer" :
				 "the router refuses this plugin: install the one that belongs to it");
		return FALSE;
	}
	reader = bio_reader_create(body);
	good = reader->read_uint16(reader, &version) && version == IRONLANE_PROTOCOL &&
		   reader->read_uint64(reader, boot) && reader->read_data16(reader, &name);
	if (good)
	{
		DBG1(DBG_KNL, "ironlane: connected to %.*s at %s", (int)name.len, name.ptr, this->path);
		this->said[0] = '\0';
	}
	else
	{
		say_once(this, "the router's answer to hello is not understood");
	}
	reader->destroy(reader);
	chunk_free(&body);
	return good;
}

/** Sets the state, unless the link is closed; FALSE if it is. */
static bool set_state(private_link_t *this, int state, int fd)
{
	bool open;

	this->mutex->lock(this->mutex);
	open = this->state != STATE_CLOSED;
	if (open)
	{
		this->state = state;
		this->fd = fd;
		this->changed->broadcast(this->changed);
	}
	this->mutex->unlock(this->mutex);
	return open;
}

/** One connection, from hello to its end. */
static void serve(private_link_t *this)
{
	uint8_t type, status;
	uint32_t id;
	uint64_t boot;
	chunk_t body;
	bool restarted;

	wire_set_timeout(this->fd, this->timeout_ms);
	if (!hello(this, &boot))
	{
		return;
	}
	restarted = boot != this->boot;
	if (!this->user->resend(this->user, &this->public, restarted))
	{
		say_once(this, "the connection ended while the router was told what it should have");
		return;
	}
	this->boot = boot;
	wire_set_timeout(this->fd, 0);
	this->first_id = this->last_id;
	if (!set_state(this, STATE_UP, this->fd))
	{
		return;
	}
	this->user->resent(this->user, restarted);
	while (wire_read(this->fd, &type, &status, &id, &body))
	{
		if (type & MSG_ANSWER)
		{
			message_log_refusal(type, status, body);
			dispatch_answer(this, id, status, body);
		}
		else
		{
			dispatch_event(this, type, body);
		}
		chunk_free(&body);
	}
	say_once(this, "the connection to the router has ended; its SAs are kept, and told again to the next");
}

/** The link's thread. */
static void *run(private_link_t *this)
{
	char text[256];
	bool open = TRUE;
	int fd, error;

	while (open)
	{
		fd = wire_open(this->path, this->timeout_ms, &error);
		if (fd < 0)
		{
			snprintf(text, sizeof(text), "no connection to %s: %s; trying on", this->path, strerror(error));
			say_once(this, text);
		}
		else if (set_state(this, STATE_DOWN, fd))
		{
			serve(this);
		}
		open = set_state(this, STATE_DOWN, -1);
		if (fd >= 0)
		{
			/* a writer may still be at it: closing in its turn keeps it from a stranger's descriptor */
			this->writing->lock(this->writing);
			close(fd);
			this->writing->unlock(this->writing);
		}
		this->mutex->lock(this->mutex);
		waiters_fail(this->waiting);
		if (this->state != STATE_CLOSED)
		{
			this->changed->timed_wait(this->changed, this->mutex, RETRY_MS);
		}
		open = this->state != STATE_CLOSED;
		this->mutex->unlock(this->mutex);
	}
	return NULL;
}

/** When "timeout_ms" from now is over. */
static timeval_t deadline(private_link_t *this)
{
	timeval_t end;

	time_monotonic(&end);
	timeval_add_ms(&end, this->timeout_ms);
	return end;
}

/** Waits until requests go through; the caller has the mutex. */
static bool await_connection(private_link_t *this, bool patient, timeval_t end)
{
	while (this->state == STATE_DOWN && (patient || this->fd >= 0))
	{
		if (this->changed->timed_wait_abs(this->changed, this->mutex, end))
		{
			break;
		}
	}
	return this->state == STATE_UP;
}

/** Writes a frame while the connection is up. */
static bool write_frame(private_link_t *this, chunk_t frame)
{
	bool written = FALSE;
	int fd;

	this->writing->lock(this->writing);
	this->mutex->lock(this->mutex);
	fd = this->state == STATE_UP ? this->fd : -1;
	this->mutex->unlock(this->mutex);
	if (fd >= 0)
	{
		written = wire_send(fd, frame);
		if (!written)
		{	/* half a frame may be out: nothing may follow it */
			shutdown(fd, SHUT_RDWR);
		}
	}
	this->writing->unlock(this->writing);
	return written;
}

METHOD(link_t, request, link_result_t,
	private_link_t *this, bool patient, chunk_t frame, chunk_t *body)
{
	waiter_t waiter = {
		.result = LINK_LOST,
	};
	timeval_t end = deadline(this);
	uint8_t type = frame.ptr[4];

	this->mutex->lock(this->mutex);
	if (!await_connection(this, patient, end))
	{
		this->mutex->unlock(this->mutex);
		chunk_clear(&frame);
		if (patient)
		{
			DBG1(DBG_KNL, "ironlane: %s: there is no connection to the router", message_name(type));
		}
		return LINK_LOST;
	}
	waiter.id = ++this->last_id;
	waiter.woken = condvar_create(CONDVAR_TYPE_DEFAULT);
	this->waiting->insert_last(this->waiting, &waiter);
	this->mutex->unlock(this->mutex);

	htoun32(frame.ptr + IRONLANE_ID_AT, waiter.id);
	if (!write_frame(this, frame))
	{
		DBG1(DBG_KNL, "ironlane: %s: cannot be sent", message_name(type));
	}
	chunk_clear(&frame);

	this->mutex->lock(this->mutex);
	while (!waiter.done)
	{
		if (this->state != STATE_UP ||
			waiter.woken->timed_wait_abs(waiter.woken, this->mutex, end))
		{
			break;
		}
	}
	this->waiting->remove(this->waiting, &waiter, NULL);
	if (!waiter.done && this->state == STATE_UP && waiter.id > this->first_id)
	{	/* nobody knows what the router has now: a new connection tells it everything */
		shutdown(this->fd, SHUT_RDWR);
	}
	this->mutex->unlock(this->mutex);
	waiter.woken->destroy(waiter.woken);

	if (!waiter.done)
	{
		DBG1(DBG_KNL, "ironlane: %s: no answer within %u ms", message_name(type), this->timeout_ms);
	}
	if (body && waiter.result == LINK_OK)
	{
		*body = waiter.body;
	}
	else
	{
		chunk_free(&waiter.body);
	}
	return waiter.result;
}

METHOD(link_t, destroy, void,
	private_link_t *this)
{
	this->mutex->lock(this->mutex);
	this->state = STATE_CLOSED;
	if (this->fd >= 0)
	{
		shutdown(this->fd, SHUT_RDWR);
	}
	this->changed->broadcast(this->changed);
	this->mutex->unlock(this->mutex);
	if (this->thread)
	{
		this->thread->join(this->thread);
	}
	this->waiting->destroy(this->waiting);
	this->writing->destroy(this->writing);
	this->changed->destroy(this->changed);
	this->mutex->destroy(this->mutex);
	free(this->path);
	free(this);
}

/** A number that no other run of charon has. */
static uint64_t new_instance()
{
	timeval_t now;

	gettimeofday(&now, NULL);
	return ((uint64_t)now.tv_sec * 1000000 + now.tv_usec) << 16 | (getpid() & 0xffff);
}

link_t *link_create(char *path, u_int timeout_ms, link_user_t *user)
{
	private_link_t *this;

	if (strlen(path) > WIRE_PATH_MAX)
	{
		DBG1(DBG_KNL, "ironlane: socket path %s is longer than %d bytes", path, WIRE_PATH_MAX);
		return NULL;
	}
	INIT(this,
		.public = {
			.request = _request,
			.exchange = _exchange,
			.destroy = _destroy,
		},
		.user = user,
		.path = strdup(path),
		.timeout_ms = timeout_ms,
		.instance = new_instance(),
		.mutex = mutex_create(MUTEX_TYPE_DEFAULT),
		.changed = condvar_create(CONDVAR_TYPE_DEFAULT),
		.fd = -1,
		.waiting = linked_list_create(),
		.writing = mutex_create(MUTEX_TYPE_DEFAULT),
	);
	this->thread = thread_create((thread_main_t)run, this);
	if (!this->thread)
	{
		DBG1(DBG_KNL, "ironlane: no thread can be started");
		destroy(this);
		return NULL;
	}
	return &this->public;
}
