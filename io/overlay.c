/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * overlay.c - blocks that are to be seen instead of what is on a device.
 *
 * Knows numbers, memory, and how to read a device; never writes one.  The row
 * is filled in ascending order, but for the pages, which are few.  No lock of
 * its own.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "io/overlay.h"

struct overlay *overlay_new(unsigned blocksize, struct device *from,
			    uint32_t escape_be)
{
	struct overlay *o = calloc(1, sizeof(*o));

	if (!o)
		return NULL;
	o->blocksize = blocksize;
	o->from = from;
	memcpy(o->escape, &escape_be, sizeof(o->escape));
	return o;
}

void overlay_free(struct overlay *o)
{
	size_t i;

	if (!o)
		return;
	for (i = 0; i < o->count; i++)
		if (o->blocks[i].paged)
			free(o->blocks[i].page);
	free(o->blocks);
	free(o);
}

size_t overlay_find(const struct overlay *o, uint64_t blk)
{
	size_t lo = 0, hi = o->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (o->blocks[mid].blk < blk)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct overlay_block *insert(struct overlay *o, size_t at, uint64_t blk)
{
	struct overlay_block *b;
	size_t room;

	if (at < o->count && o->blocks[at].blk == blk)
		return &o->blocks[at];
	if (o->count == o->room) {
		room = o->room ? 2 * o->room : 64;
		b = realloc(o->blocks, room * sizeof(*b));
		if (!b)
			return NULL;
		o->blocks = b;
		o->room = room;
	}
	b = &o->blocks[at];
	memmove(b + 1, b, (o->count - at) * sizeof(*b));
	o->count++;
	memset(b, 0, sizeof(*b));
	b->blk = blk;
	return b;
}

int overlay_redirect(struct overlay *o, uint64_t blk, uint64_t off,
		     bool escaped)
{
	struct overlay_block *b = insert(o, overlay_find(o, blk), blk);

	if (!b)
		return -ENOMEM;
	if (b->paged)
		free(b->page);
	b->paged = false;
	b->off = off;
	b->escaped = escaped;
	return 0;
}

/* Gives BLK, at index AT of overlay_find(), the page PAGE. */
static int set_page(struct overlay *o, size_t at, uint64_t blk, uint8_t *page)
{
	struct overlay_block *b = insert(o, at, blk);

	if (!b)
		return -ENOMEM;
	b->paged = true;
	b->page = page;
	return 0;
}

/* The block as the overlay has it, into PAGE. */
static int overlay_load(const struct overlay *o, const struct overlay_block *b,
			uint8_t *page)
{
	int err;

	if (b->paged) {
		memcpy(page, b->page, o->blocksize);
		return 0;
	}
	err = device_read_raw(o->from, page, o->blocksize, b->off);
	if (!err && b->escaped)
		memcpy(page, o->escape, sizeof(o->escape));
	return err;
}

int overlay_patch(const struct overlay *o, uint8_t *buf, size_t len,
		  uint64_t off)
{
	unsigned bs = o->blocksize;
	size_t i = overlay_find(o, off / bs);
	uint8_t *page = NULL;
	int err = 0;

	for (; i < o->count && o->blocks[i].blk * bs < off + len && !err; i++) {
		uint64_t at = o->blocks[i].blk * bs;
		uint64_t from = at > off ? at : off;
		uint64_t to = at + bs < off + len ? at + bs : off + len;

		if (!page && posix_memalign((void **)&page, 4096, bs))
			return -ENOMEM;
		err = overlay_load(o, &o->blocks[i], page);
		if (!err)
			memcpy(buf + (from - off), page + (from - at),
			       to - from);
	}
	free(page);
	return err;
}

/* PART bytes that are in block BLK, from SKIP on. */
static int write_part(struct overlay *o, struct device *dev, uint64_t blk,
		      unsigned skip, const uint8_t *buf, unsigned part)
{
	size_t at = overlay_find(o, blk);
	bool there = at < o->count && o->blocks[at].blk == blk;
	uint8_t *page;
	int err;

	if (there && o->blocks[at].paged) {
		memcpy(o->blocks[at].page + skip, buf, part);
		return 0;
	}
	if (posix_memalign((void **)&page, 4096, o->blocksize))
		return -ENOMEM;
	if (there)
		err = overlay_load(o, &o->blocks[at], page);
	else
		err = device_read_raw(dev, page, o->blocksize,
				      blk * o->blocksize);
	if (!err) {
		memcpy(page + skip, buf, part);
		err = set_page(o, at, blk, page);
	}
	if (err)
		free(page);
	return err;
}

int overlay_write(struct overlay *o, struct device *dev, const uint8_t *buf,
		  size_t len, uint64_t off)
{
	int err = 0;

	while (len && !err) {
		unsigned skip = off % o->blocksize;
		unsigned part = o->blocksize - skip;

		if (part > len)
			part = len;
		err = write_part(o, dev, off / o->blocksize, skip, buf, part);
		buf += part;
		off += part;
		len -= part;
	}
	return err;
}
