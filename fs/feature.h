/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * feature.h - may a volume with these features and this state be mounted?
 */
#ifndef FS_FEATURE_H
#define FS_FEATURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ext2_super_block;
struct fs_options;

enum feature_set {
	FEATURE_COMPAT, FEATURE_INCOMPAT, FEATURE_RO_COMPAT, FEATURE_SETS
};

enum feature_policy {
	FEATURE_RW,		/* no restriction */
	FEATURE_RO,		/* read only; the row has the reason */
	FEATURE_RECOVER,	/* the journal is dirty */
	FEATURE_REFUSE,
};

/* The table: a row per bit, and a case in tests/policy.sh per row. */
struct feature {
	enum feature_set set;
	uint32_t bit;
	enum feature_policy policy;
	const char *name;	/* as mke2fs and debugfs have it */
	const char *why;	/* FEATURE_RO: "Mounting read-only: ..." */
};

extern const struct feature feature_rows[];
extern const size_t feature_row_count;

/*
 * SB is in disk byte order.  Sets *RDONLY if there must be no writing, never
 * clears it.  -EOPNOTSUPP or -EUCLEAN, with a message, if there must be no
 * mount at all.
 */
int feature_check(const struct ext2_super_block *sb,
		  const struct fs_options *opt, bool *rdonly);

#endif
