/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cache.h - the metadata block cache.
 *
 * Holds metadata blocks only; file data never passes through it.  A block is
 * checked once, when it enters memory as its type (buf_type.verify); from
 * then on everybody trusts it.  Checksums are computed once, when a block is
 * about to leave memory (buf_type.seal), not at every change.
 *
 * The cache is the only consumer of dirty metadata: a buffer may be changed
 * only after txn_write() (journal/txn.h), and reaches its home only by a
 * commit.  Dirty buffers and buffers somebody holds are never evicted.
 *
 * All calls need the volume lock unless they say otherwise.
 */
#ifndef IO_CACHE_H
#define IO_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct cache;
struct device;
struct fs;

/*
 * What a block is.  rank orders sealing and writing inside a commit, lowest
 * first: a bitmap's checksum is kept in a group descriptor, so it is sealed
 * before descriptors, and these before the superblock.
 */
struct buf_type {
	const char *name;
	int rank;
	/* 0, or -EFSCORRUPTED / -EFSBADCRC (both reported by the verifier
	 * itself through fs_corrupt()) */
	int (*verify)(struct fs *fs, struct buf *b);
	void (*seal)(struct fs *fs, struct buf *b);	/* NULL: no checksum */
};

enum buf_rank {
	RANK_DATA = 0,		/* blocks written before anything points there */
	RANK_XATTR = 10,
	RANK_MAP = 20,		/* extent tree, indirect blocks */
	RANK_BITMAP = 30,
	RANK_ITABLE = 40,
	RANK_DIR = 50,
	RANK_DESC = 60,
	RANK_SUPER = 70,
};

struct buf {
	uint64_t blk;			/* physical block number */
	uint8_t *data;			/* one block; re-read this pointer after
					 * txn_write(), which may move it */
	const struct buf_type *type;
	uint32_t ino, gen;		/* owner, for types whose checksum is
					 * seeded by it (else 0) */
	/* the rest belongs to cache.c and txn.c */
	struct cache *cache;
	struct buf *hash_next;
	struct buf *lru_prev, *lru_next;
	struct txn_group *txn;		/* the running transaction it is dirty in */
	struct buf *txn_next, *txn_prev;
	unsigned refs;
	unsigned hot:1, listed:1;	/* which eviction list; on one */
	unsigned was_dirty:1;		/* as last counted */
	unsigned fresh:1;		/* by cache_get_new(), in the open handle */
	unsigned newborn:1;		/* so, in the running group: nothing
					 * durable points to it */
	unsigned dead:1;		/* dropped while somebody held it */
	unsigned doomed:1;		/* dropped while the log needed it; on
					 * the list of the group that did it */
	uint64_t birth;			/* cache clock when it came in; hot: count
					 * of misses when last used */
	uint64_t handle_id;		/* last handle that saved its pre-image */
	struct commit_block *commit;	/* its place in the running commit, whose
					 * copy may still be ->data */
	struct commit_block *logged;	/* the same in the log, until it is
					 * written home */
};

struct cache_stats {
	uint64_t hits, misses, evictions;
	size_t blocks, dirty;
};

/* BYTES bounds clean blocks; dirty ones may exceed it until they commit. */
int cache_new(struct fs *fs, struct device *dev, unsigned blocksize,
	      size_t bytes, struct cache **out);
void cache_free(struct cache *c);

/*
 * The block BLK as TYPE, read and verified if it is not in memory, with a
 * reference.  INO and GEN name the owner where TYPE wants one, else 0.
 * -EIO, -EFSCORRUPTED, -EFSBADCRC, -ENOMEM.
 */
int cache_get(struct cache *c, uint64_t blk, const struct buf_type *type,
	      uint32_t ino, uint32_t gen, struct buf **out);

/*
 * A block whose old content does not matter (just allocated): zero-filled,
 * not read.  The caller must txn_write() it next.
 */
int cache_get_new(struct cache *c, uint64_t blk, const struct buf_type *type,
		  uint32_t ino, uint32_t gen, struct buf **out);

void cache_put(struct buf *b);		/* NULL is allowed */
struct buf *cache_hold(struct buf *b);	/* one more reference */

/*
 * Forgets COUNT blocks from BLK without writing them: they were freed or
 * discarded.  Must not be called with a reference held on any of them, nor
 * for what an open handle may still have to put back: inside a transaction
 * txn_freed() is the call, which does this when the handle ends.
 */
void cache_forget(struct cache *c, uint64_t blk, uint64_t count);

/* Starts reading ahead, best effort: COUNT blocks from BLK. */
void cache_readahead(struct cache *c, uint64_t blk, unsigned count);

void cache_get_stats(struct cache *c, struct cache_stats *st);

/*
 * For journal/ only.
 *
 * cache_settle(): to be called after a change of ->txn, ->commit or ->logged:
 * B may have become dirty, or evictable, and a dropped B is freed here when
 * nobody needs it any more.  cache_drop(): forgets B at once; its memory stays until
 * the last cache_put(), the end of the running commit, and as long as the log
 * needs it (->logged: a committed copy is not home yet).  Pages are one
 * block, aligned for O_DIRECT.
 */
void cache_settle(struct buf *b);
void cache_drop(struct buf *b);
void *cache_page_alloc(struct cache *c);
void cache_page_free(struct cache *c, void *page);
size_t cache_limit(const struct cache *c);		/* in blocks */

/* From txn.c: takes a dirty buffer out of the running transaction. */
void txn_forget(struct buf *b);
/* From freed.c: B is dropped, but the log, or a commit, has it. */
void txn_doom(struct fs *fs, struct buf *b);

#endif
