/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * overlay.h - blocks that are to be seen instead of what is on a device.
 *
 * A row of blocks, each either a page in memory or a place elsewhere (in a
 * journal) from where it is read when it is wanted.  device.c is the only
 * one who looks things up here; it has the lock, too.
 */
#ifndef IO_OVERLAY_H
#define IO_OVERLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct device;

struct overlay_block {
	uint64_t blk;
	union {
		uint64_t off;		/* bytes, on overlay->from */
		uint8_t *page;
	};
	bool paged;
	bool escaped;			/* its first 4 bytes are elsewhere 0, and
					 * really overlay->escape */
};

struct overlay {
	struct device *from;
	unsigned blocksize;
	uint8_t escape[4];
	struct overlay_block *blocks;	/* sorted */
	size_t count, room;
};

/* NULL: no memory. */
struct overlay *overlay_new(unsigned blocksize, struct device *from,
			    uint32_t escape_be);
void overlay_free(struct overlay *o);

/* Index of the first block that is not before BLK. */
size_t overlay_find(const struct overlay *o, uint64_t blk);

/* BLK is to be read at OFF of ->from.  -ENOMEM. */
int overlay_redirect(struct overlay *o, uint64_t blk, uint64_t off,
		     bool escaped);

/* BUF has what the device has: puts the overlay's blocks over it. */
int overlay_patch(const struct overlay *o, uint8_t *buf, size_t len,
		  uint64_t off);
/* Takes what was to be written to DEV. */
int overlay_write(struct overlay *o, struct device *dev, const uint8_t *buf,
		  size_t len, uint64_t off);

/* device.c's: what is on the device itself; within its bounds. */
int device_read_raw(struct device *dev, void *buf, size_t len, uint64_t off);

#endif
