/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mapping.c - files whose data the kernel moves by itself: where their blocks
 * are, blocks for what it is going to write, and what it has written.
 *
 * Knows which files may be so, and when to allocate ahead of a writer.  Must
 * not know how the kernel asks (iomap.c), nor how mappings are stored.  Never
 * reads or writes a data block.
 *
 * What is allocated for a write stays unwritten until mapping_written() says
 * that its data is on the device; i_size moves with it.  So whatever commits
 * in between, a crash shows neither stale blocks nor a size without data.  The
 * transaction that says so finds the device flushed first, though nobody here
 * has written there.
 *
 * Blocks ahead of a stream lie beyond i_size.  While there are some, the inode
 * is on the orphan list: whoever recovers after a crash cuts it to i_size.
 * That must not take what the user allocated there, hence stream_alone.
 *
 * Takes inode->io, exclusively for changes, and the volume lock per
 * transaction.  The mapping of a file stays while io is held, also where
 * txn_begin() lets go of the volume lock.
 */
#include <assert.h>
#include <sys/stat.h>
#include "dataio.h"
#include "io/device.h"
#include "mapping.h"
#include "orphan.h"

/* Allocating ahead, bytes: from that offset on, and never more. */
#define STREAM_MIN	(64u << 10)
#define STREAM_MAX	(8u << 20)

/* Ahead never more than that part of what is free. */
#define STREAM_PART	16

/*
 * Data leaves that much for the trees: a conversion that has to split them
 * cannot be refused without losing data.  As the kernel does, 1/50 of the
 * volume and at most 4096 clusters.
 */
#define SPARE_PART	50
#define SPARE_MAX	4096u

/* Credits that converting one piece of an extent may need: two splits. */
#define CONVERT_CREDITS	64

/* Lookups under one hold of the lock, where a walk may be long. */
#define WALK_STEPS	512

/* Bytes to blocks, rounded up. */
static uint64_t blk_up(const struct inode *inode, uint64_t bytes)
{
	return (bytes + inode->fs->blocksize - 1) >> inode->fs->blockbits;
}

/* ---- which files ---- */

static bool is_system(const struct inode *inode)
{
	const struct ext2_super_block *sb = inode->fs->e2->super;
	uint32_t ino = inode->ino;

	return ino < EXT2_FIRST_INO(sb) || ino == sb->s_journal_inum ||
	       (ext2fs_has_feature_orphan_file(inode->fs->e2->super) &&
		ino == sb->s_orphan_file_inum) ||
	       ino == sb->s_usr_quota_inum || ino == sb->s_grp_quota_inum ||
	       ino == sb->s_prj_quota_inum;
}

static bool is_not_regular(const struct inode *inode)
{
	return !S_ISREG(inode->i.mode);
}

/* None is being deleted, more than one go the way of the server's own I/O. */
static bool has_not_one_link(const struct inode *inode)
{
	return inode->i.links != 1;
}

static bool has_no_extents(const struct inode *inode)
{
	return !inode_has_extents(inode);
}

/* Not only files that are: empty ones may become so. */
static bool may_be_inline(const struct inode *inode)
{
	return inode_has_inline(inode) ||
	       ext2fs_has_feature_inline_data(inode->fs->e2->super);
}

static bool has_special_data(const struct inode *inode)
{
	return inode->i.flags & (EXT4_EA_INODE_FL | EXT4_VERITY_FL |
				 EXT4_ENCRYPT_FL);
}

static bool is_journalled(const struct inode *inode)
{
	return (inode->i.flags & EXT3_JOURNAL_DATA_FL) ||
	       (inode->fs->e2->super->s_default_mount_opts &
		EXT3_DEFM_JMODE) == EXT3_DEFM_JMODE_DATA;
}

bool mapping_allowed(const struct inode *inode)
{
	static bool (*const obstacles[])(const struct inode *inode) = {
		is_not_regular, has_not_one_link, has_no_extents,
		may_be_inline, has_special_data, is_journalled, is_system,
	};
	unsigned i;

	for (i = 0; i < sizeof(obstacles) / sizeof(obstacles[0]); i++)
		if (obstacles[i](inode))
			return false;
	return true;
}

/* ---- looking ---- */

/*
 * The mapping that POS is in.  *LAST: it is a hole, and nothing is mapped
 * behind it.  io and lock held.
 */
static int around(struct inode *inode, uint64_t pos, uint64_t count,
		  struct mapping *m, bool *last)
{
	unsigned bits = inode->fs->blockbits;
	uint64_t most = (uint64_t)INT64_MAX - inode->fs->blocksize, end;
	struct map map;
	int err;

	if (pos > most)
		return -EINVAL;
	if (!count)
		count = 1;
	end = count > most - pos ? most : pos + count;
	if (end <= pos)
		end = pos + 1;
	if (end < inode->i.size)
		end = inode->i.size;
	end = blk_up(inode, end);
	err = map_around(inode, pos >> bits, &map);
	if (err)
		return err;
	*last = map.len == UINT64_MAX - map.lblk;
	if (*last)
		map.len = end - map.lblk;
	*m = (struct mapping){
		.off = map.lblk << bits, .len = map.len << bits,
		.dev = map.pblk << bits, .state = map.state,
	};
	/* or i_size may move there */
	m->dirty = map.state != MAP_HOLE &&
		(m->off + m->len > inode->i.size || !data_is_durable(inode));
	return 0;
}

/*
 * Cuts M where it goes on beyond i_size and POS+COUNT: nobody but a writer
 * may know of blocks that mapping_trim() will free.
 */
static void hide_ahead(const struct inode *inode, uint64_t pos, uint64_t count,
		       struct mapping *m)
{
	uint64_t end = m->off + m->len, ask;

	if (!inode->ahead || m->state == MAP_HOLE)
		return;
	ask = count < end - pos ? pos + count : end;
	if (ask < inode->i.size)
		ask = inode->i.size;
	if (ask <= pos)
		ask = pos + 1;
	ask = blk_up(inode, ask) << inode->fs->blockbits;
	if (end > ask)
		m->len = ask - m->off;
}

int mapping_find(struct inode *inode, uint64_t pos, uint64_t count,
		 struct mapping *m)
{
	bool last;
	int err;

	pthread_rwlock_rdlock(&inode->io);
	fs_lock(inode->fs);
	err = around(inode, pos, count, m, &last);
	if (!err)
		hide_ahead(inode, pos, count, m);
	fs_unlock(inode->fs);
	pthread_rwlock_unlock(&inode->io);
	return err;
}

/* ---- allocating ---- */

/* Does somebody write on where mapping_alloc() ended the last time? */
static bool streams_on(struct inode *inode, uint64_t first, bool last)
{
	struct map m;

	if (!inode->stream_alone)
		inode->stream_alone = map_next(inode,
				blk_up(inode, inode->i.size), &m) == -ENXIO;
	return inode->stream_alone && last && inode->i.links &&
	       first == inode->stream_next &&
	       first << inode->fs->blockbits >= STREAM_MIN;
}

/*
 * Blocks to allocate behind LEN at FIRST: as many as the file has already,
 * so that a writer asks seldom and a small file never has many.
 */
static uint64_t stream_ahead(struct inode *inode, uint64_t first, uint64_t len)
{
	struct fs *fs = inode->fs;
	uint64_t ahead = STREAM_MAX >> fs->blockbits;
	uint64_t limit = map_max_size(inode) >> fs->blockbits;

	if (ahead > first)
		ahead = first;
	if (ahead > limit - first - len)
		ahead = limit - first - len;
	if (ahead > block_available(fs, 0) / STREAM_PART)
		ahead = block_available(fs, 0) / STREAM_PART;
	return ahead;
}

/*
 * Cuts *LEN at FIRST to what leaves the trees their part.  -ENOSPC if that
 * is nothing.
 */
static int leave_spare(struct inode *inode, uint64_t first, uint64_t *len)
{
	struct fs *fs = inode->fs;
	uint64_t room = block_available(fs, ALLOC_META), cluster;
	uint64_t spare = fs->blocks_count / SPARE_PART;
	int err;

	if (spare > (uint64_t)SPARE_MAX << fs->clusterbits)
		spare = (uint64_t)SPARE_MAX << fs->clusterbits;
	if (room > spare) {
		if (*len > room - spare)
			*len = room - spare;
		return 0;
	}
	/* in a cluster of the file's own, nothing is taken from anybody */
	err = map_cluster(inode, first, &cluster);
	if (!err && !cluster)
		err = -ENOSPC;
	*len = 1;
	return err;
}

/* One transaction: LEN blocks at FIRST, AHEAD more.  io and lock held. */
static int alloc_blocks(struct inode *inode, uint64_t first, uint64_t len,
			uint64_t ahead, unsigned flags)
{
	uint64_t done = 0;
	struct txn *t;
	int err;

	err = data_begin(inode, TXN_WRITE, &t);
	if (err)
		return err;
	if (ahead && !inode->ahead)
		err = inode->i.links ? orphan_add(t, inode) : -ENOSPC;
	if (!err)
		err = map_alloc(t, inode, first, len + ahead,
				data_alloc_flags(flags), &done);
	err = txn_stop(t, err);
	if (err)
		return err;
	if (ahead)
		inode->ahead = 1;
	inode->stream_next = first + done;
	return 0;
}

/* Allocates what it can of the hole HOLE from POS on.  io and lock held. */
static int fill_hole(struct inode *inode, uint64_t pos, uint64_t count,
		     unsigned flags, const struct mapping *hole, bool last)
{
	unsigned bits = inode->fs->blockbits;
	uint64_t first = pos >> bits, len = blk_up(inode, pos + count) - first;
	uint64_t most = ((hole->off + hole->len) >> bits) - first, ahead = 0;
	int err;

	if (len > most)
		len = most;
	err = leave_spare(inode, first, &len);
	if (err)
		return err;
	if (streams_on(inode, first, last))
		ahead = stream_ahead(inode, first, len);
	err = alloc_blocks(inode, first, len, ahead, flags);
	if (err == -ENOSPC && ahead)
		err = alloc_blocks(inode, first, len, 0, flags);
	return err;
}

/* mapping_alloc() without a second try.  io held. */
static int alloc_once(struct inode *inode, uint64_t pos, uint64_t count,
		      unsigned flags, struct mapping *m)
{
	uint64_t max = map_max_size(inode);
	bool last;
	int err;

	if (!inode->mapped)
		return -EINVAL;
	/* the kernel has pages from before the file became immutable */
	err = data_may_change(inode, flags | DATA_WB);
	if (!err && pos >= max)
		err = -EFBIG;
	if (err)
		return err;
	if (!count)
		count = 1;
	if (count > max - pos)
		count = max - pos;
	err = around(inode, pos, count, m, &last);
	if (err || m->state != MAP_HOLE)
		return err;
	err = fill_hole(inode, pos, count, flags, m, last);
	return err ? err : around(inode, pos, count, m, &last);
}

int mapping_alloc(struct inode *inode, uint64_t pos, uint64_t count,
		  unsigned flags, struct mapping *m)
{
	struct fs *fs = inode->fs;
	unsigned tries = 0;
	int err;

	pthread_rwlock_wrlock(&inode->io);
	do {
		fs_lock(fs);
		err = alloc_once(inode, pos, count, flags, m);
		fs_unlock(fs);
	} while (fs_retry_nospc(fs, err, &tries));
	pthread_rwlock_unlock(&inode->io);
	assert(err || m->state != MAP_HOLE);
	return err;
}

/* ---- what was written ---- */

/* The blocks FIRST..END-1, and the size that goes with them. */
struct done {
	struct inode *inode;
	uint64_t first, end;
	uint64_t size;			/* bytes */
};

/*
 * Converts in T from D->first on, as far as there are credits; *NEXT is where
 * to go on.
 */
static int convert_some(struct txn *t, const struct done *d, uint64_t *next)
{
	struct inode *inode = d->inode;
	struct map m;
	int steps, err;

	for (*next = d->first, steps = 0; *next < d->end; steps++) {
		if (steps == WALK_STEPS ||
		    (steps && txn_room(t) < CONVERT_CREDITS))
			return 0;
		err = map_next(inode, *next, &m);
		if (err && err != -ENXIO)
			return err;
		if (err || m.lblk >= d->end) {
			*next = d->end;
			return 0;
		}
		if (m.len > d->end - m.lblk)
			m.len = d->end - m.lblk;
		if (m.state == MAP_UNWRITTEN) {
			err = map_convert(t, inode, m.lblk, m.len);
			if (err)
				return err;
		}
		*next = m.lblk + m.len;
	}
	return 0;
}

/* One transaction of written_locked(); D->first moves on.  Lock held. */
static int written_piece(struct done *d)
{
	uint64_t next, size;
	struct txn *t;
	int err;

	err = data_begin(d->inode, TXN_WRITE, &t);
	if (err)
		return err;
	err = convert_some(t, d, &next);
	/* never smaller than what is written, never more */
	size = next << d->inode->fs->blockbits;
	if (size > d->size || next == d->end)
		size = d->size;
	if (!err && size > d->inode->i.size)
		data_set_size(t, d->inode, size);
	err = txn_stop(t, err);
	if (!err)
		d->first = next;
	return err;
}

/* The first piece of what is to be done; 1: there is more.  Lock held. */
static int written_once(struct done *d)
{
	struct inode *inode = d->inode;
	int err;

	if (!inode->mapped)
		return -EINVAL;
	if (d->size > map_max_size(inode))
		return -EFBIG;
	if (d->first == d->end && d->size <= inode->i.size)
		return 0;
	err = written_piece(d);
	return err ? err : d->first < d->end;
}

int mapping_written(struct inode *inode, uint64_t pos, uint64_t len,
		    bool convert, uint64_t *size)
{
	struct fs *fs = inode->fs;
	struct done d = {
		.inode = inode, .first = pos >> fs->blockbits,
		.size = pos + len,
	};
	unsigned tries = 0;
	int err;

	if (pos > INT64_MAX || len > INT64_MAX - pos)
		return -EINVAL;
	d.end = convert && len ? blk_up(inode, pos + len) : d.first;
	if (!len)
		d.size = 0;
	/* J3: the data may be in the device's memory only */
	device_others_wrote(fs->dev);
	pthread_rwlock_wrlock(&inode->io);
	do {
		fs_lock(fs);
		err = written_once(&d);
		*size = inode->i.size;
		fs_unlock(fs);
	} while (err == 1 || fs_retry_nospc(fs, err, &tries));
	pthread_rwlock_unlock(&inode->io);
	return err;
}

/* ---- what was allocated ahead ---- */

/* Is there anything to give back, and nobody to use it?  Lock held. */
static bool may_trim(const struct inode *inode)
{
	return inode->ahead && !inode->swap &&
	       (!inode->writers || inode->fs->frozen) &&
	       !inode->deleted && fs_writable(inode->fs);
}

static int trim_locked(struct inode *inode, mapping_drop_fn drop, void *ctx)
{
	struct fs *fs = inode->fs;
	uint64_t first;
	bool todo;
	int err = 0;

	fs_lock(fs);
	todo = may_trim(inode);
	first = blk_up(inode, inode->i.size);
	fs_unlock(fs);
	if (!todo)
		return 0;
	if (drop)
		drop(ctx, inode, first << fs->blockbits);
	fs_lock(fs);
	/*
	 * A writer who came before the kernel forgot may use what it knew.
	 * One who comes now has to ask, and waits for io.
	 */
	todo = may_trim(inode);
	while (todo) {
		err = data_cut_piece(inode, first);
		if (!err)
			inode->ahead = 0;
		if (err != 1)
			break;
		/* others get a turn between the pieces */
		fs_unlock(fs);
		fs_lock(fs);
	}
	fs_unlock(fs);
	return err;
}

int mapping_trim(struct inode *inode, mapping_drop_fn drop, void *ctx)
{
	int err;

	pthread_rwlock_wrlock(&inode->io);
	err = trim_locked(inode, drop, ctx);
	pthread_rwlock_unlock(&inode->io);
	return err;
}

int mapping_keep(struct inode *inode)
{
	struct txn *t;
	int err = 0;

	fs_lock(inode->fs);
	if (inode->ahead && inode->i.links) {
		err = data_begin_attr(inode, TXN_ORPHAN, &t);
		if (!err)
			err = txn_stop(t, orphan_del(t, inode));
	}
	if (!err) {
		inode->ahead = 0;
		inode->stream_alone = 0;
		inode->stream_next = 0;
	}
	fs_unlock(inode->fs);
	return err;
}

/* ---- swap files ---- */

/* A leg of the walk from *LBLK to END: 1 if there is more.  Lock held. */
static int swap_check(struct inode *inode, uint64_t *lblk, uint64_t end)
{
	struct map m;
	int i, err;

	for (i = 0; i < WALK_STEPS && *lblk < end; i++) {
		err = map_around(inode, *lblk, &m);
		if (err)
			return err;
		if (m.state == MAP_HOLE)
			return -EINVAL;
		*lblk = m.lblk + m.len;
	}
	return *lblk < end;
}

int mapping_swap_on(struct inode *inode)
{
	struct fs *fs = inode->fs;
	uint64_t lblk = 0;
	int err;

	pthread_rwlock_wrlock(&inode->io);
	do {
		fs_lock(fs);
		err = swap_check(inode, &lblk, inode->i.size >> fs->blockbits);
		if (!err)
			inode->swap = 1;
		fs_unlock(fs);
	} while (err == 1);
	pthread_rwlock_unlock(&inode->io);
	return err;
}

void mapping_swap_off(struct inode *inode)
{
	fs_lock(inode->fs);
	inode->swap = 0;
	fs_unlock(inode->fs);
}
