/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fs.h - one open volume.
 *
 * Nothing under fs/, journal/ or io/ knows of FUSE.  Functions return 0 (or
 * a count) or -errno; errcode_t stops at err.c.
 *
 * Lock order, outermost first; a lock may be waited for only while holding
 * locks above it:
 *
 *	1. inode->io	shared for data transfer, exclusive for anything that
 *			frees, moves or allocates the file's blocks; of two
 *			inodes the lower number first
 *	2. fs->lock	the volume lock: all metadata, the cache, the inode
 *			table, the name cache; held for microseconds, never
 *			across file data I/O or a commit
 *	3. locks inside journal/ and io/ (private to their files)
 */
#ifndef FS_FS_H
#define FS_FS_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include <ext2fs/ext2_fs.h>
#include <ext2fs/ext2fs.h>

#define EFSCORRUPTED	EUCLEAN
#define EFSBADCRC	EIO

struct buf;
struct cache;
struct device;
struct groups;
struct inode_table;
struct journal;
struct mmp;
struct name_cache;
struct txn;

struct orphans;

enum fs_errors { FS_ERRORS_DEFAULT, FS_ERRORS_CONTINUE, FS_ERRORS_RO, FS_ERRORS_PANIC };

struct fs_options {
	const char *source;		/* as typed */
	uint64_t offset, limit;		/* bytes; limit 0: to the end */
	bool ro;
	bool norecovery;
	bool minixdf;
	bool noacl;
	bool fakeroot;
	bool directio;
	bool alloc_all;			/* FUSE2FS_ALLOC_ALL_BLOCKS */
	bool dirsync, sync;
	size_t cache_size;		/* bytes; 0: default */
	unsigned commit_interval;	/* seconds; 0: default (5) */
	enum fs_errors errors;
	char *journal_path;		/* an external journal; NULL: found by */
	uint32_t journal_dev;		/* its number; 0: by what the superblock
					 * says */
};

/* What is to be recorded in the superblock about an error (err.c). */
struct fs_error {
	int64_t time;			/* seconds */
	uint32_t ino, line;
	uint64_t blk;
	uint8_t code;
	char func[32];
};

/* Errors since the last that were stored in the superblock (err.c). */
struct fs_error_log {
	uint32_t pending;		/* how many; not yet in the superblock */
	bool any;			/* one or more since the mount */
	bool told;			/* the errors= message was given */
	int64_t burst_start;		/* of the messages counted in burst */
	unsigned burst;
	struct fs_error first, last;	/* of the pending ones */
	struct {
		uint32_t ino;
		uint64_t blk;
		int64_t time;
	} recent[16];			/* messages given lately */
};

struct fs {
	struct fs_options opt;
	pthread_mutex_t lock;		/* the volume lock */

	/*
	 * libext2fs's handle: features and geometry as they were at open.
	 * Its counters are NOT kept up to date: use fs_super().
	 */
	ext2_filsys e2;
	struct device *dev;
	struct device *log_dev;		/* where DEV's overlay reads (recover.c);
					 * else NULL */
	struct cache *cache;
	struct buf *super_buf;		/* pinned */

	struct groups *groups;		/* alloc.c, bitmap.c */
	struct inode_table *inodes;	/* inode.c */
	struct name_cache *names;	/* path.c */
	struct journal *journal;	/* journal/ */
	struct orphans *orphans;	/* orphan.c: the orphan file */
	struct mmp *mmp;		/* mmp.c; NULL without the feature */

	/* geometry, constant */
	unsigned blocksize, blockbits;
	unsigned cluster_ratio, clusterbits;	/* blocks in a cluster; log2 */
	unsigned inode_size;
	uint32_t group_count;
	uint64_t blocks_count, first_data_block;
	uint64_t overhead;		/* blocks, as statfs subtracts them */
	uint32_t csum_seed;
	bool csum;			/* metadata_csum */

	bool rdonly;			/* no writing: asked for, or needed */
	bool shown;			/* what is served was recovered in memory */
	bool aborted;			/* no more writing: see errors= */
	bool error_ro;			/* errors=remount-ro: no new handles; what
					 * was changed before is still committed */
	bool panicked;			/* errors=panic: the server is to end */
	bool frozen;			/* freeze.c: nobody changes anything */
	struct ext2_super_block *thaw_super;	/* freeze.c: to be put back on
					 * the device; NULL: nothing */
	bool mounted;			/* the superblock says so (not VALID_FS) */
	bool was_valid;			/* VALID_FS was set before this mount */
	enum fs_errors errors;		/* in effect */
	struct fs_error_log error_log;
	int64_t last_now;		/* ns; atomic: fs_now() */
	uint32_t next_generation;
	void (*on_inode_freed)(void *ctx, uint32_t ino);	/* may be NULL */
	void *on_inode_freed_ctx;
	/* errors=panic; once, under the volume lock: asks for the end of the
	 * server, by a signal or so.  May be NULL. */
	void (*on_panic)(struct fs *fs);
};

/* open.c: open, close.  Not under the volume lock. */
int fs_open(const struct fs_options *opt, struct fs **out);
/* Threads (the commit timer): to be called after daemonizing. */
int fs_start(struct fs *fs);
/* Commits everything, marks the volume clean if it is, frees FS. */
int fs_close(struct fs *fs);

/* lock.c: how long this thread has waited for volume locks so far, ns. */
extern __thread uint64_t fs_lock_waited;
void fs_lock_wait(struct fs *fs);

static inline void fs_lock(struct fs *fs)
{
	if (pthread_mutex_trylock(&fs->lock))
		fs_lock_wait(fs);
}

static inline void fs_unlock(struct fs *fs)
{
	pthread_mutex_unlock(&fs->lock);
}

/* The superblock in its cache block, in disk byte order.  Volume lock. */
struct ext2_super_block *fs_super(struct fs *fs);
/* The same, writable in T.  NULL on -ENOMEM. */
struct ext2_super_block *fs_super_write(struct txn *t);

/* New handles are allowed: not rdonly, aborted or error_ro. */
bool fs_writable(const struct fs *fs);

/* Feature tests, from the library's macros: ext2fs_has_feature_x(fs->e2->super). */

/*
 * err.c: errors.
 *
 * fs_errno() turns a library code into -errno (one table).  fs_corrupt()
 * reports damage found on disk: one message with inode and block (0: none),
 * records it in the superblock, applies errors=; returns -EFSCORRUPTED so
 * that callers can "return fs_corrupt(...)".  Volume lock held.
 */
int fs_errno(errcode_t err);
#define fs_corrupt(fs, ino, blk, ...) \
	fs_corrupt_at(fs, __func__, __LINE__, ino, blk, __VA_ARGS__)
int fs_corrupt_at(struct fs *fs, const char *func, unsigned line, uint32_t ino,
		  uint64_t blk, const char *fmt, ...)
	__attribute__((format(printf, 6, 7)));
/* The same for an I/O error or a wrong checksum; returns ERR (negative). */
#define fs_fail(fs, err, ino, blk, ...) \
	fs_fail_at(fs, __func__, __LINE__, err, ino, blk, __VA_ARGS__)
int fs_fail_at(struct fs *fs, const char *func, unsigned line, int err,
	       uint32_t ino, uint64_t blk, const char *fmt, ...)
	__attribute__((format(printf, 7, 8)));

/*
 * Errors are stored in the superblock by the next handle that ends well
 * (fs_error_merge(), from inode_flush_handle()), or by fs_error_flush(),
 * which begins one itself where there are any (also under error_ro): called
 * without the lock by the commit timer and by fs_close().
 */
void fs_error_merge(struct txn *t);
int fs_error_flush(struct fs *fs);

/* Coarse real time, never before a value it returned earlier. */
struct timespec fs_now(struct fs *fs);

/*
 * -ENOSPC may be false while freed blocks wait for their transaction (J4):
 * true (after committing them) when the operation should be tried again.
 * TRIES starts at 0.  Without the volume lock.
 */
bool fs_retry_nospc(struct fs *fs, int err, unsigned *tries);

/* Is BLK..BLK+COUNT-1 inside the volume and clear of its fixed metadata? */
bool fs_block_valid(struct fs *fs, uint64_t blk, uint64_t count);

#endif
