/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fileops.c - what is not the page cache: direct I/O, truncate, fallocate,
 * fsync, times, block reports, swap files, freezing.  In the order in which
 * the kernel does them.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "model.h"

#define DIRECT_MAX	(1u << 20)

/* ---- direct I/O ---- */

ssize_t direct_read(struct inode *inode, uint64_t pos, void *buf, size_t len)
{
	struct seen_map m;
	size_t done = 0, n;
	int err = 0;

	pthread_rwlock_rdlock(&inode->io);
	if (pos >= inode->size)
		len = 0;
	else if (len > inode->size - pos)
		len = inode->size - pos;
	if (len)
		err = pages_writeback(inode, pos, len);
	while (!err && done < len) {
		err = map_begin(inode, IOM_OP_DIRECT, pos + done, len - done, &m);
		if (err)
			break;
		n = min_u64(len - done, m.map.offset + m.map.length - pos - done);
		pthread_mutex_lock(&M.lock);
		if (!map_valid(inode, &m) && m.cookie) {
			pthread_mutex_unlock(&M.lock);
			continue;
		}
		map_own(inode, &m.map, pos + done, n, m.layout);
		if (m.map.type == IOM_MAPPED)
			model_image_io(false, m.map.addr + pos + done - m.map.offset,
				       (char *)buf + done, n);
		else
			memset((char *)buf + done, 0, n);
		pthread_mutex_unlock(&M.lock);
		done += n;
	}
	pthread_rwlock_unlock(&inode->io);
	return err && !done ? err : (ssize_t)done;
}

/* One mapping's part: the bytes, and zeroes around them in new blocks. */
static void direct_put(struct inode *inode, uint64_t pos, const uint8_t *buf,
		       size_t n, const struct iom_map *map)
{
	uint64_t addr = map->addr + pos - map->offset;
	uint64_t head = pos % M.block_size, tail;
	bool fresh = map->type == IOM_UNWRITTEN || map->flags & IOM_F_NEW;
	uint8_t *zero = calloc(1, M.block_size), *copy = malloc(n);

	tail = (M.block_size - (pos + n) % M.block_size) % M.block_size;
	memcpy(copy, buf, n);
	if (fresh && head)
		model_image_io(true, addr - head, zero, head);
	model_image_io(true, addr, copy, n);
	if ((fresh || pos + n > inode->size) && tail)
		model_image_io(true, addr + n, zero, tail);
	free(zero);
	free(copy);
}

static int direct_done(struct inode *inode, uint64_t pos, size_t n,
		       const struct iom_map *map)
{
	uint32_t flags = IOM_IOEND_DIRECT;

	if (map->type == IOM_UNWRITTEN)
		flags |= IOM_IOEND_UNWRITTEN;
	if (pos + n > inode->disk_size)
		flags |= IOM_IOEND_APPEND;
	if (M.io_errno)
		return map_ioend(inode, flags, -M.io_errno, pos, 0, map), -M.io_errno;
	if (flags == IOM_IOEND_DIRECT)
		return 0;
	return map_ioend(inode, flags, 0, pos, n, map);
}

ssize_t direct_write(struct inode *inode, uint64_t pos, const void *buf,
		     size_t len, uint32_t opflags)
{
	struct seen_map m;
	size_t done = 0, n;
	int err = 0;

	pthread_rwlock_wrlock(&inode->io);
	if (pos > inode->size)
		err = pages_zero(inode, inode->size, pos - inode->size);
	/* all of it, when EOF's block changes hands */
	if (!err)
		err = pages_writeback(inode, min_u64(pos, inode->size), UINT64_MAX);
	if (!err)
		pages_drop(inode, round_down(min_u64(pos, inode->size), PAGE),
			   UINT64_MAX);
	while (!err && done < len) {
		n = min_u64(len - done, DIRECT_MAX);
		err = map_begin(inode, IOM_OP_DIRECT | IOM_OP_WRITE | opflags,
				pos + done, n, &m);
		if (err)
			break;
		if (m.map.type != IOM_MAPPED && m.map.type != IOM_UNWRITTEN) {
			err = -EIO;	/* reported already */
			break;
		}
		n = min_u64(n, m.map.offset + m.map.length - pos - done);
		pthread_mutex_lock(&M.lock);
		map_own(inode, &m.map, pos + done, n, m.layout);
		if (!M.io_errno)
			direct_put(inode, pos + done, (const uint8_t *)buf + done,
				   n, &m.map);
		pthread_mutex_unlock(&M.lock);
		err = direct_done(inode, pos + done, n, &m.map);
		if (err)
			break;
		done += n;
		pthread_mutex_lock(&M.lock);
		inode->size = max_u64(inode->size, pos + done);
		inode->times_dirty = true;
		pthread_mutex_unlock(&M.lock);
	}
	pthread_rwlock_unlock(&inode->io);
	return err && !done ? err : (ssize_t)done;
}

/* ---- truncate, fallocate ---- */

static void layout_begin(struct inode *inode)
{
	pthread_mutex_lock(&M.lock);
	inode->layout_busy = true;
	inode->layout++;
	pthread_mutex_unlock(&M.lock);
}

static void layout_end(struct inode *inode)
{
	pthread_mutex_lock(&M.lock);
	inode->layout_busy = false;
	inode->layout++;
	pthread_mutex_unlock(&M.lock);
}

static int setattr(struct inode *inode, struct fuse_setattr_in *in,
		   struct fuse_attr_out *out)
{
	size_t len;
	int err = call(FUSE_SETATTR, inode->nodeid, in, sizeof(*in), NULL, 0, out,
		       sizeof(*out), &len);

	if (!err && len != sizeof(*out))
		violation("SETATTR answered with %zu bytes", len);
	return err;
}

static void set_now(struct inode *inode)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	inode->mtime = inode->ctime = now.tv_sec;
	inode->mtimensec = inode->ctimensec = now.tv_nsec;
}

static int set_disk_size(struct inode *inode, uint64_t size,
			 const struct file *file)
{
	struct fuse_setattr_in in = {
		.valid = FATTR_SIZE | FATTR_MTIME | FATTR_CTIME, .size = size,
	};
	struct fuse_attr_out out = { 0 };
	int err;

	set_now(inode);
	in.mtime = inode->mtime;
	in.ctime = inode->ctime;
	in.mtimensec = inode->mtimensec;
	in.ctimensec = inode->ctimensec;
	if (file) {
		in.valid |= FATTR_FH;
		in.fh = file->fh;
	}
	err = setattr(inode, &in, &out);
	if (err)
		return err;
	if (out.attr.size != size)
		violation("SETATTR of size %" PRIu64 " gives %" PRIu64, size,
			  (uint64_t)out.attr.size);
	pthread_mutex_lock(&M.lock);
	inode->disk_size = size;
	map_drop(inode, size, UINT64_MAX);
	pthread_mutex_unlock(&M.lock);
	return 0;
}

int file_truncate(struct inode *inode, uint64_t size, const struct file *file)
{
	uint64_t old, tail;
	int err;

	pthread_rwlock_wrlock(&inode->io);
	old = inode->size;
	if (size > old) {
		err = pages_zero(inode, old, size - old);
	} else {
		tail = min_u64(round_up(size, M.block_size), old);
		err = tail > size ? pages_zero(inode, size, tail - size) : 0;
	}
	if (err)
		goto out;
	pthread_mutex_lock(&M.lock);
	inode->size = size;
	pthread_mutex_unlock(&M.lock);
	pages_zero_tail(inode, size);
	pages_drop(inode, size, UINT64_MAX);
	err = pages_writeback(inode, 0, UINT64_MAX);
	if (err)
		goto out;
	layout_begin(inode);
	pthread_mutex_lock(&M.lock);
	map_disown(inode, (size + M.block_size - 1) / M.block_size, UINT64_MAX);
	pthread_mutex_unlock(&M.lock);
	err = set_disk_size(inode, size, file);
	layout_end(inode);
	/* the kernel would be left with the size that it has set already */
	if (err)
		inode->size = inode->disk_size;
out:
	pthread_rwlock_unlock(&inode->io);
	return err;
}

static int zero_edges(struct inode *inode, uint64_t pos, uint64_t end)
{
	uint64_t first = round_up(pos, M.block_size);
	uint64_t last = round_down(end, M.block_size);
	int err = 0;

	pos = min_u64(pos, inode->size);
	end = min_u64(end, inode->size);
	if (first > last)		/* within one block */
		return end > pos ? pages_zero(inode, pos, end - pos) : 0;
	first = min_u64(first, end);
	last = max_u64(min_u64(last, end), first);
	if (first > pos)
		err = pages_zero(inode, pos, first - pos);
	if (!err && end > last)
		err = pages_zero(inode, last, end - last);
	return err;
}

static int fallocate_locked(struct file *file, int mode, uint64_t pos, uint64_t len)
{
	struct inode *inode = file->inode;
	struct fuse_fallocate_in in = {
		.fh = file->fh, .offset = pos, .length = len, .mode = mode,
	};
	bool zeroing = mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE);
	uint64_t end = pos + len, start = round_down(pos, PAGE), old;
	int err = 0;

	if (zeroing) {
		err = pages_writeback(inode, start, round_up(end, PAGE) - start);
		if (err)
			return err;
		pages_drop(inode, start, round_up(end, PAGE) - start);
	}
	layout_begin(inode);
	if (zeroing) {
		pthread_mutex_lock(&M.lock);
		map_disown(inode, (pos + M.block_size - 1) / M.block_size,
			   end / M.block_size);
		pthread_mutex_unlock(&M.lock);
	}
	err = call(FUSE_FALLOCATE, inode->nodeid, &in, sizeof(in), NULL, 0, NULL,
		   0, NULL);
	pthread_mutex_lock(&M.lock);
	map_drop(inode, pos, len);
	pthread_mutex_unlock(&M.lock);
	layout_end(inode);
	if (err)
		return err;
	pthread_mutex_lock(&M.lock);
	inode->times_dirty = true;
	/* the server has set its size, so an append does not need to */
	if (!(mode & FALLOC_FL_KEEP_SIZE))
		inode->disk_size = max_u64(inode->disk_size, end);
	pthread_mutex_unlock(&M.lock);
	if (zeroing) {
		err = zero_edges(inode, pos, end);
		if (!err)
			err = pages_writeback(inode, start,
					      round_up(end, PAGE) - start);
	}
	old = inode->size;
	if (!err && !(mode & FALLOC_FL_KEEP_SIZE) && end > old) {
		err = pages_zero(inode, old, end - old);
		pthread_mutex_lock(&M.lock);
		inode->size = end;
		pthread_mutex_unlock(&M.lock);
	}
	return err;
}

int file_fallocate(struct file *file, int mode, uint64_t pos, uint64_t len)
{
	int err;

	if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE |
		     FALLOC_FL_ZERO_RANGE))
		return -EOPNOTSUPP;	/* by the kernel */
	pthread_rwlock_wrlock(&file->inode->io);
	err = fallocate_locked(file, mode, pos, len);
	pthread_rwlock_unlock(&file->inode->io);
	return err;
}

/* ---- fsync, times ---- */

int file_push_times(struct inode *inode)
{
	struct fuse_setattr_in in = {
		.valid = FATTR_ATIME | FATTR_MTIME | FATTR_CTIME,
		.atime = inode->atime, .mtime = inode->mtime,
		.ctime = inode->ctime, .atimensec = inode->atimensec,
		.mtimensec = inode->mtimensec, .ctimensec = inode->ctimensec,
	};
	struct fuse_attr_out out = { 0 };
	int err;

	inode->times_dirty = false;
	err = setattr(inode, &in, &out);
	if (!err && (out.attr.mtime != in.mtime || out.attr.ctime != in.ctime ||
		     out.attr.atime != in.atime ||
		     out.attr.mtimensec != in.mtimensec ||
		     out.attr.ctimensec != in.ctimensec ||
		     out.attr.atimensec != in.atimensec))
		violation("inode %" PRIu64 ": times were not stored", inode->ino);
	return err;
}

int file_times(struct inode *inode, int64_t sec, uint32_t nsec)
{
	inode->atime = sec;
	inode->mtime = sec + 1;
	inode->ctime = sec + 2;
	inode->atimensec = nsec;
	inode->mtimensec = nsec ? nsec - 1 : 0;
	inode->ctimensec = nsec ? nsec - 2 : 0;
	return file_push_times(inode);
}

int file_chmod(struct inode *inode, uint32_t mode)
{
	struct fuse_setattr_in in = { .valid = FATTR_MODE, .mode = mode };
	struct fuse_attr_out out;

	return setattr(inode, &in, &out);
}

int file_fsync(struct file *file, bool data_only)
{
	struct inode *inode = file->inode;
	struct fuse_fsync_in in = {
		.fh = file->fh, .fsync_flags = data_only ? FUSE_FSYNC_FDATASYNC : 0,
	};
	int err, wb;

	wb = pages_writeback(inode, 0, UINT64_MAX);
	if (inode->times_dirty) {
		set_now(inode);
		err = file_push_times(inode);
		if (err)
			return err;
	}
	err = call(FUSE_FSYNC, inode->nodeid, &in, sizeof(in), NULL, 0, NULL, 0,
		   NULL);
	inode->wb_error = 0;
	return wb ? wb : err;
}

/* ---- reports ---- */

int file_fiemap(struct inode *inode, struct iom_map *maps, unsigned max)
{
	uint64_t pos = 0, end = M.max_bytes, next;
	struct seen_map m;
	unsigned n = 0;
	bool hole, asked = false;	/* the hole before came from the server */
	int err;

	pthread_rwlock_rdlock(&inode->io);
	err = pages_writeback(inode, 0, UINT64_MAX);
	while (!err && pos < end) {
		err = map_begin(inode, IOM_OP_REPORT, pos, end - pos, &m);
		if (err)
			break;
		hole = m.map.type == IOM_HOLE;
		if (hole && asked && !m.cookie && M.strict)
			violation("inode %" PRIu64 ": two holes in a row, at %" PRIu64,
				  inode->ino, pos);
		asked = hole && !m.cookie;
		next = m.map.offset + m.map.length;
		if (!hole && n < max) {
			/* the mapping may begin before what is looked at */
			m.map.addr += pos - m.map.offset;
			m.map.length = next - pos;
			m.map.offset = pos;
			maps[n] = m.map;
		}
		n += !hole;
		pos = next;
	}
	pthread_rwlock_unlock(&inode->io);
	return err ? err : (int)n;
}

int64_t file_seek(struct inode *inode, uint64_t pos, bool data)
{
	struct seen_map m;
	int err;

	pthread_rwlock_rdlock(&inode->io);
	err = pages_writeback(inode, 0, UINT64_MAX);
	while (!err && pos < inode->size) {
		err = map_begin(inode, IOM_OP_REPORT, pos, inode->size - pos, &m);
		if (err || (m.map.type == IOM_MAPPED) == data)
			break;
		pos = m.map.offset + m.map.length;
	}
	if (!err && pos >= inode->size) {
		pos = inode->size;
		err = data ? -ENXIO : 0;
	}
	pthread_rwlock_unlock(&inode->io);
	return err ? err : (int64_t)pos;
}

int file_swapoff(struct inode *inode, int error)
{
	inode->swap = false;
	return map_ioend(inode, IOM_IOEND_SWAPOFF, error, 0, 0, NULL);
}

int file_swapon(struct inode *inode)
{
	uint64_t pos = 0;
	struct seen_map m;
	int err;

	pthread_rwlock_wrlock(&inode->io);
	err = pages_writeback(inode, 0, UINT64_MAX);
	while (!err && pos < inode->size) {
		err = map_begin(inode, IOM_OP_REPORT | IOM_OP_SWAPFILE, pos,
				inode->size - pos, &m);
		if (err)
			break;
		if (m.map.type == IOM_HOLE ||
		    m.map.flags & (IOM_F_SHARED | IOM_F_DIRTY))
			err = -EINVAL;
		pos = m.map.offset + m.map.length;
	}
	if (err)
		file_swapoff(inode, err);
	else
		inode->swap = true;
	pthread_rwlock_unlock(&inode->io);
	return err;
}

/* ---- the file system ---- */

int fs_syncfs(void)
{
	struct fuse_syncfs_in in = { 0 };
	size_t len;
	int err = call(FUSE_SYNCFS, FUSE_ROOT_ID, &in, sizeof(in), NULL, 0, NULL,
		       0, &len);

	if (!err && len)
		violation("SYNCFS answered with %zu bytes", len);
	return err;
}

int fs_freeze(void)
{
	struct iom_freeze_in in = { 0 };
	unsigned i;

	for (i = 0; i < M.inode_count; i++) {
		struct inode *inode = M.inodes[i];

		if (inode->evicted || !inode->mapped)
			continue;
		pages_writeback(inode, 0, UINT64_MAX);
		in.unlinked += !inode->nlink;
	}
	fs_syncfs();
	return call(IOM_FREEZE, FUSE_ROOT_ID, &in, sizeof(in), NULL, 0, NULL, 0,
		    NULL);
}

int fs_thaw(void)
{
	return call(IOM_UNFREEZE, FUSE_ROOT_ID, NULL, 0, NULL, 0, NULL, 0, NULL);
}
