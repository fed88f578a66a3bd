/*
 * Part of Ironlane's plugin for strongSwan. Copyright (C) the Ironlane authors.
 *
 * This program is free software; you can redistribute it and/or modify it under the terms of the GNU
 * General Public License as published by the Free Software Foundation; either version 2 of the License,
 * or (at your option) any later version. It comes without any warranty; see LICENSE beside it.
 */

/*
 * Messages between charon and the router, as ../PROTOCOL.md has them: what is written there is not
 * repeated here. All integers are in network order on the wire.
 */

#ifndef IRONLANE_MESSAGE_H_
#define IRONLANE_MESSAGE_H_

#include <bio/bio_reader.h>
#include <bio/bio_writer.h>
#include <kernel/kernel_ipsec.h>

/** Version of the protocol that this file speaks. */
#define IRONLANE_PROTOCOL 1
/** Length, type, status and id. */
#define IRONLANE_HEADER_LEN 10
/** Where the id stands. */
#define IRONLANE_ID_AT 6
/** Of the header, what the length field counts. */
#define IRONLANE_COUNTED_LEN 6
/** What the length field may say at most. */
#define IRONLANE_LENGTH_MAX 65536

typedef enum message_type_t message_type_t;
typedef enum answer_status_t answer_status_t;

enum message_type_t {
	MSG_HELLO = 1,
	MSG_GET_SPI = 2,
	MSG_ADD_SA = 3,
	MSG_UPDATE_SA = 4,
	MSG_QUERY_SA = 5,
	MSG_DEL_SA = 6,
	MSG_FLUSH_SAS = 7,
	MSG_ADD_POLICY = 8,
	MSG_QUERY_POLICY = 9,
	MSG_DEL_POLICY = 10,
	MSG_FLUSH_POLICIES = 11,
	MSG_PORT = 12,
	MSG_SYNCED = 13,
	/** Set in the type of an answer. */
	MSG_ANSWER = 0x80,
	EVENT_EXPIRE = 64,
	EVENT_ACQUIRE = 65,
	EVENT_MAPPING = 66,
};

enum answer_status_t {
	ANSWER_OK = 0,
	/** The router cannot do it now: a table is full, the SPI is taken. */
	ANSWER_REFUSED = 1,
	/** It can never do this: an algorithm, a mode. */
	ANSWER_NOT_SUPPORTED = 2,
	/** There is no such SA or policy. */
	ANSWER_NOT_FOUND = 3,
	/** It could not be understood; the router closes the connection after it. */
	ANSWER_MALFORMED = 4,
};

/** Why a UDP port is told. */
typedef enum port_use_t {
	/** IKE is sent from it: no policy applies to that. */
	PORT_BYPASS = 1,
	/** ESP arrives there inside UDP. */
	PORT_DECAP = 2,
} port_use_t;

/** The keys of an SA; either may be empty. */
typedef struct key_pair_t {
	chunk_t enc;
	chunk_t integ;
} key_pair_t;

/** Name of a message type for logs. */
const char *message_name(uint8_t type);

/** Logs what the router says about a request that it did not carry out. */
void message_log_refusal(uint8_t type, uint8_t status, chunk_t body);

/** Begins a frame; message_end() fills in its length, the link its id. */
bio_writer_t *message_begin(uint8_t type);

/** Ends a frame, takes the writer, returns the bytes; chunk_clear() them where keys are in. */
chunk_t message_end(bio_writer_t *writer);

/** Writes what names an SA. */
void write_sa_id(bio_writer_t *w, kernel_ipsec_sa_id_t *id);

/** Writes what names a policy. */
void write_policy_id(bio_writer_t *w, kernel_ipsec_policy_id_t *id);

/** Writes what a policy does, and for whom. */
void write_policy(bio_writer_t *w, kernel_ipsec_manage_policy_t *data);

/**
 * Writes an SA with its keys, which are those of "keys", not those in "data".
 *
 * @param age_ms		how long ago it was first added
 * @param resent		whether the router was told of it before
 */
void write_sa(bio_writer_t *w, kernel_ipsec_sa_id_t *id, kernel_ipsec_add_sa_t *data, key_pair_t *keys,
			  uint64_t age_ms, bool resent);

/** Writes an address without a port. */
void write_address(bio_writer_t *w, host_t *host);

/** Reads an address and gives it a port; FALSE if it is none. */
bool read_address(bio_reader_t *r, uint16_t port, host_t **host);

/** Reads a traffic selector; FALSE if it is none. */
bool read_selector(bio_reader_t *r, traffic_selector_t **ts);

#endif /** IRONLANE_MESSAGE_H_ */
