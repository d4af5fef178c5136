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
#include "fs/freeze.h"
#include "io/device.h"
#include "iomap.h"

static bool for_writing(const struct handle *h)
{
	return (h->flags & O_ACCMODE) != O_RDONLY;
}

struct handle *handle_hold(struct server *srv, struct inode *inode)
{
	struct handle *h = calloc(1, sizeof(*h));

	if (!h)
		return NULL;
	h->flags = O_RDONLY;
	fs_lock(inode->fs);
	h->inode = inode_hold(inode);
	inode_open(inode);
	h->next = srv->handles;
	if (h->next)
		h->next->prev = h;
	srv->handles = h;
	fs_unlock(inode->fs);
	return h;
}

/* A handle on INODE in FI.  -ENOMEM, -ESTALE. */
int handle_new(struct inode *inode, int flags, struct fuse_file_info *fi)
{
	struct server *srv = op_server();
	struct handle *h = handle_hold(srv, inode);
	struct caller who;
	bool gone;

	if (!h)
		return -ENOMEM;
	caller_get(&who);
	fs_lock(inode->fs);
	h->flags = flags;
	h->reserve = who.reserve;
	h->blocks = inode->i.blocks;
	if (for_writing(h))
		inode->writers++;
	gone = inode->deleted;	/* by an unlink, since it was found */
	fs_unlock(inode->fs);
	if (gone) {
		handle_drop(srv, h);
		return -ESTALE;
	}
	__atomic_add_fetch(&srv->open_files, 1, __ATOMIC_SEQ_CST);
	fi->fh = (uintptr_t)h;
	fi->keep_cache = 1;
	return 0;
}

int handle_drop(struct server *srv, struct handle *h)
{
	struct fs *fs = srv->fs;
	bool trim = false;
	int err;

	if (!h)
		return 0;
	fs_lock(fs);
	if (h->prev)
		h->prev->next = h->next;
	else
		srv->handles = h->next;
	if (h->next)
		h->next->prev = h->prev;
	if (for_writing(h))
		trim = !--h->inode->writers && h->inode->mapped;
	fs_unlock(fs);
	if (trim)
		iomap_trim(srv, h->inode);
	err = inode_close(h->inode);
	inode_put_unlocked(h->inode);
	free(h);
	return err;
}

void handles_close_all(struct server *srv)
{
	while (srv->handles)
		handle_drop(srv, srv->handles);
}

/* The next inode after INO that has an open file, held; NULL: none. */
static struct inode *next_open(struct server *srv, uint32_t ino)
{
	struct inode *next = NULL;
	struct handle *h;

	fs_lock(srv->fs);
	for (h = srv->handles; h; h = h->next) {
		if (h->inode->mapped && h->inode->ino > ino &&
		    (!next || h->inode->ino < next->ino))
			next = h->inode;
	}
	if (next)
		inode_hold(next);
	fs_unlock(srv->fs);
	return next;
}

void handles_trim_all(struct server *srv)
{
	struct inode *inode = NULL;
	uint32_t ino = 0;

	while ((inode = next_open(srv, ino))) {
		ino = inode->ino;
		iomap_trim(srv, inode);
		inode_put_unlocked(inode);
	}
}

/*
 * May the kernel have pages of it that we were not given yet?  It writes them
 * before it closes the last handle for writing.
 */
bool file_may_be_dirty(struct inode *inode)
{
	bool dirty;

	if (!request_now()->srv->writeback)
		return false;
	fs_lock(inode->fs);
	/* of a mapped file the kernel has asked for all blocks it writes to */
	dirty = inode->writers && S_ISREG(inode->i.mode) && !inode->mapped;
	fs_unlock(inode->fs);
	return dirty;
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
	attr_accessed(inode);
	return 0;
}

static bool has_set_bits(struct inode *inode)
{
	bool ret;

	fs_lock(inode->fs);
	ret = inode->i.mode & (S_ISUID | S_ISGID);
	fs_unlock(inode->fs);
	return ret;
}

static uint64_t blocks_of(struct inode *inode)
{
	uint64_t blocks;

	fs_lock(inode->fs);
	blocks = inode->i.blocks;
	fs_unlock(inode->fs);
	return blocks;
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
		strip = has_set_bits(inode);
	}
	iomap_layout_lock(rq->srv, inode);
	err = data_truncate(inode, 0, flags);
	iomap_layout_unlock(rq->srv, inode);
	/* The kernel asks for this, but keeps the mode that it knew. */
	if (!err && strip)
		wire_drop_attr(rq, rq->in->nodeid);
	return err;
}

/*
 * Flags for a change that the kernel does not describe: fallocate and
 * copy_file_range.  It leaves it to us to strip setuid and setgid, which
 * nobody but root may keep.  *STRIP: the kernel must be told of it.
 */
static unsigned change_flags(const struct handle *h, bool *strip)
{
	unsigned flags = h->reserve ? DATA_RESERVE : 0;
	struct caller who;

	caller_get(&who);
	*strip = false;
	if (!caller_is_root(&who)) {
		flags |= DATA_KILL_SUID;
		*strip = has_set_bits(h->inode);
	}
	if (op_server()->writeback)
		flags |= DATA_WB;
	return flags;
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
	if (!err && !request_now()->node.mapped)
		iomap_open_classic(op_server(), inode);
	/* see op_getattr(): what the kernel knows of its blocks is too little */
	if (!err && file_may_be_dirty(inode) && !blocks_of(inode))
		wire_drop_attr(request_now(), request_now()->in->nodeid);
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
		attr_accessed(inode);
	return done;
}

/*
 * The kernel takes any answer to a write of its pages that is no error for
 * all of it: so what ended it after DONE bytes is the answer.
 */
static ssize_t write_rest(struct inode *inode, const char *buf, size_t len,
			  off_t off, unsigned flags, ssize_t done)
{
	ssize_t n = done;

	while (n > 0 && (size_t)done < len) {
		n = data_write(inode, buf + done, len - done, off + done,
			       flags);
		done += n;
	}
	if (n < 0)
		return n;
	return (size_t)done < len ? -EIO : done;
}

int op_write(const char *path, const char *buf, size_t len, off_t off,
	     struct fuse_file_info *fi)
{
	const struct handle *h = handle_of(fi);
	struct request *rq = request_now();
	uint32_t wire_flags = rq->write_flags;
	unsigned flags = h->reserve ? DATA_RESERVE : 0;
	ssize_t done;

	(void)path;
	/* With the writeback cache the times are the kernel's, which sends
	 * them: also for a direct write. */
	if (op_server()->writeback)
		flags |= DATA_WB;
	if ((h->flags & O_DSYNC) && !(wire_flags & FUSE_WRITE_CACHE))
		flags |= DATA_SYNC;
	if (wire_flags & FUSE_WRITE_KILL_SUIDGID)
		flags |= DATA_KILL_SUID;
	done = data_write(h->inode, buf, len, off, flags);
	if (wire_flags & FUSE_WRITE_CACHE)
		done = write_rest(h->inode, buf, len, off, flags, done);
	iomap_wrote_classic(op_server());
	return done;
}

/* Also of directories. */
int op_release(const char *path, struct fuse_file_info *fi)
{
	struct server *srv = op_server();
	int err;

	(void)path;
	err = handle_drop(srv, handle_of(fi));
	__atomic_sub_fetch(&srv->open_files, 1, __ATOMIC_SEQ_CST);
	wire_may_end(srv);
	return err;
}

/* A file that the kernel says is closed, and which libfuse does not know. */
static void drop_unknown(struct server *srv, uint64_t fh)
{
	struct handle *h;

	fs_lock(srv->fs);
	for (h = srv->handles; h && (uintptr_t)h != fh; h = h->next)
		;
	fs_unlock(srv->fs);
	if (!h)
		return;
	handle_drop(srv, h);
	__atomic_sub_fetch(&srv->open_files, 1, __ATOMIC_SEQ_CST);
	wire_may_end(srv);
}

/* Whatever is wrong with it: nothing that the kernel closed may stay open, as
 * the end waits for it.  (Of a directory only libfuse knows the handle.) */
void file_wire_release(struct request *rq)
{
	const struct fuse_release_in *in = rq->body;

	if (nodes_find(rq->srv->nodes, rq->in->nodeid, &rq->node)) {
		wire_pass(rq);
		return;
	}
	if (rq->opcode == FUSE_RELEASE)
		drop_unknown(rq->srv, in->fh);
	wire_reply(rq, -ESTALE, NULL, 0);
}

int op_fsync(const char *path, int datasync, struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi);
	struct request *rq = request_now();
	struct inode *inode;
	uint64_t blocks;
	int err;

	(void)path;
	err = op_inode(fi, &inode);
	if (err)
		return err;
	/* what the kernel wrote by itself is perhaps in the device's memory */
	if (rq->node.mapped)
		iomap_wrote(rq->srv);
	err = fs_is_frozen(inode->fs) ? device_sync(inode->fs->dev) :
		data_fsync(inode, datasync);
	/* st_blocks is ours, but until the last close the kernel would not
	 * ask for it */
	if (!h || !file_may_be_dirty(inode))
		return err;
	blocks = blocks_of(inode);
	if (__atomic_exchange_n(&h->blocks, blocks, __ATOMIC_RELAXED) != blocks)
		wire_drop_attr(rq, rq->in->nodeid);
	return err;
}

int op_fallocate(const char *path, int mode, off_t off, off_t len,
		 struct fuse_file_info *fi)
{
	const struct handle *h = handle_of(fi);
	struct request *rq = request_now();
	unsigned flags;
	bool strip;
	int err;

	(void)path;
	if (off < 0 || len <= 0)
		return -EINVAL;
	flags = change_flags(h, &strip);
	iomap_layout_lock(rq->srv, h->inode);
	err = data_fallocate(h->inode, mode, off, len, flags);
	iomap_layout_unlock(rq->srv, h->inode);
	if (!rq->node.mapped)
		iomap_wrote_classic(rq->srv);
	if (!err && strip)
		wire_drop_attr(rq, rq->in->nodeid);
	return err;
}

/* The kernel asks us for data and holes without writing its dirty pages. */
void file_wire_lseek(struct request *rq)
{
	struct inode *inode;
	int err = request_inode(rq, &inode);

	if (err)
		wire_reply(rq, err, NULL, 0);
	else if (!rq->late && rq->srv->writeback && file_may_be_dirty(inode))
		wire_defer(rq);
	else
		wire_pass(rq);
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
	const struct fuse_copy_file_range_in *in = request_now()->body;
	const struct handle *out = handle_of(fi_out);
	unsigned data_flags;
	ssize_t done;
	bool strip;

	(void)path_in;
	(void)path_out;
	if (flags)
		return -EINVAL;
	/* the kernel then copies by itself */
	if (request_now()->node.mapped || request_now()->node2.mapped)
		return -EOPNOTSUPP;
	data_flags = change_flags(out, &strip);
	done = data_copy(handle_of(fi_in)->inode, off_in, out->inode, off_out,
			 len, data_flags);
	iomap_wrote_classic(op_server());
	if (done >= 0 && strip)
		wire_drop_attr(request_now(), in->nodeid_out);
	return done;
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
