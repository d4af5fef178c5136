/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * scan.c - reading a log: which transactions are complete, which blocks they
 * have, which of these were revoked.
 *
 * Knows the blocks of the log and their checksums; not where a journal is
 * (logfile.c) nor what its contents mean.  Everything here comes from a disk
 * that may say anything.  Takes no lock.
 *
 * Where the log ends.  A transaction counts when its commit block is there.
 * If a checksum is wrong, that may be a commit that the power cut short (torn
 * blocks, or asynchronous commits, whose commit block does not wait for the
 * rest): then the log ends before it and all is well.  Or it is damage.  What
 * tells them apart is what follows: a later transaction is begun only after
 * an earlier one is complete.  So if a good transaction follows, something
 * was committed and is broken, and nothing at all is replayed.
 */
#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "fs/fs.h"
#include "journal/logfile.h"
#include "journal/scan.h"
#include "sys/log.h"

struct revoked {
	uint64_t blk;
	uint32_t tid;
};

struct walk {
	struct logfile *lf;
	uint8_t *block;			/* of the log, being looked at */
	uint8_t *data;
	uint32_t tid, pos;
	uint32_t left;			/* log blocks until once around */
	uint64_t last_sec;		/* of the last good commit */
	uint32_t crc;			/* version 1, of this transaction */
	bool bad;			/* a checksum in this one is wrong */
	bool doubt;			/* one before was wrong: see above */
	struct log_block *blocks;
	size_t count, room;
	struct revoked *revoked;
	size_t revoked_count, revoked_room;
	size_t good_count, good_revoked;	/* of complete transactions */
};

enum verdict { GO_ON, THE_END };		/* or -errno */

static int damaged(uint32_t tid, const char *what)
{
	msg_err("The journal is damaged: %s in transaction %u.", what, tid);
	return -EFSCORRUPTED;
}

static bool tid_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) < 0;
}

/* ---- checksums ---- */

static uint32_t log_block_csum(const struct logfile *lf, void *block,
			       size_t field)
{
	uint32_t zero = 0, saved, crc;

	memcpy(&saved, (uint8_t *)block + field, sizeof(saved));
	memcpy((uint8_t *)block + field, &zero, sizeof(zero));
	crc = ext2fs_crc32c_le(lf->csum_seed, block, lf->blocksize);
	memcpy((uint8_t *)block + field, &saved, sizeof(saved));
	return crc;
}

static uint32_t log_tag_csum(const struct logfile *lf, uint32_t tid,
			     const void *block)
{
	uint32_t be = htobe32(tid), crc;

	crc = ext2fs_crc32c_le(lf->csum_seed, (uint8_t *)&be, sizeof(be));
	return ext2fs_crc32c_le(crc, block, lf->blocksize);
}

static bool tail_is_right(const struct logfile *lf, uint8_t *block)
{
	size_t field = lf->blocksize - sizeof(struct jbd_tail);
	uint32_t be;

	if (!lf->csum23)
		return true;
	memcpy(&be, block + field, sizeof(be));
	return be32toh(be) == log_block_csum(lf, block, field);
}

static bool copy_is_right(const struct logfile *lf, const struct log_block *b,
			  const uint8_t *data)
{
	uint32_t crc;

	if (!lf->csum23)
		return true;
	crc = log_tag_csum(lf, b->tid, data);
	if (lf->incompat & JBD_INCOMPAT_CSUM_V3)
		return b->csum == crc;
	return b->csum == (crc & 0xffff);
}

static bool has_v1(const struct logfile *lf)
{
	return be32toh(lf->super.compat) & JBD_COMPAT_CHECKSUM;
}

/* ---- blocks of the log ---- */

/* The next block of the log into BUF.  -ENODATA after once around. */
static int next_block(struct walk *w, void *buf)
{
	int err;

	if (!w->left)
		return -ENODATA;
	w->left--;
	err = logfile_read(w->lf, w->pos, 1, buf);
	w->pos = logfile_next(w->lf, w->pos);
	return err;
}

static int grow(void **array, size_t *room, size_t size)
{
	size_t n = *room ? 2 * *room : 256;
	void *p = realloc(*array, n * size);

	if (!p)
		return -ENOMEM;
	*array = p;
	*room = n;
	return 0;
}

static int add_block(struct walk *w, const struct log_block *b)
{
	int err;

	if (w->count == w->room) {
		err = grow((void **)&w->blocks, &w->room, sizeof(*w->blocks));
		if (err)
			return err;
	}
	w->blocks[w->count] = *b;
	w->blocks[w->count].order = w->count;
	w->count++;
	return 0;
}

static void decode_tag(const struct logfile *lf, const uint8_t *p,
		       struct log_block *b, unsigned *flags)
{
	struct jbd_tag3 t3;
	struct jbd_tag t = { .blocknr = 0 };

	memset(b, 0, sizeof(*b));
	if (lf->incompat & JBD_INCOMPAT_CSUM_V3) {
		memcpy(&t3, p, sizeof(t3));
		b->blk = be32toh(t3.blocknr);
		if (lf->incompat & JBD_INCOMPAT_64BIT)
			b->blk |= (uint64_t)be32toh(t3.blocknr_high) << 32;
		b->csum = be32toh(t3.checksum);
		*flags = be32toh(t3.flags);
	} else {
		memcpy(&t, p, lf->tag_bytes < sizeof(t) ? lf->tag_bytes :
							  sizeof(t));
		b->blk = be32toh(t.blocknr);
		if (lf->incompat & JBD_INCOMPAT_64BIT)
			b->blk |= (uint64_t)be32toh(t.blocknr_high) << 32;
		b->csum = be16toh(t.checksum);
		*flags = be16toh(t.flags);
	}
	b->escaped = *flags & JBD_TAG_ESCAPE;
}

/* The copy that belongs to tag B follows in the log. */
static int take_copy(struct walk *w, struct log_block *b)
{
	struct logfile *lf = w->lf;
	bool look = has_v1(lf) ||
		    (lf->csum23 && (lf->incompat & JBD_INCOMPAT_ASYNC));
	int err;

	b->jblk = w->pos;
	b->tid = w->tid;
	if (look) {
		err = next_block(w, w->data);
		if (err)
			return err;
		if (has_v1(lf))
			w->crc = ext2fs_crc32_be(w->crc, w->data,
						 lf->blocksize);
		else if (!copy_is_right(lf, b, w->data))
			w->bad = true;
	} else {
		if (!w->left)
			return -ENODATA;
		w->left--;
		w->pos = logfile_next(lf, w->pos);
	}
	return add_block(w, b);
}

static int read_descriptor(struct walk *w)
{
	struct logfile *lf = w->lf;
	size_t end = lf->blocksize, at = sizeof(struct jbd_header);
	unsigned flags = 0;
	struct log_block b;
	int err;

	if (lf->csum23)
		end -= sizeof(struct jbd_tail);
	if (!tail_is_right(lf, w->block))
		w->bad = true;
	if (has_v1(lf))
		w->crc = ext2fs_crc32_be(w->crc, w->block, lf->blocksize);
	while (!(flags & JBD_TAG_LAST) && at + lf->tag_bytes <= end) {
		decode_tag(lf, w->block + at, &b, &flags);
		at += lf->tag_bytes;
		if (!(flags & JBD_TAG_SAME_UUID))
			at += sizeof(lf->super.uuid);
		err = take_copy(w, &b);
		if (err)
			return err;
	}
	return GO_ON;
}

static int read_revokes(struct walk *w)
{
	struct logfile *lf = w->lf;
	size_t end = lf->blocksize, at, bytes;
	struct jbd_revoke r;
	uint64_t be64;
	uint32_t be32;
	int err;

	if (!tail_is_right(lf, w->block)) {
		w->bad = true;
		return GO_ON;
	}
	if (lf->csum23)
		end -= sizeof(struct jbd_tail);
	bytes = lf->incompat & JBD_INCOMPAT_64BIT ? 8 : 4;
	memcpy(&r, w->block, sizeof(r));
	if (be32toh(r.count) < sizeof(r) || be32toh(r.count) > end) {
		if (w->doubt)
			return THE_END;
		return damaged(w->tid, "a bad revoke block");
	}
	end = be32toh(r.count);
	for (at = sizeof(r); at + bytes <= end; at += bytes) {
		struct revoked *v;

		if (w->revoked_count == w->revoked_room) {
			err = grow((void **)&w->revoked, &w->revoked_room,
				   sizeof(*w->revoked));
			if (err)
				return err;
		}
		v = &w->revoked[w->revoked_count++];
		v->tid = w->tid;
		if (bytes == 8) {
			memcpy(&be64, w->block + at, sizeof(be64));
			v->blk = be64toh(be64);
		} else {
			memcpy(&be32, w->block + at, sizeof(be32));
			v->blk = be32toh(be32);
		}
	}
	return GO_ON;
}

/* Is what the commit block says of its transaction true? */
static bool commit_is_right(struct walk *w, const struct jbd_commit *c)
{
	uint32_t found = be32toh(c->chksum[0]);

	if (w->lf->csum23)
		return found == log_block_csum(w->lf, w->block,
					offsetof(struct jbd_commit, chksum));
	if (!has_v1(w->lf) || (!c->chksum_type && !c->chksum_size && !found))
		return true;
	return c->chksum_type == JBD_CSUM_CRC32 && c->chksum_size == 4 &&
	       found == w->crc;
}

static int read_commit(struct walk *w)
{
	bool async = w->lf->incompat & JBD_INCOMPAT_ASYNC, right;
	struct jbd_commit c;
	uint64_t sec;

	memcpy(&c, w->block, sizeof(c));
	sec = be64toh(c.sec);
	right = commit_is_right(w, &c);
	if (right && !w->bad && !w->doubt) {
		w->good_count = w->count;
		w->good_revoked = w->revoked_count;
		w->last_sec = sec;
	} else if (right && sec < w->last_sec) {
		return THE_END;		/* left from an older use of the log */
	} else if (right && !w->bad) {
		return damaged(w->tid - 1, "a wrong checksum");
	} else if (w->doubt) {
		return THE_END;
	} else if (right && !async) {
		/* it was written when all the others were durable */
		return damaged(w->tid, "a wrong checksum");
	} else {
		w->doubt = true;
		msg_warn("Transaction %u of the journal was cut short.",
			 w->tid);
	}
	w->tid++;
	w->crc = ~0U;
	w->bad = false;
	return GO_ON;
}

/* One block that is not a copy. */
static int step(struct walk *w)
{
	struct jbd_header h;
	int err;

	err = next_block(w, w->block);
	if (err)
		return err;
	memcpy(&h, w->block, sizeof(h));
	if (be32toh(h.magic) != JBD_MAGIC || be32toh(h.sequence) != w->tid)
		return THE_END;
	switch (be32toh(h.type)) {
	case JBD_DESCRIPTOR:
		return read_descriptor(w);
	case JBD_REVOKE:
		return read_revokes(w);
	case JBD_COMMIT:
		return read_commit(w);
	}
	return THE_END;
}

/* To the end of the log; what is not complete is forgotten. */
static int walk_log(struct walk *w, struct log_scan *s)
{
	int err;

	s->first_tid = s->end_tid = w->tid;
	s->head = w->pos;
	do {
		err = step(w);
		if (!err && !w->doubt && w->tid != s->end_tid) {
			s->end_tid = w->tid;
			s->head = w->pos;
		}
	} while (err == GO_ON);
	w->count = w->good_count;
	w->revoked_count = w->good_revoked;
	return err == THE_END || err == -ENODATA ? 0 : err;
}

/* ---- what is left of it ---- */

static int by_revoked(const void *x, const void *y)
{
	const struct revoked *a = x, *b = y;

	if (a->blk != b->blk)
		return a->blk < b->blk ? -1 : 1;
	return a->tid == b->tid ? 0 : tid_before(a->tid, b->tid) ? -1 : 1;
}

/* The later in the log counts: not by the number of its log block, which says
 * nothing once the log has wrapped. */
static int by_block(const void *x, const void *y)
{
	const struct log_block *a = x, *b = y;

	if (a->blk != b->blk)
		return a->blk < b->blk ? -1 : 1;
	return a->order < b->order ? -1 : a->order > b->order;
}

/* Revoked by a transaction that is not before the one it is in? */
static bool is_revoked(const struct walk *w, const struct log_block *b)
{
	size_t lo = 0, hi = w->revoked_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (w->revoked[mid].blk <= b->blk)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo && w->revoked[lo - 1].blk == b->blk &&
	       !tid_before(w->revoked[lo - 1].tid, b->tid);
}

/*
 * Drops what was revoked, after checking the rest.  A copy that a newer one
 * replaces is checked, too: the log is sound, or it is not.
 */
static int check_copies(struct walk *w)
{
	size_t i, n = 0;
	int err;

	if (w->revoked_count)
		qsort(w->revoked, w->revoked_count, sizeof(*w->revoked),
		      by_revoked);
	for (i = 0; i < w->count; i++) {
		struct log_block *b = &w->blocks[i];

		if (is_revoked(w, b))
			continue;
		err = logfile_read(w->lf, b->jblk, 1, w->data);
		if (err)
			return err;
		if (!copy_is_right(w->lf, b, w->data))
			return damaged(b->tid, "a wrong checksum of a block");
		w->blocks[n++] = *b;
	}
	w->count = n;
	return 0;
}

static void keep_newest(struct walk *w)
{
	size_t i, n = 0;

	if (w->count)
		qsort(w->blocks, w->count, sizeof(*w->blocks), by_block);
	for (i = 0; i < w->count; i++) {
		if (i + 1 < w->count && w->blocks[i + 1].blk == w->blocks[i].blk)
			continue;
		w->blocks[n++] = w->blocks[i];
	}
	w->count = n;
}

int log_scan(struct logfile *lf, struct log_scan *s)
{
	struct walk w = {
		.lf = lf, .crc = ~0U, .left = lf->end - lf->first,
		.tid = be32toh(lf->super.sequence),
		.pos = be32toh(lf->super.start),
	};
	int err = -ENOMEM;

	memset(s, 0, sizeof(*s));
	w.block = malloc(lf->blocksize);
	w.data = malloc(lf->blocksize);
	if (w.block && w.data)
		err = walk_log(&w, s);
	if (!err)
		err = check_copies(&w);
	if (!err) {
		keep_newest(&w);
		s->blocks = w.blocks;
		s->count = w.count;
	} else {
		free(w.blocks);
	}
	if (err == -EIO)
		msg_err("The journal cannot be read: %s.", strerror(EIO));
	free(w.revoked);
	free(w.block);
	free(w.data);
	return err;
}

void log_scan_free(struct log_scan *s)
{
	free(s->blocks);
	s->blocks = NULL;
	s->count = 0;
}

const struct log_block *log_scan_find(const struct log_scan *s, uint64_t blk)
{
	size_t lo = 0, hi = s->count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (s->blocks[mid].blk < blk)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < s->count && s->blocks[lo].blk == blk ? &s->blocks[lo] : NULL;
}
