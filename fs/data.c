/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * data.c - reading file contents, and what the other parts of data.h share.
 *
 * Knows byte ranges and asks map.c where the blocks are.  Must not know how
 * mappings or inline data are stored.  File data goes between the device and
 * the caller's buffer, never through the cache.
 *
 * Takes inode->io shared for reading; the volume lock only to look up maps
 * and sizes, never across data I/O.  Whoever holds io keeps mappings and
 * i_size as they are, so what was looked up stays true without the lock.
 */
#include <assert.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "dataio.h"
#include "io/device.h"
#include "xattr.h"

/* Lookups under one hold of the lock, where a walk may be long. */
#define WALK_STEPS	512

/* relatime: an atime this old (seconds) is renewed anyway. */
#define RELATIME_MAX	(24 * 3600)

int data_may_change(const struct inode *inode, unsigned flags)
{
	if (S_ISDIR(inode->i.mode))
		return -EISDIR;
	if (!S_ISREG(inode->i.mode))
		return -EINVAL;
	if (inode_is_gone(inode))
		return -ESTALE;
	if (!fs_writable(inode->fs))
		return -EROFS;
	if (inode->swap)
		return -ETXTBSY;
	if (inode->i.flags & EXT4_VERITY_FL)
		return -EPERM;
	if (inode->i.flags & EXT4_ENCRYPT_FL)
		return -ENOKEY;
	/* pages the kernel took before the flag was set must still be kept */
	if ((inode->i.flags & EXT2_IMMUTABLE_FL) && !(flags & DATA_WB))
		return -EPERM;
	return 0;
}

static int begin(struct inode *inode, enum txn_kind kind,
		 int (*dirty)(struct txn *t, struct inode *inode),
		 struct txn **out)
{
	struct txn *t;
	int err;

	err = txn_begin(inode->fs, kind, &t);
	if (err)
		return err;
	err = dirty(t, inode);
	if (err) {
		txn_abort(t);
		return err;
	}
	*out = t;
	return 0;
}

int data_begin(struct inode *inode, enum txn_kind kind, struct txn **out)
{
	return begin(inode, kind, inode_dirty, out);
}

int data_begin_attr(struct inode *inode, enum txn_kind kind, struct txn **out)
{
	return begin(inode, kind, inode_dirty_attr, out);
}

int data_stamp(struct txn *t, struct inode *inode, unsigned flags)
{
	if (!(flags & DATA_WB))
		inode_touch(inode, INODE_MTIME | INODE_CTIME);
	if (flags & DATA_KILL_SUID)
		return inode_kill_privs(t, inode);
	return 0;
}

void data_set_size(struct txn *t, struct inode *inode, uint64_t size)
{
	if (inode->i.size == size)
		return;
	inode->i.size = size;
	inode->datasync_tid = txn_id(t);
}

uint64_t data_size(struct inode *inode)
{
	uint64_t size;

	fs_lock(inode->fs);
	size = inode->i.size;
	fs_unlock(inode->fs);
	return size;
}

uint64_t data_max_size(const struct inode *inode)
{
	const struct fs *fs = inode->fs;

	if (inode_has_inline(inode) &&
	    ext2fs_has_feature_extents(fs->e2->super))
		return 0xffffffffULL << fs->blockbits;
	return map_max_size(inode);
}

int data_finish(struct inode *inode, unsigned flags, int err)
{
	struct fs *fs = inode->fs;
	bool sync = (flags & DATA_SYNC) || fs->opt.sync;

	if (err < 0)
		return err;
	if (!sync) {
		fs_lock(fs);
		sync = inode->i.flags & EXT2_SYNC_FL;
		fs_unlock(fs);
	}
	return sync ? data_fsync(inode, true) : err;
}

bool data_is_mapped(struct inode *inode)
{
	bool mapped;

	fs_lock(inode->fs);
	mapped = inode->mapped;
	fs_unlock(inode->fs);
	return mapped;
}

int data_zero(struct inode *inode, uint64_t from, uint64_t to)
{
	struct fs *fs = inode->fs;
	uint64_t start, end;
	struct map m;
	int err;

	while (from < to) {
		fs_lock(fs);
		err = inode->mapped ? -ENXIO :
			map_next(inode, from >> fs->blockbits, &m);
		fs_unlock(fs);
		if (err)
			return err == -ENXIO ? 0 : err;
		start = m.lblk << fs->blockbits;
		end = start + (m.len << fs->blockbits);
		if (start >= to)
			return 0;
		assert(end > from);
		if (end > to)
			end = to;
		if (m.state == MAP_WRITTEN) {
			if (from < start)
				from = start;
			err = device_zero(fs->dev, (m.pblk << fs->blockbits) +
					  (from - start), end - from);
			if (err)
				return err;
		}
		from = end;
	}
	return 0;
}

int data_runs(struct inode *inode, uint64_t off, uint64_t len,
	      bool written_only, struct data_run *run, uint64_t *covered)
{
	struct fs *fs = inode->fs;
	uint64_t last = (off + len - 1) >> fs->blockbits, skip, n, dev;
	struct map m;
	int nr = 0, err;

	for (*covered = 0; *covered < len; *covered += n) {
		uint64_t lblk = (off + *covered) >> fs->blockbits;

		err = map_lookup(inode, lblk, last - lblk + 1, &m);
		if (err)
			return err;
		if (written_only && m.state != MAP_WRITTEN)
			break;
		skip = off + *covered - (lblk << fs->blockbits);
		n = (m.len << fs->blockbits) - skip;
		if (n > len - *covered)
			n = len - *covered;
		dev = m.state == MAP_WRITTEN ?
			(m.pblk << fs->blockbits) + skip : 0;
		if (nr && (dev ? run[nr - 1].dev &&
			   run[nr - 1].dev + run[nr - 1].len == dev :
			   !run[nr - 1].dev)) {
			run[nr - 1].len += n;
			continue;
		}
		if (nr == DATA_RUNS)
			break;
		run[nr++] = (struct data_run){ .len = n, .dev = dev };
	}
	return nr;
}

static int read_device(struct fs *fs, const struct data_run *run, int nr,
		       uint8_t *buf)
{
	int i, err;

	for (i = 0; i < nr; buf += run[i++].len) {
		if (!run[i].dev) {
			memset(buf, 0, run[i].len);
			continue;
		}
		err = device_read(fs->dev, buf, run[i].len, run[i].dev);
		if (err)
			return err;
	}
	return 0;
}

static int read_check(const struct inode *inode)
{
	if (!S_ISREG(inode->i.mode))
		return S_ISDIR(inode->i.mode) ? -EISDIR : -EINVAL;
	if (inode->mapped)
		return -EIO;
	return inode->i.flags & EXT4_ENCRYPT_FL ? -ENOKEY : 0;
}

/* data_read() with io held. */
static ssize_t read_locked(struct inode *inode, uint8_t *buf, size_t len,
			   uint64_t off)
{
	struct fs *fs = inode->fs;
	struct data_run run[DATA_RUNS];
	uint64_t covered;
	size_t done = 0;
	int nr, err;

	do {
		fs_lock(fs);
		nr = read_check(inode);
		if (nr || off >= inode->i.size) {
			fs_unlock(fs);
			return nr ? nr : (ssize_t)done;
		}
		if (inode_has_inline(inode)) {
			ssize_t n = inline_read(inode, buf, len, off);

			fs_unlock(fs);
			return n;
		}
		if (len > inode->i.size - off)
			len = inode->i.size - off;
		nr = data_runs(inode, off, len, false, run, &covered);
		fs_unlock(fs);
		if (nr < 0)
			return nr;
		err = read_device(fs, run, nr, buf);
		if (err)
			return err;
		buf += covered;
		off += covered;
		len -= covered;
		done += covered;
	} while (len);
	return done;
}

ssize_t data_read(struct inode *inode, void *buf, size_t len, uint64_t off)
{
	ssize_t n;

	if (!len)
		return 0;
	if (len > SSIZE_MAX)
		len = SSIZE_MAX;
	pthread_rwlock_rdlock(&inode->io);
	n = read_locked(inode, buf, len, off);
	pthread_rwlock_unlock(&inode->io);
	return n;
}

static bool before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec ||
		(a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

/* Is atime to be renewed?  Lock held. */
static bool atime_is_stale(struct inode *inode)
{
	const struct inode_core *i = &inode->i;
	struct timespec now;

	if (i->flags & EXT2_NOATIME_FL || !fs_writable(inode->fs))
		return false;
	now = fs_now(inode->fs);
	if (i->atime.tv_sec == now.tv_sec && i->atime.tv_nsec == now.tv_nsec)
		return false;
	return !before(&i->mtime, &i->atime) || !before(&i->ctime, &i->atime) ||
		now.tv_sec - i->atime.tv_sec >= RELATIME_MAX;
}

void data_accessed(struct inode *inode)
{
	struct txn *t;

	fs_lock(inode->fs);
	if (atime_is_stale(inode) && !data_begin_attr(inode, TXN_ATTR, &t)) {
		inode_touch(inode, INODE_ATIME);
		txn_end(t);
	}
	fs_unlock(inode->fs);
}

/*
 * One leg of data_seek(): at most WALK_STEPS lookups from *OFF on.  1: *OFF
 * is the answer (i_size: reached the end); 0: go on at *OFF; -errno.  Lock
 * held.  Unwritten blocks are holes.
 */
static int seek_leg(struct inode *inode, uint64_t *off, bool want_data)
{
	struct fs *fs = inode->fs;
	uint64_t end = inode->i.size, lblk, start;
	struct map m;
	int i, err;

	for (i = 0; i < WALK_STEPS && *off < end; i++) {
		lblk = *off >> fs->blockbits;
		if (want_data) {
			err = map_next(inode, lblk, &m);
			if (err == -ENXIO)
				break;
		} else {
			err = map_lookup(inode, lblk,
					 ((end - 1) >> fs->blockbits) - lblk + 1,
					 &m);
		}
		if (err)
			return err;
		start = m.lblk << fs->blockbits;
		if ((m.state == MAP_WRITTEN) == want_data) {
			if (*off < start)
				*off = start;
			goto found;
		}
		*off = start + (m.len << fs->blockbits);
	}
	if (i == WALK_STEPS && *off < end)
		return 0;
	*off = end;
found:
	if (*off > end)
		*off = end;
	return 1;
}

int64_t data_seek(struct inode *inode, uint64_t off, int whence)
{
	struct fs *fs = inode->fs;
	bool data = whence == SEEK_DATA;
	uint64_t size;
	int r;

	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return -EINVAL;
	pthread_rwlock_rdlock(&inode->io);
	do {
		fs_lock(fs);
		size = inode->i.size;
		if (!S_ISREG(inode->i.mode)) {
			r = -EINVAL;
		} else if (off >= size) {
			r = -ENXIO;
		} else if (inode_has_inline(inode)) {
			if (!data)
				off = size;
			r = 1;
		} else {
			r = seek_leg(inode, &off, data);
		}
		fs_unlock(fs);
	} while (!r);
	if (r > 0 && data && off >= size)
		r = -ENXIO;
	pthread_rwlock_unlock(&inode->io);
	return r < 0 ? r : (int64_t)off;
}

int data_bmap(struct inode *inode, uint64_t lblk, uint64_t *pblk)
{
	struct fs *fs = inode->fs;
	struct map m;
	int err = 0;

	*pblk = 0;
	fs_lock(fs);
	if (!S_ISREG(inode->i.mode) && !S_ISDIR(inode->i.mode)) {
		err = -EINVAL;
	} else if (!inode_has_inline(inode) &&
		   lblk <= map_max_size(inode) >> fs->blockbits) {
		err = map_lookup(inode, lblk, 1, &m);
		if (!err && m.state == MAP_WRITTEN)
			*pblk = m.pblk;
	}
	fs_unlock(fs);
	return err;
}

bool data_is_durable(struct inode *inode)
{
	struct fs *fs = inode->fs;

	if (fs->rdonly)
		return true;
	/* unknown when it changed: see data_fsync() */
	if (!inode->datasync_tid)
		inode->datasync_tid = txn_running(fs);
	return txn_is_durable(fs, inode->datasync_tid);
}

int data_fsync(struct inode *inode, bool datasync)
{
	uint64_t *id = datasync ? &inode->datasync_tid : &inode->sync_tid;
	struct fs *fs = inode->fs;
	uint64_t until;

	if (fs->rdonly && !fs->aborted)
		return 0;
	fs_lock(fs);
	/* unknown when it changed: it came into memory after that */
	if (!*id)
		*id = txn_running(fs);
	until = *id;
	fs_unlock(fs);
	return txn_sync(fs, until);
}
