/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ioctl.c - inode flags, generation, project, label, trim, shutdown.
 *
 * One row per request: how much data it needs, who may, who does it.  The
 * sizes are those that the kernel sent: some requests carry an int although
 * their number says long, so it is never taken from the number.
 *
 * Locks: none here.
 */
#include "ops/ops.h"

#include <errno.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>

#include "fs/attr.h"
#include "fs/freeze.h"

#ifndef EXT4_IOC_SHUTDOWN
#define EXT4_IOC_SHUTDOWN	_IOR('X', 125, uint32_t)
#endif

static int get_flags(struct inode *inode, const struct caller *who, void *data)
{
	uint32_t flags;
	int err = attr_get_flags(inode, &flags);

	(void)who;
	if (!err)
		memcpy(data, &flags, sizeof(flags));
	return err;
}

static int set_flags(struct inode *inode, const struct caller *who, void *data)
{
	uint32_t flags;

	memcpy(&flags, data, sizeof(flags));
	return attr_set_flags(inode, flags, caller_is_root(who));
}

static int get_version(struct inode *inode, const struct caller *who, void *data)
{
	uint32_t gen;
	int err = attr_get_version(inode, &gen);

	(void)who;
	/* Callers have an int for it, although the number says long. */
	request_now()->reply_max = sizeof(gen);
	if (!err)
		memcpy(data, &gen, sizeof(gen));
	return err;
}

static int set_version(struct inode *inode, const struct caller *who, void *data)
{
	uint32_t gen;
	int err;

	(void)who;
	memcpy(&gen, data, sizeof(gen));
	err = attr_set_version(inode, gen);
	if (!err)
		nodes_regenerate(op_server()->nodes, inode->ino, gen);
	return err;
}

static int get_fsx(struct inode *inode, const struct caller *who, void *data)
{
	(void)who;
	return attr_get_fsx(inode, data);
}

static int set_fsx(struct inode *inode, const struct caller *who, void *data)
{
	return attr_set_fsx(inode, data, caller_is_root(who));
}

static int get_label(struct inode *inode, const struct caller *who, void *data)
{
	(void)who;
	return attr_get_label(inode->fs, data);
}

static int set_label(struct inode *inode, const struct caller *who, void *data)
{
	char label[FSLABEL_MAX];

	(void)who;
	memcpy(label, data, sizeof(label));
	if (!memchr(label, 0, sizeof(label)))
		return -EINVAL;
	return attr_set_label(inode->fs, label);
}

static int trim(struct inode *inode, const struct caller *who, void *data)
{
	struct fstrim_range r;
	uint64_t done;
	int err;

	(void)who;
	memcpy(&r, data, sizeof(r));
	err = attr_trim(inode->fs, r.start, r.len, r.minlen, &done);
	if (err)
		return err;
	r.len = done;
	memcpy(data, &r, sizeof(r));
	return 0;
}

static int do_shutdown(struct inode *inode, const struct caller *who, void *data)
{
	(void)who;
	(void)data;
	return attr_shutdown(inode->fs);
}

enum who_may { ANYBODY, OWNER, ROOT };

static const struct {
	unsigned cmd;
	unsigned in, out;	/* least bytes */
	enum who_may who;
	bool writes;
	int (*fn)(struct inode *inode, const struct caller *who, void *data);
} ioctls[] = {
	{ FS_IOC_GETFLAGS, 0, 4, ANYBODY, false, get_flags },
	{ FS_IOC_SETFLAGS, 4, 0, OWNER, true, set_flags },
	{ FS_IOC_GETVERSION, 0, 4, ANYBODY, false, get_version },
	{ FS_IOC_SETVERSION, 4, 0, OWNER, true, set_version },
	{ FS_IOC_FSGETXATTR, 0, sizeof(struct fsxattr), ANYBODY, false, get_fsx },
	{ FS_IOC_FSSETXATTR, sizeof(struct fsxattr), 0, OWNER, true, set_fsx },
	{ FS_IOC_GETFSLABEL, 0, FSLABEL_MAX, ANYBODY, false, get_label },
	{ FS_IOC_SETFSLABEL, FSLABEL_MAX, 0, ROOT, true, set_label },
	{ FITRIM, sizeof(struct fstrim_range), sizeof(struct fstrim_range),
	  ROOT, true, trim },
	{ EXT4_IOC_SHUTDOWN, 0, 0, ROOT, false, do_shutdown },
};

/* DATA holds the larger of the request's in_size and out_size. */
int op_ioctl(const char *path, unsigned int cmd, void *arg,
	     struct fuse_file_info *fi, unsigned int flags, void *data)
{
	struct request *rq = request_now();
	struct inode *inode;
	struct caller who;
	size_t i, n = sizeof(ioctls) / sizeof(ioctls[0]);
	int err;

	(void)path;
	(void)arg;
	if (flags & FUSE_IOCTL_COMPAT)
		return -ENOTTY;
	for (i = 0; i < n && ioctls[i].cmd != cmd; i++)
		;
	if (i == n)
		return -ENOTTY;
	if (rq->in_size < ioctls[i].in || rq->out_size < ioctls[i].out)
		return -EINVAL;
	err = op_inode(fi, &inode);
	if (err)
		return err;
	caller_get(&who);
	if ((ioctls[i].who == ROOT && !caller_is_root(&who)) ||
	    (ioctls[i].who == OWNER && !caller_owns(&who, inode)))
		return -EPERM;
	if (ioctls[i].writes && !fs_writable(inode->fs))
		return -EROFS;
	/* of these the kernel does not know that they write */
	if (ioctls[i].writes && fs_is_frozen(inode->fs))
		return -EBUSY;
	if (rq->out_size > rq->in_size && data)
		memset((char *)data + rq->in_size, 0,
		       rq->out_size - rq->in_size);
	err = ioctls[i].fn(inode, &who, data);
	if (!err && ioctls[i].writes)
		wire_drop_attr(rq, rq->in->nodeid);	/* ctime */
	return err;
}
