/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xattr.h - extended attributes: in the inode, in the shared block, in EA
 * inodes; and POSIX ACLs (acl.c).
 */
#ifndef FS_XATTR_H
#define FS_XATTR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct fs;
struct inode;
struct txn;

/* Has the volume attributes at all? */
bool xattr_supported(const struct fs *fs);

/*
 * By full name ("user.x"), without any lock; each change is a transaction.
 * SIZE 0 asks for the size.  ACL values are in the kernel's xattr form (version 2) here
 * and in the compact form on disk.  -ENODATA, -ERANGE, -EEXIST, -ENOSPC,
 * -EOPNOTSUPP (namespace unknown, or no ext_attr feature), -E2BIG,
 * -EPERM (immutable; user. on what is no file or directory)...
 */
ssize_t xattr_get(struct inode *inode, const char *name, void *buf, size_t size);
int xattr_set(struct inode *inode, const char *name, const void *value,
	      size_t size, int flags);
ssize_t xattr_list(struct inode *inode, char *buf, size_t size);
int xattr_remove(struct inode *inode, const char *name);

/* The same inside T with the volume lock; INDEX is EXT4_XATTR_INDEX_*, NAME
 * without its prefix; VALUE as on disk.  VALUE NULL removes (-ENODATA). */
int xattr_set_in(struct txn *t, struct inode *inode, int index,
		 const char *name, const void *value, size_t size);
/* Length, or -ENODATA; copies at most SIZE bytes. */
ssize_t xattr_get_in(struct inode *inode, int index, const char *name,
		     void *buf, size_t size);

/*
 * Releases everything (deletion of the inode): block refcount, EA inodes.
 * Where the volume has ea_inode it may return 1: T has no credits left, call
 * again in a new one.
 */
int xattr_drop_all(struct txn *t, struct inode *inode);

/* Removes security.capability; setuid and setgid as chown/write do.  Inside
 * T, inode dirty. */
int inode_kill_privs(struct txn *t, struct inode *inode);

/*
 * system.data, the part of inline data that does not fit i_block.  Only ever
 * in the inode.  _max(): the most bytes that _set() could store now.
 */
ssize_t xattr_inline_get(struct inode *inode, void *buf, size_t size);
int xattr_inline_set(struct txn *t, struct inode *inode, const void *data,
		     size_t size);
int xattr_inline_remove(struct txn *t, struct inode *inode);
size_t xattr_inline_max(struct inode *inode);

/*
 * acl.c: inheritance.  Called when INODE was just made in T below DIR, with
 * i.mode as asked for: computes the mode (default ACL, or the umask) and
 * stores the ACLs inherited.
 */
int acl_inherit(struct txn *t, struct inode *dir, struct inode *inode,
		uint16_t umask);
/* chmod: keeps the access ACL in step with i.mode (already set). */
int acl_chmod(struct txn *t, struct inode *inode);
/* Setting an access ACL may change the mode: xattr_set() calls it. */

#endif
