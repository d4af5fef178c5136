/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * namei.c - operations on names: look up, create, link, unlink, rmdir.
 *
 * Knows what an operation on names means: which inodes, link counts, times,
 * inherited attributes and caches it touches, and that all of it is one
 * transaction.  Knows nothing of directory layout (dir.c) and nothing of
 * permissions, apart from the immutable and append-only flags, which the
 * kernel's FUSE does not know.  rename.c has the rest.
 *
 * Takes the volume lock; tries an inode's io lock under it, and never waits
 * for one.
 */
#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "alloc.h"
#include "data.h"
#include "dir.h"
#include "fs.h"
#include "map.h"
#include "namei_internal.h"
#include "orphan.h"
#include "path.h"
#include "xattr.h"
#include "journal/txn.h"

/* What a new inode takes over from its directory. */
#define FLAGS_INHERITED	(EXT2_SECRM_FL | EXT2_UNRM_FL | EXT2_COMPR_FL | \
			 EXT2_SYNC_FL | EXT2_NODUMP_FL | EXT2_NOATIME_FL | \
			 EXT2_NOCOMPR_FL | EXT3_JOURNAL_DATA_FL | \
			 EXT2_NOTAIL_FL | EXT2_DIRSYNC_FL | \
			 EXT4_PROJINHERIT_FL | EXT4_CASEFOLD_FL | FS_DAX_FL)
#define FLAGS_DIR_ONLY	(EXT2_DIRSYNC_FL | EXT2_TOPDIR_FL | \
			 EXT4_CASEFOLD_FL | EXT4_PROJINHERIT_FL)
#define FLAGS_OTHER	(EXT2_NODUMP_FL | EXT2_NOATIME_FL)

bool namei_is_dots(const char *name, size_t len)
{
	return name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.'));
}

int namei_name_ok(const char *name, size_t len)
{
	if (len > EXT2_NAME_LEN)
		return -ENAMETOOLONG;
	if (!len || memchr(name, '/', len) || memchr(name, '\0', len))
		return -EINVAL;
	return 0;
}

int namei_may_change(const struct inode *dir, bool add)
{
	if (!S_ISDIR(dir->i.mode))
		return -ENOTDIR;
	if (!dir->i.links || dir->deleted)
		return -ENOENT;
	if (dir->i.flags & EXT2_IMMUTABLE_FL)
		return -EPERM;
	if (!add && (dir->i.flags & EXT2_APPEND_FL))
		return -EPERM;
	return 0;
}

int namei_may_remove(const struct inode *inode)
{
	return inode->i.flags & (EXT2_IMMUTABLE_FL | EXT2_APPEND_FL) ? -EPERM : 0;
}

int namei_project_ok(const struct inode *dir, const struct inode *inode)
{
	if ((dir->i.flags & EXT4_PROJINHERIT_FL) &&
	    dir->i.projid != inode->i.projid)
		return -EXDEV;
	return 0;
}

int namei_child(struct inode *dir, const char *name, size_t len,
		struct inode **out)
{
	struct fs *fs = dir->fs;
	uint32_t ino;
	int err;

	*out = NULL;
	err = name_lookup(dir, name, len, &ino);
	if (err)
		return err;
	if (namei_is_dots(name, len))
		return inode_get(fs, ino, out);
	if (ino == EXT2_ROOT_INO || ino == dir->ino)
		return fs_corrupt(fs, dir->ino, 0,
				  "entry leads back to directory %u", ino);
	err = inode_get(fs, ino, out);
	if (err == -ESTALE || err == -EINVAL)
		return fs_corrupt(fs, dir->ino, 0,
				  "entry points to inode %u, which is not in use",
				  ino);
	return err;
}

int namei_lookup(struct inode *dir, const char *name, size_t len,
		 struct inode **out)
{
	struct fs *fs = dir->fs;
	int err;

	*out = NULL;
	if (len > EXT2_NAME_LEN)
		return -ENAMETOOLONG;
	if (!len)
		return -ENOENT;
	fs_lock(fs);
	if (!S_ISDIR(dir->i.mode))
		err = -ENOTDIR;
	else if (!dir->i.links || dir->deleted)
		err = -ENOENT;
	else
		err = namei_child(dir, name, len, out);
	fs_unlock(fs);
	return err;
}

/* ---- what operations have in common ---- */

/*
 * Above 65000 subdirectories the count becomes 1, which means "many", where
 * the volume has dir_nlink.
 */
int namei_subdir_room(const struct inode *dir)
{
	if (dir->i.links >= EXT2_LINK_MAX &&
	    !ext2fs_has_feature_dir_nlink(dir->fs->e2->super))
		return -EMLINK;
	return 0;
}

void namei_subdir_added(struct inode *dir)
{
	if (dir->i.links == 1)
		return;
	dir->i.links++;
	if (dir->i.links > EXT2_LINK_MAX)
		dir->i.links = 1;
}

void namei_subdir_gone(struct inode *dir)
{
	if (dir->i.links > 2)
		dir->i.links--;
}

int namei_drop_link(struct txn *t, struct inode *inode, struct namei_done *d)
{
	int err = inode_dirty(t, inode);

	if (err)
		return err;
	if (S_ISDIR(inode->i.mode)) {
		inode->i.links = 0;
		inode->i.size = 0;
	} else {
		inode->i.links--;
	}
	inode_touch(inode, INODE_CTIME);
	if (inode->i.links)
		return 0;

	/* Somebody who holds io may be about to use its blocks. */
	if (!inode->opens && inode_delete_fits(inode) &&
	    !pthread_rwlock_trywrlock(&inode->io)) {
		err = inode_delete(t, inode);
		pthread_rwlock_unlock(&inode->io);
		return err;
	}
	err = orphan_add(t, inode);
	if (!err && !inode->opens)
		d->reap = inode_hold(inode);
	return err;
}

int namei_end(struct txn *t, struct inode *dir, struct namei_done *d, int err)
{
	struct fs *fs = dir->fs;
	bool sync = fs->opt.dirsync || fs->opt.sync ||
		    (dir->i.flags & (EXT2_DIRSYNC_FL | EXT2_SYNC_FL));

	if (!err && sync)
		d->sync = txn_id(t);
	err = txn_stop(t, err);
	if (err && d->reap) {
		inode_put(d->reap);
		d->reap = NULL;
	}
	return err;
}

int namei_finish(struct fs *fs, struct namei_done *d, int err)
{
	if (d->reap) {
		/* If it fails the inode stays an orphan, for the next mount. */
		inode_reap(d->reap);
		inode_put_unlocked(d->reap);
		d->reap = NULL;
	}
	if (!err && d->sync)
		err = txn_sync(fs, d->sync);
	return err;
}

/* ---- making inodes ---- */

static uint32_t inherited_flags(const struct inode *dir, mode_t mode)
{
	uint32_t flags = dir->i.flags & FLAGS_INHERITED;

	if (S_ISDIR(mode))
		return flags;
	if (S_ISREG(mode))
		return flags & ~FLAGS_DIR_ONLY;
	return flags & FLAGS_OTHER;
}

/*
 * Numbers that fit 8:8 bits are stored the old way in the first pointer,
 * others the kernel's new way in the second.
 */
static void set_device(struct inode *inode, dev_t rdev)
{
	unsigned maj = major(rdev), min = minor(rdev);

	if (maj < 256 && min < 256) {
		inode->i.block[0] = htole32(maj << 8 | min);
		inode->i.block[1] = 0;
	} else {
		inode->i.block[0] = 0;
		inode->i.block[1] = htole32((min & 0xff) | maj << 8 |
					    (min & ~0xffU) << 12);
	}
}

static void inherit(struct inode *inode, const struct inode *dir,
		    const struct namei_new *n)
{
	struct inode_core *i = &inode->i;

	i->uid = n->who->uid;
	i->gid = n->who->gid;
	if (dir->i.mode & S_ISGID) {
		i->gid = dir->i.gid;
		if (S_ISDIR(i->mode))
			i->mode |= S_ISGID;
	}
	i->flags |= inherited_flags(dir, i->mode);
	i->projid = 0;
	if ((dir->i.flags & EXT4_PROJINHERIT_FL) &&
	    ext2fs_has_feature_project(dir->fs->e2->super))
		i->projid = dir->i.projid;
	i->links = S_ISDIR(i->mode) ? 2 : 1;
}

static int make_content(struct txn *t, struct inode *dir, struct inode *inode,
			const struct namei_new *n)
{
	switch (inode->i.mode & S_IFMT) {
	case S_IFREG:
		/* Small contents move into the inode at the first write. */
		if (ext2fs_has_feature_extents(dir->fs->e2->super))
			inode->i.flags |= EXT4_EXTENTS_FL;
		map_init(inode);
		return 0;
	case S_IFDIR:
		return dir_init(t, inode, dir->ino);
	case S_IFLNK:
		return data_symlink(t, inode, n->target, strlen(n->target));
	case S_IFCHR:
	case S_IFBLK:
		set_device(inode, n->rdev);
		return 0;
	default:
		return 0;
	}
}

int namei_make(struct txn *t, struct inode *dir, const struct namei_new *n,
	       struct inode **out)
{
	uint32_t ino;
	int err;

	*out = NULL;
	err = inode_alloc(t, dir, n->mode, &ino);
	if (err)
		return err;
	err = inode_new(t, ino, n->mode, out);
	if (err)
		return err;
	inherit(*out, dir, n);
	/* Before the content: inline data takes the room that is left. */
	err = acl_inherit(t, dir, *out, n->who->umask);
	if (err)
		return err;
	return make_content(t, dir, *out, n);
}

static int check_new(struct inode *dir, const char *name, size_t len,
		     const struct namei_new *n)
{
	uint32_t ino;
	int err = namei_may_change(dir, true);

	if (err)
		return err;
	err = name_lookup(dir, name, len, &ino);
	if (err != -ENOENT)
		return err ? err : -EEXIST;
	return S_ISDIR(n->mode) ? namei_subdir_room(dir) : 0;
}

/* Makes the inode and its name in T. */
static int create_in(struct txn *t, struct inode *dir, const char *name,
		     size_t len, const struct namei_new *n, struct inode **out)
{
	int err = check_new(dir, name, len, n);

	if (!err)
		err = namei_make(t, dir, n, out);
	if (!err)
		err = dir_add(t, dir, name, len, (*out)->ino, (*out)->i.mode);
	if (!err)
		err = inode_dirty(t, dir);
	if (err)
		return err;
	if (S_ISDIR(n->mode))
		namei_subdir_added(dir);
	inode_touch(dir, INODE_MTIME | INODE_CTIME);
	return 0;
}

static int create_locked(struct inode *dir, const char *name, size_t len,
			 const struct namei_new *n, struct namei_done *d,
			 struct inode **out)
{
	struct fs *fs = dir->fs;
	struct inode *inode = NULL;
	struct txn *t;
	int err = txn_begin(fs, TXN_CREATE, &t);

	if (err)
		return err;
	err = create_in(t, dir, name, len, n, &inode);
	err = namei_end(t, dir, d, err);
	if (err) {
		if (inode)
			inode_put(inode);
		return err;
	}
	name_enter(fs, dir->ino, name, len, inode->ino);
	*out = inode;
	return 0;
}

/* Checks what the caller asks for, and puts the type into N->mode. */
static int new_mode(const struct fs *fs, struct namei_new *n)
{
	mode_t mode = n->mode;

	if (n->target) {
		if (!n->target[0])
			return -ENOENT;
		if (strlen(n->target) >= fs->blocksize)
			return -ENAMETOOLONG;
		n->mode = S_IFLNK | 0777;
		return 0;
	}
	switch (mode & S_IFMT) {
	case 0:
		n->mode = S_IFREG | (mode & 07777);
		return 0;
	case S_IFDIR:
		n->mode = S_IFDIR | (mode & 01777);
		return 0;
	case S_IFREG:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		n->mode = mode & (S_IFMT | 07777);
		return 0;
	default:
		return -EINVAL;
	}
}

int namei_create(struct inode *dir, const char *name, size_t len, mode_t mode,
		 dev_t rdev, const char *target, const struct caller *who,
		 struct inode **out)
{
	struct namei_new n = {
		.mode = mode, .rdev = rdev, .target = target, .who = who,
	};
	struct namei_done done = { 0 };
	struct fs *fs = dir->fs;
	unsigned tries = 0;
	int err;

	*out = NULL;
	err = namei_name_ok(name, len);
	if (!err && namei_is_dots(name, len))
		err = -EEXIST;
	if (!err)
		err = new_mode(fs, &n);
	if (err)
		return err;
	do {
		fs_lock(fs);
		err = create_locked(dir, name, len, &n, &done, out);
		fs_unlock(fs);
	} while (fs_retry_nospc(fs, err, &tries));
	err = namei_finish(fs, &done, err);
	if (err && *out) {
		inode_put_unlocked(*out);
		*out = NULL;
	}
	return err;
}

/* ---- link ---- */

static int check_link(struct inode *inode, struct inode *dir, const char *name,
		      size_t len)
{
	uint32_t ino;
	int err = namei_may_change(dir, true);

	if (err)
		return err;
	if (S_ISDIR(inode->i.mode) || namei_may_remove(inode))
		return -EPERM;
	if (!inode->i.links || inode->deleted)
		return -ENOENT;
	err = name_lookup(dir, name, len, &ino);
	if (err != -ENOENT)
		return err ? err : -EEXIST;
	if (inode->i.links >= EXT2_LINK_MAX)
		return -EMLINK;
	return namei_project_ok(dir, inode);
}

static int link_in(struct txn *t, struct inode *inode, struct inode *dir,
		   const char *name, size_t len)
{
	int err = check_link(inode, dir, name, len);

	if (!err)
		err = dir_add(t, dir, name, len, inode->ino, inode->i.mode);
	if (!err)
		err = inode_dirty_attr(t, inode);
	if (!err)
		err = inode_dirty(t, dir);
	if (err)
		return err;
	inode->i.links++;
	inode_touch(inode, INODE_CTIME);
	inode_touch(dir, INODE_MTIME | INODE_CTIME);
	return 0;
}

static int link_locked(struct inode *inode, struct inode *dir, const char *name,
		       size_t len, struct namei_done *d)
{
	struct txn *t;
	int err = txn_begin(dir->fs, TXN_LINK, &t);

	if (err)
		return err;
	err = link_in(t, inode, dir, name, len);
	err = namei_end(t, dir, d, err);
	if (!err)
		name_enter(dir->fs, dir->ino, name, len, inode->ino);
	return err;
}

int namei_link(struct inode *inode, struct inode *dir, const char *name,
	       size_t len)
{
	struct namei_done done = { 0 };
	struct fs *fs = dir->fs;
	unsigned tries = 0;
	int err = namei_name_ok(name, len);

	if (!err && namei_is_dots(name, len))
		err = -EEXIST;
	if (err)
		return err;
	do {
		fs_lock(fs);
		err = link_locked(inode, dir, name, len, &done);
		fs_unlock(fs);
	} while (fs_retry_nospc(fs, err, &tries));
	return namei_finish(fs, &done, err);
}

/* ---- unlink, rmdir ---- */

/* May the child VICTIM of DIR go, by unlink or by RMDIR? */
static int check_remove(struct inode *victim, bool rmdir)
{
	int err;

	if (rmdir && !S_ISDIR(victim->i.mode))
		return -ENOTDIR;
	if (!rmdir && S_ISDIR(victim->i.mode))
		return -EISDIR;
	err = namei_may_remove(victim);
	if (err || !rmdir)
		return err;
	err = dir_is_empty(victim);
	return err < 0 ? err : err ? 0 : -ENOTEMPTY;
}

static int remove_in(struct txn *t, struct inode *dir, const char *name,
		     size_t len, bool rmdir, struct namei_done *d,
		     struct inode **victim)
{
	int err = namei_may_change(dir, false);

	if (!err)
		err = namei_child(dir, name, len, victim);
	if (!err)
		err = check_remove(*victim, rmdir);
	if (!err)
		err = dir_remove(t, dir, name, len);
	if (!err)
		err = inode_dirty(t, dir);
	if (err)
		return err;
	if (rmdir)
		namei_subdir_gone(dir);
	inode_touch(dir, INODE_MTIME | INODE_CTIME);
	return namei_drop_link(t, *victim, d);
}

static int remove_locked(struct inode *dir, const char *name, size_t len,
			 bool rmdir, struct namei_done *d)
{
	struct inode *victim = NULL;
	struct fs *fs = dir->fs;
	struct txn *t;
	int err = txn_begin(fs, TXN_UNLINK, &t);

	if (err)
		return err;
	err = remove_in(t, dir, name, len, rmdir, d, &victim);
	err = namei_end(t, dir, d, err);
	if (!err) {
		name_enter(fs, dir->ino, name, len, 0);
		if (rmdir)
			name_drop_dir(fs, victim->ino);
	}
	if (victim)
		inode_put(victim);
	return err;
}

static int remove_name(struct inode *dir, const char *name, size_t len,
		       bool rmdir)
{
	struct namei_done done = { 0 };
	struct fs *fs = dir->fs;
	unsigned tries = 0;
	int err;

	do {
		fs_lock(fs);
		err = remove_locked(dir, name, len, rmdir, &done);
		fs_unlock(fs);
	} while (fs_retry_nospc(fs, err, &tries));
	return namei_finish(fs, &done, err);
}

int namei_unlink(struct inode *dir, const char *name, size_t len)
{
	int err = namei_name_ok(name, len);

	if (!err && namei_is_dots(name, len))
		err = -EISDIR;
	return err ? err : remove_name(dir, name, len, false);
}

int namei_rmdir(struct inode *dir, const char *name, size_t len)
{
	int err = namei_name_ok(name, len);

	if (!err && namei_is_dots(name, len))
		err = len == 1 ? -EINVAL : -ENOTEMPTY;
	return err ? err : remove_name(dir, name, len, true);
}
