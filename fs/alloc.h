/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * alloc.h - block and inode allocation, group descriptors, bitmaps.
 *
 * Bitmaps are cache blocks, read when something is allocated or freed in
 * their group (uninitialised ones are made up).  Everything needs the volume
 * lock.  Block numbers are physical; with bigalloc all runs are whole
 * clusters (start and length multiples of the cluster).
 */
#ifndef FS_ALLOC_H
#define FS_ALLOC_H

#include <stdbool.h>
#include <stdint.h>

struct fs;
struct inode;
struct txn;

struct groups *groups_new(struct fs *fs);	/* NULL: -ENOMEM */
void groups_free(struct groups *g);

/* Who may use the reserve: root, s_def_resuid, s_def_resgid. */
#define ALLOC_RESERVE	1	/* the caller may use reserved blocks */
#define ALLOC_META	2	/* for metadata: may use the reserve as well */

/*
 * Finds and takes a run of 1..WANT blocks near GOAL (0: inode_goal()).
 * Updates bitmap, descriptor and superblock counts; i_blocks is the
 * caller's.  *GOT blocks from *BLK.  -ENOSPC, -EIO, -EFSCORRUPTED.
 */
int block_alloc(struct txn *t, struct inode *inode, uint64_t goal,
		uint64_t want, unsigned flags, uint64_t *blk, uint64_t *got);

/* Frees COUNT blocks; META: they held metadata.  -EFSCORRUPTED if they were
 * free already or lie in fixed metadata. */
int block_free(struct txn *t, struct inode *inode, uint64_t blk,
	       uint64_t count, bool meta);

/*
 * Reservation without a transaction, for data that is written before its
 * mapping is inserted (J3): like block_alloc(), but only in memory.
 */
int block_reserve(struct inode *inode, uint64_t goal, uint64_t want,
		  unsigned flags, uint64_t *blk, uint64_t *got);
/* Turns (part of) a reservation into an allocation in T, or drops it. */
int block_claim(struct txn *t, struct inode *inode, uint64_t blk, uint64_t count);
void block_unreserve(struct fs *fs, uint64_t blk, uint64_t count);

/*
 * A new inode number for a child of DIR, by ext4's placement (directories
 * spread by Orlov's rule from top-level directories, others near their
 * parent).  -ENOSPC.
 */
int inode_alloc(struct txn *t, struct inode *dir, uint16_t mode, uint32_t *ino);
int inode_free(struct txn *t, uint32_t ino, bool is_dir);
/* A number that is free is INO's from now on (fast commits). */
int inode_claim(struct txn *t, uint32_t ino, bool is_dir);

/* Is the inode's bit set?  1, 0 or -errno. */
int inode_in_use(struct fs *fs, uint32_t ino);

/* First block of the group's inode table; where an inode's bytes are. */
int inode_location(struct fs *fs, uint32_t ino, uint64_t *blk, unsigned *off);

/* Is the block's bit set?  1, 0 or -errno.  For tests and checks. */
int block_in_use(struct fs *fs, uint64_t blk);

/* Free blocks (not counting reservations and frozen ones) a caller with
 * FLAGS could get. */
uint64_t block_available(struct fs *fs, unsigned flags);

/* FITRIM over [start, end) blocks, runs of at least MINLEN; takes the lock
 * itself.  *DONE blocks. */
int block_trim(struct fs *fs, uint64_t start, uint64_t end, uint64_t minlen,
	       uint64_t *done);

#endif
