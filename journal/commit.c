/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * commit.c - takes the running transaction group to disk, and waits for that.
 *
 * A commit has three steps:
 *	commit_freeze()	with the volume lock: seals the dirty buffers in rank
 *			order, closes the group, opens the next one
 *	log_commit() or ordered_commit(), without it: makes the group durable
 *	commit_finish()	with it: buffers are clean, or wait for a checkpoint;
 *			frozen blocks are free (J4)
 *
 * One commit or checkpoint at a time (->busy); those who want to be durable
 * run a commit themselves, or wait for the one that is running and share the
 * next.  All waiting is on the volume lock's condition variables.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/fs.h"
#include "io/cache.h"
#include "io/device.h"
#include "journal/txn_internal.h"
#include "sys/log.h"

void txn_abort_volume(struct fs *fs, int err)
{
	if (!fs->aborted)
		msg_err("%s: nothing more is written to this file system",
			strerror(-err));
	fs->aborted = true;
	if (fs->journal) {
		pthread_cond_broadcast(&fs->journal->done);
		pthread_cond_signal(&fs->journal->wake);
	}
}

/* A device failed, with the log or below it. */
void journal_fail(struct journal *j, int err)
{
	/* not what somebody else's end of the volume made of it */
	if (!j->fs->aborted)
		j->log.failed = true;
	txn_abort_volume(j->fs, err);
}

/* --- freeze --- */

/*
 * Closes the running group, with all that its handles changed (J1), and opens
 * the next, which waits in the pool.  Sealing a bitmap writes to the
 * descriptor block, which is in the group too and comes later.
 */
static struct txn_group *commit_freeze(struct journal *j)
{
	struct txn_group *g = j->running, *next = group_new(j);
	struct buf *b;
	size_t n = 0, i;

#ifdef BREAK_J1
	b = g->bufs;
	if (b && b->txn_next && !group_reserve(next)) {
		group_unlink(g, b);
		group_link(next, b);
	}
#endif
	for (b = g->bufs; b; b = b->txn_next) {
		assert(n < g->room);
		g->blocks[n++] = (struct commit_block) {
			.blk = b->blk, .rank = b->type->rank, .buf = b,
			.newborn = b->newborn,
		};
		b->newborn = 0;
	}
	assert(n == g->count);
	if (n)
		qsort(g->blocks, n, sizeof(*g->blocks), by_stage);
	for (i = 0; i < n; i++) {
		b = g->blocks[i].buf;
		if (b->type->seal)
			b->type->seal(j->fs, b);
	}
	for (i = 0; i < n; i++) {
		b = g->blocks[i].buf;
		assert(!b->commit);
		g->blocks[i].data = b->data;
		b->commit = &g->blocks[i];
		b->txn = NULL;
		b->txn_next = b->txn_prev = NULL;
	}
	g->bufs = NULL;
	g->len = 0;
	j->committing = g;
	j->running = next;
	next->id = g->id + 1;
	j->commits_begun++;
	return g;
}

/* --- finish --- */

/* The block is home, or (ERR) nowhere but in memory. */
static void release_block(struct journal *j, struct commit_block *cb, int err)
{
	struct buf *b = cb->buf;

	b->commit = NULL;
	if (cb->copied)
		cache_page_free(b->cache, cb->data);
	/* the group's array is never used again */
	if (err && !b->txn && !b->dead)
		group_link(j->running, b);
	cache_settle(b);
}

static void release_blocks(struct journal *j, struct txn_group *g, int err)
{
	size_t i;

	for (i = 0; i < g->count; i++)
		release_block(j, &g->blocks[i], err);
	g->count = 0;
}

static void commit_finish(struct journal *j, struct txn_group *g, int err)
{
#ifdef BREAK_J7
	err = 0;
#endif
	if (err)
		journal_fail(j, err);	/* J7 */
	else
		j->durable = g->id;
	if (!err && g->len) {
		if (j->log.moved)
			logged_drop(j);
		logged_add(j, g);
	} else {
		release_blocks(j, g, err);
	}
	freed_finish(j, g, err);
	if (err || !g->len)
		group_recycle(j, g);
	j->committing = NULL;
	j->commits_done = j->commits_begun;
}

bool group_is_empty(const struct txn_group *g)
{
	return !g->count && !g->frozen.total;
}

/* A commit must not fail for want of memory: the next group waits. */
static int reserve_group(struct journal *j)
{
	struct txn_group *g;

	if (j->pool)
		return 0;
	g = group_new(j);
	if (!g)
		return -ENOMEM;
	group_recycle(j, g);
	return 0;
}

void journal_hold(struct journal *j)
{
	while (j->busy)
		pthread_cond_wait(&j->done, &j->fs->lock);
	j->busy = true;
}

void journal_release(struct journal *j)
{
	assert(j->busy);
	j->busy = false;
	pthread_cond_broadcast(&j->done);
}

/* The commit proper, by who holds the journal. */
static int commit_running(struct journal *j)
{
	struct txn_group *g;
	int err = 0;

	if (checkpoint_needed(j))
		err = checkpoint_home(j);
	if (err)
		journal_fail(j, err);
	if (j->fs->aborted)
		return -EIO;
	g = commit_freeze(j);
	fs_unlock(j->fs);
	if (j->log.on)
		err = log_commit(j, g);
	else
		err = ordered_commit(j, g);
	fs_lock(j->fs);
	commit_finish(j, g, err);
	return err ? -EIO : 0;
}

int journal_commit(struct journal *j)
{
	int err;

	assert(!j->open);
	if (j->fs->aborted)
		return -EIO;
	/* who waits here may be in the way of the request to thaw */
	if (j->frozen)
		return -EBUSY;
	if (j->busy) {
		pthread_cond_wait(&j->done, &j->fs->lock);
		return j->fs->aborted ? -EIO : 0;
	}
	if (group_is_empty(j->running))
		return 0;
	err = reserve_group(j);
	if (err)
		return err;
	journal_hold(j);
	err = commit_running(j);
	journal_release(j);
	return err;
}

/* --- waiting for durability --- */

/* The last id that has anything to write. */
static uint64_t last_id(const struct journal *j)
{
	return group_is_empty(j->running) ? j->running->id - 1 : j->running->id;
}

bool txn_is_durable(struct fs *fs, uint64_t id)
{
	const struct journal *j = fs->journal;
	uint64_t last = last_id(j);

	return j->durable >= (id < last ? id : last);
}

int txn_sync(struct fs *fs, uint64_t id)
{
	struct journal *j = fs->journal;
	uint64_t begun;
	bool covered;
	int err = 0;

	fs_lock(fs);
	begun = j->commits_begun;
	if (!id || id > last_id(j))
		id = last_id(j);
	while (!err && !fs->aborted && j->durable < id)
		err = journal_commit(j);
	if (!err && fs->aborted)
		err = -EIO;
	/* a commit that began after us has made the data durable as well */
	covered = j->commits_done > begun;
	fs_unlock(fs);
	if (err || covered)
		return err;

	err = device_sync(fs->dev);
	if (err) {
		fs_lock(fs);
		journal_fail(j, err);
		fs_unlock(fs);
		return -EIO;
	}
	return 0;
}
