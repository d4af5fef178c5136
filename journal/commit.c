/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * commit.c - takes the running transaction group to disk.
 *
 * A commit has four steps, and owns the device's write order in them:
 *	commit_freeze()	with the volume lock: seals the dirty buffers in rank
 *			order, closes the group, opens the next one
 *	commit_data()	without: file data (J3) and blocks that nothing durable
 *			points to yet become durable
 *	commit_home()	without: blocks go to their places
 *	commit_finish()	with it: buffers are clean, frozen blocks free (J4)
 * Without a log on disk a crash inside commit_home() leaves a part.  The
 * order makes that part repairable at the price of one flush, and of that
 * only where directories changed: everything a name can lead to (inodes,
 * maps, bitmaps and the descriptors with their checksums, which must not be
 * far apart) is durable before directory blocks are written; so a crash costs
 * an inode without a name at most.  New directory blocks come before the
 * inodes that make them part of a directory: names that moved there in a
 * split are never in neither block.  The superblock comes last.
 *
 * One commit at a time; those who want to be durable run it themselves, or
 * wait for the one that is running and share the next.  The thread is for the
 * timer.  All waiting is on the volume lock's condition variables.
 */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/fs.h"
#include "io/cache.h"
#include "io/device.h"
#include "journal/txn_internal.h"
#include "sys/log.h"

#define SUPER_OFFSET	1024		/* bytes, and its size */
#define INTERVAL_MS	5000		/* commit=, by default */
#define QUIET_MS	1000		/* nothing changed for so long: commit */
#define SOFT_BLOCKS	4096

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

/* --- freeze --- */

enum stage { STAGE_NEW, STAGE_NAMED, STAGE_NAMES, STAGE_SUPER };

/* New blocks, what names lead to, then names, then the superblock. */
static enum stage stage_of(const struct commit_block *cb)
{
	if (cb->newborn)
		return STAGE_NEW;
	if (cb->rank == RANK_SUPER)
		return STAGE_SUPER;
	return cb->rank == RANK_DIR ? STAGE_NAMES : STAGE_NAMED;
}

/*
 * The order of writing, and of sealing: the stages keep bitmaps before
 * descriptors and these before the superblock, as sealing needs it.
 */
static int by_place(const void *va, const void *vb)
{
	const struct commit_block *a = va, *b = vb;

	if (stage_of(a) != stage_of(b))
		return stage_of(a) < stage_of(b) ? -1 : 1;
	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	return a->blk < b->blk ? -1 : a->blk > b->blk;
}

/*
 * Closes the running group.  Sealing a bitmap writes to the descriptor block,
 * which is in the group too and comes later.
 */
static struct txn_group *commit_freeze(struct journal *j)
{
	struct txn_group *g = j->running;
	struct buf *b;
	size_t n = 0, i;

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
		qsort(g->blocks, n, sizeof(*g->blocks), by_place);
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

	j->committing = g;
	j->running = g == &j->groups[0] ? &j->groups[1] : &j->groups[0];
	assert(!j->running->count && !j->running->frozen.total);
	j->running->id = g->id + 1;
	j->commits_begun++;
	return g;
}

/* --- write --- */

/* How many blocks from CB on are neighbours on disk, of one rank. */
static size_t run_length(const struct journal *j, const struct commit_block *cb,
			 size_t max)
{
	size_t n = 1, fit = GATHER_BYTES / j->fs->blocksize;

	if (cb->rank == RANK_SUPER)
		return 1;
	while (n < max && n < fit && cb[n].rank == cb->rank &&
	       cb[n].newborn == cb->newborn && cb[n].blk == cb->blk + n)
		n++;
	return n;
}

static int write_run(struct journal *j, const struct commit_block *cb, size_t n)
{
	size_t size = j->fs->blocksize, i;
	struct device *dev = j->fs->dev;

	/* J10; what surrounds it in its block is not ours */
	if (cb->rank == RANK_SUPER)
		return device_write(dev, cb->data + SUPER_OFFSET % size,
				    SUPER_OFFSET, SUPER_OFFSET);
	if (n == 1)
		return device_write(dev, cb->data, size, cb->blk * size);
	for (i = 0; i < n; i++)
		memcpy((uint8_t *)j->gather + i * size, cb[i].data, size);
	return device_write(dev, j->gather, n * size, cb->blk * size);
}

/*
 * Blocks that the group's metadata will point to: file data, which is written
 * already, and new metadata.  *NEXT is the first of the others.
 */
static int commit_data(struct journal *j, struct txn_group *g, size_t *next)
{
	size_t i, n;
	int err;

	for (i = 0; i < g->count && g->blocks[i].newborn; i += n) {
		n = run_length(j, &g->blocks[i], g->count - i);
		err = write_run(j, &g->blocks[i], n);
		if (err)
			return err;
	}
	*next = i;
	return device_sync(j->fs->dev);
}

static int commit_home(struct journal *j, struct txn_group *g, size_t first)
{
	size_t i, n;
	int err;

	for (i = first; i < g->count; i += n) {
		const struct commit_block *cb = &g->blocks[i];

		if (i > first && stage_of(cb) == STAGE_NAMES &&
		    stage_of(&cb[-1]) == STAGE_NAMED) {
			err = device_sync(j->fs->dev);
			if (err)
				return err;
		}
		n = run_length(j, cb, g->count - i);
		err = write_run(j, cb, n);
		if (err)
			return err;
	}
	return device_sync(j->fs->dev);
}

/* --- finish --- */

static void release_block(struct journal *j, struct commit_block *cb, int err)
{
	struct buf *b = cb->buf;

	b->commit = NULL;
	if (cb->copied)
		cache_page_free(b->cache, cb->data);
	/*
	 * It never got home, so memory has the only copy; the group's array
	 * is never used again.
	 */
	if (err && !b->txn && !b->dead)
		group_link(j->running, b);
	cache_settle(b);
}

static void commit_finish(struct journal *j, struct txn_group *g, int err)
{
	size_t i;

	if (err)
		txn_abort_volume(j->fs, err);
	else
		j->durable = g->id;
	for (i = 0; i < g->count; i++)
		release_block(j, &g->blocks[i], err);
	g->count = 0;
	range_clear(&g->frozen);
	j->committing = NULL;
	j->commits_done = j->commits_begun;
	pthread_cond_broadcast(&j->done);
}

static bool group_is_empty(const struct txn_group *g)
{
	return !g->count && !g->frozen.total;
}

int journal_commit(struct journal *j)
{
	struct txn_group *g;
	size_t next;
	int err;

	assert(!j->open);
	if (j->fs->aborted)
		return -EIO;
	if (j->committing) {
		pthread_cond_wait(&j->done, &j->fs->lock);
		return j->fs->aborted ? -EIO : 0;
	}
	if (group_is_empty(j->running))
		return 0;
	g = commit_freeze(j);
	fs_unlock(j->fs);
	err = commit_data(j, g, &next);
	if (!err)
		err = commit_home(j, g, next);
	fs_lock(j->fs);
	commit_finish(j, g, err);
	return err ? -EIO : 0;
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
		txn_abort_volume(fs, err);
		fs_unlock(fs);
		return -EIO;
	}
	return 0;
}

/* --- the thread --- */

/* When the running group is to be committed, by age or because it is quiet. */
static uint64_t due_ms(const struct journal *j)
{
	uint64_t interval = j->fs->opt.commit_interval * 1000ULL;
	uint64_t aged, quiet;

	if (!interval)
		interval = INTERVAL_MS;
	aged = j->running->born_ms + interval;
	quiet = j->last_end_ms + (interval < QUIET_MS ? interval : QUIET_MS);
	if (j->running->count >= j->soft)
		return 0;
	return aged < quiet ? aged : quiet;
}

static void sleep_until(struct journal *j, uint64_t ms)
{
	struct timespec ts = {
		.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000,
	};

	pthread_cond_timedwait(&j->wake, &j->fs->lock, &ts);
}

void journal_wake(struct fs *fs)
{
	if (fs->journal && fs->journal->threaded)
		pthread_cond_signal(&fs->journal->wake);
}

static void *commit_thread(void *arg)
{
	struct journal *j = arg;
	uint32_t errors, tried = 0;

	fs_lock(j->fs);
	while (!j->stop) {
		uint64_t due;

		errors = j->fs->error_log.pending;
		if (errors && errors != tried && !j->fs->aborted) {
			tried = errors;
			fs_unlock(j->fs);
			fs_error_flush(j->fs);
			fs_lock(j->fs);
			continue;
		}
		if (!errors)
			tried = 0;
		if (group_is_empty(j->running) || j->fs->aborted) {
			j->asleep = true;
			pthread_cond_wait(&j->wake, &j->fs->lock);
			j->asleep = false;
			continue;
		}
		due = due_ms(j);
		if (journal_now_ms() < due)
			sleep_until(j, due);
		else
			journal_commit(j);
	}
	fs_unlock(j->fs);
	return NULL;
}

/* --- set-up --- */

int journal_open(struct fs *fs)
{
	struct journal *j = calloc(1, sizeof(*j));
	pthread_condattr_t attr;

	if (!j)
		return -ENOMEM;
	if (posix_memalign(&j->gather, 4096, GATHER_BYTES)) {
		free(j);
		return -ENOMEM;
	}
	j->fs = fs;
	j->running = &j->groups[0];
	j->running->id = 1;
	j->soft = cache_limit(fs->cache) / 2;
	if (j->soft > SOFT_BLOCKS)
		j->soft = SOFT_BLOCKS;
	j->hard = 2 * j->soft;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&j->done, NULL);
	pthread_cond_init(&j->wake, &attr);
	pthread_condattr_destroy(&attr);
	fs->journal = j;
	return 0;
}

int journal_start(struct fs *fs)
{
	struct journal *j = fs->journal;
	sigset_t all, old;
	int err;

	if (fs->rdonly || j->threaded)
		return 0;
	/* signals are for the threads that know what to do with them */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	j->stop = false;
	err = pthread_create(&j->thread, NULL, commit_thread, j);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		return -err;
	fs_lock(fs);
	j->threaded = true;
	fs_unlock(fs);
	return 0;
}

void journal_stop(struct fs *fs)
{
	struct journal *j = fs->journal;

	if (!j || !j->threaded)
		return;
	fs_lock(fs);
	j->stop = true;
	j->threaded = false;
	pthread_cond_signal(&j->wake);
	fs_unlock(fs);
	pthread_join(j->thread, NULL);
}

void journal_close(struct fs *fs)
{
	struct journal *j = fs->journal;
	struct buf *b;
	int i;

	if (!j)
		return;
	journal_stop(fs);
	txn_sync(fs, 0);
	fs_lock(fs);
	for (i = 0; i < 2; i++) {
		while ((b = j->groups[i].bufs)) {
			group_unlink(&j->groups[i], b);
			cache_settle(b);
		}
		range_clear(&j->groups[i].frozen);
		free(j->groups[i].blocks);
	}
	handle_free(&j->handle);
	fs->journal = NULL;
	fs_unlock(fs);
	pthread_cond_destroy(&j->done);
	pthread_cond_destroy(&j->wake);
	free(j->gather);
	free(j);
}
