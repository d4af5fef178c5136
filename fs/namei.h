/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * namei.h - operations on names.  Called without any lock; each is one
 * transaction.  Permissions are the caller's business (the kernel checks).
 */
#ifndef FS_NAMEI_H
#define FS_NAMEI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct fs;
struct inode;

/* Who does it, and with what umask. */
struct caller {
	uid_t uid;
	gid_t gid;
	mode_t umask;
	bool reserve;		/* may use the reserved blocks */
	bool fakeroot;
};

/* The child with a reference.  -ENOENT, -ENAMETOOLONG, -ENOTDIR, -ESTALE. */
int namei_lookup(struct inode *dir, const char *name, size_t len,
		 struct inode **out);

/*
 * Creates NAME: regular file, directory, device, fifo, socket, or symlink
 * (TARGET).  Inherits group, setgid, inode flags, project and default ACL as
 * the kernel's ext4 does; applies the umask where there is no default ACL.
 * *OUT has a reference.
 */
int namei_create(struct inode *dir, const char *name, size_t len, mode_t mode,
		 dev_t rdev, const char *target, const struct caller *who,
		 struct inode **out);
int namei_link(struct inode *inode, struct inode *dir, const char *name,
	       size_t len);
int namei_unlink(struct inode *dir, const char *name, size_t len);
int namei_rmdir(struct inode *dir, const char *name, size_t len);
/* FLAGS: RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT. */
int namei_rename(struct inode *odir, const char *oname, size_t olen,
		 struct inode *ndir, const char *nname, size_t nlen,
		 unsigned flags, const struct caller *who);

#endif
