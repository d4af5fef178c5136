/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nametest.h - what namei.c, attr.c, xattr.c and acl.c share, beyond
 * datatest.h: operations by path on the open volume, and loop mounts of the
 * closed one.
 */
#ifndef TESTS_UNIT_NAMETEST_H
#define TESTS_UNIT_NAMETEST_H

#include <errno.h>
#include "datatest.h"
#include "fs/attr.h"
#include "fs/path.h"
#include "fs/xattr.h"

static struct caller who = { .reserve = true, .umask = 022 };

/* The inode at PATH with a reference, or NULL. */
UNUSED static struct inode *at(const char *path)
{
	struct inode *inode = NULL;
	int err;

	fs_lock(vol);
	err = path_walk(vol, path, &inode);
	fs_unlock(vol);
	return err ? NULL : inode;
}

UNUSED static void drop(struct inode *inode)
{
	inode_put_unlocked(inode);
}

/* The directory of PATH with a reference, and the last component. */
UNUSED static struct inode *parent(const char *path, const char **name)
{
	char dir[5000];
	const char *slash = strrchr(path, '/');

	snprintf(dir, sizeof(dir), "%.*s", (int)(slash - path), path);
	*name = slash + 1;
	return at(dir);
}

UNUSED static int make(const char *path, mode_t mode, dev_t rdev,
		       const char *target)
{
	struct inode *out = NULL, *dir;
	const char *name;
	int err;

	dir = parent(path, &name);
	if (!dir)
		return -ENOENT;
	err = namei_create(dir, name, strlen(name), mode, rdev, target, &who,
			   &out);
	drop(dir);
	drop(out);
	return err;
}

UNUSED static int make_file(const char *path)
{
	return make(path, S_IFREG | 0644, 0, NULL);
}

UNUSED static int make_dir(const char *path)
{
	return make(path, S_IFDIR | 0755, 0, NULL);
}

UNUSED static int unlink_at(const char *path)
{
	const char *name;
	struct inode *dir = parent(path, &name);
	int err = dir ? namei_unlink(dir, name, strlen(name)) : -ENOENT;

	drop(dir);
	return err;
}

UNUSED static int rmdir_at(const char *path)
{
	const char *name;
	struct inode *dir = parent(path, &name);
	int err = dir ? namei_rmdir(dir, name, strlen(name)) : -ENOENT;

	drop(dir);
	return err;
}

UNUSED static int link_to(const char *from, const char *path)
{
	const char *name;
	struct inode *dir = parent(path, &name), *inode = at(from);
	int err = -ENOENT;

	if (dir && inode)
		err = namei_link(inode, dir, name, strlen(name));
	drop(dir);
	drop(inode);
	return err;
}

UNUSED static int move(const char *from, const char *to, unsigned flags)
{
	const char *oname, *nname;
	struct inode *od = parent(from, &oname), *nd = parent(to, &nname);
	int err = -ENOENT;

	if (od && nd)
		err = namei_rename(od, oname, strlen(oname), nd, nname,
				   strlen(nname), flags, &who);
	drop(od);
	drop(nd);
	return err;
}

UNUSED static struct stat stat_of(const char *path)
{
	struct inode *inode = at(path);
	struct stat st = { 0 };

	if (inode)
		attr_stat(inode, &st);
	drop(inode);
	return st;
}

#define FIXED_FLAGS	(EXT4_EXTENTS_FL | EXT4_INLINE_DATA_FL | EXT2_INDEX_FL)

/* What chattr does: all flags of a user become FLAGS. */
UNUSED static int set_flags(struct inode *inode, uint32_t flags)
{
	uint32_t old;

	attr_get_flags(inode, &old);
	return attr_set_flags(inode, flags | (old & FIXED_FLAGS), true);
}

/* Loop mounts of the closed image; false where there are none. */
UNUSED static bool kernel_mount(const char *options)
{
	return !getuid() &&
	       !run("mkdir -p '%s/k' && mount -o loop,%s '%s' '%s/k' "
		    "2>/dev/null", work, options, image, work);
}

UNUSED static void kernel_umount(void)
{
	run("umount '%s/k'", work);
}

UNUSED static const char *kernel_path(const char *path)
{
	static char buf[6000];

	snprintf(buf, sizeof(buf), "%s/k%s", work, path);
	return buf;
}

#endif
