/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * caller.c - who asks, and may they?
 *
 * The kernel has checked modes, owners and ACLs (default_permissions), or
 * nobody does (fakeroot).  What is left is what the kernel does not know:
 * the reserved blocks, and the immutable and append-only flags.
 *
 * Takes the volume lock to read an inode's flags.
 */
#include "ops/ops.h"

#include <errno.h>
#include <fcntl.h>

#include "fs/data.h"

void caller_get(struct caller *who)
{
	const struct request *rq = request_now();
	const struct ext2_super_block *sb = rq->srv->fs->e2->super;

	who->uid = rq->in->uid;
	who->gid = rq->in->gid;
	who->umask = rq->umask;
	who->fakeroot = rq->srv->opt.fs.fakeroot;
	/* These two are set by tune2fs only, so the library's copy will do. */
	who->reserve = caller_is_root(who) || who->uid == sb->s_def_resuid ||
		       (sb->s_def_resgid && who->gid == sb->s_def_resgid);
}

bool caller_is_root(const struct caller *who)
{
	return !who->uid || who->fakeroot;
}

bool caller_owns(const struct caller *who, struct inode *inode)
{
	bool owns;

	if (caller_is_root(who))
		return true;
	fs_lock(inode->fs);
	owns = inode->i.uid == who->uid;
	fs_unlock(inode->fs);
	return owns;
}

unsigned caller_data_flags(const struct caller *who)
{
	return who->reserve ? DATA_RESERVE : 0;
}

static uint32_t inode_flags(struct inode *inode)
{
	uint32_t flags;

	fs_lock(inode->fs);
	flags = inode->i.flags;
	fs_unlock(inode->fs);
	return flags;
}

int may_open(struct inode *inode, int flags)
{
	uint32_t iflags;

	if ((flags & O_ACCMODE) == O_RDONLY && !(flags & O_TRUNC))
		return 0;
	if (!fs_writable(inode->fs))
		return -EROFS;
	iflags = inode_flags(inode);
	if (iflags & EXT2_IMMUTABLE_FL)
		return -EPERM;
	if ((iflags & EXT2_APPEND_FL) &&
	    (!(flags & O_APPEND) || (flags & O_TRUNC)))
		return -EPERM;
	return 0;
}
