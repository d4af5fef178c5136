/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fcindex.h - what the replay of fast commits looks up again and again.
 */
#ifndef FS_FCINDEX_H
#define FS_FCINDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fastcommit;
struct fs;

/* Note AT is of an inode that has names. */
struct fc_life {
	uint32_t ino, generation;
	size_t at;
};

struct fc_index {
	uint32_t *listed;		/* orphans before all of this; sorted */
	size_t listed_count, listed_room;
	struct fc_life *lives;		/* sorted, by all three */
	size_t life_count;
};

/* -errno: to be freed as well. */
int fc_index_make(struct fc_index *x, struct fs *fs,
		  const struct fastcommit *fc);
void fc_index_free(struct fc_index *x);

/* Was INO an orphan before the replay? */
bool fc_index_listed(const struct fc_index *x, uint32_t ino);

/* Does a note after AT give names to that very inode? */
bool fc_index_lives_on(const struct fc_index *x, size_t at, uint32_t ino,
		       uint32_t generation);

#endif
