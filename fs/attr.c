/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * attr.c - attributes of inodes: stat, and what chmod, chown, utimens and
 * truncate change.
 *
 * A change is one transaction, apart from a new size, which data.c sets
 * first.  Permissions are the caller's business, except for the immutable
 * and append-only flags, which the kernel's FUSE does not know.
 *
 * Takes the volume lock; data_truncate() takes the inode's io lock before it.
 */
#include <errno.h>
#include <sys/sysmacros.h>

#include "attr.h"
#include "data.h"
#include "fs.h"
#include "inode.h"
#include "xattr.h"
#include "journal/txn.h"

static dev_t stat_device(const struct inode_core *i)
{
	uint32_t v = le32toh(i->block[0]);

	if (v)
		return makedev(v >> 8 & 0xff, v & 0xff);
	v = le32toh(i->block[1]);
	return makedev(v >> 8 & 0xfff, (v & 0xff) | (v >> 12 & 0xfff00));
}

void attr_stat(struct inode *inode, struct stat *st)
{
	const struct inode_core *i = &inode->i;
	struct fs *fs = inode->fs;

	*st = (struct stat){ 0 };
	fs_lock(fs);
	st->st_ino = inode->ino;
	st->st_mode = i->mode;
	st->st_nlink = i->links;
	st->st_uid = i->uid;
	st->st_gid = i->gid;
	if (S_ISCHR(i->mode) || S_ISBLK(i->mode))
		st->st_rdev = stat_device(i);
	st->st_size = i->size;
	st->st_blksize = fs->blocksize;
	st->st_blocks = i->blocks << (fs->blockbits - 9);
	/* as the kernel's: no data may look like a hole */
	if (S_ISREG(i->mode) && inode_has_inline(inode))
		st->st_blocks += (i->size + 511) >> 9;
	st->st_atim = i->atime;
	st->st_mtim = i->mtime;
	st->st_ctim = i->ctime;
	fs_unlock(fs);
}

/*
 * What the inode can store of TS: 34 bits of seconds from -2^31 on and
 * nanoseconds where the extra field at END (bytes after the old 128) exists,
 * else 32 bits.
 */
static struct timespec storable(const struct inode *inode, struct timespec ts,
				unsigned end)
{
	bool extra = inode->fs->inode_size > EXT2_GOOD_OLD_INODE_SIZE &&
		     inode->i.extra_isize >= end;
	int64_t min = INT32_MIN;
	int64_t max = extra ? min + (1LL << 34) - 1 : INT32_MAX;

	if (ts.tv_sec < min)
		ts = (struct timespec){ .tv_sec = min };
	else if (ts.tv_sec > max)
		ts = (struct timespec){ .tv_sec = max };
	if (!extra)
		ts.tv_nsec = 0;
	return ts;
}

#define EXTRA_END(field) \
	(offsetof(struct ext2_inode_large, field) + sizeof(uint32_t) - \
	 EXT2_GOOD_OLD_INODE_SIZE)

/*
 * Is this only the kernel telling of writes that it had in its cache?  Of a
 * mapped file it keeps all times, and has checked who sets them.
 */
static bool is_flush(const struct inode *inode, unsigned valid)
{
	if (inode->mapped && valid == (ATTR_ATIME | ATTR_MTIME | ATTR_CTIME))
		return true;
	return valid == (ATTR_MTIME | ATTR_CTIME);
}

/*
 * Does it set other times than the present?  With the writeback cache the
 * kernel sends the present mtime as a time of its own, along with ctime.
 */
static bool sets_times(unsigned valid)
{
	if ((valid & ATTR_ATIME) && !(valid & ATTR_ATIME_NOW))
		return true;
	return (valid & (ATTR_MTIME | ATTR_MTIME_NOW | ATTR_CTIME)) == ATTR_MTIME;
}

static int check_flags(const struct inode *inode, unsigned valid)
{
	unsigned bad = ATTR_MODE | ATTR_UID | ATTR_GID | ATTR_SIZE;

	if (is_flush(inode, valid))
		return 0;
	if (inode->i.flags & EXT2_IMMUTABLE_FL)
		return -EPERM;
	if ((inode->i.flags & EXT2_APPEND_FL) &&
	    ((valid & bad) || sets_times(valid)))
		return -EPERM;
	return 0;
}

static void set_times(struct inode *inode, const struct attr_change *c)
{
	if (c->valid & ATTR_ATIME_NOW)
		inode_touch(inode, INODE_ATIME);
	else if (c->valid & ATTR_ATIME)
		inode->i.atime = storable(inode, c->atime,
					  EXTRA_END(i_atime_extra));
	if (c->valid & ATTR_MTIME_NOW)
		inode_touch(inode, INODE_MTIME);
	else if (c->valid & ATTR_MTIME)
		inode->i.mtime = storable(inode, c->mtime,
					  EXTRA_END(i_mtime_extra));
	inode_touch(inode, INODE_CTIME);
	if (c->valid & ATTR_CTIME)
		inode->i.ctime = storable(inode, c->ctime,
					  EXTRA_END(i_ctime_extra));
}

static int set_in(struct txn *t, struct inode *inode,
		  const struct attr_change *c)
{
	int err = check_flags(inode, c->valid);

	if (!err)
		err = inode_dirty_attr(t, inode);
	if (!err && (c->valid & ATTR_KILL_SUID))
		err = inode_kill_privs(t, inode);
	if (err)
		return err;
	if (c->valid & ATTR_UID)
		inode->i.uid = c->uid;
	if (c->valid & ATTR_GID)
		inode->i.gid = c->gid;
	if (c->valid & ATTR_MODE) {
		inode->i.mode = (inode->i.mode & S_IFMT) | (c->mode & 07777);
		err = acl_chmod(t, inode);
	}
	if (!err)
		set_times(inode, c);
	return err;
}

/* One try.  *SYNC: the transaction that has to be waited for, or 0. */
static int set_locked(struct inode *inode, const struct attr_change *c,
		      uint64_t *sync)
{
	bool xattrs = c->valid & (ATTR_MODE | ATTR_KILL_SUID);
	struct fs *fs = inode->fs;
	struct txn *t;
	int err = txn_begin(fs, xattrs ? TXN_XATTR : TXN_ATTR, &t);

	if (err)
		return err;
	err = set_in(t, inode, c);
	if (fs->opt.sync || (inode->i.flags & EXT2_SYNC_FL))
		*sync = txn_id(t);
	return txn_stop(t, err);
}

static int set_size(struct inode *inode, const struct attr_change *c)
{
	unsigned flags = 0;
	int err;

	fs_lock(inode->fs);
	err = check_flags(inode, c->valid);
	fs_unlock(inode->fs);
	if (err)
		return err;
	if (c->reserve)
		flags |= DATA_RESERVE;
	if (c->valid & ATTR_KILL_SUID)
		flags |= DATA_KILL_SUID;
	return data_truncate(inode, c->size, flags);
}

int attr_set(struct inode *inode, const struct attr_change *c)
{
	struct fs *fs = inode->fs;
	unsigned tries = 0;
	uint64_t sync = 0;
	int err;

	if (c->valid & ATTR_SIZE) {
		err = set_size(inode, c);
		if (err || !(c->valid & ~(ATTR_SIZE | ATTR_KILL_SUID)))
			return err;
	}
	if (!c->valid)
		return 0;
	do {
		fs_lock(fs);
		err = set_locked(inode, c, &sync);
		fs_unlock(fs);
	} while (fs_retry_nospc(fs, err, &tries));
	if (!err && sync)
		err = txn_sync(fs, sync);
	return err;
}
