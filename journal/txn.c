/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * txn.c - handles: joining the running transaction, and taking it all back.
 *
 * Knows what a handle changed (an undo list: pre-images of buffers, saved
 * memory, freed blocks) and which buffers are dirty.  Does no I/O and does not
 * know how a transaction gets to disk: commit.c does.
 *
 * Everything is under the volume lock, held from txn_begin() to txn_end().
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/fs.h"
#include "fs/inode.h"
#include "io/cache.h"
#include "journal/txn_internal.h"
#include "sys/log.h"

/* Worst case of blocks that one handle of this kind makes writable. */
static const struct {
	const char *name;
	unsigned credits;
} kinds[TXN_KINDS] = {
	[TXN_ATTR]	= { "attr", 8 },
	[TXN_XATTR]	= { "xattr", 160 },
	[TXN_CREATE]	= { "create", 96 },
	[TXN_LINK]	= { "link", 64 },
	[TXN_UNLINK]	= { "unlink", 96 },
	[TXN_RENAME]	= { "rename", 192 },
	[TXN_WRITE]	= { "write", 256 },
	[TXN_TRUNCATE]	= { "truncate", 512 },
	[TXN_ORPHAN]	= { "orphan", 16 },
	[TXN_SUPER]	= { "super", 4 },
	[TXN_ERROR]	= { "error", 4 },
};

/*
 * Freeing a run costs time but no block, if its bitmap is in the handle: so
 * that the volume is not locked for long, many of them count as well.
 */
#define RUNS_PER_CREDIT	16

#define POOL_MAX	2	/* groups that wait to be used again */

enum undo_kind { UNDO_BUF, UNDO_MEM, UNDO_FREED };

struct undo {
	struct undo *next;
	enum undo_kind kind;
	union {
		struct {
			struct buf *buf;	/* with a reference */
			void *image;		/* page; NULL: buf was fresh */
			bool joined;		/* by this handle */
			struct commit_block *owner;	/* whose page the
							 * image is */
		};
		struct {
			void *mem;
			size_t len;
			uint8_t *saved;
		};
		struct {
			uint64_t blk, count;
			bool meta;
		};
	};
};

/* --- memory that lives as long as a handle --- */

#define ARENA_CHUNK	(16 * 1024)

struct arena_chunk {
	struct arena_chunk *next;
	size_t size, used;
	uint64_t bytes[];
};

static void *arena_alloc(struct txn *t, size_t len)
{
	struct arena_chunk *c = t->arena;
	size_t size = ARENA_CHUNK;
	void *p;

	len = (len + 7) & ~(size_t)7;
	if (!c || c->size - c->used < len) {
		if (len > size)
			size = len;
		c = malloc(sizeof(*c) + size);
		if (!c)
			return NULL;
		c->size = size;
		c->used = 0;
		c->next = t->arena;
		t->arena = c;
	}
	p = (uint8_t *)c->bytes + c->used;
	c->used += len;
	return p;
}

/* Keeps the oldest chunk for the next handle. */
static void arena_reset(struct txn *t)
{
	struct arena_chunk *c;

	while ((c = t->arena) && c->next) {
		t->arena = c->next;
		free(c);
	}
	if (c)
		c->used = 0;
}

void handle_free(struct txn *t)
{
	arena_reset(t);
	free(t->arena);
	t->arena = NULL;
}

static struct undo *undo_new(struct txn *t, enum undo_kind kind)
{
	struct undo *u = arena_alloc(t, sizeof(*u));

	if (!u)
		return NULL;
	memset(u, 0, sizeof(*u));
	u->kind = kind;
	return u;
}

static void undo_push(struct txn *t, struct undo *u)
{
	u->next = t->undo;
	t->undo = u;
}

/* --- groups --- */

uint64_t journal_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000ULL + ts.tv_nsec / 1000000;
}

void group_link(struct txn_group *g, struct buf *b)
{
	if (!g->count++)
		g->born_ms = journal_now_ms();
	b->txn = g;
	b->txn_prev = NULL;
	b->txn_next = g->bufs;
	if (g->bufs)
		g->bufs->txn_prev = b;
	g->bufs = b;
}

void group_unlink(struct txn_group *g, struct buf *b)
{
	if (b->txn_prev)
		b->txn_prev->txn_next = b->txn_next;
	else
		g->bufs = b->txn_next;
	if (b->txn_next)
		b->txn_next->txn_prev = b->txn_prev;
	b->txn = NULL;
	b->txn_next = b->txn_prev = NULL;
	g->count--;
}

void txn_forget(struct buf *b)
{
	group_unlink(b->txn, b);
}

/* Room for one block more in the commit's array. */
int group_reserve(struct txn_group *g)
{
	struct commit_block *blocks;
	size_t room;

	if (g->count < g->room)
		return 0;
	room = g->room ? g->room * 2 : 256;
	blocks = realloc(g->blocks, room * sizeof(*blocks));
	if (!blocks)
		return -ENOMEM;
	g->blocks = blocks;
	g->room = room;
	return 0;
}

/* Groups that had a commit keep their array for the next. */
struct txn_group *group_new(struct journal *j)
{
	struct txn_group *g = j->pool;

	if (!g)
		return calloc(1, sizeof(*g));
	j->pool = g->next;
	j->pooled--;
	g->next = NULL;
	return g;
}

void group_recycle(struct journal *j, struct txn_group *g)
{
	assert(!g->bufs && !g->doomed && !g->frozen.total && !g->left);
	if (j->pooled == POOL_MAX) {
		free(g->blocks);
		free(g);
		return;
	}
	g->count = 0;
	g->next = j->pool;
	j->pool = g;
	j->pooled++;
}

/* --- begin --- */

/*
 * In a small log no kind reserves more than half of a group's part, or each
 * operation would be a commit.  Those that can stop at any point do so; what
 * the others may need beyond that the log has, as a group is a quarter of it.
 */
static unsigned credits_of(const struct journal *j, enum txn_kind kind)
{
	unsigned credits = kinds[kind].credits;

	return j->limit && credits > j->limit / 2 ? j->limit / 2 : credits;
}

/* Has the running group room for CREDITS more?  It must fit in its part of
 * the log. */
static bool has_room(const struct journal *j, unsigned credits)
{
	size_t want = j->threaded ? j->hard : j->soft;

	if (j->running->count >= want)
		return false;
	return !j->limit || group_is_empty(j->running) ||
	       log_need(j, j->running) + credits <= j->limit;
}

/* Can a commit still take the running group, with CREDITS more? */
static bool fits_log(const struct journal *j, unsigned credits)
{
	return !j->log.on || log_need(j, j->running) + credits < j->log.size;
}

/*
 * Waits, or sees to it, that there is room for a handle.  While nobody can
 * commit the group may grow beyond its part: memory is what there is, but the
 * log must take it in the end.  -EBUSY, -ENOMEM, -EIO.
 */
static int make_room(struct journal *j, unsigned credits)
{
	int err;

	while (!has_room(j, credits)) {
		err = journal_commit(j);
		if (err)
			return fits_log(j, credits) ? 0 : err;
	}
	if (j->running->count >= j->soft && !j->busy)
		pthread_cond_signal(&j->wake);
	return 0;
}

static bool may_write(const struct fs *fs, enum txn_kind kind)
{
	return !fs->rdonly && !fs->aborted &&
	       (!fs->error_ro || kind == TXN_ERROR);
}

int txn_begin(struct fs *fs, enum txn_kind kind, struct txn **out)
{
	struct journal *j = fs->journal;
	struct txn *t = &j->handle;
	int err = 0;

	if (!may_write(fs, kind))
		return -EROFS;
	assert(!j->open);
	t->credits = credits_of(j, kind);
	if (j->running->count >= j->soft || !has_room(j, t->credits))
		err = make_room(j, t->credits);
	if (!may_write(fs, kind))
		return -EROFS;
	if (err)
		return err;
	j->open = true;
	t->fs = fs;
	t->group = j->running;
	t->id = ++j->last_handle;
	t->kind = kind;
	t->used = t->runs = 0;
	t->undo = NULL;
	t->inodes = NULL;
	*out = t;
	return 0;
}

/* --- changing things --- */

/* The frozen group that still has B's page for its own contents. */
static struct commit_block *page_owner(const struct buf *b)
{
	assert(!b->commit || !b->logged || b->logged->copied);
	if (b->commit && !b->commit->copied)
		return b->commit;
	if (b->logged && !b->logged->copied)
		return b->logged;
	return NULL;
}

/*
 * The pre-image of B in U.  If a commit, or what is to be written home, has
 * B's page, that page is the pre-image, and B gets a new one.
 */
static int save_image(struct txn *t, struct buf *b, struct undo *u)
{
	size_t size = t->fs->blocksize;
	void *page;

	if (b->fresh && !b->txn)
		return 0;
	page = cache_page_alloc(b->cache);
	if (!page)
		return -ENOMEM;
	memcpy(page, b->data, size);
	u->owner = page_owner(b);
	if (u->owner) {
		u->image = b->data;
		u->owner->copied = true;
		b->data = page;
	} else {
		u->image = page;
	}
	return 0;
}

int txn_write(struct txn *t, struct buf *b)
{
	struct undo *u;
	int err;

	assert(b->refs);
	if (b->handle_id == t->id)
		return 0;
	if (b->dead)
		return fs_corrupt(t->fs, b->ino, b->blk,
				  "%s was freed while in use", b->type->name);
	if (!b->txn) {
		err = group_reserve(t->group);
		if (err)
			return err;
	}
	u = undo_new(t, UNDO_BUF);
	if (!u)
		return -ENOMEM;
	err = save_image(t, b, u);
	if (err)
		return err;
	u->buf = cache_hold(b);
	if (!b->txn) {
		u->joined = true;
		group_link(t->group, b);
		cache_settle(b);
	}
	b->handle_id = t->id;
	t->used++;
	undo_push(t, u);
	return 0;
}

int txn_save(struct txn *t, void *mem, size_t len)
{
	struct undo *u = undo_new(t, UNDO_MEM);

	if (!u)
		return -ENOMEM;
	u->saved = arena_alloc(t, len);
	if (!u->saved)
		return -ENOMEM;
	memcpy(u->saved, mem, len);
	u->mem = mem;
	u->len = len;
	undo_push(t, u);
	return 0;
}

int txn_freed(struct txn *t, uint64_t blk, uint64_t count, bool meta)
{
	struct undo *u = undo_new(t, UNDO_FREED);

	if (!u || freed_add(t, blk, count, meta))
		return -ENOMEM;
	u->blk = blk;
	u->count = count;
	u->meta = meta;
	undo_push(t, u);
	t->runs++;
	if (meta)	/* a revoke record has eight bytes at most */
		t->runs += count * 8 * RUNS_PER_CREDIT / t->fs->blocksize;
	return 0;
}

/* --- end --- */

static void close_handle(struct txn *t)
{
	struct journal *j = t->fs->journal;

	arena_reset(t);
	t->undo = NULL;
	j->open = false;
	if (!t->used)
		return;
	j->last_end_ms = journal_now_ms();
	if (j->asleep) {
		j->asleep = false;
		pthread_cond_signal(&j->wake);
	}
}

void txn_end(struct txn *t)
{
	struct undo *u;

	inode_flush_handle(t, false);
	for (u = t->undo; u; u = u->next) {
		if (u->kind != UNDO_BUF)
			continue;
		u->buf->newborn |= u->buf->fresh;
		u->buf->fresh = 0;
		if (!u->owner)
			cache_page_free(u->buf->cache, u->image);
		cache_put(u->buf);
	}
	for (u = t->undo; u; u = u->next)
		if (u->kind == UNDO_FREED)
			cache_forget(t->fs->cache, u->blk, u->count);
	if (t->used > t->credits)
		msg_debug("a handle for %s used %u blocks, not %u",
			  kinds[t->kind].name, t->used, t->credits);
	close_handle(t);
}

/* Puts back one buffer, and drops it from memory if it was new. */
static void undo_buf(struct txn *t, struct undo *u)
{
	struct buf *b = u->buf;

	if (u->owner) {
		cache_page_free(b->cache, b->data);
		b->data = u->image;
		u->owner->copied = false;
	} else if (u->image) {
		memcpy(b->data, u->image, t->fs->blocksize);
		cache_page_free(b->cache, u->image);
	}
	b->handle_id = 0;
	if (b->dead) {
		cache_put(b);
		return;
	}
	if (!u->image) {
		cache_drop(b);
	} else if (u->joined) {
		group_unlink(t->group, b);
		cache_settle(b);
	}
	cache_put(b);
}

void txn_abort(struct txn *t)
{
	struct undo *u;

#ifdef BREAK_J9
	txn_end(t);
	return;
#endif
	/* J9 */
	for (u = t->undo; u; u = u->next) {
		switch (u->kind) {
		case UNDO_BUF:
			undo_buf(t, u);
			break;
		case UNDO_MEM:
			memcpy(u->mem, u->saved, u->len);
			break;
		case UNDO_FREED:
			freed_undo(t, u->blk, u->count, u->meta);
			break;
		}
	}
	inode_flush_handle(t, true);
	close_handle(t);
}

int txn_stop(struct txn *t, int err)
{
	if (err)
		txn_abort(t);
	else
		txn_end(t);
	return err;
}

/* --- questions --- */

struct txn *txn_current(struct fs *fs)
{
	struct journal *j = fs->journal;

	return j && j->open ? &j->handle : NULL;
}

struct fs *txn_fs(struct txn *t)
{
	return t->fs;
}

uint64_t txn_id(struct txn *t)
{
	return t->group->id;
}

uint64_t txn_handle_id(struct txn *t)
{
	return t->id;
}

struct inode **txn_inode_list(struct txn *t)
{
	return &t->inodes;
}

unsigned txn_room(const struct txn *t)
{
	unsigned used = t->used + t->runs / RUNS_PER_CREDIT;

	return used < t->credits ? t->credits - used : 0;
}

uint64_t txn_running(struct fs *fs)
{
	return fs->journal->running->id;
}
