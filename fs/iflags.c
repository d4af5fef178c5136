/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * iflags.c - the inode's flags, generation and project, as ioctls see them.
 *
 * Knows which flags a user sees and may change, by the kernel's rules, and
 * how FS_XFLAG_* and inode flags correspond.  That the caller owns the inode
 * has been checked before.
 *
 * Takes the volume lock.
 */
#include <errno.h>

#include "attr.h"
#include "dir.h"
#include "fs.h"
#include "inode.h"
#include "path.h"
#include "journal/txn.h"

/* What lsattr shows; inline data, DAX and verity beyond the library's. */
#define FLAGS_VISIBLE	(EXT2_FL_USER_VISIBLE | EXT4_INLINE_DATA_FL | \
			 FS_DAX_FL | EXT4_VERITY_FL)
#define FLAGS_SETTABLE	(EXT2_FL_USER_MODIFIABLE | EXT3_JOURNAL_DATA_FL)
#define FLAGS_DIR_ONLY	(EXT2_DIRSYNC_FL | EXT2_TOPDIR_FL | EXT4_CASEFOLD_FL)
#define FLAGS_OTHER	(EXT2_NODUMP_FL | EXT2_NOATIME_FL)
#define FLAGS_PRIVILEGED (EXT2_IMMUTABLE_FL | EXT2_APPEND_FL | \
			  EXT3_JOURNAL_DATA_FL)

static const struct {
	uint32_t flag, xflag;
} xflag_map[] = {
	{ EXT2_SYNC_FL, FS_XFLAG_SYNC },
	{ EXT2_IMMUTABLE_FL, FS_XFLAG_IMMUTABLE },
	{ EXT2_APPEND_FL, FS_XFLAG_APPEND },
	{ EXT2_NODUMP_FL, FS_XFLAG_NODUMP },
	{ EXT2_NOATIME_FL, FS_XFLAG_NOATIME },
	{ FS_DAX_FL, FS_XFLAG_DAX },
	{ EXT4_PROJINHERIT_FL, FS_XFLAG_PROJINHERIT },
};

#define XFLAGS	(sizeof(xflag_map) / sizeof(xflag_map[0]))

int attr_get_flags(struct inode *inode, uint32_t *flags)
{
	fs_lock(inode->fs);
	*flags = inode->i.flags & FLAGS_VISIBLE;
	fs_unlock(inode->fs);
	return 0;
}

/* Case folding comes and goes with a directory's first name only. */
static int check_casefold(struct inode *inode)
{
	int err;

	if (!ext2fs_has_feature_casefold(inode->fs->e2->super))
		return -EOPNOTSUPP;
	if (!S_ISDIR(inode->i.mode))
		return -ENOTDIR;
	err = dir_is_empty(inode);
	return err < 0 ? err : err ? 0 : -ENOTEMPTY;
}

/* May the inode's flags become FLAGS, which differs only in what is
 * settable at all? */
static int check_flags(struct inode *inode, uint32_t flags, bool privileged)
{
	uint32_t old = inode->i.flags, changed = flags ^ old;
	uint32_t allowed = ~0U;

	if (!S_ISDIR(inode->i.mode))
		allowed = S_ISREG(inode->i.mode) ? ~FLAGS_DIR_ONLY : FLAGS_OTHER;
	if (changed & flags & ~allowed)
		return -EOPNOTSUPP;
	if ((changed & FLAGS_PRIVILEGED) && !privileged)
		return -EPERM;
	/* An immutable inode changes only by ceasing to be one. */
	if ((old & flags & EXT2_IMMUTABLE_FL) && changed)
		return -EPERM;
	if (changed & EXT4_EXTENTS_FL)
		return -EOPNOTSUPP;
	if (changed & EXT4_CASEFOLD_FL)
		return check_casefold(inode);
	return 0;
}

static int check_project(struct inode *inode, uint32_t projid)
{
	struct fs *fs = inode->fs;

	if (projid == inode->i.projid)
		return 0;
	if (!ext2fs_has_feature_project(fs->e2->super))
		return -EOPNOTSUPP;
	if (!inode_includes(EXT2_GOOD_OLD_INODE_SIZE + inode->i.extra_isize,
			    i_projid))
		return -EOVERFLOW;
	if (inode->i.flags & EXT2_IMMUTABLE_FL)
		return -EPERM;
	return 0;
}

static int set_in(struct txn *t, struct inode *inode, uint32_t flags,
		  uint32_t projid, bool privileged)
{
	uint32_t changed = flags ^ inode->i.flags;
	int err = check_flags(inode, flags, privileged);

	if (!err)
		err = check_project(inode, projid);
	if (!err)
		err = inode_dirty_attr(t, inode);
	if (err)
		return err;
	inode->i.flags = flags;
	inode->i.projid = projid;
	inode_touch(inode, INODE_CTIME);
	/* Names that were known not to be there may be, differently spelt. */
	if (changed & EXT4_CASEFOLD_FL)
		name_drop_dir(inode->fs, inode->ino);
	return 0;
}

/* Takes the settable flags in MASK from FLAGS, and PROJID if that is given. */
static int set_flags(struct inode *inode, uint32_t flags, uint32_t mask,
		     const uint32_t *projid, bool privileged)
{
	struct fs *fs = inode->fs;
	uint64_t sync = 0;
	struct txn *t;
	int err;

	fs_lock(fs);
	err = txn_begin(fs, TXN_ATTR, &t);
	if (err)
		goto out;
	flags = (flags & mask) | (inode->i.flags & ~mask);
	err = set_in(t, inode, flags, projid ? *projid : inode->i.projid,
		     privileged);
	if (fs->opt.sync || (inode->i.flags & EXT2_SYNC_FL))
		sync = txn_id(t);
	err = txn_stop(t, err);
out:
	fs_unlock(fs);
	if (!err && sync)
		err = txn_sync(fs, sync);
	return err;
}

int attr_set_flags(struct inode *inode, uint32_t flags, bool privileged)
{
	/* chattr hands back all that it was shown: what cannot be set is
	 * ignored, what was never shown is refused. */
	if (flags & ~FLAGS_VISIBLE)
		return -EOPNOTSUPP;
	return set_flags(inode, flags, FLAGS_SETTABLE, NULL, privileged);
}

int attr_get_version(struct inode *inode, uint32_t *gen)
{
	fs_lock(inode->fs);
	*gen = inode->i.generation;
	fs_unlock(inode->fs);
	return 0;
}

int attr_set_version(struct inode *inode, uint32_t gen)
{
	struct fs *fs = inode->fs;
	struct txn *t;
	int err;

	/* The checksums of all the inode's blocks are seeded with it. */
	if (fs->csum)
		return -ENOTTY;
	fs_lock(fs);
	err = txn_begin(fs, TXN_ATTR, &t);
	if (err)
		goto out;
	err = inode->i.flags & EXT2_IMMUTABLE_FL ? -EPERM : 0;
	if (!err)
		err = inode_dirty_attr(t, inode);
	if (!err) {
		inode->i.generation = gen;
		inode_touch(inode, INODE_CTIME);
	}
	err = txn_stop(t, err);
out:
	fs_unlock(fs);
	return err;
}

int attr_get_fsx(struct inode *inode, struct fsxattr *fsx)
{
	struct fs *fs = inode->fs;
	unsigned k;

	*fsx = (struct fsxattr){ 0 };
	fs_lock(fs);
	for (k = 0; k < XFLAGS; k++)
		if (inode->i.flags & xflag_map[k].flag)
			fsx->fsx_xflags |= xflag_map[k].xflag;
	if (ext2fs_has_feature_project(fs->e2->super))
		fsx->fsx_projid = inode->i.projid;
	fs_unlock(fs);
	return 0;
}

int attr_set_fsx(struct inode *inode, const struct fsxattr *fsx, bool privileged)
{
	uint32_t flags = 0, mask = 0, known = FS_XFLAG_HASATTR;
	unsigned k;

	for (k = 0; k < XFLAGS; k++) {
		known |= xflag_map[k].xflag;
		if (xflag_map[k].flag & FLAGS_SETTABLE)
			mask |= xflag_map[k].flag;
		if (fsx->fsx_xflags & xflag_map[k].xflag)
			flags |= xflag_map[k].flag;
	}
	if (fsx->fsx_xflags & ~known)
		return -EOPNOTSUPP;
	if (fsx->fsx_extsize || fsx->fsx_cowextsize)
		return -EINVAL;
	return set_flags(inode, flags, mask, &fsx->fsx_projid, privileged);
}
