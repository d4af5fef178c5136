/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cache.c - metadata blocks in memory.
 *
 * Knows block numbers, references and what may be evicted; what is in a
 * block is its type's business, and when a dirty one is written journal/'s.
 * Only blocks that nobody holds and that no transaction needs stand on an
 * eviction list, so that finding a victim never means looking at others.
 *
 * Two lists: a block comes in cold, and turns hot when it is used again after
 * a good number of other accesses.  A scan, which touches each block a few
 * times in a row and never again, passes through the cold list only.  At most
 * three quarters are hot, and no longer than they are used.
 *
 * Everything here is called with the volume lock held; no lock of its own.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "fs/fs.h"
#include "io/cache.h"
#include "io/device.h"

#define MIN_BLOCKS	64
#define MIN_BUCKETS	256
#define SPARE_PAGES	64		/* kept for the next user */
#define HOT_AGE		8		/* caches full of misses without a use */

struct cache {
	struct fs *fs;
	struct device *dev;
	unsigned blocksize;
	size_t limit;			/* blocks that are not dirty */
	struct buf **table;
	size_t buckets;			/* a power of two */
	size_t count, dirty;
	struct buf cold, hot;		/* list heads; lru_next is the newest */
	size_t hot_count;
	uint64_t clock;			/* accesses to another block than the last */
	uint64_t last_blk;
	void *spare[SPARE_PAGES];
	unsigned spares;
	uint64_t hits, misses, evictions;
};

/* --- pages --- */

void *cache_page_alloc(struct cache *c)
{
	size_t align = c->blocksize < 4096 ? c->blocksize : 4096;
	void *page;

	if (c->spares)
		return c->spare[--c->spares];
	if (posix_memalign(&page, align, c->blocksize))
		return NULL;
	return page;
}

void cache_page_free(struct cache *c, void *page)
{
	if (page && c->spares < SPARE_PAGES)
		c->spare[c->spares++] = page;
	else
		free(page);
}

/* --- the table --- */

static size_t bucket_of(const struct cache *c, uint64_t blk)
{
	return (blk * 0x9e3779b97f4a7c15ULL >> 20) & (c->buckets - 1);
}

static struct buf *find(const struct cache *c, uint64_t blk)
{
	struct buf *b = c->table[bucket_of(c, blk)];

	while (b && b->blk != blk)
		b = b->hash_next;
	return b;
}

/* Doubles the table when it gets crowded; without memory it stays slow. */
static void grow(struct cache *c)
{
	struct buf **old = c->table, **table, *b, *next;
	size_t n = c->buckets, i;

	if (c->count < n)
		return;
	table = calloc(n * 2, sizeof(*table));
	if (!table)
		return;
	c->table = table;
	c->buckets = n * 2;
	for (i = 0; i < n; i++) {
		for (b = old[i]; b; b = next) {
			size_t k = bucket_of(c, b->blk);

			next = b->hash_next;
			b->hash_next = table[k];
			table[k] = b;
		}
	}
	free(old);
}

static void hash_add(struct cache *c, struct buf *b)
{
	size_t k;

	grow(c);
	k = bucket_of(c, b->blk);
	b->hash_next = c->table[k];
	c->table[k] = b;
	c->count++;
}

static void hash_del(struct cache *c, struct buf *b)
{
	struct buf **p = &c->table[bucket_of(c, b->blk)];

	while (*p != b)
		p = &(*p)->hash_next;
	*p = b->hash_next;
	b->hash_next = NULL;
	c->count--;
}

/* --- eviction lists --- */

static void list_init(struct buf *head)
{
	head->lru_prev = head->lru_next = head;
}

static void list_add(struct buf *head, struct buf *b)
{
	b->lru_next = head->lru_next;
	b->lru_prev = head;
	head->lru_next->lru_prev = b;
	head->lru_next = b;
}

static void unlist(struct cache *c, struct buf *b)
{
	if (!b->listed)
		return;
	b->lru_prev->lru_next = b->lru_next;
	b->lru_next->lru_prev = b->lru_prev;
	b->listed = 0;
	if (b->hot)
		c->hot_count--;
}

static bool is_dirty(const struct buf *b)
{
	return b->txn || b->commit || b->logged;
}

/* The hot block that was not used for longest turns cold again. */
static void cool(struct cache *c)
{
	struct buf *b = c->hot.lru_prev;

	unlist(c, b);
	b->hot = 0;
	b->birth = c->clock;
	b->listed = 1;
	list_add(&c->cold, b);
}

static void enlist(struct cache *c, struct buf *b)
{
	if (b->listed)
		return;
	b->listed = 1;
	if (b->hot) {
		list_add(&c->hot, b);
		c->hot_count++;
		if (c->hot_count > c->limit - c->limit / 4)
			cool(c);
	} else {
		list_add(&c->cold, b);
	}
}

static void buf_free(struct buf *b)
{
	cache_page_free(b->cache, b->data);
	free(b);
}

/* Takes B, which nobody holds, out of memory. */
static void discard(struct cache *c, struct buf *b)
{
	unlist(c, b);
	hash_del(c, b);
	buf_free(b);
}

static void evict(struct cache *c)
{
	while (c->count - c->dirty > c->limit) {
		struct buf *b;

		/* not used while all else was read over and over: make room */
		if (c->hot_count &&
		    c->misses - c->hot.lru_prev->birth > HOT_AGE * c->limit)
			cool(c);
		b = c->cold.lru_prev;
		if (b == &c->cold)
			b = c->hot.lru_prev;
		if (b == &c->hot)
			return;		/* all are held */
		discard(c, b);
		c->evictions++;
	}
}

static void count_dirty(struct cache *c, struct buf *b, bool dirty)
{
	if (dirty && !b->was_dirty)
		c->dirty++;
	if (!dirty && b->was_dirty)
		c->dirty--;
	b->was_dirty = dirty;
}

void cache_settle(struct buf *b)
{
	struct cache *c = b->cache;

	if (b->dead) {
		if (!b->refs && !is_dirty(b) && !b->doomed)
			buf_free(b);
		return;
	}
	count_dirty(c, b, is_dirty(b));
	if (b->was_dirty || b->refs) {
		unlist(c, b);
	} else {
		enlist(c, b);
		evict(c);
	}
}

size_t cache_limit(const struct cache *c)
{
	return c->limit;
}

/* --- set-up --- */

int cache_new(struct fs *fs, struct device *dev, unsigned blocksize,
	      size_t bytes, struct cache **out)
{
	struct cache *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->table = calloc(MIN_BUCKETS, sizeof(*c->table));
	if (!c->table) {
		free(c);
		return -ENOMEM;
	}
	c->buckets = MIN_BUCKETS;
	c->fs = fs;
	c->dev = dev;
	c->blocksize = blocksize;
	c->limit = bytes / blocksize;
	if (c->limit < MIN_BLOCKS)
		c->limit = MIN_BLOCKS;
	c->last_blk = UINT64_MAX;
	list_init(&c->cold);
	list_init(&c->hot);
	*out = c;
	return 0;
}

void cache_free(struct cache *c)
{
	struct buf *b, *next;
	size_t i;

	if (!c)
		return;
	for (i = 0; i < c->buckets; i++) {
		for (b = c->table[i]; b; b = next) {
			next = b->hash_next;
			free(b->data);
			free(b);
		}
	}
	while (c->spares)
		free(c->spare[--c->spares]);
	free(c->table);
	free(c);
}

/* --- getting and putting --- */

static struct buf *buf_new(struct cache *c, uint64_t blk,
			   const struct buf_type *type, uint32_t ino,
			   uint32_t gen)
{
	struct buf *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->data = cache_page_alloc(c);
	if (!b->data) {
		free(b);
		return NULL;
	}
	b->cache = c;
	b->blk = blk;
	b->type = type;
	b->ino = ino;
	b->gen = gen;
	b->birth = c->clock;
	return b;
}

/*
 * B is used once more.  Uses in a row, and those of a scan that goes back and
 * forth between a few blocks, do not make it hot.
 */
static void touch(struct cache *c, struct buf *b)
{
	uint64_t apart = c->limit / 8;

	if (b->blk != c->last_blk) {
		c->last_blk = b->blk;
		c->clock++;
	}
	assert(!b->listed);
	if (!b->hot && c->clock - b->birth > (apart > 64 ? apart : 64))
		b->hot = 1;
	if (b->hot)
		b->birth = c->misses;
}

/*
 * A block that is in memory as something else.  Where nobody relies on that,
 * what counts is whether it passes as TYPE; else two owners claim it.
 */
static int retype(struct cache *c, struct buf *b, const struct buf_type *type,
		  uint32_t ino, uint32_t gen)
{
	int err;

	if (b->type == type && b->ino == ino && !c->fs->csum) {
		b->gen = gen;	/* no checksum depends on it */
		return 0;
	}
	if (is_dirty(b) || b->refs)
		return fs_corrupt(c->fs, ino, b->blk,
				  "block is both %s of inode %u and %s",
				  b->type->name, b->ino, type->name);
	b->type = type;
	b->ino = ino;
	b->gen = gen;
	b->refs++;
	unlist(c, b);
	err = type->verify ? type->verify(c->fs, b) : 0;
	b->refs--;
	if (err)
		discard(c, b);
	return err;
}

static int load(struct cache *c, struct buf *b)
{
	int err = -EIO;

	if (b->blk < UINT64_MAX / c->blocksize)
		err = device_read(c->dev, b->data, c->blocksize,
				  b->blk * c->blocksize);
	if (err)
		return fs_fail(c->fs, err, b->ino, b->blk,
			       "cannot read %s", b->type->name);
	return b->type->verify ? b->type->verify(c->fs, b) : 0;
}

int cache_get(struct cache *c, uint64_t blk, const struct buf_type *type,
	      uint32_t ino, uint32_t gen, struct buf **out)
{
	struct buf *b = find(c, blk);
	int err;

	if (b) {
		if (b->type != type || b->ino != ino || b->gen != gen) {
			err = retype(c, b, type, ino, gen);
			if (err)
				return err;
		}
		c->hits++;
		b->refs++;
		unlist(c, b);
		touch(c, b);
		*out = b;
		return 0;
	}

	b = buf_new(c, blk, type, ino, gen);
	if (!b)
		return -ENOMEM;
	/*
	 * Not in the table before it is known to be good: a verifier that
	 * reports damage may come back to the cache.
	 */
	b->refs = 1;
	err = load(c, b);
	if (!err && find(c, blk))
		err = -EIO;
	if (err) {
		buf_free(b);
		return err;
	}
	c->misses++;
	hash_add(c, b);
	touch(c, b);
	evict(c);
	*out = b;
	return 0;
}

int cache_get_new(struct cache *c, uint64_t blk, const struct buf_type *type,
		  uint32_t ino, uint32_t gen, struct buf **out)
{
	struct buf *b = find(c, blk);

	if (b && (is_dirty(b) || b->refs))
		return fs_corrupt(c->fs, ino, blk,
				  "block for a new %s is in use as %s of inode %u",
				  type->name, b->type->name, b->ino);
	if (b) {
		unlist(c, b);
		b->type = type;
		b->ino = ino;
		b->gen = gen;
		b->hot = 0;
		b->birth = c->clock;
	} else {
		b = buf_new(c, blk, type, ino, gen);
		if (!b)
			return -ENOMEM;
		hash_add(c, b);
	}
	memset(b->data, 0, c->blocksize);
	b->refs = 1;
	b->fresh = 1;
	touch(c, b);
	evict(c);
	*out = b;
	return 0;
}

struct buf *cache_hold(struct buf *b)
{
	assert(b->refs);
	b->refs++;
	return b;
}

void cache_put(struct buf *b)
{
	if (!b)
		return;
	assert(b->refs);
	if (--b->refs)
		return;
	if (b->fresh && !b->txn && !b->dead)
		discard(b->cache, b);	/* its user gave up before txn_write() */
	else
		cache_settle(b);
}

/* --- forgetting --- */

void cache_drop(struct buf *b)
{
	struct cache *c = b->cache;

	if (b->txn)
		txn_forget(b);
	count_dirty(c, b, false);
	unlist(c, b);
	hash_del(c, b);
	/* the running commit may still have to write it, or somebody holds it */
	b->dead = 1;
	if (b->commit || b->logged)
		txn_doom(c->fs, b);
	cache_settle(b);
}

void cache_forget(struct cache *c, uint64_t blk, uint64_t count)
{
	struct buf *b, *next;
	uint64_t i;

	if (count <= c->buckets) {
		for (i = 0; i < count; i++) {
			b = find(c, blk + i);
			if (b)
				cache_drop(b);
		}
		return;
	}
	for (i = 0; i < c->buckets; i++) {
		for (b = c->table[i]; b; b = next) {
			next = b->hash_next;
			if (b->blk >= blk && b->blk - blk < count)
				cache_drop(b);
		}
	}
}

void cache_readahead(struct cache *c, uint64_t blk, unsigned count)
{
	while (count && find(c, blk)) {
		blk++;
		count--;
	}
	while (count && find(c, blk + count - 1))
		count--;
	if (count && blk < UINT64_MAX / c->blocksize - count)
		device_readahead(c->dev, blk * c->blocksize,
				 (uint64_t)count * c->blocksize);
}

void cache_get_stats(struct cache *c, struct cache_stats *st)
{
	st->hits = c->hits;
	st->misses = c->misses;
	st->evictions = c->evictions;
	st->blocks = c->count;
	st->dirty = c->dirty;
}
