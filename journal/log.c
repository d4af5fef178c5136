/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log.c - a transaction in the log: revoke blocks, descriptor blocks, each
 * with copies of the blocks that it names, and the commit block.
 *
 * Knows which there are, and the order of flushes that makes them a
 * transaction; not all that they look like (record.c), where the log is
 * (logfile.c), nor what the blocks are.
 *
 * Called by who holds the journal, without the volume lock, which is taken
 * only to make room.
 */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "fs/fs.h"
#include "io/cache.h"
#include "io/device.h"
#include "journal/logfile.h"
#include "journal/record.h"
#include "journal/txn_internal.h"
#include "sys/log.h"

/* Blocks on their way to the log, neighbours in j->gather. */
struct out {
	struct journal *j;
	struct logfile *lf;
	uint32_t tid;
	uint32_t pos;		/* where the next block goes */
	uint32_t base, count;	/* gathered */
	int err;
};

/* --- sizes --- */

static unsigned revoke_bytes(const struct logfile *lf)
{
	return lf->incompat & JBD_INCOMPAT_64BIT ? 8 : 4;
}

static unsigned revokes_per_block(const struct logfile *lf)
{
	unsigned tail = lf->csum23 ? sizeof(struct jbd_tail) : 0;

	return (lf->blocksize - sizeof(struct jbd_revoke) - tail) /
	       revoke_bytes(lf);
}

static uint64_t parts(uint64_t n, unsigned size)
{
	return (n + size - 1) / size;
}

/* Log blocks that the group takes. */
uint32_t log_need(const struct journal *j, const struct txn_group *g)
{
	const struct logfile *lf = j->log.lf;
	uint64_t n;

	n = g->count + parts(g->count, record_tags(lf)) +
	    parts(g->revoked.total, revokes_per_block(lf)) + 1;
	return n < UINT32_MAX ? n : UINT32_MAX;
}

/* --- blocks --- */

static void out_flush(struct out *o)
{
	if (o->count && !o->err)
		o->err = logfile_write(o->lf, o->base, o->count, o->j->gather);
	o->count = 0;
}

/* Room for the next log block; what it held before is anything. */
static uint8_t *out_block(struct out *o)
{
	uint32_t max = GATHER_BYTES / o->lf->blocksize;

	if (o->count == max || (o->count && o->pos != o->base + o->count))
		out_flush(o);
	if (!o->count)
		o->base = o->pos;
	o->pos = logfile_next(o->lf, o->pos);
	return (uint8_t *)o->j->gather + (size_t)o->count++ * o->lf->blocksize;
}

/* The same with a header, and zero after that. */
static uint8_t *out_control(struct out *o, enum jbd_block_type type)
{
	uint8_t *p = out_block(o);

	record_start(o->lf, p, type, o->tid);
	return p;
}

/* --- revokes --- */

static void put_revoke(const struct logfile *lf, uint8_t *p, uint64_t blk)
{
	uint64_t wide = htobe64(blk);
	uint32_t narrow = htobe32((uint32_t)blk);

	if (revoke_bytes(lf) == sizeof(wide))
		memcpy(p, &wide, sizeof(wide));
	else
		memcpy(p, &narrow, sizeof(narrow));
}

/* Fills P with revokes from the set's blocks from BLK on; where to go on. */
static uint64_t fill_revokes(struct out *o, uint8_t *p,
			     const struct range_set *set, uint64_t blk)
{
	unsigned max = revokes_per_block(o->lf), n = 0;
	uint32_t used = sizeof(struct jbd_revoke);
	uint64_t start, count;

	while (n < max && range_next(set, blk, &start, &count)) {
		uint64_t end = start + count;

		if (blk < start)
			blk = start;
		for (; n < max && blk < end; n++, blk++) {
			put_revoke(o->lf, p + used, blk);
			used += revoke_bytes(o->lf);
		}
	}
	((struct jbd_revoke *)p)->count = htobe32(used);
	return blk;
}

static void write_revokes(struct out *o, const struct range_set *set)
{
	uint64_t left = parts(set->total, revokes_per_block(o->lf)), blk = 0;
	uint8_t *p;

	while (left--) {
		p = out_control(o, JBD_REVOKE);
		blk = fill_revokes(o, p, set, blk);
		record_seal(o->lf, p);
	}
}

/* --- descriptors and copies --- */

static void write_descriptor(struct out *o, const struct commit_block *cb,
			     size_t n)
{
	uint8_t *p = out_control(o, JBD_DESCRIPTOR);
	uint8_t *tag = p + sizeof(struct jbd_header);
	size_t i;

	for (i = 0; i < n; i++)
		record_tag(o->lf, o->tid, &tag, cb[i].blk, cb[i].data, i, n);
	record_seal(o->lf, p);
}

static void write_copies(struct out *o, const struct commit_block *cb, size_t n)
{
	uint8_t *p;
	size_t i;

	for (i = 0; i < n; i++) {
		p = out_block(o);
		memcpy(p, cb[i].data, o->lf->blocksize);
		if (record_escaped(cb[i].data))
			memset(p, 0, sizeof(uint32_t));
	}
}

static int write_blocks(struct out *o, const struct txn_group *g)
{
	unsigned max = record_tags(o->lf);
	uint32_t end;
	size_t i, n;

	write_revokes(o, &g->revoked);
	for (i = 0; i < g->count && !o->err; i += n) {
		n = g->count - i < max ? g->count - i : max;
		write_descriptor(o, &g->blocks[i], n);
		write_copies(o, &g->blocks[i], n);
	}
	/* what the log had here before could make a whole commit block of a
	 * torn one, with a wrong checksum */
	end = o->pos;
	memset(out_block(o), 0, o->lf->blocksize);
	o->pos = end;
	out_flush(o);
	return o->err;
}

static int write_commit(struct out *o)
{
	struct timespec now = fs_now(o->j->fs);

	record_commit(o->lf, out_block(o), o->tid, &now);
	out_flush(o);
	return o->err;
}

/* --- a transaction --- */

/*
 * What the commit block vouches for is durable: file data (J3), the blocks in
 * the log, and what an earlier checkpoint wrote home.
 */
static int flush_before_commit(struct journal *j)
{
	int err = 0;

#ifdef BREAK_J3
	return 0;
#endif
	/* J3 */
	if (j->log.lf->dev != j->fs->dev)
		err = device_sync(j->fs->dev);
	return err ? err : logfile_sync(j->log.lf);
}

static int make_room(struct journal *j, uint32_t need)
{
	if (need >= j->log.size) {
		msg_err("A transaction of %u blocks does not fit in the journal.",
			need);
		return -ENOSPC;
	}
	if (need < j->log.size - j->log.used)
		return 0;
	return checkpoint_all(j, false);
}

/*
 * Everything older is home since before the last flush: the log can begin
 * with this transaction, which makes room for the next.
 */
static bool tail_moves(const struct journal *j)
{
	return j->log.oldest && !j->log.blocks;
}

int log_commit(struct journal *j, struct txn_group *g)
{
	struct out o = {
		.j = j, .lf = j->log.lf, .tid = j->log.tid,
		.pos = j->log.head,
	};
	int err;

	assert(j->busy && j->log.on);
	if (!g->count && !g->revoked.total)
		return flush_before_commit(j);
	g->len = log_need(j, g);
	g->tid = o.tid;
	err = make_room(j, g->len);
	if (err)
		return err;
	g->start = o.pos;
#ifdef BREAK_J6
	if (tail_moves(j))
		log_set_tail(j, g->start, g->tid);
#endif
	err = write_blocks(&o, g);
#ifdef BREAK_J2
	for (size_t i = 0; i < g->count; i++) {
		struct commit_block *cb = &g->blocks[i];

		home_write(j, &cb, 1);
	}
#endif
	if (!err)
		err = flush_before_commit(j);
	j->log.moved = tail_moves(j);
	if (!err && j->log.moved)
		err = log_set_tail(j, g->start, g->tid);
	if (!err)
		err = write_commit(&o);
	if (!err)
		err = logfile_sync(j->log.lf);
	if (err)
		return err;
	assert((o.pos + j->log.size - g->start) % j->log.size ==
	       g->len % j->log.size);
	j->log.head = o.pos;
	j->log.tid++;
	return 0;
}
