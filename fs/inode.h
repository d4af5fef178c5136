/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inode.h - inodes: one copy in memory per inode number.
 *
 * struct inode_core is the inode in host form.  inode.c alone translates it
 * from and to the disk.  To change an inode: inode_dirty() first (it saves
 * the pre-image and makes the inode table block writable), then change the
 * core (or body); txn_end() encodes it into its block with its checksum.
 */
#ifndef FS_INODE_H
#define FS_INODE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

struct buf;
struct fs;
struct txn;

struct inode_core {
	uint16_t mode;
	uint32_t uid, gid, projid;
	uint32_t links;
	uint32_t flags;			/* EXT4_*_FL */
	uint32_t generation;
	uint64_t size;			/* bytes */
	uint64_t blocks;		/* in file system blocks (clusters counted in
					 * blocks); encoding in 512-byte units or
					 * huge_file blocks is inode.c's */
	uint64_t file_acl;		/* xattr block */
	uint64_t version;		/* i_version */
	uint32_t dtime;			/* deletion time or next orphan */
	uint16_t extra_isize;
	struct timespec atime, mtime, ctime, crtime;
	uint32_t block[15];		/* i_block as on disk (disk byte order):
					 * extent root, indirect pointers, inline
					 * data, fast symlink, device numbers */
};

struct inode {
	struct fs *fs;
	uint32_t ino;
	struct inode_core i;
	pthread_rwlock_t io;		/* lock order: see fs.h */
	unsigned refs;			/* inode_get() minus inode_put() */
	unsigned opens;			/* handles; at links 0 and opens 0 it is
					 * deleted */
	unsigned writers;		/* handles open for writing (ops/file.c) */
	/*
	 * mapping.c.  mapped: the kernel moves this file's data, nobody here
	 * may touch its data blocks (set under the volume lock while nobody
	 * has the file open, and not taken back before it is forgotten).
	 */
	unsigned mapped:1;
	unsigned swap:1;		/* a swap file: the layout stays */
	unsigned ahead:1;		/* what is beyond i_size goes at the last
					 * close; it is an orphan until then */
	unsigned stream_alone:1;	/* nothing is beyond i_size but what
					 * mapping_alloc() put there */
	uint64_t stream_next;		/* block where a stream would go on; 0 */
	uint64_t sync_tid;		/* last transaction that changed it */
	uint64_t datasync_tid;		/* ... in a way fdatasync cares about */
	uint64_t goal;			/* next physical block to try, or 0 */
	uint32_t last_lblk;
	uint32_t next_orphan, prev_orphan;	/* orphan.c, in memory only */
	unsigned orphan:1, deleted:1;
	uint32_t orphan_slot;		/* orphan.c: place in the orphan file */
	uint32_t dir_hint;		/* dir.c: block where an insert fitted */
	/* inode.c's own */
	struct inode *hash_next, *lru_prev, *lru_next, *dirty_next;
	uint64_t handle_id;
	unsigned hashed:1, on_lru:1;
	unsigned made:1;		/* by inode_new() in the handle */
	unsigned data_dirty:1;		/* in the handle, beyond times */
	unsigned free_told:1;		/* on_inode_freed was called */
	struct buf *itable;		/* its block, held from inode_dirty() to
					 * the end of the handle */
	/*
	 * fs->inode_size bytes: the inode as on disk.  Bytes from
	 * 128 + extra_isize on are the in-inode xattr area, edited in place
	 * by xattr.c (after inode_dirty()).
	 */
	uint8_t body[];
};

/* All of these need the volume lock unless they say otherwise. */

/*
 * The inode INO with a reference.  -ESTALE if it is not in use (links 0 and
 * not open, or never made), -EFSCORRUPTED, -EFSBADCRC, -EIO, -EINVAL (number
 * out of range or reserved).
 */
int inode_get(struct fs *fs, uint32_t ino, struct inode **out);
/* The same for an inode with links 0 (orphans) and reserved ones. */
int inode_get_any(struct fs *fs, uint32_t ino, struct inode **out);
void inode_put(struct inode *inode);
struct inode *inode_hold(struct inode *inode);
/* The inode if it is in memory, else NULL; no reference. */
struct inode *inode_peek(struct fs *fs, uint32_t ino);

/* Convenience for callers outside the lock. */
int inode_get_unlocked(struct fs *fs, uint32_t ino, struct inode **out);
void inode_put_unlocked(struct inode *inode);

/*
 * A new inode in memory for the number INO just allocated in T: zeroed body,
 * extra_isize, generation and times set; already dirty in T.  The caller
 * fills the rest.
 */
int inode_new(struct txn *t, uint32_t ino, uint16_t mode, struct inode **out);

/* See above.  -ENOMEM, -EIO; -ESTALE if it was deleted before this handle. */
int inode_dirty(struct txn *t, struct inode *inode);
/* The same for a change that fdatasync need not wait for (times, links...). */
int inode_dirty_attr(struct txn *t, struct inode *inode);
/* Called by txn.c at the end of a handle, for its dirty inodes. */
void inode_flush_handle(struct txn *t, bool aborted);

/* Sets times to now; which: INODE_*TIME.  Inode already dirty in T. */
#define INODE_ATIME	1
#define INODE_MTIME	2
#define INODE_CTIME	4	/* also bumps i_version */
void inode_touch(struct inode *inode, unsigned which);

/* i_blocks += delta (in blocks).  Inode already dirty in T. */
void inode_add_blocks(struct inode *inode, int64_t delta);

/* A handle more or less.  inode_close() may delete the inode: it is called
 * WITHOUT the volume lock and without io. */
void inode_open(struct inode *inode);
int inode_close(struct inode *inode);

/*
 * Group of the inode, and the first block of that group: the default goal
 * for its blocks.
 */
uint32_t inode_group(const struct fs *fs, uint32_t ino);
uint64_t inode_goal(const struct inode *inode);

/* crc32c seed of everything that belongs to the inode: the seed, the number,
 * the generation (metadata_csum). */
uint32_t inode_csum_seed(const struct fs *fs, uint32_t ino, uint32_t gen);

/* Deleted, or about to be: a reference is all that is left of it. */
static inline bool inode_is_gone(const struct inode *inode)
{
	return inode->deleted || (!inode->i.links && !inode->opens);
}

bool inode_has_extents(const struct inode *inode);
bool inode_has_inline(const struct inode *inode);
bool inode_is_fast_symlink(const struct inode *inode);

struct inode_table *inode_table_new(struct fs *fs);
void inode_table_free(struct inode_table *tab);	/* all must be put */
/* Inodes with a reference or a handle: 0 when all is put (for tests). */
unsigned inode_table_busy(struct fs *fs);

#endif
