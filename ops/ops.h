/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ops.h - what the files of this room share: FUSE operations, handles, and
 * who asks.  The operations are libfuse's (fuse_operations); each finds its
 * inode by op_inode() and never by its path.
 */
#ifndef OPS_OPS_H
#define OPS_OPS_H

#ifndef FUSE_USE_VERSION
#define FUSE_USE_VERSION 314
#endif
#include <fuse.h>
#include <fuse_lowlevel.h>

#include <stdbool.h>
#include <stdint.h>

#include "fs/fs.h"
#include "fs/inode.h"
#include "fs/namei.h"
#include "fuse2fs.h"
#include "ops/wire.h"

/* fi->fh of an open file or directory. */
struct handle {
	struct inode *inode;	/* with a reference */
	struct handle *prev, *next;	/* of srv->handles; volume lock */
	int flags;		/* of open(2) */
	uint64_t blocks;	/* of the inode, as the kernel was last told */
	bool reserve;		/* the opener may use the reserved blocks */
};

static inline struct handle *handle_of(const struct fuse_file_info *fi)
{
	return (struct handle *)(uintptr_t)fi->fh;
}

/* ops.c */
extern const struct fuse_operations ops_table;
/*
 * The inode an operation is about: of the handle if there is one, else of
 * the request.  Valid until the request ends; nothing to put.
 */
int op_inode(const struct fuse_file_info *fi, struct inode **out);
struct server *op_server(void);
struct fs *op_fs(void);

/* caller.c */
void caller_get(struct caller *who);
bool caller_is_root(const struct caller *who);
bool caller_owns(const struct caller *who, struct inode *inode);
/* DATA_RESERVE or 0. */
unsigned caller_data_flags(const struct caller *who);

/*
 * What the kernel cannot check, as it does not know these flags: 0, -EPERM
 * for an immutable inode or a wrong use of an append-only one, -EROFS on a
 * volume that takes no writes.  FLAGS are open(2)'s.
 */
int may_open(struct inode *inode, int flags);

/* attr.c */
/* It was read: sets atime by the mount's options and the relatime rule. */
void attr_accessed(struct inode *inode);
int op_getattr(const char *path, struct stat *st, struct fuse_file_info *fi);
int op_statfs(const char *path, struct statvfs *st);
int op_access(const char *path, int mask);

/* name.c */
int op_mknod(const char *path, mode_t mode, dev_t rdev);
int op_mkdir(const char *path, mode_t mode);
int op_symlink(const char *target, const char *path);
int op_create(const char *path, mode_t mode, struct fuse_file_info *fi);
int op_link(const char *from, const char *to);
int op_unlink(const char *path);
int op_rmdir(const char *path);
int op_rename(const char *from, const char *to, unsigned flags);

/* file.c */
int handle_new(struct inode *inode, int flags, struct fuse_file_info *fi);
/* The same without an open file: keeps an inode that loses its names. */
struct handle *handle_hold(struct server *srv, struct inode *inode);
/* Closes it; the last one of an unlinked inode deletes that.  H may be NULL. */
int handle_drop(struct server *srv, struct handle *h);
/* May the kernel have pages of it that it did not write yet? */
bool file_may_be_dirty(struct inode *inode);
/* Closes what the kernel left open: the connection was cut. */
void handles_close_all(struct server *srv);
/* Gives back what was allocated ahead of writers: nobody writes now. */
void handles_trim_all(struct server *srv);
int op_readlink(const char *path, char *buf, size_t size);
int op_open(const char *path, struct fuse_file_info *fi);
int op_read(const char *path, char *buf, size_t len, off_t off,
	    struct fuse_file_info *fi);
int op_write(const char *path, const char *buf, size_t len, off_t off,
	     struct fuse_file_info *fi);
int op_release(const char *path, struct fuse_file_info *fi);
int op_fsync(const char *path, int datasync, struct fuse_file_info *fi);
int op_fallocate(const char *path, int mode, off_t off, off_t len,
		 struct fuse_file_info *fi);
off_t op_lseek(const char *path, off_t off, int whence,
	       struct fuse_file_info *fi);
ssize_t op_copy_file_range(const char *path_in, struct fuse_file_info *fi_in,
			   off_t off_in, const char *path_out,
			   struct fuse_file_info *fi_out, off_t off_out,
			   size_t len, int flags);
int op_bmap(const char *path, size_t blocksize, uint64_t *blk);

/* dir.c */
int op_opendir(const char *path, struct fuse_file_info *fi);

/* xattr.c */
int op_setxattr(const char *path, const char *name, const char *value,
		size_t size, int flags);
int op_getxattr(const char *path, const char *name, char *value, size_t size);
int op_listxattr(const char *path, char *list, size_t size);
int op_removexattr(const char *path, const char *name);

/* ioctl.c */
int op_ioctl(const char *path, unsigned int cmd, void *arg,
	     struct fuse_file_info *fi, unsigned int flags, void *data);

#endif
