/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * freed.c - blocks that a transaction freed.
 *
 * Until the transaction is durable a crash may bring their owner back, so
 * nobody else may have them (J4), and what older transactions logged of them
 * still has to get home: their buffers are doomed, but not gone.  Once it is
 * durable they may become file data, over which a replay must not write what
 * the log has of them: so metadata is revoked (J5), in the transaction that
 * frees it.
 *
 * Knows no allocation and does no I/O.  Everything needs the volume lock.
 */
#include <assert.h>
#include <errno.h>

#include "fs/fs.h"
#include "io/cache.h"
#include "journal/txn_internal.h"

int freed_add(struct txn *t, uint64_t blk, uint64_t count, bool meta)
{
	struct txn_group *g = t->group;

	if (range_add(&g->frozen, blk, count))
		return -ENOMEM;
#ifndef BREAK_J5
	/* J5 */
	if (meta && t->fs->journal->log.on &&
	    range_add(&g->revoked, blk, count))
		return -ENOMEM;
#endif
	return 0;
}

void freed_undo(struct txn *t, uint64_t blk, uint64_t count, bool meta)
{
	/* without memory they stay frozen: harmless */
	range_remove(&t->group->frozen, blk, count);
	/* but a replay must not pass over what is in use again */
	if (meta && range_remove(&t->group->revoked, blk, count))
		txn_abort_volume(t->fs, -ENOMEM);
}

/* B was dropped while the log, or the commit on its way there, has it. */
void txn_doom(struct fs *fs, struct buf *b)
{
	struct txn_group *g = fs->journal->running;

	assert(!b->txn && !b->doomed);
	if (!fs->journal->log.on)
		return;
	b->doomed = 1;
	b->txn_next = g->doomed;
	g->doomed = b;
}

static void finish_doomed(struct journal *j, struct txn_group *g)
{
	struct buf *b;

	while ((b = g->doomed)) {
		g->doomed = b->txn_next;
		b->txn_next = NULL;
		b->doomed = 0;
		assert(!b->commit);
		if (b->logged)
			logged_done(j, b->logged);
		else
			cache_settle(b);
	}
}

void freed_finish(struct journal *j, struct txn_group *g, int err)
{
	struct buf *b;

	range_clear(&g->frozen);
	range_clear(&g->revoked);
	if (!err) {
		finish_doomed(j, g);
		return;
	}
	while ((b = g->doomed)) {
		g->doomed = b->txn_next;
		b->txn_next = j->running->doomed;
		j->running->doomed = b;
	}
}

void freed_clear(struct txn_group *g)
{
	struct buf *b;

	while ((b = g->doomed)) {
		g->doomed = b->txn_next;
		b->txn_next = NULL;
		b->doomed = 0;
		cache_settle(b);
	}
	range_clear(&g->frozen);
	range_clear(&g->revoked);
}

/* --- questions --- */

uint64_t txn_frozen(struct fs *fs, uint64_t blk, uint64_t count, uint64_t *skip)
{
	struct journal *j = fs->journal;
	struct txn_group *groups[2] = { j->running, j->committing };
	uint64_t start, len;
	int i;

#ifdef BREAK_J4
	return count;
#endif
	/* J4 */
	for (i = 0; i < 2; i++) {
		if (!groups[i] ||
		    !range_next(&groups[i]->frozen, blk, &start, &len))
			continue;
		if (start <= blk) {
			*skip = start + len - blk;
			return 0;
		}
		if (start - blk < count)
			count = start - blk;
	}
	return count;
}

uint64_t txn_frozen_total(struct fs *fs)
{
	struct journal *j = fs->journal;

	return j->running->frozen.total +
	       (j->committing ? j->committing->frozen.total : 0);
}
