/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * write.c - writing file contents: data_write().
 *
 * Two ways.  Bytes that lie inside i_size and in written blocks are simply
 * overwritten, with inode->io held shared.  Everything else (holes, unwritten
 * blocks, a larger size) takes io exclusively and goes in pieces: a plan of
 * where the bytes go, with new blocks only reserved; the data to the device;
 * then a transaction that maps the blocks and sets the size (J3).  Nothing
 * points at a block before its data is on the device, and a piece that fails
 * gives its reservation back (J9).
 *
 * Must not know how mappings are stored.  The volume lock is never held
 * across data I/O.
 */
#include <assert.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "dataio.h"
#include "io/device.h"
#include "xattr.h"

/* Segments in one plan, i.e. under one hold of the lock. */
#define PLAN_SEGS	64

/*
 * Credits that mapping one segment may need: bitmap, descriptor, superblock,
 * and a split on every level of the tree, each with its own allocation.  A
 * transaction with fewer left is ended after a whole segment.
 */
#define SEG_CREDITS	32

/* Partial blocks are assembled in memory together with their neighbours, up
 * to this many bytes. */
#define BOUNCE_MAX	65536

#define XATTR_INDEX_SECURITY	6

enum seg_kind {
	SEG_WRITTEN,		/* overwritten in place */
	SEG_CONVERT,		/* allocated but unwritten */
	SEG_NEW,		/* a hole */
};

struct seg {
	uint64_t lblk, pblk, len;	/* blocks */
	uint64_t rblk, rlen;		/* reserved for it; rlen 0: nothing */
	enum seg_kind kind;
};

struct plan {
	struct inode *inode;
	const uint8_t *buf;
	uint64_t off, len;		/* bytes; len: what the segments cover */
	unsigned flags;			/* DATA_* */
	unsigned nr;
	struct seg seg[PLAN_SEGS];
};

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Does an overwrite change anything in the inode?  Lock held. */
static bool overwrite_stamps(struct inode *inode, unsigned flags)
{
	struct timespec now;

	if ((flags & DATA_KILL_SUID) &&
	    ((inode->i.mode & (S_ISUID | S_ISGID)) ||
	     xattr_get_in(inode, XATTR_INDEX_SECURITY, "capability",
			  NULL, 0) != -ENODATA))
		return true;
	if (flags & DATA_WB)
		return false;
	now = fs_now(inode->fs);
	return !same_time(&inode->i.mtime, &now) ||
		!same_time(&inode->i.ctime, &now);
}

/*
 * One round of overwrite(): looks up runs, and stamps the inode before its
 * data changes.  The number of runs; 0: nothing here can be overwritten.
 */
static int overwrite_prepare(struct inode *inode, uint64_t off, uint64_t len,
			     unsigned flags, struct data_run *run,
			     uint64_t *covered)
{
	struct fs *fs = inode->fs;
	struct txn *t;
	int nr = 0, err;

	fs_lock(fs);
	if (off + len <= inode->i.size && !inode_has_inline(inode))
		nr = data_runs(inode, off, len, true, run, covered);
	if (nr > 0 && overwrite_stamps(inode, flags)) {
		err = data_begin_attr(inode, flags & DATA_KILL_SUID ?
				      TXN_XATTR : TXN_ATTR, &t);
		if (!err)
			err = txn_stop(t, data_stamp(t, inode, flags));
		if (err)
			nr = err;
	}
	fs_unlock(fs);
	return nr;
}

/*
 * Overwrites what can be, from OFF on; io held shared.  Bytes written: less
 * than LEN where other blocks begin.  -errno only if nothing was written.
 */
static ssize_t overwrite(struct inode *inode, const uint8_t *buf, size_t len,
			 uint64_t off, unsigned flags)
{
	struct data_run run[DATA_RUNS];
	uint64_t covered;
	size_t done = 0;
	int nr, i, err = 0;

	while (done < len) {
		nr = overwrite_prepare(inode, off + done, len - done, flags,
				       run, &covered);
		if (nr <= 0)
			return done ? (ssize_t)done : nr;
		for (i = 0; i < nr; done += run[i++].len) {
			err = device_write(inode->fs->dev, buf + done,
					   run[i].len, run[i].dev);
			if (err)
				return done ? (ssize_t)done : err;
		}
	}
	return done;
}

/*
 * Where the hole M (cut to what is to be written) goes: into a cluster that
 * the file owns already, or into newly reserved blocks.  May take less than
 * all of it.  Lock held.
 */
static int plan_hole(struct plan *p, const struct map *m, uint64_t goal,
		     struct seg *s)
{
	struct fs *fs = p->inode->fs;
	uint64_t ratio = fs->cluster_ratio, skip = m->lblk & (ratio - 1);
	uint64_t want = m->len & ~(ratio - 1), got;
	int err;

	s->kind = SEG_NEW;
	s->lblk = m->lblk;
	s->rlen = 0;
	if (skip || !want) {
		s->len = ratio - skip < m->len ? ratio - skip : m->len;
		err = map_cluster(p->inode, m->lblk, &s->pblk);
		if (err || s->pblk)
			return err;
		want = ratio;
	}
	err = block_reserve(p->inode, goal > skip ? goal - skip : goal, want,
			    data_alloc_flags(p->flags), &s->rblk, &got);
	if (err)
		return err;
	s->pblk = s->rblk + skip;
	s->rlen = got;
	if (skip || want > m->len) {
		assert(got == ratio);
		return 0;
	}
	s->len = got;
	return 0;
}

/*
 * Decides where LEN bytes go, or a prefix of them.  -errno only if nothing
 * at all could be placed.  Lock held.
 */
static int plan_make(struct plan *p, uint64_t len)
{
	struct fs *fs = p->inode->fs;
	uint64_t lblk = p->off >> fs->blockbits;
	uint64_t end = ((p->off + len - 1) >> fs->blockbits) + 1, goal;
	struct seg *s;
	struct map m;
	int err = 0;

	for (p->nr = 0; lblk < end && p->nr < PLAN_SEGS; p->nr++) {
		s = &p->seg[p->nr];
		err = map_lookup(p->inode, lblk, end - lblk, &m);
		if (err)
			break;
		if (m.state == MAP_HOLE) {
			goal = p->nr ? s[-1].pblk + s[-1].len :
				map_goal(p->inode, lblk);
			err = plan_hole(p, &m, goal, s);
			if (err)
				break;
		} else {
			*s = (struct seg){
				.lblk = lblk, .pblk = m.pblk, .len = m.len,
				.kind = m.state == MAP_WRITTEN ? SEG_WRITTEN :
					SEG_CONVERT,
			};
		}
		lblk += s->len;
	}
	p->len = (lblk << fs->blockbits) - p->off;
	if (p->len > len)
		p->len = len;
	return p->nr ? 0 : err;
}

/* Gives back what segments from FROM on had reserved.  Lock held. */
static void plan_release(struct plan *p, unsigned from)
{
	for (; from < p->nr; from++)
		if (p->seg[from].rlen)
			block_unreserve(p->inode->fs, p->seg[from].rblk,
					p->seg[from].rlen);
}

/* HEAD zeros, LEN bytes, TAIL zeros at DEV, in one write. */
static int write_padded(struct fs *fs, const uint8_t *buf, uint64_t len,
			unsigned head, unsigned tail, uint64_t dev)
{
	uint8_t *bounce;
	int err;

	bounce = malloc(head + len + tail);
	if (!bounce)
		return -ENOMEM;
	memset(bounce, 0, head);
	memcpy(bounce + head, buf, len);
	memset(bounce + head + len, 0, tail);
	err = device_write(fs->dev, bounce, head + len + tail, dev);
	free(bounce);
	return err;
}

/*
 * LEN bytes to DEV; what is left of the first and the last block becomes
 * zero: HEAD bytes before DEV, TAIL after the end.  Large writes go without
 * a copy but for the partial blocks.
 */
static int write_run(struct fs *fs, const uint8_t *buf, uint64_t len,
		     unsigned head, unsigned tail, uint64_t dev)
{
	uint64_t n;
	int err;

	if (!head && !tail)
		return device_write(fs->dev, buf, len, dev);
	if (len <= BOUNCE_MAX)
		return write_padded(fs, buf, len, head, tail, dev - head);
	if (head) {
		n = fs->blocksize - head;
		err = write_padded(fs, buf, n, head, 0, dev - head);
		if (err)
			return err;
		buf += n;
		dev += n;
		len -= n;
	}
	if (tail) {
		n = fs->blocksize - tail;
		err = write_padded(fs, buf + len - n, n, 0, tail,
				   dev + len - n);
		if (err)
			return err;
		len -= n;
	}
	return len ? device_write(fs->dev, buf, len, dev) : 0;
}

/*
 * Writes the data of the plan, physically contiguous segments together.  The
 * number of segments that are wholly on the device; *ERR why not all.
 */
static unsigned plan_write(struct plan *p, int *err)
{
	struct fs *fs = p->inode->fs;
	uint64_t mask = fs->blocksize - 1, from, to, dev;
	unsigned i, j, head, tail;

	for (i = 0; i < p->nr; i = j) {
		for (j = i + 1; j < p->nr; j++)
			if (p->seg[j].pblk != p->seg[j - 1].pblk +
			    p->seg[j - 1].len)
				break;
		from = p->seg[i].lblk << fs->blockbits;
		dev = p->seg[i].pblk << fs->blockbits;
		if (from < p->off) {
			dev += p->off - from;
			from = p->off;
		}
		to = (p->seg[j - 1].lblk + p->seg[j - 1].len) << fs->blockbits;
		if (to > p->off + p->len)
			to = p->off + p->len;
		head = p->seg[i].kind == SEG_WRITTEN ? 0 : from & mask;
		tail = p->seg[j - 1].kind == SEG_WRITTEN ? 0 : -to & mask;
		*err = write_run(fs, p->buf + (from - p->off), to - from, head,
				 tail, dev);
		if (*err)
			break;
	}
	return i;
}

/* Enters one segment, whose data is on the device, in T. */
static int seg_apply(struct txn *t, struct inode *inode, const struct seg *s)
{
	int err;

	switch (s->kind) {
	case SEG_CONVERT:
		return map_convert(t, inode, s->lblk, s->len);
	case SEG_NEW:
		if (s->rlen) {
			err = block_claim(t, inode, s->rblk, s->rlen);
			if (err)
				return err;
		}
		return map_insert(t, inode, s->lblk, s->pblk, s->len, false);
	default:
		return 0;
	}
}

/*
 * One transaction: the segments from FROM on, not beyond TO and as many as
 * have room, with the size and the times that they bring.  *NEXT is the
 * first one not done; with an error, the one that failed.  Lock held.
 */
static int plan_commit(struct plan *p, unsigned from, unsigned to,
		       unsigned *next)
{
	struct inode *inode = p->inode;
	struct fs *fs = inode->fs;
	uint64_t end;
	struct txn *t;
	unsigned i;
	int err;

	*next = from;
	err = data_begin(inode, TXN_WRITE, &t);
	if (err)
		return err;
	for (i = from; i < to; i++) {
		if (i > from && txn_room(t) < SEG_CREDITS)
			break;
		*next = i;
		err = seg_apply(t, inode, &p->seg[i]);
		if (err)
			return txn_stop(t, err);
		if (p->seg[i].kind != SEG_WRITTEN)
			inode->datasync_tid = txn_id(t);
	}
	end = (p->seg[i - 1].lblk + p->seg[i - 1].len) << fs->blockbits;
	if (end > p->off + p->len)
		end = p->off + p->len;
	if (end > inode->i.size)
		data_set_size(t, inode, end);
	*next = from;
	err = txn_stop(t, data_stamp(t, inode, p->flags));
	if (!err)
		*next = i;
	return err;
}

/*
 * Enters the first NR segments.  The number of those that are part of the
 * file afterwards; *ERR why not all.  Lock held.
 */
static unsigned plan_apply(struct plan *p, unsigned nr, int *err)
{
	unsigned done = 0, next;
	int r;

	while (done < nr) {
		r = plan_commit(p, done, nr, &next);
		if (r) {
			*err = r;
			/* those before the one that failed may do */
			nr = next;
			continue;
		}
		done = next;
	}
	return done;
}

/* Bytes written when the first NR segments are. */
static uint64_t plan_bytes(const struct plan *p, unsigned nr)
{
	uint64_t end;

	if (!nr)
		return 0;
	end = (p->seg[nr - 1].lblk + p->seg[nr - 1].len) <<
		p->inode->fs->blockbits;
	return end - p->off < p->len ? end - p->off : p->len;
}

/*
 * All of the unwritten run that S is in, as far as it is contiguous before S
 * (up to 64k blocks) and to the end of its extent.  Lock held.
 */
static int whole_run(struct inode *inode, const struct seg *s, struct seg *run)
{
	uint64_t back;
	struct map m;
	int err;

	*run = *s;
	for (back = 1 << 15; back; back >>= 1) {
		if (back > run->lblk)
			continue;
		err = map_lookup(inode, run->lblk - back, back, &m);
		if (err)
			return err;
		if (m.state != MAP_UNWRITTEN || m.len != back ||
		    m.pblk + back != run->pblk)
			continue;
		run->lblk -= back;
		run->pblk -= back;
		run->len += back;
	}
	err = map_lookup(inode, s->lblk, UINT32_MAX, &m);
	if (!err && m.state == MAP_UNWRITTEN && m.len > s->len)
		run->len += m.len - s->len;
	return err;
}

/*
 * Gives back what RUN has beyond the end that the file will have: written
 * blocks must not be there, and making an extent shorter takes no block.  io
 * and lock held.
 */
static int cut_run(const struct plan *p, struct seg *run)
{
	struct fs *fs = p->inode->fs;
	uint64_t end = p->off + p->len;
	struct txn *t;
	int err;

	if (end < p->inode->i.size)
		end = p->inode->i.size;
	end = (end + fs->blocksize - 1) >> fs->blockbits;
	if (run->lblk + run->len <= end)
		return 0;
	do {
		err = data_begin(p->inode, TXN_TRUNCATE, &t);
		if (err)
			return err;
		err = map_remove(t, p->inode, end, run->lblk + run->len - end);
		txn_stop(t, err < 0 ? err : 0);
	} while (err > 0);
	run->len = end - run->lblk;
	return err;
}

/*
 * Without space for the tree blocks that a split takes: the first segment,
 * whose data is on the device, becomes written together with all of its run,
 * the rest of which is zeroed.  Space that was allocated ahead can so always
 * be written to.  io exclusive.  Bytes or -errno.
 */
static ssize_t convert_whole(struct plan *p)
{
	struct fs *fs = p->inode->fs;
	struct seg *s = &p->seg[0], run;
	uint64_t head, bytes;
	unsigned next;
	int err;

	p->nr = 1;
	p->len = plan_bytes(p, 1);
	fs_lock(fs);
	err = whole_run(p->inode, s, &run);
	if (!err)
		err = cut_run(p, &run);
	fs_unlock(fs);
	if (err)
		return err;
	head = s->lblk - run.lblk;
	bytes = (run.len - head - s->len) << fs->blockbits;
	err = device_zero(fs->dev, run.pblk << fs->blockbits,
			  head << fs->blockbits);
	if (!err)
		err = device_zero(fs->dev, (s->pblk + s->len) << fs->blockbits,
				  bytes);
	if (err)
		return err;
	*s = run;
	fs_lock(fs);
	err = plan_commit(p, 0, 1, &next);
	fs_unlock(fs);
	return err ? err : (ssize_t)p->len;
}

/*
 * Writes a prefix of the range, as much as one plan holds; WHOLE: by
 * convert_whole(), if there is no space.  io exclusive.  Bytes written;
 * -errno if none.
 */
static ssize_t write_piece(struct inode *inode, const uint8_t *buf, size_t len,
			   uint64_t off, unsigned flags, bool whole)
{
	struct fs *fs = inode->fs;
	struct plan p = {
		.inode = inode, .buf = buf, .off = off, .flags = flags,
	};
	unsigned nr, wrote;
	int err;

	fs_lock(fs);
	err = fs_writable(fs) ? plan_make(&p, len) : -EROFS;
	fs_unlock(fs);
	if (err)
		return err;
	wrote = plan_write(&p, &err);
	fs_lock(fs);
	nr = plan_apply(&p, wrote, &err);
	plan_release(&p, nr);
	fs_unlock(fs);
	if (!nr && wrote && err == -ENOSPC && whole &&
	    p.seg[0].kind == SEG_CONVERT)
		return convert_whole(&p);
	return nr ? (ssize_t)plan_bytes(&p, nr) : err;
}

/* The way with io exclusive; bytes written, or -errno if none. */
static ssize_t write_alloc(struct inode *inode, const uint8_t *buf, size_t len,
			   uint64_t off, unsigned flags)
{
	uint64_t size;
	unsigned tries = 0;
	bool whole = false;
	size_t done = 0;
	ssize_t n;

	n = inline_write(inode, buf, len, off, flags);
	if (n)
		return n;
	size = data_size(inode);
	if (off > size) {
		n = data_zero(inode, size, off);
		if (n)
			return n;
	}
	while (done < len) {
		n = write_piece(inode, buf + done, len - done, off + done,
				flags, whole);
		if (n > 0)
			done += n;
		else if (fs_retry_nospc(inode->fs, n, &tries))
			continue;
		else if (n == -ENOSPC && !whole)
			whole = true;
		else
			return done ? (ssize_t)done : n;
	}
	return done;
}

/* Checks, and cuts *LEN to what fits a file.  1: the overwrite way may do. */
static int write_check(struct inode *inode, size_t *len, uint64_t off,
		       unsigned flags)
{
	struct fs *fs = inode->fs;
	uint64_t max;
	int r;

	fs_lock(fs);
	r = inode->mapped ? -EIO : data_may_change(inode, flags);
	max = data_max_size(inode);
	if (!r && *len && off >= max)
		r = -EFBIG;
	if (!r) {
		if (*len > max - off)
			*len = max - off;
		r = off + *len <= inode->i.size && !inode_has_inline(inode);
	}
	fs_unlock(fs);
	return r;
}

ssize_t data_write(struct inode *inode, const void *buf, size_t len,
		   uint64_t off, unsigned flags)
{
	const uint8_t *p = buf;
	ssize_t done = 0, n;
	int r, err;

	if (len > SSIZE_MAX)
		len = SSIZE_MAX;
	r = write_check(inode, &len, off, flags);
	if (r < 0 || !len)
		return r < 0 ? r : 0;
	if (r) {
		pthread_rwlock_rdlock(&inode->io);
		done = overwrite(inode, p, len, off, flags);
		pthread_rwlock_unlock(&inode->io);
		if (done < 0)
			return done;
	}
	if ((size_t)done < len) {
		pthread_rwlock_wrlock(&inode->io);
		n = write_alloc(inode, p + done, len - done, off + done, flags);
		pthread_rwlock_unlock(&inode->io);
		if (n < 0 && !done)
			return n;
		if (n > 0)
			done += n;
	}
	err = data_finish(inode, flags, 0);
	return err ? err : done;
}
