/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dir.c - listing directories.
 *
 * READDIR and READDIRPLUS are answered here and never reach libfuse: a list
 * starts at any cookie of dir_iterate(), without state between requests.
 * READDIRPLUS has libfuse look up each entry, so that its counts are right
 * (wire_capture_lookup()).
 *
 * Locks: the volume lock while names are collected; not while they are
 * looked up.
 */
#include "ops/ops.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "fs/dir.h"

#define LIST_MAX	(256 * 1024)	/* bytes of one reply */

struct list {
	char *buf;
	size_t used, size;
	bool plus;
};

int op_opendir(const char *path, struct fuse_file_info *fi)
{
	struct inode *inode;
	int err;

	(void)path;
	err = op_inode(NULL, &inode);
	if (!err)
		err = handle_new(inode, fi->flags, fi);
	if (!err)
		fi->cache_readdir = 1;
	return err;
}

static unsigned dtype(uint8_t type)
{
	static const uint8_t types[EXT2_FT_MAX] = {
		[EXT2_FT_UNKNOWN] = DT_UNKNOWN,
		[EXT2_FT_REG_FILE] = DT_REG,
		[EXT2_FT_DIR] = DT_DIR,
		[EXT2_FT_CHRDEV] = DT_CHR,
		[EXT2_FT_BLKDEV] = DT_BLK,
		[EXT2_FT_FIFO] = DT_FIFO,
		[EXT2_FT_SOCK] = DT_SOCK,
		[EXT2_FT_SYMLINK] = DT_LNK,
	};

	return type < EXT2_FT_MAX ? types[type] : DT_UNKNOWN;
}

/* One record; with the entry part left zero in a READDIRPLUS reply. */
static int emit(void *ctx, const char *name, size_t len, uint32_t ino,
		uint8_t type, uint64_t next)
{
	struct list *l = ctx;
	size_t head = l->plus ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET;
	size_t total = FUSE_DIRENT_ALIGN(head + len);
	char *p = l->buf + l->used;
	struct fuse_dirent *d;

	if (total > l->size - l->used)
		return 1;
	memset(p, 0, head);
	d = l->plus ? &((struct fuse_direntplus *)p)->dirent : (void *)p;
	d->ino = ino;
	d->off = next;
	d->namelen = len;
	d->type = dtype(type);
	memcpy(d->name, name, len);
	memset(d->name + len, 0, total - head - len);
	l->used += total;
	return 0;
}

static bool is_dots(const struct fuse_dirent *d)
{
	return d->name[0] == '.' &&
	       (d->namelen == 1 || (d->namelen == 2 && d->name[1] == '.'));
}

/* Fills the entry part; it stays zero (no node) for what cannot be read. */
static void fill_entry(struct request *rq, struct fuse_direntplus *d)
{
	struct inode *inode;

	if (is_dots(&d->dirent) || d->dirent.ino == NODE_ROOT_INO)
		return;
	if (inode_get_unlocked(rq->srv->fs, d->dirent.ino, &inode))
		return;
	rq->inode = inode;
	if (!request_pin(rq)) {
		if (wire_capture_lookup(rq))
			d->entry_out = rq->captured_out;
		nodes_unpin(rq->srv->nodes, rq->entry);
	}
	rq->entry = NULL;
	rq->inode = NULL;
	inode_put_unlocked(inode);
}

static struct fuse_direntplus *record(struct list *l, size_t *pos)
{
	struct fuse_direntplus *d = (void *)(l->buf + *pos);

	*pos += FUSE_DIRENTPLUS_SIZE(d);
	return d;
}

void dir_wire_readdir(struct request *rq)
{
	const struct fuse_read_in *in = rq->body;
	struct list l = {
		.plus = rq->opcode == FUSE_READDIRPLUS,
		.size = in->size < LIST_MAX ? in->size : LIST_MAX,
	};
	struct fuse_direntplus *d;
	struct inode *dir;
	size_t pos;
	int err;

	l.buf = wire_buffer(rq, LIST_MAX);
	err = l.buf ? request_inode(rq, &dir) : -ENOMEM;
	if (!err) {
		fs_lock(dir->fs);
		err = dir_iterate(dir, in->offset, emit, &l);
		fs_unlock(dir->fs);
		if (err > 0)
			err = l.used ? 0 : -EINVAL;
	}
	/* What was read before an error is given out first. */
	if (err && !l.used) {
		wire_reply(rq, err, NULL, 0);
		return;
	}
	if (!in->offset)
		attr_accessed(dir);
	for (pos = 0; l.plus && pos < l.used; )
		fill_entry(rq, record(&l, &pos));
	if (wire_reply(rq, 0, l.buf, l.used) != -ENOENT || !l.plus)
		return;
	for (pos = 0; pos < l.used; ) {
		d = record(&l, &pos);
		if (d->entry_out.nodeid)
			wire_uncount(rq, d->entry_out.nodeid);
	}
}
