/*
 * Part of Ironlane's plugin for strongSwan. Copyright (C) the Ironlane authors.
 *
 * This program is free software; you can redistribute it and/or modify it under the terms of the GNU
 * General Public License as published by the Free Software Foundation; either version 2 of the License,
 * or (at your option) any later version. It comes without any warranty; see LICENSE beside it.
 */

#include "message.h"

#include <daemon.h>

/** Bits of the flags of an SA. */
enum {
	SA_INBOUND = 1 << 0,
	SA_ESN = 1 << 1,
	SA_ENCAP = 1 << 2,
	SA_COPY_DF = 1 << 3,
	SA_COPY_ECN = 1 << 4,
	SA_ALLOCATED = 1 << 5,
	SA_RESENT = 1 << 6,
	SA_INITIATOR = 1 << 7,
};

/** Room for an SA with a few selectors: a writer that need not grow leaves no copy of keys behind. */
#define FRAME_ROOM 4096

const char *message_name(uint8_t type)
{
	switch (type & ~MSG_ANSWER)
	{
		case MSG_HELLO:
			return "hello";
		case MSG_GET_SPI:
			return "get_spi";
		case MSG_ADD_SA:
			return "add_sa";
		case MSG_UPDATE_SA:
			return "update_sa";
		case MSG_QUERY_SA:
			return "query_sa";
		case MSG_DEL_SA:
			return "del_sa";
		case MSG_FLUSH_SAS:
			return "flush_sas";
		case MSG_ADD_POLICY:
			return "add_policy";
		case MSG_QUERY_POLICY:
			return "query_policy";
		case MSG_DEL_POLICY:
			return "del_policy";
		case MSG_FLUSH_POLICIES:
			return "flush_policies";
		case MSG_PORT:
			return "port";
		case MSG_SYNCED:
			return "synced";
		case EVENT_EXPIRE:
			return "expire";
		case EVENT_ACQUIRE:
			return "acquire";
		case EVENT_MAPPING:
			return "mapping";
		default:
			return "message of an unknown type";
	}
}

void message_log_refusal(uint8_t type, uint8_t status, chunk_t body)
{
	bio_reader_t *reader = bio_reader_create(body);
	chunk_t text;

	if (status != ANSWER_OK && reader->read_data16(reader, &text))
	{
		DBG1(DBG_KNL, "ironlane: %s: %.*s", message_name(type), (int)text.len, text.ptr);
	}
	reader->destroy(reader);
}

bio_writer_t *message_begin(uint8_t type)
{
	bio_writer_t *w = bio_writer_create(FRAME_ROOM);

	w->write_uint32(w, 0);
	w->write_uint8(w, type);
	w->write_uint8(w, ANSWER_OK);
	w->write_uint32(w, 0);
	return w;
}

chunk_t message_end(bio_writer_t *w)
{
	chunk_t frame = w->extract_buf(w);

	htoun32(frame.ptr, frame.len - sizeof(uint32_t));
	w->destroy(w);
	return frame;
}

void write_address(bio_writer_t *w, host_t *host)
{
	w->write_uint8(w, host->get_family(host) == AF_INET ? 4 : 6);
	w->write_data(w, host->get_address(host));
}

static void write_mark(bio_writer_t *w, mark_t mark)
{
	w->write_uint32(w, mark.value);
	w->write_uint32(w, mark.mask);
}

static void write_text(bio_writer_t *w, char *text)
{
	w->write_data16(w, text ? chunk_from_str(text) : chunk_empty);
}

static void write_selector(bio_writer_t *w, traffic_selector_t *ts)
{
	w->write_uint8(w, ts->get_type(ts) == TS_IPV4_ADDR_RANGE ? 4 : 6);
	w->write_data(w, ts->get_from_address(ts));
	w->write_data(w, ts->get_to_address(ts));
	w->write_uint8(w, ts->get_protocol(ts));
	w->write_uint16(w, ts->get_from_port(ts));
	w->write_uint16(w, ts->get_to_port(ts));
}

static void write_selectors(bio_writer_t *w, linked_list_t *list)
{
	enumerator_t *enumerator;
	traffic_selector_t *ts;

	w->write_uint16(w, list ? list->get_count(list) : 0);
	if (!list)
	{
		return;
	}
	enumerator = list->create_enumerator(list);
	while (enumerator->enumerate(enumerator, &ts))
	{
		write_selector(w, ts);
	}
	enumerator->destroy(enumerator);
}

void write_sa_id(bio_writer_t *w, kernel_ipsec_sa_id_t *id)
{
	w->write_uint8(w, id->proto);
	w->write_uint32(w, ntohl(id->spi));
	write_address(w, id->src);
	write_address(w, id->dst);
	write_mark(w, id->mark);
	w->write_uint32(w, id->if_id);
}

void write_policy_id(bio_writer_t *w, kernel_ipsec_policy_id_t *id)
{
	w->write_uint8(w, id->dir);
	write_selector(w, id->src_ts);
	write_selector(w, id->dst_ts);
	write_mark(w, id->mark);
	w->write_uint32(w, id->if_id);
	write_text(w, id->interface);
}

void write_policy(bio_writer_t *w, kernel_ipsec_manage_policy_t *data)
{
	ipsec_sa_cfg_t *sa = data->sa;

	w->write_uint8(w, data->type);
	w->write_uint8(w, data->prio);
	w->write_uint32(w, data->manual_prio);
	w->write_uint32(w, sa->reqid);
	w->write_uint8(w, sa->mode);
	w->write_uint8(w, sa->esp.use ? IPPROTO_ESP : sa->ah.use ? IPPROTO_AH : 0);
	w->write_uint32(w, ntohl(sa->esp.use ? sa->esp.spi : sa->ah.use ? sa->ah.spi : 0));
	write_address(w, data->src);
	write_address(w, data->dst);
}

static uint16_t sa_flags(kernel_ipsec_add_sa_t *data, bool resent)
{
	return (data->inbound ? SA_INBOUND : 0) | (data->esn ? SA_ESN : 0) | (data->encap ? SA_ENCAP : 0) |
		   (data->copy_df ? SA_COPY_DF : 0) | (data->copy_ecn ? SA_COPY_ECN : 0) |
		   (data->update ? SA_ALLOCATED : 0) | (resent ? SA_RESENT : 0) |
		   (data->initiator ? SA_INITIATOR : 0);
}

void write_sa(bio_writer_t *w, kernel_ipsec_sa_id_t *id, kernel_ipsec_add_sa_t *data, key_pair_t *keys,
			  uint64_t age_ms, bool resent)
{
	lifetime_cfg_t *life = data->lifetime;

	write_sa_id(w, id);
	w->write_uint32(w, data->reqid);
	w->write_uint8(w, data->mode);
	w->write_uint16(w, sa_flags(data, resent));
	w->write_uint8(w, data->copy_dscp);
	w->write_uint16(w, data->enc_alg);
	w->write_data16(w, keys->enc);
	w->write_uint16(w, data->int_alg);
	w->write_data16(w, keys->integ);
	w->write_uint32(w, data->replay_window);
	w->write_uint32(w, data->tfc);
	w->write_uint16(w, data->encap ? id->src->get_port(id->src) : 0);
	w->write_uint16(w, data->encap ? id->dst->get_port(id->dst) : 0);
	write_mark(w, data->mark);
	w->write_uint64(w, life->time.life);
	w->write_uint64(w, life->time.rekey);
	w->write_uint64(w, life->bytes.life);
	w->write_uint64(w, life->bytes.rekey);
	w->write_uint64(w, life->packets.life);
	w->write_uint64(w, life->packets.rekey);
	w->write_uint64(w, age_ms);
	write_selectors(w, data->src_ts);
	write_selectors(w, data->dst_ts);
	write_text(w, data->interface);
}

bool read_address(bio_reader_t *r, uint16_t port, host_t **host)
{
	uint8_t family;
	chunk_t bytes;

	if (!r->read_uint8(r, &family) || (family != 4 && family != 6) ||
		!r->read_data(r, family == 4 ? 4 : 16, &bytes))
	{
		return FALSE;
	}
	*host = host_create_from_chunk(family == 4 ? AF_INET : AF_INET6, bytes, port);
	return *host != NULL;
}

bool read_selector(bio_reader_t *r, traffic_selector_t **ts)
{
	uint8_t family, protocol;
	uint16_t from_port, to_port;
	chunk_t from, to;

	if (!r->read_uint8(r, &family) || (family != 4 && family != 6) ||
		!r->read_data(r, family == 4 ? 4 : 16, &from) ||
		!r->read_data(r, family == 4 ? 4 : 16, &to) ||
		!r->read_uint8(r, &protocol) ||
		!r->read_uint16(r, &from_port) || !r->read_uint16(r, &to_port))
	{
		return FALSE;
	}
	*ts = traffic_selector_create_from_bytes(protocol,
						family == 4 ? TS_IPV4_ADDR_RANGE : TS_IPV6_ADDR_RANGE,
						from, from_port, to, to_port);
	return *ts != NULL;
}
