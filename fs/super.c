/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * super.c - the superblock: as a cache block, and what it says of the state
 * of the volume.
 *
 * Knows the mount protocol (mount count, times, EXT2_VALID_FS, needs_recovery)
 * and the warnings; not how a volume is opened (open.c).  What takes the
 * volume lock says so in super.h.
 */
#include <endian.h>
#include <string.h>

#include "fs/alloc.h"
#include "fs/fs.h"
#include "fs/group.h"
#include "fs/orphan.h"
#include "fs/super.h"
#include "io/cache.h"
#include "journal/txn.h"
#include "sys/log.h"

#define SUPER_OFFSET	1024

static struct ext2_super_block *super_of(struct fs *fs, struct buf *b)
{
	return (struct ext2_super_block *)
		(b->data + SUPER_OFFSET % fs->blocksize);
}

/* libext2fs has checked the very same bytes. */
static int super_verify(struct fs *fs, struct buf *b)
{
	(void)fs, (void)b;
	return 0;
}

void super_checksum(const struct fs *fs, struct ext2_super_block *sb)
{
	if (fs->csum)
		sb->s_checksum = htole32(ext2fs_crc32c_le(~0U, (uint8_t *)sb,
				offsetof(struct ext2_super_block, s_checksum)));
}

static void super_seal(struct fs *fs, struct buf *b)
{
	struct ext2_super_block *sb = super_of(fs, b);
	int64_t now = fs_now(fs).tv_sec;

	sb->s_wtime = htole32(now);
	sb->s_wtime_hi = now >> 32;
	super_checksum(fs, sb);
}

const struct buf_type super_type = {
	"superblock", RANK_SUPER, super_verify, super_seal
};

struct ext2_super_block *fs_super(struct fs *fs)
{
	return super_of(fs, fs->super_buf);
}

struct ext2_super_block *fs_super_write(struct txn *t)
{
	struct fs *fs = txn_fs(t);

	if (txn_write(t, fs->super_buf))
		return NULL;
	return fs_super(fs);
}

bool fs_writable(const struct fs *fs)
{
	return !fs->rdonly && !fs->aborted && !fs->error_ro;
}

struct timespec fs_now(struct fs *fs)
{
	struct timespec ts;
	int64_t now, last;

	clock_gettime(CLOCK_REALTIME_COARSE, &ts);
	now = (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
	last = __atomic_load_n(&fs->last_now, __ATOMIC_RELAXED);
	do {
		if (now <= last) {
			now = last;
			break;
		}
	} while (!__atomic_compare_exchange_n(&fs->last_now, &last, now, true,
					__ATOMIC_RELAXED, __ATOMIC_RELAXED));
	ts.tv_sec = now / 1000000000;
	/* Old small inodes have no room for more: not even in memory. */
	ts.tv_nsec = fs->inode_size == EXT2_GOOD_OLD_INODE_SIZE ?
		     0 : now % 1000000000;
	return ts;
}

void super_warn(struct fs *fs)
{
	struct ext2_super_block *sb = fs_super(fs);
	int64_t now = fs_now(fs).tv_sec;
	int64_t checked = le32toh(sb->s_lastcheck) |
			  (int64_t)sb->s_lastcheck_hi << 32;
	int16_t max = le16toh(sb->s_max_mnt_count);

	if (!(le16toh(sb->s_state) & EXT2_VALID_FS))
		msg_warn("Warning: Mounting unchecked fs, running e2fsck is recommended.");
	if (max > 0 && le16toh(sb->s_mnt_count) >= max)
		msg_warn("Warning: Maximal mount count reached, running e2fsck is recommended.");
	if (sb->s_checkinterval &&
	    checked + le32toh(sb->s_checkinterval) <= now)
		msg_warn("Warning: Check time reached; running e2fsck is recommended.");
	if (sb->s_last_orphan && fs->rdonly && !fs->shown)
		msg_warn("Orphans detected; running e2fsck is recommended.");
}

/*
 * The kernel brings the superblock's counts up to date at an unmount only:
 * after a crash the descriptors are right.
 */
void super_set_counts(struct fs *fs, struct ext2_super_block *sb)
{
	uint64_t blocks;
	uint32_t inodes;

	groups_totals(fs, &blocks, &inodes);
	sb->s_free_blocks_count = htole32((uint32_t)blocks);
	if (ext2fs_has_feature_64bit(fs->e2->super))
		sb->s_free_blocks_hi = htole32(blocks >> 32);
	sb->s_free_inodes_count = htole32(inodes);
}

/*
 * Says on disk that the volume is mounted: that its journal is in use (J8),
 * or else that it was not unmounted.
 */
static void mark_mounted(struct fs *fs, struct ext2_super_block *sb)
{
	int64_t now = fs_now(fs).tv_sec;

	fs->was_valid = le16toh(sb->s_state) & EXT2_VALID_FS;
	sb->s_mnt_count = htole16(le16toh(sb->s_mnt_count) + 1);
	sb->s_mtime = htole32(now);
	sb->s_mtime_hi = now >> 32;
	if (!journal_has_log(fs))
		sb->s_state &= htole16(~EXT2_VALID_FS);
#ifndef BREAK_J8
	else
		sb->s_feature_incompat |=
			htole32(EXT3_FEATURE_INCOMPAT_RECOVER);
#endif
	super_set_counts(fs, sb);
}

/* The superblock first, then the log's (J8). */
int super_mount(struct fs *fs)
{
	struct ext2_super_block *sb;
	struct txn *t;
	int err;

	fs_lock(fs);
	err = txn_begin(fs, TXN_SUPER, &t);
	if (!err) {
		sb = fs_super_write(t);
		if (sb)
			mark_mounted(fs, sb);
		err = txn_stop(t, sb ? 0 : -ENOMEM);
	}
	fs_unlock(fs);
	if (!err)
		err = txn_sync(fs, 0);
	if (err)
		msg_err("Cannot write the superblock: %s.", strerror(-err));
	else
		fs->mounted = true;
	if (err)
		return err;
	err = journal_log_begin(fs);
	if (err)
		msg_err("Cannot write the journal: %s.", strerror(-err));
	return err;
}

/*
 * The last handle: clean again, if it was clean and nothing was found.  With a
 * journal also after an error that made the volume read-only: the journal is
 * empty, and the error is on record.
 */
int super_unmount(struct fs *fs)
{
	enum txn_kind kind = journal_has_log(fs) ? TXN_ERROR : TXN_SUPER;
	struct ext2_super_block *sb;
	struct txn *t;
	int err;

	fs_lock(fs);
	err = txn_begin(fs, kind, &t);
	if (!err) {
		sb = fs_super_write(t);
		if (sb) {
			orphan_clear_present(fs, sb);
			sb->s_feature_incompat &=
				~htole32(EXT3_FEATURE_INCOMPAT_RECOVER);
			if (fs->was_valid)
				sb->s_state |= htole16(EXT2_VALID_FS);
		}
		err = txn_stop(t, sb ? 0 : -ENOMEM);
	}
	fs_unlock(fs);
	return err ? err : txn_sync(fs, 0);
}
