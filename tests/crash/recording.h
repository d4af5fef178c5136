/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * recording.h - a log's writes and barriers, and what they may have left on the
 * disk at a time.
 *
 * A volume may have several devices (its journal's): in memory they are one after
 * the other, and their files are named "FIRST:SECOND".
 */
#ifndef TESTS_CRASH_RECORDING_H
#define TESTS_CRASH_RECORDING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log.h"

#define KINDS	8		/* of states, see replay.c */
#define NOW	UINT64_MAX
#define DEVICES	2

struct image {
	uint8_t *mem;
	uint64_t start[DEVICES + 1];	/* of each, and the end */
	unsigned count;
};

struct event {
	const struct log_rec *rec;
	uint64_t off, len;		/* in the image */
	const uint8_t *data;		/* NULL: zeros */
	uint64_t begin, end;
	unsigned dev;
	bool write, durable;
};

struct recording {
	struct log_head *log;
	const struct image *image;	/* the devices */
	struct event *ev;	/* writes and barriers by their beginnings */
	size_t count;
	size_t *barriers;	/* by their ends */
	size_t nbarriers;
};

/* The disk at a time: what is surely there, and what may be. */
struct disk {
	const struct recording *r;
	uint8_t *sure;
	struct event **maybe;
	size_t nmaybe, room, next, next_barrier;
};

/* Says why, and exits with 2: the run is void. */
void die(const char *what);

/* The files of PATHS; what is changed there changes them if SHARED. */
void image_open(struct image *im, const char *paths, bool shared);
/* New files, as long as those of LIKE. */
void image_create(struct image *im, const char *paths, const struct image *like);
static inline uint64_t image_size(const struct image *im)
{
	return im->start[im->count];
}

/*
 * R is the log at PATH, of IMAGE's devices.  BUG: what the recorded server is
 * said to do wrong, see replay.c; or NULL.
 */
void recording_load(struct recording *r, const char *path,
		    const struct image *image, const char *bug);
void recording_free(struct recording *r);

/* To the time NOW; a write that begins just then is in.  Times only grow. */
void disk_advance(struct disk *d, uint64_t now);
/*
 * The state KIND and VARIANT of D, into MEM, if there is one.  A hash of what
 * was chosen.
 */
uint64_t disk_build(const struct disk *d, int kind, uint64_t variant,
		    uint8_t *mem);

#endif
