/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * file.c - open files: handles, data, allocation, fsync.
 *
 * Unpacks and calls fs/data.h.  With the writeback cache the kernel reads
 * through handles that were opened for writing and gives O_APPEND writes
 * their offset, so a handle's mode and O_APPEND are not looked at here.
 *
 * Locks: the volume lock, around the counts of opens and references.
 */
#include "ops/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "fs/data.h"

/* A handle on INODE in FI.  -ENOMEM. */
int handle_new(struct inode *inode, int flags, struct fuse_file_info *fi)
{
	struct handle *h = calloc(1, sizeof(*h));
	struct server *srv = op_server();
	struct caller who;

	if (!h)
		return -ENOMEM;
	caller_get(&who);
	fs_lock(inode->fs);
	h->inode = inode_hold(inode);
	inode_open(inode);
	h->next = srv->handles;
	if (h->next)
		h->next->prev = h;
	srv->handles = h;
	fs_unlock(inode->fs);
	h->flags = flags;
	h->reserve = who.reserve;
	fi->fh = (uintptr_t)h;
	fi->keep_cache = 1;
	return 0;
}

/* The last close of an unlinked inode deletes it. */
static int handle_free(struct server *srv, struct handle *h)
{
	struct fs *fs = srv->fs;
	int err;

	fs_lock(fs);
	if (h->prev)
		h->prev->next = h->next;
	else
		srv->handles = h->next;
	if (h->next)
		h->next->prev = h->prev;
	fs_unlock(fs);
	err = inode_close(h->inode);
	inode_put_unlocked(h->inode);
	free(h);
	return err;
}

void handles_close_all(struct server *srv)
{
	while (srv->handles)
		handle_free(srv, srv->handles);
}

int op_readlink(const char *path, char *buf, size_t size)
{
	struct inode *inode;
	ssize_t len;
	int err;

	(void)path;
	err = op_inode(NULL, &inode);
	if (err)
		return err;
	len = data_readlink(inode, buf, size);
	if (len < 0)
		return len;
	data_accessed(inode);
	return 0;
}

/* O_TRUNC. */
static int open_truncate(struct inode *inode)
{
	struct request *rq = request_now();
	unsigned flags;
	struct caller who;
	bool strip = false;
	int err;

	caller_get(&who);
	flags = caller_data_flags(&who);
	if (rq->open_flags & FUSE_OPEN_KILL_SUIDGID) {
		flags |= DATA_KILL_SUID;
		fs_lock(inode->fs);
		strip = inode->i.mode & (S_ISUID | S_ISGID);
		fs_unlock(inode->fs);
	}
	err = data_truncate(inode, 0, flags);
	/* The kernel asks for this, but keeps the mode that it knew. */
	if (!err && strip)
		wire_drop_attr(rq);
	return err;
}

int op_open(const char *path, struct fuse_file_info *fi)
{
	struct inode *inode;
	int err;

	(void)path;
	err = op_inode(NULL, &inode);
	if (!err)
		err = may_open(inode, fi->flags);
	if (!err && (fi->flags & O_TRUNC))
		err = open_truncate(inode);
	if (!err)
		err = handle_new(inode, fi->flags, fi);
	return err;
}

int op_read(const char *path, char *buf, size_t len, off_t off,
	    struct fuse_file_info *fi)
{
	struct inode *inode = handle_of(fi)->inode;
	ssize_t done;

	(void)path;
	done = data_read(inode, buf, len, off);
	if (done >= 0 && !(handle_of(fi)->flags & O_NOATIME))
		data_accessed(inode);
	return done;
}

int op_write(const char *path, const char *buf, size_t len, off_t off,
	     struct fuse_file_info *fi)
{
	const struct handle *h = handle_of(fi);
	uint32_t wire_flags = request_now()->write_flags;
	unsigned flags = h->reserve ? DATA_RESERVE : 0;

	(void)path;
	if (wire_flags & FUSE_WRITE_CACHE)
		flags |= DATA_WB;
	else if (h->flags & O_DSYNC)	/* a bit of O_SYNC */
		flags |= DATA_SYNC;
	if (wire_flags & FUSE_WRITE_KILL_SUIDGID)
		flags |= DATA_KILL_SUID;
	return data_write(h->inode, buf, len, off, flags);
}

/* Also of directories. */
int op_release(const char *path, struct fuse_file_info *fi)
{
	(void)path;
	return handle_free(op_server(), handle_of(fi));
}

int op_fsync(const char *path, int datasync, struct fuse_file_info *fi)
{
	struct inode *inode;
	int err;

	(void)path;
	err = op_inode(fi, &inode);
	if (err)
		return err;
	return data_fsync(inode, datasync);
}

int op_fallocate(const char *path, int mode, off_t off, off_t len,
		 struct fuse_file_info *fi)
{
	const struct handle *h = handle_of(fi);

	(void)path;
	if (off < 0 || len <= 0)
		return -EINVAL;
	return data_fallocate(h->inode, mode, off, len,
			      h->reserve ? DATA_RESERVE : 0);
}

off_t op_lseek(const char *path, off_t off, int whence,
	       struct fuse_file_info *fi)
{
	(void)path;
	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return -EINVAL;
	if (off < 0)
		return -ENXIO;
	return data_seek(handle_of(fi)->inode, off, whence);
}

ssize_t op_copy_file_range(const char *path_in, struct fuse_file_info *fi_in,
			   off_t off_in, const char *path_out,
			   struct fuse_file_info *fi_out, off_t off_out,
			   size_t len, int flags)
{
	const struct handle *out = handle_of(fi_out);

	(void)path_in;
	(void)path_out;
	if (flags)
		return -EINVAL;
	return data_copy(handle_of(fi_in)->inode, off_in, out->inode, off_out,
			 len, out->reserve ? DATA_RESERVE : 0);
}

int op_bmap(const char *path, size_t blocksize, uint64_t *blk)
{
	struct inode *inode;
	int err;

	(void)path;
	err = op_inode(NULL, &inode);
	if (err)
		return err;
	if (blocksize != inode->fs->blocksize)
		return -EINVAL;
	return data_bmap(inode, *blk, blk);
}
