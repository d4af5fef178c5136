/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * attr.h - attributes of inodes and of the volume.  Called without any lock.
 */
#ifndef FS_ATTR_H
#define FS_ATTR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <linux/fs.h>		/* struct fsxattr, FS_IOC_* */

struct fs;
struct inode;

void attr_stat(struct inode *inode, struct stat *st);

#define ATTR_MODE	0x001
#define ATTR_UID	0x002
#define ATTR_GID	0x004
#define ATTR_SIZE	0x008
#define ATTR_ATIME	0x010	/* to .atime; with _NOW to the present */
#define ATTR_MTIME	0x020
#define ATTR_CTIME	0x040	/* verbatim; else it is set to now */
#define ATTR_ATIME_NOW	0x100
#define ATTR_MTIME_NOW	0x200
#define ATTR_KILL_SUID	0x400	/* strip setuid, setgid, capabilities */

struct attr_change {
	unsigned valid;
	mode_t mode;			/* low 12 bits */
	uid_t uid;
	gid_t gid;
	uint64_t size;
	struct timespec atime, mtime, ctime;
	bool reserve;			/* caller may use the reserve (size) */
};

/* All of it, in one transaction (a long truncate in pieces, first). */
int attr_set(struct inode *inode, const struct attr_change *c);

int attr_statfs(struct fs *fs, struct statvfs *st);

/* ioctls.  PRIVILEGED: caller is root (or fakeroot).  OWNER: owns the inode. */
int attr_get_flags(struct inode *inode, uint32_t *flags);
int attr_set_flags(struct inode *inode, uint32_t flags, bool privileged);
int attr_get_version(struct inode *inode, uint32_t *gen);
int attr_set_version(struct inode *inode, uint32_t gen);
int attr_get_fsx(struct inode *inode, struct fsxattr *fsx);
int attr_set_fsx(struct inode *inode, const struct fsxattr *fsx, bool privileged);
int attr_get_label(struct fs *fs, char label[FSLABEL_MAX]);
int attr_set_label(struct fs *fs, const char *label);
void attr_get_uuid(struct fs *fs, uint8_t uuid[16]);
int attr_trim(struct fs *fs, uint64_t start, uint64_t len, uint64_t minlen,
	      uint64_t *done);			/* bytes */
int attr_shutdown(struct fs *fs);

#endif
