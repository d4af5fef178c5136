/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * data.h - file contents.  Called without any lock; offsets and lengths are
 * bytes.  Reads and writes take inode->io shared, or exclusive where blocks
 * are allocated, freed or moved.
 */
#ifndef FS_DATA_H
#define FS_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct inode;
struct txn;

#define DATA_WB		1	/* from the kernel's page cache: it keeps the times */
#define DATA_RESERVE	2	/* the caller may use the reserve */
#define DATA_KILL_SUID	4	/* strip setuid, setgid and capabilities */
#define DATA_SYNC	8	/* durable on return */

/* Bytes read (short at EOF) or -errno.  Does not touch atime. */
ssize_t data_read(struct inode *inode, void *buf, size_t len, uint64_t off);

/* relatime: atime if it is not after mtime/ctime, or a day old; honours
 * EXT4_NOATIME_FL; nothing on a read-only volume. */
void data_accessed(struct inode *inode);

/* Bytes written (short only if an error follows) or -errno. */
ssize_t data_write(struct inode *inode, const void *buf, size_t len,
		   uint64_t off, unsigned flags);

/* Sets the size; zeroes the tail of the last block; frees what is beyond
 * (also when the size does not change).  Sets mtime and ctime unless
 * DATA_WB. */
int data_truncate(struct inode *inode, uint64_t size, unsigned flags);

/* MODE: FALLOC_FL_* as in fallocate(2). */
int data_fallocate(struct inode *inode, int mode, uint64_t off, uint64_t len,
		   unsigned flags);

/* SEEK_DATA or SEEK_HOLE: the offset, or -ENXIO. */
int64_t data_seek(struct inode *inode, uint64_t off, int whence);

/* Copies without a detour through the caller; bytes copied (maybe fewer). */
ssize_t data_copy(struct inode *in, uint64_t off_in, struct inode *out,
		  uint64_t off_out, size_t len, unsigned flags);

/* All of the target of a symlink, zero-terminated, into BUF of SIZE bytes;
 * its length or -errno. */
ssize_t data_readlink(struct inode *inode, char *buf, size_t size);
/*
 * Stores the target of a new symlink inside T (fast, or one block), with the
 * volume lock.  INODE is dirty in T, its i.uid set; the map is set up here.
 * -ENAMETOOLONG, -ENOSPC...
 */
int data_symlink(struct txn *t, struct inode *inode, const char *target,
		 size_t len);

/* Makes the inode (DATASYNC: only what is needed to read it back) durable,
 * with the directory entry that was made for it. */
int data_fsync(struct inode *inode, bool datasync);

/* bmap(2): the physical block of LBLK, 0 for a hole. */
int data_bmap(struct inode *inode, uint64_t lblk, uint64_t *pblk);

/*
 * inline.c: small regular files live in the inode.  A file becomes inline
 * with its first write, if that fits (so nothing is to be done at creation).
 * inline_to_blocks() moves the contents to a block, in a transaction of its
 * own; io held exclusively, without the volume lock; FLAGS: DATA_RESERVE.
 */
int inline_to_blocks(struct inode *inode, unsigned flags);

#endif
