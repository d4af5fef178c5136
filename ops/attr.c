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
#include "ops/ops.h"

#include <errno.h>
#include <unistd.h>

#include "fs/attr.h"
#include "fs/data.h"

void attr_accessed(struct inode *inode)
{
	const struct options *o = &request_now()->srv->opt;

	/* An inode's type never changes. */
	if (!o->noatime && !(o->nodiratime && S_ISDIR(inode->i.mode)))
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

void attr_wire_setattr(struct request *rq)
{
	const struct fuse_getattr_in getattr = { .getattr_flags = 0 };
	struct attr_change c;
	struct inode *inode;
	int err;

	decode_change(rq->body, &c);
	err = request_inode(rq, &inode);
	if (!err)
		err = attr_set(inode, &c);
	if (err == -ESTALE && !(c.valid & ~(unsigned)(ATTR_MTIME | ATTR_CTIME)))
		reply_gone(rq);
	else if (err)
		wire_reply(rq, err, NULL, 0);
	else
		wire_pass_body(rq, FUSE_GETATTR, &getattr, sizeof(getattr));
}
