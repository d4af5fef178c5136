/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * falloc.c - data_fallocate(): allocating ahead, punching, zeroing, and
 * taking out or putting in a range.
 *
 * Everything runs with inode->io held exclusively; the volume lock is taken
 * per transaction.  Long ranges take several, and each leaves a file that is
 * valid, only not finished.  Parts of blocks at the edges are zeroed on disk
 * first, unless the kernel moves the file's data: then whole blocks are freed
 * or allocated, and their contents left alone.  Must not know how mappings are stored.
 */
#include <linux/falloc.h>
#include <sys/stat.h>
#include "dataio.h"
#include "mapping.h"

/*
 * Zeroing this much is done by writing zeros over blocks that are written:
 * it keeps them together, and needs no space.
 */
#define ZERO_ON_DISK	(1024 * 1024)

struct range {
	struct inode *inode;
	uint64_t off, end;		/* bytes */
	unsigned flags;			/* DATA_* */
	bool keep_size;
};

/* Bytes to blocks, rounded down and up. */
static uint64_t blk_down(const struct inode *inode, uint64_t bytes)
{
	return bytes >> inode->fs->blockbits;
}

static uint64_t blk_up(const struct inode *inode, uint64_t bytes)
{
	return (bytes + inode->fs->blocksize - 1) >> inode->fs->blockbits;
}

/* Size up to END, if that is more and the caller wants it.  In T. */
static void range_grow(struct txn *t, const struct range *r, uint64_t end)
{
	if (end > r->end)
		end = r->end;
	if (!r->keep_size && end > r->inode->i.size)
		data_set_size(t, r->inode, end);
}

/* One transaction of range_alloc().  Lock held.  *DONE blocks. */
static int alloc_piece(const struct range *r, uint64_t lblk, uint64_t len,
		       uint64_t *done)
{
	struct inode *inode = r->inode;
	struct txn *t;
	int err;

	*done = 0;
	err = data_begin(inode, TXN_WRITE, &t);
	if (err)
		return err;
	err = map_alloc(t, inode, lblk, len, data_alloc_flags(r->flags), done);
	if (!err) {
		range_grow(t, r, (lblk + *done) << inode->fs->blockbits);
		inode->datasync_tid = txn_id(t);
		err = data_stamp(t, inode, r->flags);
	}
	return txn_stop(t, err);
}

/* Maps every hole in the range, whole blocks, and sets the size. */
static int range_alloc(const struct range *r)
{
	struct inode *inode = r->inode;
	uint64_t lblk = blk_down(inode, r->off), end = blk_up(inode, r->end);
	uint64_t done;
	unsigned tries = 0;
	int err;

	while (lblk < end) {
		fs_lock(inode->fs);
		err = alloc_piece(r, lblk, end - lblk, &done);
		fs_unlock(inode->fs);
		if (!err)
			lblk += done;
		else if (!fs_retry_nospc(inode->fs, err, &tries))
			return err;
	}
	return 0;
}

/* Unmaps the blocks FIRST..END-1. */
static int range_remove(const struct range *r, uint64_t first, uint64_t end)
{
	struct inode *inode = r->inode;
	struct txn *t;
	int err, more;

	do {
		fs_lock(inode->fs);
		err = data_begin(inode, TXN_TRUNCATE, &t);
		if (!err) {
			more = 0;
			if (first < end)
				more = map_remove(t, inode, first, end - first);
			err = more < 0 ? more :
				data_stamp(t, inode, r->flags);
			inode->datasync_tid = txn_id(t);
			err = txn_stop(t, err);
		}
		fs_unlock(inode->fs);
		if (err)
			return err;
	} while (more);
	return 0;
}

/*
 * Zeroes what is written of the range in blocks that are only partly in it.
 * *FIRST..*LAST-1 are the blocks wholly in it.  A last block that ends beyond
 * i_size counts as such, but not where the kernel has what is left of it.
 */
static int range_edges(const struct range *r, uint64_t *first, uint64_t *last)
{
	struct inode *inode = r->inode;
	unsigned bits = inode->fs->blockbits;
	int err;

	*first = blk_up(inode, r->off);
	*last = blk_down(inode, r->end);
	if (r->end >= data_size(inode) && !data_is_mapped(inode))
		*last = blk_up(inode, r->end);
	if (*first >= *last) {
		/* a hole cannot be wider than the range itself */
		*last = *first;
		return data_zero(inode, r->off, r->end);
	}
	err = data_zero(inode, r->off, *first << bits);
	if (!err && *last << bits < r->end)
		err = data_zero(inode, *last << bits, r->end);
	return err;
}

static int do_alloc(const struct range *r)
{
	uint64_t size = data_size(r->inode);
	int err = 0;

	if (!r->keep_size && r->end > size)
		err = data_zero(r->inode, size, r->end);
	return err ? err : range_alloc(r);
}

static int do_punch(const struct range *r)
{
	uint64_t first, last;
	int err;

	err = range_edges(r, &first, &last);
	return err ? err : range_remove(r, first, last);
}

static int do_zero(const struct range *r)
{
	uint64_t first, last, size = data_size(r->inode);
	int err;

	if (!r->keep_size && r->off > size) {
		err = data_zero(r->inode, size, r->off);
		if (err)
			return err;
	}
	if (r->end - r->off <= ZERO_ON_DISK && !data_is_mapped(r->inode)) {
		err = data_zero(r->inode, r->off, r->end);
	} else {
		err = range_edges(r, &first, &last);
		if (!err)
			err = range_remove(r, first, last);
	}
	return err ? err : range_alloc(r);
}

/* A shift on its way: CUT blocks at LBLK go, what follows moves by DELTA. */
struct shift {
	uint64_t lblk, cut;
	int64_t delta;
	uint64_t pos;			/* map_shift()'s */
	bool grown;
};

/* One transaction of range_shift().  1 if there is more.  Lock held. */
static int shift_piece(const struct range *r, struct shift *s)
{
	struct inode *inode = r->inode;
	int64_t bytes = s->delta * (int64_t)inode->fs->blocksize;
	struct txn *t;
	int err, more = 0;

	err = data_begin(inode, TXN_TRUNCATE, &t);
	if (err)
		return err;
	/* never smaller than what is mapped: a crash must not cut it off */
	if (s->delta > 0 && !s->grown)
		data_set_size(t, inode, inode->i.size + bytes);
	s->grown = true;
	if (s->cut)
		more = map_remove(t, inode, s->lblk, s->cut);
	if (!more) {
		s->lblk += s->cut;
		s->cut = 0;
		more = map_shift(t, inode, s->lblk, s->delta, &s->pos);
	}
	if (!more && s->delta < 0)
		data_set_size(t, inode, inode->i.size + bytes);
	inode->datasync_tid = txn_id(t);
	err = more < 0 ? more : data_stamp(t, inode, r->flags);
	err = txn_stop(t, err);
	return err ? err : more;
}

/* Frees and moves, and sets the size. */
static int range_shift(const struct range *r, uint64_t lblk, uint64_t cut,
		       int64_t delta)
{
	struct shift s = { .lblk = lblk, .cut = cut, .delta = delta };
	int err;

	do {
		fs_lock(r->inode->fs);
		err = shift_piece(r, &s);
		fs_unlock(r->inode->fs);
	} while (err == 1);
	return err;
}

/* Collapse and insert work in whole clusters. */
static bool range_aligned(const struct range *r)
{
	const struct fs *fs = r->inode->fs;
	uint64_t unit = (uint64_t)fs->cluster_ratio << fs->blockbits;

	return !(r->off % unit) && !(r->end % unit);
}

static int do_collapse(const struct range *r)
{
	struct inode *inode = r->inode;
	uint64_t first = blk_down(inode, r->off);
	uint64_t end = blk_down(inode, r->end);

	if (!range_aligned(r) || r->end >= data_size(inode))
		return -EINVAL;
	return range_shift(r, first, end - first, -(int64_t)(end - first));
}

static int do_insert(const struct range *r)
{
	struct inode *inode = r->inode;
	uint64_t len = r->end - r->off, size = data_size(inode), max;

	if (!range_aligned(r) || r->off >= size)
		return -EINVAL;
	fs_lock(inode->fs);
	max = data_max_size(inode);
	fs_unlock(inode->fs);
	if (size > max || len > max - size)
		return -EFBIG;
	return range_shift(r, blk_down(inode, r->off), 0,
			   (int64_t)blk_down(inode, len));
}

static const struct falloc_mode {
	int mode;			/* without KEEP_SIZE, where optional */
	bool keep_optional;
	bool extents_only;
	int (*run)(const struct range *r);
} falloc_modes[] = {
	{ 0, true, true, do_alloc },
	{ FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, false, false, do_punch },
	{ FALLOC_FL_ZERO_RANGE, true, true, do_zero },
	{ FALLOC_FL_COLLAPSE_RANGE, false, true, do_collapse },
	{ FALLOC_FL_INSERT_RANGE, false, true, do_insert },
};

static const struct falloc_mode *falloc_find(int mode)
{
	const struct falloc_mode *m = falloc_modes;
	unsigned n = sizeof(falloc_modes) / sizeof(falloc_modes[0]);

	for (; n; n--, m++)
		if (m->mode == mode ||
		    (m->keep_optional && m->mode ==
		     (mode & ~FALLOC_FL_KEEP_SIZE)))
			return m;
	return NULL;
}

/* Lock held.  Inline files are judged by what they would become. */
static int falloc_check(const struct range *r, const struct falloc_mode *m)
{
	struct inode *inode = r->inode;
	struct fs *fs = inode->fs;
	bool extents = inode_has_inline(inode) ?
		ext2fs_has_feature_extents(fs->e2->super) :
		inode_has_extents(inode);
	int err;

	err = data_may_change(inode, r->flags);
	if (err)
		return err == -EINVAL ? -ENODEV : err;
	if ((inode->i.flags & EXT2_APPEND_FL) && m->run != do_alloc)
		return -EPERM;
	if (m->extents_only && !extents)
		return -EOPNOTSUPP;
	return r->end > data_max_size(inode) ? -EFBIG : 0;
}

static int falloc_locked(const struct range *r, const struct falloc_mode *m)
{
	struct inode *inode = r->inode;
	bool is_inline;
	int err;

	fs_lock(inode->fs);
	err = falloc_check(r, m);
	is_inline = inode_has_inline(inode);
	fs_unlock(inode->fs);
	if (!err && is_inline)
		err = inline_to_blocks(inode, r->flags);
	if (!err && m->keep_optional && r->keep_size &&
	    r->end > data_size(inode))
		err = mapping_keep(inode);
	return err ? err : m->run(r);
}

int data_fallocate(struct inode *inode, int mode, uint64_t off, uint64_t len,
		   unsigned flags)
{
	const struct falloc_mode *m = falloc_find(mode);
	struct range r = {
		.inode = inode, .off = off, .end = off + len, .flags = flags,
		.keep_size = mode & FALLOC_FL_KEEP_SIZE,
	};
	int err;

	if (!m)
		return -EOPNOTSUPP;
	if (!len)
		return -EINVAL;
	if (r.end < off)
		return -EFBIG;
	pthread_rwlock_wrlock(&inode->io);
	err = falloc_locked(&r, m);
	pthread_rwlock_unlock(&inode->io);
	return data_finish(inode, flags, err);
}
