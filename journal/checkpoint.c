/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * checkpoint.c - what is in the log goes home, and the log's tail moves.
 *
 * Knows the groups in the log, oldest first, and which of their blocks are
 * not at their places yet; only the newest committed copy of a block counts.
 * A buffer that is written to again leaves its old page here (txn.c), so that
 * a checkpoint never waits for a commit, and never sees what is not committed
 * (J2).
 *
 * Called by who holds the journal (->busy).  The volume lock is taken, or
 * dropped, where a comment says so; never held during I/O.
 */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/fs.h"
#include "io/cache.h"
#include "io/device.h"
#include "journal/logfile.h"
#include "journal/txn_internal.h"
#include "sys/log.h"

#define SUPER_OFFSET	1024	/* bytes, and its size */

/* A log that is idle, or whose oldest part is old, is emptied. */
#define IDLE_MS		3000
#define AGE_MS		15000

/* --- home --- */

/* How many blocks from V[0] on are neighbours on disk, for one write. */
size_t home_run(const struct journal *j, struct commit_block *const *v,
		size_t max)
{
	size_t n = 1, fit = GATHER_BYTES / j->fs->blocksize;

	if (v[0]->rank == RANK_SUPER)
		return 1;
	while (n < max && n < fit && v[n]->rank != RANK_SUPER &&
	       v[n]->blk == v[0]->blk + n)
		n++;
	return n;
}

int home_write(struct journal *j, struct commit_block *const *v, size_t n)
{
	size_t size = j->fs->blocksize, i;
	struct device *dev = j->fs->dev;

	if (v[0]->rank == RANK_SUPER) {
		const uint8_t *sb = v[0]->data + SUPER_OFFSET % size;

		assert(n == 1);
#ifdef BREAK_J10
		device_write(dev, sb, 512, SUPER_OFFSET);
		return device_write(dev, sb + 512, 512, SUPER_OFFSET + 512);
#endif
		/* J10; what surrounds it in its block is not ours */
		return device_write(dev, sb, SUPER_OFFSET, SUPER_OFFSET);
	}
	if (n == 1)
		return device_write(dev, v[0]->data, size, v[0]->blk * size);
	for (i = 0; i < n; i++)
		memcpy((uint8_t *)j->gather + i * size, v[i]->data, size);
	return device_write(dev, j->gather, n * size, v[0]->blk * size);
}

static int by_block(const void *va, const void *vb)
{
	const struct commit_block *a = *(struct commit_block *const *)va;
	const struct commit_block *b = *(struct commit_block *const *)vb;

	return a->blk < b->blk ? -1 : a->blk > b->blk;
}

static int write_batch(struct journal *j, size_t count)
{
	struct commit_block **v = j->log.batch;
	size_t i, n;
	int err;

	qsort(v, count, sizeof(*v), by_block);
	for (i = 0; i < count; i += n) {
		n = home_run(j, v + i, count - i);
		err = home_write(j, v + i, n);
		if (err)
			return err;
	}
	return 0;
}

/* The next blocks that are not home, from block *AT of *G on. */
static size_t next_batch(struct journal *j, struct txn_group **g, size_t *at)
{
	size_t n = 0;

	while (*g && n < BATCH_BLOCKS) {
		struct commit_block *cb = &(*g)->blocks[*at];

		if (*at == (*g)->count) {
			*g = (*g)->next;
			*at = 0;
			continue;
		}
		++*at;
		if (!cb->buf)
			continue;
		/* J2: committed, and not what is being changed */
		assert(cb->buf->logged == cb);
		assert(cb->copied || (!cb->buf->txn && !cb->buf->commit));
		j->log.batch[n++] = cb;
	}
	return n;
}

int checkpoint_home(struct journal *j)
{
	struct txn_group *g = j->log.oldest;
	size_t at = 0, n, i;
	int err = 0;

	assert(j->busy);
	while (!err && (n = next_batch(j, &g, &at))) {
		fs_unlock(j->fs);
		err = write_batch(j, n);
		fs_lock(j->fs);
		for (i = 0; !err && i < n; i++)
			logged_done(j, j->log.batch[i]);
	}
	return err;
}

/* --- the groups in the log --- */

void logged_done(struct journal *j, struct commit_block *cb)
{
	struct buf *b = cb->buf;

	assert(b->logged == cb && cb->group->left);
	b->logged = NULL;
	cb->buf = NULL;
	if (cb->copied)
		cache_page_free(b->cache, cb->data);
	cb->data = NULL;
	cb->group->left--;
	j->log.blocks--;
	cache_settle(b);
}

void logged_add(struct journal *j, struct txn_group *g)
{
	size_t i;

	for (i = 0; i < g->count; i++) {
		struct commit_block *cb = &g->blocks[i];
		struct buf *b = cb->buf;

		/* one or the other at any time, or it may be evicted */
		if (b->logged)
			logged_done(j, b->logged);
		b->logged = cb;
		b->commit = NULL;
		cb->group = g;
		cache_settle(b);
	}
	g->left = g->count;
	g->logged_ms = journal_now_ms();
	g->next = NULL;
	j->log.blocks += g->count;
	j->log.used += g->len;
	if (j->log.newest)
		j->log.newest->next = g;
	else
		j->log.oldest = g;
	j->log.newest = g;
}

void logged_drop(struct journal *j)
{
	struct txn_group *g;

	while ((g = j->log.oldest)) {
		assert(!g->left);	/* J6 */
		j->log.oldest = g->next;
		j->log.used -= g->len;
		group_recycle(j, g);
	}
	j->log.newest = NULL;
	assert(!j->log.blocks && !j->log.used);
}

void log_forget(struct journal *j)
{
	struct txn_group *g;
	size_t i;

	for (g = j->log.oldest; g; g = g->next)
		for (i = 0; i < g->count; i++)
			if (g->blocks[i].buf)
				logged_done(j, &g->blocks[i]);
	logged_drop(j);
}

/* --- the tail --- */

/*
 * Replay begins at START with transaction TID; START 0: nothing is to be
 * replayed.  What is before that is durable at home (J6).  Durable with the
 * next flush of the log.
 */
int log_set_tail(struct journal *j, uint32_t start, uint32_t tid)
{
	struct logfile *lf = j->log.lf;

	lf->super.start = htobe32(start);
	lf->super.sequence = htobe32(tid);
	return logfile_write_super(lf);
}

int checkpoint_all(struct journal *j, bool stop)
{
	struct logfile *lf = j->log.lf;
	int err;

	assert(j->busy);
	fs_lock(j->fs);
	/* others may end it at any time */
	err = j->fs->aborted ? -EIO : checkpoint_home(j);
	fs_unlock(j->fs);
#ifndef BREAK_J6
	/* J6 */
	if (!err)
		err = device_sync(j->fs->dev);
#endif
	if (!err)
		err = log_set_tail(j, stop ? 0 : j->log.head, j->log.tid);
	if (!err)
		err = logfile_sync(lf);
	if (err)
		return err;
	fs_lock(j->fs);
	logged_drop(j);
	fs_unlock(j->fs);
	return 0;
}

/* Half of the log is for what is home soon, the other for what comes. */
bool checkpoint_needed(const struct journal *j)
{
	if (!j->log.on || !j->log.oldest)
		return false;
#ifdef BREAK_J6
	return true;		/* or it would be seldom to be seen */
#endif
	return j->log.used + log_need(j, j->running) > j->log.size / 2 ||
	       j->log.blocks > j->hard;
}

uint64_t checkpoint_due_ms(const struct journal *j)
{
	uint64_t aged, idle;

	if (!j->log.oldest)
		return UINT64_MAX;
	aged = j->log.oldest->logged_ms + AGE_MS;
	idle = j->log.newest->logged_ms + IDLE_MS;
	if (idle < j->last_end_ms + IDLE_MS)
		idle = j->last_end_ms + IDLE_MS;
	return aged < idle ? aged : idle;
}

/* --- failure --- */

void log_note_failure(struct journal *j)
{
	struct log *log = &j->log;

	if (!log->failed || log->noted || !log->on)
		return;
	log->noted = true;
	log->lf->super.error = htobe32((uint32_t)-EIO);
	if (!logfile_write_super(log->lf))
		logfile_sync(log->lf);
}
