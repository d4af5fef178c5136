/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * statfs.c - attributes of the volume: statfs, label, UUID, trim, shutdown.
 *
 * Takes the volume lock.  block_trim() takes it itself.
 */
#include <errno.h>
#include <string.h>

#include "alloc.h"
#include "attr.h"
#include "fs.h"
#include "journal/txn.h"

/* A block count of the superblock, whose upper half exists with 64bit. */
static uint64_t sb_count(struct fs *fs, uint32_t lo, uint32_t hi)
{
	if (!ext2fs_has_feature_64bit(fs->e2->super))
		hi = 0;
	return (uint64_t)le32toh(hi) << 32 | le32toh(lo);
}

static uint64_t free_blocks(struct fs *fs, struct ext2_super_block *sb)
{
	uint64_t counted = sb_count(fs, sb->s_free_blocks_count,
				    sb->s_free_blocks_hi);
	uint64_t can_have;

	/* Reservations are in memory only; frozen blocks are free already. */
	can_have = block_available(fs, ALLOC_RESERVE | ALLOC_META) +
		   txn_frozen_total(fs);
	return can_have < counted ? can_have : counted;
}

/*
 * What the kernel keeps back for allocations that it delayed, with extents:
 * 2% of the clusters, at most 4096.  Here it is a number to show only.
 */
static uint64_t kernel_reserve(struct fs *fs)
{
	uint64_t clusters = (fs->blocks_count >> fs->clusterbits) / 50;

	if (!ext2fs_has_feature_extents(fs->e2->super))
		return 0;
	return (clusters < 4096 ? clusters : 4096) << fs->clusterbits;
}

/* As the kernel's. */
int attr_statfs(struct fs *fs, struct statvfs *st)
{
	struct ext2_super_block *sb;
	uint64_t reserved, halves[2];

	memset(st, 0, sizeof(*st));
	fs_lock(fs);
	sb = fs_super(fs);
	st->f_bsize = st->f_frsize = fs->blocksize;
	st->f_blocks = fs->blocks_count;
	if (!fs->opt.minixdf)
		st->f_blocks -= fs->overhead < fs->blocks_count ?
				fs->overhead : fs->blocks_count;
	st->f_bfree = free_blocks(fs, sb);
	if (st->f_bfree > st->f_blocks)
		st->f_bfree = st->f_blocks;	/* damaged counts */
	reserved = sb_count(fs, sb->s_r_blocks_count, sb->s_r_blocks_count_hi) +
		   kernel_reserve(fs);
	if (st->f_bfree > reserved)
		st->f_bavail = st->f_bfree - reserved;
	st->f_files = le32toh(sb->s_inodes_count);
	st->f_ffree = le32toh(sb->s_free_inodes_count);
	if (st->f_ffree > st->f_files)
		st->f_ffree = st->f_files;
	st->f_favail = st->f_ffree;
	memcpy(halves, sb->s_uuid, sizeof(halves));
	st->f_fsid = halves[0] ^ halves[1];
	st->f_namemax = EXT2_NAME_LEN;
	if (!fs_writable(fs))
		st->f_flag |= ST_RDONLY;
	fs_unlock(fs);
	return 0;
}

int attr_get_label(struct fs *fs, char label[FSLABEL_MAX])
{
	memset(label, 0, FSLABEL_MAX);
	fs_lock(fs);
	memcpy(label, fs_super(fs)->s_volume_name, EXT2_LABEL_LEN);
	fs_unlock(fs);
	return 0;
}

int attr_set_label(struct fs *fs, const char *label)
{
	size_t len = strnlen(label, FSLABEL_MAX);
	struct ext2_super_block *sb;
	struct txn *t;
	int err;

	if (len > EXT2_LABEL_LEN)
		return -EINVAL;
	fs_lock(fs);
	err = txn_begin(fs, TXN_SUPER, &t);
	if (err)
		goto out;
	sb = fs_super_write(t);
	if (sb) {
		memset(sb->s_volume_name, 0, EXT2_LABEL_LEN);
		memcpy(sb->s_volume_name, label, len);
	}
	err = txn_stop(t, sb ? 0 : -ENOMEM);
out:
	fs_unlock(fs);
	return err;
}

void attr_get_uuid(struct fs *fs, uint8_t uuid[16])
{
	fs_lock(fs);
	memcpy(uuid, fs_super(fs)->s_uuid, 16);
	fs_unlock(fs);
}

int attr_trim(struct fs *fs, uint64_t start, uint64_t len, uint64_t minlen,
	      uint64_t *done)
{
	uint64_t blocks = 0, end, first = start >> fs->blockbits;
	uint64_t group = (uint64_t)fs->e2->super->s_clusters_per_group <<
			 fs->clusterbits;
	int err;

	*done = 0;
	minlen = (minlen + fs->blocksize - 1) >> fs->blockbits;
	if (first >= fs->blocks_count || len < fs->blocksize || minlen > group)
		return -EINVAL;
	if (!fs_writable(fs))
		return -EROFS;
	end = first + (len >> fs->blockbits);
	if (end < first || end > fs->blocks_count)
		end = fs->blocks_count;
	if (first < fs->first_data_block)
		first = fs->first_data_block;
	if (first >= end)
		return 0;
	err = block_trim(fs, first, end, minlen ? minlen : 1, &blocks);
	*done = blocks << fs->blockbits;
	return err;
}

int attr_shutdown(struct fs *fs)
{
	int err = txn_sync(fs, 0);

	fs_lock(fs);
	txn_abort_volume(fs, -EIO);
	fs_unlock(fs);
	return err;
}
