/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * model.h - what a volume may hold after a crash, by the workload's marks.
 *
 * Names, links, modes, long links and xattrs must be as they were after some
 * number of operations, at least those that an fsync promised and at most those
 * that had been started: transactions are in order.  Of file contents each
 * sector must be what the last fsync promised or something later.
 */
#ifndef TESTS_CRASH_MODEL_H
#define TESTS_CRASH_MODEL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "log.h"

/* Sectors are counted from 0; generations are operations, 0: never written. */
struct sector {
	uint32_t low;		/* what fsync promised */
	uint32_t now;		/* what it holds, or will when the write ends */
	uint32_t high;		/* the last write or zeroing that began */
	uint8_t low_zero;	/* the promise is zeros */
	uint8_t now_zero;
	uint8_t zero_since;	/* zeros are legal, too */
};

struct contents {
	struct sector *sectors;
	uint32_t room;
	uint64_t size, size_min, size_max;
	bool tainted, promised;		/* promised: there was an fsync */
	uint32_t gone;			/* the state without its last name */
};

struct model;

struct model *model_load(struct log_head *log);
/* To the time NOW; times only grow. */
void model_advance(struct model *m, uint64_t now);
unsigned model_ops(const struct model *m);
struct contents *model_contents(struct model *m, uint32_t id);

/* The fingerprints that are legal now; their number. */
int model_legal(const struct model *m, const uint64_t **prints);
/*
 * Without a journal: the next file after ID that an fsync promised and nobody
 * removed since; 0 at the end.
 */
uint32_t model_promised(const struct model *m, uint32_t id);
/* What differs between the legal state nearest to what was seen, and that. */
void model_explain(const struct model *m, char *const *seen, int n, FILE *out);

/* One name and all that is known of it, as a line, and its fingerprint. */
struct entry {
	const char *path;
	char type;		/* f, d, l */
	uint32_t id, mode, nlink;
	const char *target;	/* or "" */
	uint64_t xattrs;	/* sum of model_xattr() */
};

uint64_t model_entry(const struct entry *e, char *line, size_t size);
uint64_t model_xattr(const char *name, const void *value, size_t len);

#endif
