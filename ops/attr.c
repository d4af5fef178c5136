/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * attr.c - attributes of files and of the volume.
 *
 * SETATTR is taken whole from the wire, as one change: libfuse would split
 * it, and drop ctime and the request to strip setuid.  Its answer is that of
 * a GETATTR, which libfuse gives.
 *
 * Locks: none here.
 */
#include "ops/wire_internal.h"

#include <errno.h>
#include <linux/stat.h>
#include <unistd.h>

#include "fs/attr.h"
#include "fs/data.h"
#include "fs/freeze.h"
#include "iomap.h"

void attr_accessed(struct inode *inode)
{
	const struct options *o = &request_now()->srv->opt;

	/* An inode's type never changes. */
	if (!fs_is_frozen(inode->fs) && !o->noatime && !(o->nodiratime && S_ISDIR(inode->i.mode)))
		data_accessed(inode);
}

int op_getattr(const char *path, struct stat *st, struct fuse_file_info *fi)
{
	struct inode *inode;
	int err;

	(void)path;
	err = op_inode(fi, &inode);
	if (err)
		return err;
	attr_stat(inode, st);
	/* A file of no blocks is all hole to tar and cp. */
	if (!st->st_blocks && file_may_be_dirty(inode))
		st->st_blocks = st->st_blksize / 512;
	return 0;
}

int op_statfs(const char *path, struct statvfs *st)
{
	(void)path;
	return attr_statfs(op_fs(), st);
}

/* Asked only where the kernel checks nothing: everybody may, as root. */
int op_access(const char *path, int mask)
{
	struct inode *inode;
	struct stat st;
	int err;

	(void)path;
	err = op_inode(NULL, &inode);
	if (err)
		return err;
	if ((mask & W_OK) && !fs_writable(inode->fs))
		return -EROFS;
	attr_stat(inode, &st);
	if ((mask & X_OK) && S_ISREG(st.st_mode) && !(st.st_mode & 0111))
		return -EACCES;
	return 0;
}

static const struct {
	uint32_t fattr;
	unsigned attr;
} valid_map[] = {
	{ FATTR_MODE, ATTR_MODE },
	{ FATTR_UID, ATTR_UID },
	{ FATTR_GID, ATTR_GID },
	{ FATTR_SIZE, ATTR_SIZE },
	{ FATTR_ATIME, ATTR_ATIME },
	{ FATTR_MTIME, ATTR_MTIME },
	{ FATTR_ATIME_NOW, ATTR_ATIME_NOW },
	{ FATTR_MTIME_NOW, ATTR_MTIME_NOW },
	{ FATTR_CTIME, ATTR_CTIME },
	{ FATTR_KILL_SUIDGID, ATTR_KILL_SUID },
};

static void decode_change(const struct fuse_setattr_in *in,
			  struct attr_change *c)
{
	struct caller who;
	size_t i;

	caller_get(&who);
	*c = (struct attr_change){
		.mode = in->mode & 07777,
		.uid = in->uid,
		.gid = in->gid,
		.size = in->size,
		.atime = { .tv_sec = in->atime, .tv_nsec = in->atimensec },
		.mtime = { .tv_sec = in->mtime, .tv_nsec = in->mtimensec },
		.ctime = { .tv_sec = in->ctime, .tv_nsec = in->ctimensec },
		.reserve = who.reserve,
	};
	for (i = 0; i < sizeof(valid_map) / sizeof(valid_map[0]); i++) {
		if (in->valid & valid_map[i].fattr)
			c->valid |= valid_map[i].attr;
	}
}

/*
 * After an unlink or rename the writeback cache sends the times of the file
 * that is gone.  An error would be remembered, and be the result of the next
 * syncfs(2).
 */
static void reply_gone(struct request *rq)
{
	struct fuse_attr_out out = {
		.attr = { .ino = rq->node.ino, .mode = S_IFREG, .blksize = 512 },
	};

	wire_reply(rq, 0, &out, sizeof(out));
}

static int set(struct request *rq, struct inode *inode,
	       const struct attr_change *c)
{
	int err;

	if (!(c->valid & ATTR_SIZE))
		return attr_set(inode, c);
	/* the rest of its last block is zeroed, in a page of the device */
	if (!rq->node.mapped)
		iomap_open_classic(rq->srv, inode);
	iomap_layout_lock(rq->srv, inode);
	err = attr_set(inode, c);
	iomap_layout_unlock(rq->srv, inode);
	if (!rq->node.mapped)
		iomap_wrote_classic(rq->srv);	/* the end of a block */
	return err;
}

void attr_wire_setattr(struct request *rq)
{
	const struct fuse_getattr_in getattr = { .getattr_flags = 0 };
	struct attr_change c;
	struct inode *inode;
	int err;

	decode_change(rq->body, &c);
	err = request_inode(rq, &inode);
	if (!err)
		err = set(rq, inode, &c);
	if (err == -ESTALE && !(c.valid & ~(unsigned)(ATTR_MTIME | ATTR_CTIME)))
		reply_gone(rq);
	else if (err)
		wire_reply(rq, err, NULL, 0);
	else
		wire_pass_body(rq, FUSE_GETATTR, &getattr, sizeof(getattr));
}

/* ---- STATX ---- */

/* Its body begins as GETATTR's.  libfuse's answer to that has what the mount
 * options make of owners and modes; hook_writev() has it extended. */
void attr_wire_statx(struct request *rq)
{
	wire_pass_body(rq, FUSE_GETATTR, rq->body,
		       sizeof(struct fuse_getattr_in));
}

_Static_assert(sizeof(struct fuse_getattr_in) == 16 &&
	       offsetof(struct iom_statx_in, fh) ==
	       offsetof(struct fuse_getattr_in, fh), "the same beginning");

static struct iom_time statx_time(uint64_t sec, uint32_t nsec)
{
	return (struct iom_time){ .sec = sec, .nsec = nsec };
}

/* As the kernel packs it in 32 bits. */
static void statx_rdev(struct iom_statx *sx, uint32_t rdev)
{
	sx->rdev_major = (rdev & 0xfff00) >> 8;
	sx->rdev_minor = (rdev & 0xff) | ((rdev >> 12) & 0xfff00);
}

static const struct {
	uint32_t flag;
	uint64_t attribute;
} statx_attributes[] = {
	{ EXT2_COMPR_FL, STATX_ATTR_COMPRESSED },
	{ EXT2_IMMUTABLE_FL, STATX_ATTR_IMMUTABLE },
	{ EXT2_APPEND_FL, STATX_ATTR_APPEND },
	{ EXT2_NODUMP_FL, STATX_ATTR_NODUMP },
	{ EXT4_ENCRYPT_FL, STATX_ATTR_ENCRYPTED },
	{ EXT4_VERITY_FL, STATX_ATTR_VERITY },
};

/* Of the bytes after the old 128. */
#define CRTIME_END \
	(offsetof(struct ext2_inode_large, i_crtime) + sizeof(uint32_t) - \
	 EXT2_GOOD_OLD_INODE_SIZE)

/* What GETATTR does not have. */
static void statx_more(struct request *rq, struct inode *inode,
		       struct iom_statx *sx)
{
	struct fs *fs = inode->fs;
	uint32_t flags;
	bool mapped;
	size_t i;

	fs_lock(fs);
	flags = inode->i.flags;
	mapped = inode->mapped;
	if (fs->inode_size > EXT2_GOOD_OLD_INODE_SIZE &&
	    inode->i.extra_isize >= CRTIME_END) {
		sx->mask |= STATX_BTIME;
		sx->btime = statx_time(inode->i.crtime.tv_sec,
				       inode->i.crtime.tv_nsec);
	}
	fs_unlock(fs);
	for (i = 0; i < sizeof(statx_attributes) / sizeof(statx_attributes[0]);
	     i++) {
		sx->attributes_mask |= statx_attributes[i].attribute;
		if (flags & statx_attributes[i].flag)
			sx->attributes |= statx_attributes[i].attribute;
	}
	if (mapped)
		iomap_statx(rq->srv, sx);
}

void attr_statx(struct request *rq, struct fuse_out_header *out,
		struct iovec *iov, struct iom_statx_out *sx)
{
	const struct fuse_attr_out *in = iov->iov_base;
	const struct iom_statx_in *body = rq->body;
	const struct fuse_attr *a = &in->attr;
	struct fuse_file_info fi = { .fh = body->fh };
	struct inode *inode;

	if (iov->iov_len < sizeof(*in))
		return;
	*sx = (struct iom_statx_out){
		.attr_valid = in->attr_valid,
		.attr_valid_nsec = in->attr_valid_nsec,
		.stat = {
			.mask = STATX_BASIC_STATS, .blksize = a->blksize,
			.nlink = a->nlink, .uid = a->uid, .gid = a->gid,
			.mode = a->mode, .ino = a->ino, .size = a->size,
			.blocks = a->blocks,
			.atime = statx_time(a->atime, a->atimensec),
			.mtime = statx_time(a->mtime, a->mtimensec),
			.ctime = statx_time(a->ctime, a->ctimensec),
		},
	};
	statx_rdev(&sx->stat, a->rdev);
	if (!op_inode((body->getattr_flags & FUSE_GETATTR_FH) ? &fi : NULL,
		      &inode))
		statx_more(rq, inode, &sx->stat);
	iov->iov_base = sx;
	out->len += sizeof(*sx) - iov->iov_len;
	iov->iov_len = sizeof(*sx);
}
