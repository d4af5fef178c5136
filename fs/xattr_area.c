/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xattr_area.c - the layout of attributes, in the inode and in the block.
 *
 * Checks an area as a whole, and edits it in place: the caller has made its
 * memory writable in a transaction, and knows that what it adds fits.  Knows
 * nothing of inodes, blocks or namespaces.  Takes no lock.
 */
#include <assert.h>
#include <string.h>

#include "fs.h"
#include "xattr_internal.h"

#define WORD	EXT2_EXT_ATTR_PAD
#define MAX_AREA 65536

static size_t padded(size_t size)
{
	return EXT2_EXT_ATTR_SIZE(size);
}

bool ea_last(const struct ea_area *a, const ea_entry *e)
{
	const uint8_t *p = (const uint8_t *)e;
	uint32_t word;

	if (p + sizeof(word) > a->end)
		return true;
	memcpy(&word, p, sizeof(word));
	return !word;
}

ea_entry *ea_next(ea_entry *e)
{
	return EXT2_EXT_ATTR_NEXT(e);
}

static ea_entry *first(const struct ea_area *a)
{
	return (ea_entry *)a->first;
}

bool ea_empty(const struct ea_area *a)
{
	return ea_last(a, first(a));
}

/* Bytes of the area that the value of E takes. */
static size_t value_room(const ea_entry *e)
{
	return e->e_value_inum ? 0 : padded(le32toh(e->e_value_size));
}

size_t ea_need(size_t name_len, size_t size)
{
	return EXT2_EXT_ATTR_LEN(name_len) + padded(size);
}

size_t ea_entry_need(const ea_entry *e)
{
	return EXT2_EXT_ATTR_LEN(e->e_name_len) + value_room(e);
}

const uint8_t *ea_data(const struct ea_area *a, const ea_entry *e)
{
	return a->base + le16toh(e->e_value_offs);
}

/* The word after the last entry, which is zero. */
static uint8_t *entries_end(const struct ea_area *a)
{
	ea_entry *e;

	for (e = first(a); !ea_last(a, e); e = ea_next(e))
		;
	return (uint8_t *)e;
}

/* Where the lowest value starts. */
static uint8_t *values_start(const struct ea_area *a)
{
	uint8_t *low = a->end;
	ea_entry *e;

	for (e = first(a); !ea_last(a, e); e = ea_next(e))
		if (value_room(e) && ea_data(a, e) < low)
			low = a->base + le16toh(e->e_value_offs);
	return low;
}

size_t ea_room(const struct ea_area *a)
{
	size_t gap = values_start(a) - entries_end(a);

	return gap > WORD ? gap - WORD : 0;
}

/* Marks the words FROM..FROM+COUNT-1; false if one was marked before. */
static bool mark(uint8_t *map, size_t from, size_t count)
{
	for (; count--; from++) {
		if (map[from / 8] & 1 << from % 8)
			return false;
		map[from / 8] |= 1 << from % 8;
	}
	return true;
}

/* Where do the entries end?  NULL: not inside the area. */
static const uint8_t *check_entries(const struct ea_area *a)
{
	const uint8_t *p = a->first;

	for (;;) {
		const ea_entry *e = (const ea_entry *)p;

		if (p + WORD > a->end)
			return NULL;
		if (ea_last(a, e))
			return p + WORD;
		if (p + sizeof(*e) > a->end)
			return NULL;
		p += EXT2_EXT_ATTR_LEN(e->e_name_len);
	}
}

int ea_check(const struct ea_area *a)
{
	uint8_t map[MAX_AREA / WORD / 8] = { 0 };
	const uint8_t *low = check_entries(a);
	size_t bytes = a->end - a->base;
	ea_entry *e;

	assert(bytes <= MAX_AREA);
	if (!low)
		return -EFSCORRUPTED;
	for (e = first(a); !ea_last(a, e); e = ea_next(e)) {
		size_t size = le32toh(e->e_value_size);
		size_t offs = le16toh(e->e_value_offs);

		if (size > EXT2_XATTR_SIZE_MAX)
			return -EFSCORRUPTED;
		if (e->e_value_inum || !size)
			continue;
		if (offs % WORD || offs > bytes || padded(size) > bytes - offs ||
		    a->base + offs < low)
			return -EFSCORRUPTED;
		if (!mark(map, offs / WORD, padded(size) / WORD))
			return -EFSCORRUPTED;
	}
	return 0;
}

/* The order of entries in a block: index, length of the name, name. */
static int compare(const ea_entry *e, const struct ea_key *k)
{
	if (e->e_name_index != k->index)
		return e->e_name_index - k->index;
	if (e->e_name_len != k->len)
		return e->e_name_len < k->len ? -1 : 1;
	return memcmp(EXT2_EXT_ATTR_NAME(e), k->name, k->len);
}

/* Others may have left a block out of order: all entries are looked at. */
ea_entry *ea_find(const struct ea_area *a, const struct ea_key *k)
{
	ea_entry *e;

	for (e = first(a); !ea_last(a, e); e = ea_next(e))
		if (!compare(e, k))
			return e;
	return NULL;
}

/* ---- hashes ---- */

static uint32_t rotate(uint32_t hash, unsigned bits)
{
	return hash << bits | hash >> (32 - bits);
}

static uint32_t hash_name(const ea_entry *e, bool sign)
{
	const uint8_t *name = (const uint8_t *)EXT2_EXT_ATTR_NAME(e);
	uint32_t hash = 0;
	unsigned k;

	for (k = 0; k < e->e_name_len; k++)
		hash = rotate(hash, 5) ^
		       (sign ? (uint32_t)(int8_t)name[k] : name[k]);
	return hash;
}

static uint32_t hash_entry(const struct ea_area *a, const ea_entry *e)
{
	size_t k, words = value_room(e) / sizeof(uint32_t);
	const uint8_t *p = ea_data(a, e);
	uint32_t hash = hash_name(e, false), word;

	for (k = 0; k < words; k++, p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		hash = rotate(hash, 16) ^ le32toh(word);
	}
	return hash;
}

/* Old kernels took the name's bytes as signed. */
bool ea_inode_hash_ok(const ea_entry *e, uint32_t value_hash)
{
	uint32_t hash = le32toh(e->e_hash);

	return hash == (rotate(hash_name(e, false), 16) ^ value_hash) ||
	       hash == (rotate(hash_name(e, true), 16) ^ value_hash);
}

/* ---- editing ---- */

void ea_remove(struct ea_area *a, ea_entry *e)
{
	uint8_t *low = values_start(a), *end = entries_end(a);
	uint8_t *next = (uint8_t *)ea_next(e);
	size_t len = next - (uint8_t *)e, room = value_room(e);
	size_t offs = le16toh(e->e_value_offs);
	ea_entry *o;

	if (room) {
		memmove(low + room, low, a->base + offs - low);
		memset(low, 0, room);
		for (o = first(a); !ea_last(a, o); o = ea_next(o))
			if (value_room(o) && le16toh(o->e_value_offs) < offs)
				o->e_value_offs = htole16(
					le16toh(o->e_value_offs) + room);
	}
	/* The terminating word moves along. */
	memmove(e, next, end + WORD - next);
	memset(end + WORD - len, 0, len);
}

/* Where an entry for K belongs. */
static uint8_t *place(const struct ea_area *a, const struct ea_key *k)
{
	ea_entry *e;

	if (!a->sorted)
		return entries_end(a);
	for (e = first(a); !ea_last(a, e) && compare(e, k) < 0; e = ea_next(e))
		;
	return (uint8_t *)e;
}

void ea_insert(struct ea_area *a, const struct ea_key *k,
	       const struct ea_value *v)
{
	size_t len = EXT2_EXT_ATTR_LEN(k->len);
	size_t room = v->ino ? 0 : padded(v->size);
	uint8_t *at = place(a, k), *end = entries_end(a);
	uint8_t *data = values_start(a) - room;
	ea_entry *e = (ea_entry *)at;

	assert(ea_room(a) >= len + room);
	memmove(at + len, at, end + WORD - at);
	memset(at, 0, len);
	e->e_name_len = k->len;
	e->e_name_index = k->index;
	e->e_value_size = htole32(v->size);
	e->e_value_inum = htole32(v->ino);
	memcpy(EXT2_EXT_ATTR_NAME(e), k->name, k->len);
	if (room) {
		e->e_value_offs = htole16(data - a->base);
		memset(data + room - WORD, 0, WORD);
		memcpy(data, v->data, v->size);
	}
	if (v->ino)
		e->e_hash = htole32(rotate(hash_name(e, false), 16) ^ v->hash);
	else if (a->hashed)
		e->e_hash = htole32(hash_entry(a, e));
}
