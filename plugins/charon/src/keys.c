/*
 * Part of Ironlane's plugin for strongSwan. Copyright (C) the Ironlane authors.
 *
 * This program is free software; you can redistribute it and/or modify it under the terms of the GNU
 * General Public License as published by the Free Software Foundation; either version 2 of the License,
 * or (at your option) any later version. It comes without any warranty; see LICENSE beside it.
 */

#include "keys.h"

#include <errno.h>
#include <sys/mman.h>

#include <daemon.h>

/** Longest key taken: AES-256 with its salt has 36 bytes, HMAC-SHA2-512 64. */
#define KEY_MAX 80
/** Slots in a slab of 64 KiB. */
#define SLOTS 384

typedef struct private_keys_t private_keys_t;
typedef struct slab_t slab_t;

struct kept_keys_t {
	/** The next free slot, while this one is free. */
	kept_keys_t *next;
	uint16_t enc_len;
	uint16_t integ_len;
	uint8_t enc[KEY_MAX];
	uint8_t integ[KEY_MAX];
};

/** One mapping; slabs are never returned before the end, since SAs come and go all the time. */
struct slab_t {
	slab_t *next;
	kept_keys_t slots[SLOTS];
};

struct private_keys_t {
	keys_t public;
	slab_t *slabs;
	kept_keys_t *free;
	/** Whether it was said that memory cannot be locked. */
	bool warned;
};

static bool grow(private_keys_t *this)
{
	slab_t *slab;
	int i;

	slab = mmap(NULL, sizeof(slab_t), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (slab == MAP_FAILED)
	{
		DBG1(DBG_KNL, "ironlane: no memory for keys: %s", strerror(errno));
		return FALSE;
	}
	if (mlock(slab, sizeof(slab_t)) != 0 && !this->warned)
	{
		this->warned = TRUE;
		DBG1(DBG_KNL, "ironlane: memory with keys cannot be locked (%s), it may be swapped out; give charon "
			 "CAP_IPC_LOCK or raise its RLIMIT_MEMLOCK", strerror(errno));
	}
	if (madvise(slab, sizeof(slab_t), MADV_DONTDUMP) != 0)
	{
		DBG1(DBG_KNL, "ironlane: keys would be part of a core dump: %s", strerror(errno));
	}
	for (i = 0; i < SLOTS; i++)
	{
		slab->slots[i].next = this->free;
		this->free = &slab->slots[i];
	}
	slab->next = this->slabs;
	this->slabs = slab;
	return TRUE;
}

METHOD(keys_t, keep, kept_keys_t*,
	private_keys_t *this, key_pair_t *pair)
{
	kept_keys_t *kept;

	if (pair->enc.len > KEY_MAX || pair->integ.len > KEY_MAX || (!this->free && !grow(this)))
	{
		return NULL;
	}
	kept = this->free;
	this->free = kept->next;
	kept->next = NULL;
	kept->enc_len = pair->enc.len;
	kept->integ_len = pair->integ.len;
	memcpy(kept->enc, pair->enc.ptr, pair->enc.len);
	memcpy(kept->integ, pair->integ.ptr, pair->integ.len);
	return kept;
}

METHOD(keys_t, get, key_pair_t,
	private_keys_t *this, kept_keys_t *kept)
{
	return (key_pair_t){
		.enc = chunk_create(kept->enc, kept->enc_len),
		.integ = chunk_create(kept->integ, kept->integ_len),
	};
}

METHOD(keys_t, drop, void,
	private_keys_t *this, kept_keys_t *kept)
{
	memwipe(kept, sizeof(*kept));
	kept->next = this->free;
	this->free = kept;
}

METHOD(keys_t, destroy, void,
	private_keys_t *this)
{
	slab_t *slab = this->slabs, *next;

	while (slab)
	{
		next = slab->next;
		memwipe(slab, sizeof(*slab));
		munmap(slab, sizeof(*slab));
		slab = next;
	}
	free(this);
}

keys_t *keys_create()
{
	private_keys_t *this;

	INIT(this,
		.public = {
			.keep = _keep,
			.get = _get,
			.drop = _drop,
			.destroy = _destroy,
		},
	);
	return &this->public;
}
