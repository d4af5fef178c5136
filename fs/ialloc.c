/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ialloc.c - inode numbers: placement, taking and freeing them, and the part
 * of an inode table that was never written.
 *
 * Knows Orlov's rule for directories and the parent-first rule for files; not
 * what is in an inode.  A number that was freed is not used again before its
 * transaction is durable.
 *
 * Needs the volume lock, takes none.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/alloc.h"
#include "fs/group.h"
#include "fs/inode.h"
#include "io/cache.h"
#include "journal/txn.h"

/* --- where an inode is --- */

static uint32_t index_of(struct fs *fs, uint32_t ino)
{
	return (ino - 1) % fs->groups->inodes_per_group;
}

int inode_location(struct fs *fs, uint32_t ino, uint64_t *blk, unsigned *off)
{
	uint64_t byte;

	if (!ino || ino > fs->e2->super->s_inodes_count)
		return -EINVAL;
	byte = (uint64_t)index_of(fs, ino) * fs->inode_size;
	*blk = ext2fs_inode_table_loc(fs->e2, inode_group(fs, ino)) +
	       (byte >> fs->blockbits);
	*off = byte & (fs->blocksize - 1);
	return 0;
}

/* How many inodes of the group's table may have been used. */
static uint32_t used_part(const struct groups *gs, uint32_t g)
{
	if (gs->g[g].flags & EXT2_BG_INODE_UNINIT)
		return 0;
	return gs->inodes_per_group - gs->g[g].itable_unused;
}

bool inode_is_uninit(struct fs *fs, uint32_t ino)
{
	return index_of(fs, ino) >= used_part(fs->groups, inode_group(fs, ino));
}

int inode_in_use(struct fs *fs, uint32_t ino)
{
	const uint8_t *bits;
	struct buf *b;
	int err;

	if (!ino || ino > fs->e2->super->s_inodes_count)
		return -EINVAL;
	err = bitmap_peek(fs, inode_group(fs, ino), BITMAP_INODES, &b, &bits);
	if (err)
		return err;
	err = bit_test(bits, index_of(fs, ino));
	cache_put(b);
	return err;
}

/* --- numbers freed lately --- */

/* Can a crash still bring back what transaction ID freed? */
static bool id_is_frozen(struct fs *fs, uint64_t id)
{
	return id && id > fs->groups->inodes_durable &&
	       id + 2 > txn_running(fs);
}

static int recent_add(struct txn *t, uint32_t ino)
{
	struct recent *r = txn_fs(t)->groups->recent;

	if (r[0].id != txn_id(t)) {
		/* older than the two last transactions is durable */
		range_clear(&r[1].inodes);
		r[1] = r[0];
		r[0] = (struct recent) { .id = txn_id(t) };
	}
	return range_add(&r[0].inodes, ino, 1);
}

/* How many inodes from INO on must not be used yet; 0 if it may be. */
static uint32_t recent_run(struct fs *fs, uint32_t ino)
{
	const struct recent *r = fs->groups->recent;
	uint64_t start, count;
	int i;

	for (i = 0; i < 2; i++)
		if (id_is_frozen(fs, r[i].id) &&
		    range_next(&r[i].inodes, ino, &start, &count) &&
		    start <= ino)
			return start + count - ino;
	return 0;
}

bool inodes_frozen(struct fs *fs)
{
	return id_is_frozen(fs, fs->groups->recent[0].id);
}

void inodes_thaw(struct fs *fs, uint64_t durable_id)
{
	if (fs->groups->inodes_durable < durable_id)
		fs->groups->inodes_durable = durable_id;
}

/* --- placement: a group to start from --- */

struct stats {
	uint64_t free_inodes, free_clusters, used_dirs;
};

/* Of the flex group that starts at group G (one group without flex_bg). */
static struct stats flex_stats(const struct groups *gs, uint32_t g)
{
	uint32_t end = g + (1U << gs->flex_bits);
	struct stats s = { 0, 0, 0 };

	for (; g < end && g < gs->count; g++) {
		if (gs->g[g].bad_inodes)
			continue;
		s.free_inodes += gs->g[g].free_inodes;
		s.free_clusters += gs->g[g].free_clusters;
		s.used_dirs += gs->g[g].used_dirs;
	}
	return s;
}

static bool has_inode(const struct groups *gs, uint32_t g)
{
	return gs->g[g].free_inodes && !gs->g[g].bad_inodes;
}

/* The first group of the flex group with a free inode; else gs->count. */
static uint32_t flex_member(const struct groups *gs, uint32_t first)
{
	uint32_t g, end = first + (1U << gs->flex_bits);

	for (g = first; g < end && g < gs->count; g++)
		if (has_inode(gs, g))
			return g;
	return gs->count;
}

/* What all of the volume has, on average for a flex group. */
static struct stats averages(struct fs *fs, uint32_t nflex)
{
	struct groups *gs = fs->groups;
	struct ext2_super_block *sb = fs_super(fs);

	return (struct stats) {
		.free_inodes = le32toh(sb->s_free_inodes_count) / nflex,
		.free_clusters = (block_available(fs, ALLOC_META) >>
				  fs->clusterbits) / nflex,
		.used_dirs = gs->dirs_total / nflex,
	};
}

/* A directory at the top: spread, where there is more than average room. */
static uint32_t place_top_dir(struct fs *fs, uint32_t nflex, struct stats avg)
{
	struct groups *gs = fs->groups;
	uint32_t i, f, best = gs->count, g;
	uint64_t best_dirs = UINT64_MAX;
	struct stats s;

	gs->random = gs->random * 1103515245 + 12345;
	f = (gs->random >> 8) % nflex;
	for (i = 0; i < nflex; i++, f = f + 1 < nflex ? f + 1 : 0) {
		s = flex_stats(gs, f << gs->flex_bits);
		if (!s.free_inodes || s.used_dirs >= best_dirs ||
		    s.free_inodes < avg.free_inodes ||
		    s.free_clusters < avg.free_clusters)
			continue;
		g = flex_member(gs, f << gs->flex_bits);
		if (g == gs->count)
			continue;
		best = g;
		best_dirs = s.used_dirs;
	}
	return best;
}

/* Other directories: near the parent, unless it is crowded there. */
static uint32_t place_sub_dir(struct fs *fs, uint32_t nflex, struct stats avg,
			      uint32_t parent)
{
	struct groups *gs = fs->groups;
	uint64_t inodes = (uint64_t)gs->inodes_per_group << gs->flex_bits;
	uint64_t clusters = (uint64_t)gs->clusters_per_group << gs->flex_bits;
	uint64_t max_dirs = avg.used_dirs + inodes / 16;
	uint64_t min_inodes = avg.free_inodes > inodes / 4 ?
			      avg.free_inodes - inodes / 4 : 1;
	uint64_t min_clusters = avg.free_clusters > clusters / 4 ?
				avg.free_clusters - clusters / 4 : 0;
	uint32_t i, f = parent >> gs->flex_bits;
	struct stats s;

	for (i = 0; i < nflex; i++, f = f + 1 < nflex ? f + 1 : 0) {
		s = flex_stats(gs, f << gs->flex_bits);
		if (s.used_dirs >= max_dirs || s.free_inodes < min_inodes ||
		    s.free_clusters < min_clusters)
			continue;
		if (f == parent >> gs->flex_bits && has_inode(gs, parent))
			return parent;
		return flex_member(gs, f << gs->flex_bits);
	}
	return gs->count;
}

static uint32_t place_dir(struct fs *fs, const struct inode *dir,
			  uint32_t parent)
{
	struct groups *gs = fs->groups;
	uint32_t nflex = ((gs->count - 1) >> gs->flex_bits) + 1;
	struct stats avg = averages(fs, nflex);
	uint32_t g, i;

	if (!dir || dir->ino == EXT2_ROOT_INO ||
	    dir->i.flags & EXT2_TOPDIR_FL)
		g = place_top_dir(fs, nflex, avg);
	else
		g = place_sub_dir(fs, nflex, avg, parent);
	if (g < gs->count)
		return g;
	avg.free_inodes >>= gs->flex_bits;
	for (i = 0, g = parent; i < gs->count; i++) {
		if (has_inode(gs, g) &&
		    gs->g[g].free_inodes >= avg.free_inodes)
			return g;
		g = g + 1 < gs->count ? g + 1 : 0;
	}
	return parent;
}

static uint32_t place_file(struct fs *fs, const struct inode *dir,
			   uint32_t parent)
{
	struct groups *gs = fs->groups;
	uint64_t g;
	uint32_t i;

	if (has_inode(gs, parent) && gs->g[parent].free_clusters)
		return parent;
	if (gs->flex_bits) {
		g = flex_member(gs, parent >> gs->flex_bits << gs->flex_bits);
		if (g < gs->count)
			return g;
	}
	/* files of one directory meet again in the same group */
	g = ((uint64_t)parent + (dir ? dir->ino : 0)) % gs->count;
	for (i = 1; i < gs->count && i; i <<= 1) {
		g = (g + i) % gs->count;
		if (has_inode(gs, g) && gs->g[g].free_clusters)
			return g;
	}
	return parent;
}

/* --- taking --- */

/* A free number in group G; its bit, or -ENOSPC. */
static int64_t find_bit(struct fs *fs, uint32_t g)
{
	struct groups *gs = fs->groups;
	uint32_t end = gs->inodes_per_group, bit = 0, skip;
	const uint8_t *bits;
	struct buf *b;
	int err;

	err = bitmap_peek(fs, g, BITMAP_INODES, &b, &bits);
	if (err)
		return err;
	if (g == 0)
		bit = EXT2_FIRST_INO(fs->e2->super) - 1;
	while ((bit = bit_next_zero(bits, bit, end)) < end) {
		skip = recent_run(fs, g * end + bit + 1);
		if (!skip)
			break;
		bit = skip < end - bit ? bit + skip : end;
	}
	cache_put(b);
	return bit < end ? (int64_t)bit : -ENOSPC;
}

/*
 * Zeroes the table from inode FROM on to the end of the block with inode TO:
 * what is there was never written.
 */
static int zero_table(struct txn *t, uint32_t g, uint32_t from, uint32_t to)
{
	struct fs *fs = txn_fs(t);
	uint64_t byte = (uint64_t)from * fs->inode_size, end;
	uint64_t table = ext2fs_inode_table_loc(fs->e2, g);
	struct buf *b;
	unsigned off;
	int err;

	end = (((uint64_t)to * fs->inode_size) | (fs->blocksize - 1)) + 1;
	for (; byte < end; byte += fs->blocksize - off) {
		off = byte & (fs->blocksize - 1);
		if (off)
			err = cache_get(fs->cache,
					table + (byte >> fs->blockbits),
					&itable_type, 0, 0, &b);
		else
			err = cache_get_new(fs->cache,
					    table + (byte >> fs->blockbits),
					    &itable_type, 0, 0, &b);
		if (err)
			return err;
		err = txn_write(t, b);
		if (!err)
			memset(b->data + off, 0, fs->blocksize - off);
		cache_put(b);
		if (err)
			return err;
	}
	return 0;
}

/* The table grows up to and including BIT. */
static int extend_table(struct txn *t, uint32_t g, uint32_t bit)
{
	struct groups *gs = txn_fs(t)->groups;
	struct group *grp = &gs->g[g];
	uint32_t used = used_part(gs, g);
	int err;

	if (!gs->desc_csum || bit < used)
		return 0;
	if (!(grp->flags & EXT2_BG_INODE_ZEROED)) {
		err = zero_table(t, g, used, bit);
		if (err)
			return err;
	}
	grp->itable_unused = gs->inodes_per_group - bit - 1;
	return 0;
}

/* A group with an inode in use has a block bitmap too. */
static int init_blocks(struct txn *t, uint32_t g)
{
	struct group *grp = &txn_fs(t)->groups->g[g];
	struct buf *b;
	int err;

	if (!(grp->flags & EXT2_BG_BLOCK_UNINIT))
		return 0;
	err = bitmap_write(t, g, BITMAP_BLOCKS, &b);
	if (!err)
		cache_put(b);
	return err;
}

/* Sets or clears the bit, with everything that counts it. */
static int change_bit(struct txn *t, uint32_t g, uint32_t bit, bool set,
		      bool is_dir)
{
	struct fs *fs = txn_fs(t);
	struct groups *gs = fs->groups;
	struct group *grp = &gs->g[g];
	uint32_t ino = g * gs->inodes_per_group + bit + 1;
	struct buf *desc, *b;
	int err;

	err = group_write(t, g, &desc);
	if (err)
		return err;
	if (set)
		err = extend_table(t, g, bit);
	if (!err)
		err = bitmap_write(t, g, BITMAP_INODES, &b);
	if (err) {
		cache_put(desc);
		return err;
	}
	if (bit_test(b->data, bit) == set || (set && !grp->free_inodes) ||
	    (!set && is_dir && !grp->used_dirs)) {
		err = fs_corrupt(fs, ino, 0, set ?
				 "inode to be allocated is in use" :
				 "inode to be freed is free already");
	} else if (set) {
		bit_set_range(b->data, bit, 1);
		grp->free_inodes--;
		grp->used_dirs += is_dir;
		gs->dirs_total += is_dir;
		err = init_blocks(t, g);
	} else {
		bit_clear_range(b->data, bit, 1);
		grp->free_inodes++;
		grp->used_dirs -= is_dir;
		gs->dirs_total -= is_dir;
	}
	cache_put(b);
	group_store(fs, g, desc);
	return err ? err : super_count_inodes(t, set ? -1 : 1);
}

int inode_alloc(struct txn *t, struct inode *dir, uint16_t mode, uint32_t *ino)
{
	struct fs *fs = txn_fs(t);
	struct groups *gs = fs->groups;
	uint32_t parent = dir ? inode_group(fs, dir->ino) : 0, g, i;
	int ret = -ENOSPC;
	int64_t bit;
	int err;

	g = S_ISDIR(mode) ? place_dir(fs, dir, parent) :
			    place_file(fs, dir, parent);
	for (i = 0; i < gs->count; i++, g = g + 1 < gs->count ? g + 1 : 0) {
		if (!has_inode(gs, g))
			continue;
		bit = find_bit(fs, g);
		if (bit == -ENOMEM)
			return bit;
		if (bit < 0) {
			if (bit != -ENOSPC)
				ret = bit;
			continue;
		}
		err = change_bit(t, g, bit, true, S_ISDIR(mode));
		if (!err)
			*ino = g * gs->inodes_per_group + bit + 1;
		return err;
	}
	return ret;
}

int inode_claim(struct txn *t, uint32_t ino, bool is_dir)
{
	struct fs *fs = txn_fs(t);

	if (ino < EXT2_FIRST_INO(fs->e2->super) ||
	    ino > fs->e2->super->s_inodes_count)
		return fs_corrupt(fs, ino, 0, "bad inode number");
	return change_bit(t, inode_group(fs, ino), index_of(fs, ino), true,
			  is_dir);
}

int inode_free(struct txn *t, uint32_t ino, bool is_dir)
{
	struct fs *fs = txn_fs(t);
	uint32_t g;
	int err;

	if (ino < EXT2_FIRST_INO(fs->e2->super) ||
	    ino > fs->e2->super->s_inodes_count)
		return fs_corrupt(fs, ino, 0, "a reserved inode was to be freed");
	g = inode_group(fs, ino);
	err = change_bit(t, g, index_of(fs, ino), false, is_dir);
	return err ? err : recent_add(t, ino);
}
