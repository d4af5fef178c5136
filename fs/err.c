/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * err.c - errors: library codes to -errno, damage found on disk, errors=.
 *
 * The only place (with open.c) that knows errcode_t.  An error found on disk
 * is told once, kept in fs->error_log and put into the superblock later, as
 * whoever found it may be inside a handle that is about to be aborted.
 *
 * fs_corrupt() and fs_fail() need the volume lock and take none.
 */
#include <endian.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/fs.h"
#include "journal/txn.h"
#include "sys/log.h"

#define TOLD_AGAIN	60	/* seconds until the same message is repeated */
#define TOLD_MAX	50	/* messages in that time */

static const struct {
	errcode_t code;
	int err;
} err_table[] = {
	{ EXT2_ET_NO_MEMORY, ENOMEM },
	{ EXT2_ET_TDB_ERR_OOM, ENOMEM },
	{ EXT2_ET_INVALID_ARGUMENT, EINVAL },
	{ EXT2_ET_LLSEEK_FAILED, EINVAL },
	{ EXT2_ET_NO_DIRECTORY, ENOTDIR },
	{ EXT2_ET_FILE_NOT_FOUND, ENOENT },
	{ EXT2_ET_DIR_NO_SPACE, ENOSPC },
	{ EXT2_ET_TOOSMALL, ENOSPC },
	{ EXT2_ET_BLOCK_ALLOC_FAIL, ENOSPC },
	{ EXT2_ET_INODE_ALLOC_FAIL, ENOSPC },
	{ EXT2_ET_EA_NO_SPACE, ENOSPC },
	{ EXT2_ET_SYMLINK_LOOP, ELOOP },
	{ EXT2_ET_FILE_TOO_BIG, EFBIG },
	{ EXT2_ET_FILE_EXISTS, EEXIST },
	{ EXT2_ET_TDB_ERR_EXISTS, EEXIST },
	{ EXT2_ET_MMP_FAILED, EBUSY },
	{ EXT2_ET_MMP_FSCK_ON, EBUSY },
	{ EXT2_ET_EA_KEY_NOT_FOUND, ENODATA },
	{ EXT2_ET_UNIMPLEMENTED, EOPNOTSUPP },
	{ EXT2_ET_UNSUPP_FEATURE, EOPNOTSUPP },
	{ EXT2_ET_RO_UNSUPP_FEATURE, EOPNOTSUPP },
	{ EXT2_ET_REV_TOO_HIGH, EOPNOTSUPP },
	{ EXT2_ET_RO_FILSYS, EROFS },
	{ EXT2_ET_BAD_MAGIC, EFSCORRUPTED },
	{ EXT2_ET_DIR_CORRUPTED, EFSCORRUPTED },
	{ EXT2_ET_CORRUPT_SUPERBLOCK, EFSCORRUPTED },
	{ EXT2_ET_RESIZE_INODE_CORRUPT, EFSCORRUPTED },
	{ EXT2_ET_FILESYSTEM_CORRUPTED, EFSCORRUPTED },
	{ EXT2_ET_CORRUPT_JOURNAL_SB, EFSCORRUPTED },
	{ EXT2_ET_INODE_CORRUPTED, EFSCORRUPTED },
	{ EXT2_ET_EA_INODE_CORRUPTED, EFSCORRUPTED },
	{ EXT2_ET_MMP_MAGIC_INVALID, EFSCORRUPTED },
	{ EXT2_ET_UNDO_FILE_CORRUPT, EFSCORRUPTED },
	{ EXT2_ET_MAGIC_GENERIC_BITMAP64, EFSCORRUPTED },
	{ EXT2_ET_MAGIC_BLOCK_BITMAP64, EFSCORRUPTED },
	{ EXT2_ET_MAGIC_INODE_BITMAP64, EFSCORRUPTED },
	{ EXT2_ET_MAGIC_EXTENT_PATH, EFSCORRUPTED },
	{ EXT2_ET_MAGIC_EA_HANDLE, EFSCORRUPTED },
};

int fs_errno(errcode_t err)
{
	size_t i;

	if (!err)
		return 0;
	if (err > 0 && err < 256)
		return -(int)err;
	if (err >= EXT2_ET_MAGIC_EXT2FS_FILSYS && err < EXT2_ET_BAD_MAGIC)
		return -EFSCORRUPTED;
	for (i = 0; i < sizeof(err_table) / sizeof(err_table[0]); i++)
		if (err_table[i].code == err)
			return -err_table[i].err;
	return -EIO;
}

/* The superblock's own numbering of errors (as dumpe2fs names them). */
static uint8_t error_code(int err, bool checksum)
{
	switch (-err) {
	case EIO:
		return checksum ? 4 : 2;
	case ENOMEM:
		return 3;
	case EFSCORRUPTED:
		return 5;
	case ENOSPC:
		return 6;
	case EROFS:
		return 8;
	default:
		return 1;
	}
}

/* Was a message about this place given in the last minute? */
static bool told_lately(struct fs *fs, uint32_t ino, uint64_t blk, int64_t now)
{
	unsigned n = sizeof(fs->error_log.recent) /
		     sizeof(fs->error_log.recent[0]);
	unsigned i, oldest = 0;

	for (i = 0; i < n; i++) {
		if (fs->error_log.recent[i].time &&
		    fs->error_log.recent[i].ino == ino &&
		    fs->error_log.recent[i].blk == blk &&
		    now - fs->error_log.recent[i].time < TOLD_AGAIN)
			return true;
		if (fs->error_log.recent[i].time <
		    fs->error_log.recent[oldest].time)
			oldest = i;
	}
	fs->error_log.recent[oldest].ino = ino;
	fs->error_log.recent[oldest].blk = blk;
	fs->error_log.recent[oldest].time = now;
	return false;
}

/* A large damage is not worth a message per block. */
static bool told_enough(struct fs *fs, int64_t now)
{
	if (!fs->error_log.burst ||
	    now - fs->error_log.burst_start >= TOLD_AGAIN) {
		fs->error_log.burst_start = now;
		fs->error_log.burst = 0;
	}
	if (fs->error_log.burst == TOLD_MAX) {
		msg_err("More errors follow, and will not be shown.");
		fs->error_log.burst++;
	}
	if (fs->error_log.burst > TOLD_MAX)
		return true;
	fs->error_log.burst++;
	return false;
}

static void tell(int err, uint32_t ino, uint64_t blk, const char *detail)
{
	const char *what = strerror(-err);

	if (ino && blk)
		msg_err("%s (inode #%u, block %llu): %s", what, ino,
			(unsigned long long)blk, detail);
	else if (ino)
		msg_err("%s (inode #%u): %s", what, ino, detail);
	else if (blk)
		msg_err("%s (block %llu): %s", what, (unsigned long long)blk,
			detail);
	else
		msg_err("%s: %s", what, detail);
}

/*
 * What errors= asks for.  A panic of ours takes down one mount, not a
 * machine, and so has the time to keep what was changed before the error.
 */
static void apply_policy(struct fs *fs)
{
	bool told = fs->error_log.told;

	if (fs->rdonly || !fs->mounted)
		return;
	fs->error_log.told = true;
	if (fs->errors != FS_ERRORS_CONTINUE)
		fs->error_ro = true;
	if (told)
		return;
	if (fs->errors == FS_ERRORS_PANIC) {
		msg_err("Aborting filesystem mount due to errors.");
		fs->panicked = true;
		if (fs->on_panic)
			fs->on_panic(fs);
	} else if (fs->errors == FS_ERRORS_RO) {
		msg_err("Remounting read-only due to errors.");
	} else {
		msg_warn("Continuing after errors; is this a good idea?");
	}
}

static void record(struct fs *fs, const char *func, unsigned line, int err,
		   bool checksum, uint32_t ino, uint64_t blk, int64_t now)
{
	struct fs_error e = {
		.time = now, .ino = ino, .line = line, .blk = blk,
		.code = error_code(err, checksum),
	};

	strncpy(e.func, func, sizeof(e.func) - 1);
	if (!fs->error_log.pending)
		fs->error_log.first = e;
	fs->error_log.last = e;
	fs->error_log.pending++;
	fs->error_log.any = true;
}

static int report(struct fs *fs, const char *func, unsigned line, int err,
		  uint32_t ino, uint64_t blk, const char *fmt, va_list ap)
{
	int64_t now = fs_now(fs).tv_sec;
	char detail[512];

	vsnprintf(detail, sizeof(detail), fmt, ap);
	if (!told_lately(fs, ino, blk, now) && !told_enough(fs, now))
		tell(err, ino, blk, detail);
	record(fs, func, line, err, strstr(detail, "checksum") != NULL, ino,
	       blk, now);
	apply_policy(fs);
	journal_wake(fs);
	return err;
}

int fs_corrupt_at(struct fs *fs, const char *func, unsigned line, uint32_t ino,
		  uint64_t blk, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report(fs, func, line, -EFSCORRUPTED, ino, blk, fmt, ap);
	va_end(ap);
	return -EFSCORRUPTED;
}

int fs_fail_at(struct fs *fs, const char *func, unsigned line, int err,
	       uint32_t ino, uint64_t blk, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	report(fs, func, line, err, ino, blk, fmt, ap);
	va_end(ap);
	return err;
}

static void put_first(struct ext2_super_block *sb, const struct fs_error *e)
{
	sb->s_first_error_time = htole32(e->time);
	sb->s_first_error_time_hi = e->time >> 32;
	sb->s_first_error_ino = htole32(e->ino);
	sb->s_first_error_block = htole64(e->blk);
	sb->s_first_error_line = htole32(e->line);
	sb->s_first_error_errcode = e->code;
	memcpy(sb->s_first_error_func, e->func, sizeof(e->func));
}

static void put_last(struct ext2_super_block *sb, const struct fs_error *e)
{
	sb->s_last_error_time = htole32(e->time);
	sb->s_last_error_time_hi = e->time >> 32;
	sb->s_last_error_ino = htole32(e->ino);
	sb->s_last_error_block = htole64(e->blk);
	sb->s_last_error_line = htole32(e->line);
	sb->s_last_error_errcode = e->code;
	memcpy(sb->s_last_error_func, e->func, sizeof(e->func));
}

void fs_error_merge(struct txn *t)
{
	struct fs *fs = txn_fs(t);
	struct ext2_super_block *sb;

	if (!fs->error_log.pending)
		return;
	sb = fs_super_write(t);
	if (!sb)
		return;		/* they stay pending */
	sb->s_error_count = htole32(le32toh(sb->s_error_count) +
				    fs->error_log.pending);
	if (!sb->s_first_error_time && !sb->s_first_error_time_hi)
		put_first(sb, &fs->error_log.first);
	put_last(sb, &fs->error_log.last);
	sb->s_state |= htole16(EXT2_ERROR_FS);
	fs->error_log.pending = 0;
}

int fs_error_flush(struct fs *fs)
{
	struct txn *t;
	int err = 0;

	fs_lock(fs);
	if (!fs->error_log.pending || fs->rdonly || fs->aborted)
		goto out;
	err = txn_begin(fs, TXN_ERROR, &t);
	if (!err) {
		fs_error_merge(t);
		txn_end(t);
	}
out:
	fs_unlock(fs);
	return err;
}
