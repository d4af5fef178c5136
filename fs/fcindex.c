/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fcindex.c - what the replay of fast commits looks up again and again: the
 * orphans of before, and the inodes that a later note keeps alive.
 *
 * Both come from the disk and may be long: sorted rows, and no loop over a
 * list that may lead back into itself.  Needs the volume lock, takes none.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "fs/fcindex.h"
#include "fs/fs.h"
#include "fs/inode.h"
#include "fs/orphan_internal.h"
#include "journal/fastcommit.h"

/* ---- orphans ---- */

static int add_listed(struct fc_index *x, uint32_t ino)
{
	if (x->listed_count == x->listed_room) {
		size_t room = x->listed_room ? 2 * x->listed_room : 64;
		uint32_t *p = realloc(x->listed, room * sizeof(*p));

		if (!p)
			return -ENOMEM;
		x->listed = p;
		x->listed_room = room;
	}
	x->listed[x->listed_count++] = ino;
	return 0;
}

/*
 * Of a list that runs in a circle, all of it, and some twice: sooner or later
 * one that was remembered, at every power of two, comes again.
 */
static int list_chain(struct fc_index *x, struct fs *fs)
{
	uint32_t ino = le32toh(fs_super(fs)->s_last_orphan), mark = 0;
	size_t next_mark = 1;
	struct inode *inode;
	int err = 0;

	while (ino && ino != mark && !err) {
		if (inode_get_any(fs, ino, &inode))
			break;		/* orphan.c will say so */
		err = add_listed(x, ino);
		if (x->listed_count == next_mark) {
			mark = ino;
			next_mark *= 2;
		}
		ino = inode->i.dtime;
		inode_put(inode);
	}
	return err;
}

static int list_file(struct fc_index *x, struct fs *fs)
{
	uint32_t slot;
	int64_t ino;
	int err = 0;

	for (slot = 1; !err; slot++) {
		ino = orphan_file_next(fs, &slot);
		if (ino <= 0)
			return ino;
		err = add_listed(x, ino);
	}
	return err;
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

bool fc_index_listed(const struct fc_index *x, uint32_t ino)
{
	return x->listed_count &&
	       bsearch(&ino, x->listed, x->listed_count, sizeof(ino),
		       by_number);
}

/* ---- inodes that live on ---- */

static int by_inode(const void *a, const void *b)
{
	const struct fc_life *x = a, *y = b;

	if (x->ino != y->ino)
		return x->ino < y->ino ? -1 : 1;
	if (x->generation != y->generation)
		return x->generation < y->generation ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

static int list_lives(struct fc_index *x, const struct fastcommit *fc)
{
	struct ext2_inode raw;
	size_t i, n = 0;

	for (i = 0; i < fc->count; i++)
		n += fc->notes[i].tag == FC_INODE;
	if (!n)
		return 0;
	x->lives = malloc(n * sizeof(*x->lives));
	if (!x->lives)
		return -ENOMEM;
	for (i = 0; i < fc->count; i++) {
		if (fc->notes[i].tag != FC_INODE)
			continue;
		memcpy(&raw, fc->notes[i].data, sizeof(raw));
		if (raw.i_links_count)
			x->lives[x->life_count++] = (struct fc_life) {
				.ino = fc->notes[i].ino,
				.generation = le32toh(raw.i_generation),
				.at = i,
			};
	}
	qsort(x->lives, x->life_count, sizeof(*x->lives), by_inode);
	return 0;
}

bool fc_index_lives_on(const struct fc_index *x, size_t at, uint32_t ino,
		       uint32_t generation)
{
	const struct fc_life want = { ino, generation, at };
	size_t lo = 0, hi = x->life_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (by_inode(&x->lives[mid], &want) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < x->life_count && x->lives[lo].ino == ino &&
	       x->lives[lo].generation == generation;
}

/* ---- both ---- */

int fc_index_make(struct fc_index *x, struct fs *fs,
		  const struct fastcommit *fc)
{
	int err;

	memset(x, 0, sizeof(*x));
	err = list_chain(x, fs);
	if (!err)
		err = list_file(x, fs);
	if (!err && x->listed_count)
		qsort(x->listed, x->listed_count, sizeof(*x->listed),
		      by_number);
	return err ? err : list_lives(x, fc);
}

void fc_index_free(struct fc_index *x)
{
	free(x->listed);
	free(x->lives);
}
