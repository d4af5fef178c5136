/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logfile.c - where the journal is, and its superblock.
 *
 * Knows the journal's inode, the copy of that inode in the volume's
 * superblock, journal devices (logdev.c finds them), and what a journal's
 * superblock must look like; nothing of what is in the log.  Takes no lock;
 * opening needs the volume lock.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/fs.h"
#include "fs/inode.h"
#include "fs/map.h"
#include "io/device.h"
#include "journal/logdev.h"
#include "journal/logfile.h"
#include "sys/log.h"

#define SUPER_V1_END	0x24		/* of the fields of version 1 */

static int damaged(const char *what)
{
	msg_err("The journal is damaged: %s.", what);
	return -EFSCORRUPTED;
}

/* ---- where it is ---- */

static int add_run(struct logfile *lf, const struct map *m)
{
	struct log_run *runs;

	runs = realloc(lf->runs, (lf->run_count + 1) * sizeof(*runs));
	if (!runs)
		return -ENOMEM;
	runs[lf->run_count++] = (struct log_run) {
		.jblk = m->lblk, .count = m->len, .pblk = m->pblk,
	};
	lf->runs = runs;
	return 0;
}

static int by_pblk(const void *x, const void *y)
{
	const struct log_run *a = x, *b = y;

	return a->pblk < b->pblk ? -1 : a->pblk > b->pblk;
}

/*
 * The runs in the order of the device, for logfile_owns().  No block may be
 * two of the log's: what follows from a log (memory, time) is bounded by the
 * bytes in it, which must not be counted over and over.
 */
static int sort_owned(struct logfile *lf)
{
	size_t i, size = lf->run_count * sizeof(*lf->runs);

	lf->owned = malloc(size);
	if (!lf->owned)
		return -ENOMEM;
	memcpy(lf->owned, lf->runs, size);
	qsort(lf->owned, lf->run_count, sizeof(*lf->owned), by_pblk);
	for (i = 1; i < lf->run_count; i++)
		if (lf->owned[i - 1].pblk + lf->owned[i - 1].count >
		    lf->owned[i].pblk)
			return -EFSCORRUPTED;
	return 0;
}

static void forget_runs(struct logfile *lf)
{
	free(lf->runs);
	free(lf->owned);
	lf->runs = lf->owned = NULL;
	lf->run_count = 0;
}

/* -EFSCORRUPTED if it is not all there. */
static int map_inode(struct logfile *lf, struct inode *inode)
{
	struct fs *fs = lf->fs;
	uint64_t count = inode->i.size >> fs->blockbits, at = 0;
	struct map m;
	int err;

	if (!S_ISREG(inode->i.mode) || !inode->i.links ||
	    count < JBD_MIN_BLOCKS || count > fs->blocks_count ||
	    count > UINT32_MAX)
		return -EFSCORRUPTED;
	while (at < count) {
		err = map_lookup(inode, at, count - at, &m);
		if (err)
			return err;
		if (m.state != MAP_WRITTEN || m.pblk >= fs->blocks_count ||
		    m.len > fs->blocks_count - m.pblk)
			return -EFSCORRUPTED;
		err = add_run(lf, &m);
		if (err)
			return err;
		at += m.len;
	}
	lf->super_off = lf->runs[0].pblk << fs->blockbits;
	return sort_owned(lf);
}

static int by_inode(struct logfile *lf, uint32_t ino)
{
	struct inode *inode;
	int err;

	err = inode_get_any(lf->fs, ino, &inode);
	if (err)
		return err;
	err = map_inode(lf, inode);
	inode_put(inode);
	return err;
}

/* From i_block and i_size as the superblock keeps them, for the day when the
 * inode is damaged.  Both are in disk byte order. */
static int by_backup(struct logfile *lf, uint32_t ino)
{
	const struct ext2_super_block *sb = fs_super(lf->fs);
	const struct ext3_extent_header *eh = (const void *)sb->s_jnl_blocks;
	struct inode *inode;
	int err;

	if (ino != EXT2_JOURNAL_INO ||
	    sb->s_jnl_backup_type != EXT3_JNL_BACKUP_BLOCKS)
		return -EFSCORRUPTED;
	inode = calloc(1, sizeof(*inode) + lf->fs->inode_size);
	if (!inode)
		return -ENOMEM;
	inode->fs = lf->fs;
	inode->ino = ino;
	inode->i.mode = S_IFREG | 0600;
	inode->i.links = 1;
	inode->i.size = (uint64_t)le32toh(sb->s_jnl_blocks[15]) << 32 |
			le32toh(sb->s_jnl_blocks[16]);
	memcpy(inode->i.block, sb->s_jnl_blocks, sizeof(inode->i.block));
	if (le16toh(eh->eh_magic) == EXT3_EXT_MAGIC)
		inode->i.flags = EXT4_EXTENTS_FL;
	err = map_inode(lf, inode);
	free(inode);
	return err;
}

/* Damage of the inode that the backup makes up for is none of the volume's
 * errors=: e2fsck puts it right without a word. */
static int find_inode(struct logfile *lf, uint32_t ino)
{
	struct fs *fs = lf->fs;
	struct fs_error_log errors = fs->error_log;
	bool ro = fs->error_ro, panicked = fs->panicked;
	int err;

	err = by_inode(lf, ino);
	if (!err || err == -ENOMEM || err == -EIO)
		return err;
	forget_runs(lf);
	err = by_backup(lf, ino);
	if (err)
		return err == -ENOMEM ? err : damaged("its inode");
	msg_warn("The journal's inode is damaged: using its backup.");
	fs->error_log = errors;
	fs->error_ro = ro;
	fs->panicked = panicked;
	lf->backup = true;
	return 0;
}

/* On a device of its own the log's blocks have the device's numbers. */
static int find_device(struct logfile *lf, bool writable)
{
	uint64_t blocks;
	struct map m = { .lblk = 0 };
	int err;

	err = logdev_open(lf->fs, writable, &lf->dev, &blocks);
	if (err)
		return err;
	lf->external = true;
	lf->super_off = logdev_super(lf->blocksize);
	m.len = blocks > UINT32_MAX ? UINT32_MAX : blocks;
	return add_run(lf, &m);
}

/* ---- its superblock ---- */

static uint32_t super_csum(const struct jbd_super *js)
{
	struct jbd_super copy = *js;

	copy.checksum = 0;
	return ext2fs_crc32c_le(~0U, (uint8_t *)&copy, sizeof(copy));
}

static int check_features(const struct jbd_super *js)
{
	uint32_t incompat = be32toh(js->incompat);
	bool v1 = be32toh(js->compat) & JBD_COMPAT_CHECKSUM;
	bool v2 = incompat & JBD_INCOMPAT_CSUM_V2;
	bool v3 = incompat & JBD_INCOMPAT_CSUM_V3;

	if ((incompat & ~JBD_INCOMPAT_KNOWN) || js->ro_compat) {
		msg_err("The journal has features that are not supported.");
		return -EOPNOTSUPP;
	}
	if (v1 + v2 + v3 > 1)
		return damaged("checksums of two kinds");
	if (!v2 && !v3)
		return 0;
	if (js->checksum_type != JBD_CSUM_CRC32C) {
		msg_err("The journal has checksums of an unknown kind.");
		return -EOPNOTSUPP;
	}
	if (be32toh(js->checksum) != super_csum(js))
		return damaged("wrong checksum of its superblock");
	return 0;
}

static int check_lengths(const struct logfile *lf)
{
	const struct log_run *last = &lf->runs[lf->run_count - 1];
	uint32_t super_blk = lf->external ? lf->super_off / lf->blocksize : 0;
	uint32_t start = be32toh(lf->super.start);
	uint32_t maxlen = be32toh(lf->super.maxlen);

	if (maxlen < JBD_MIN_BLOCKS || maxlen > last->jblk + last->count)
		return damaged("its length");
	if (lf->first <= super_blk || lf->end > maxlen ||
	    lf->first + 1 >= lf->end)
		return damaged("the bounds of the log");
	if (start && (start < lf->first || start >= lf->end))
		return damaged("the start of the log");
	if (be32toh(lf->super.h.type) == JBD_SUPER_V2 &&
	    be32toh(lf->super.nr_users) > 1) {
		msg_err("The journal is shared by several filesystems.");
		return -EOPNOTSUPP;
	}
	return 0;
}

static int load_super(struct logfile *lf)
{
	struct jbd_super *js = &lf->super;
	uint32_t type;
	int err;

	err = device_read(lf->dev, js, sizeof(*js), lf->super_off);
	if (err) {
		msg_err("The journal cannot be read: %s.", strerror(-err));
		return -EIO;
	}
	type = be32toh(js->h.type);
	if (be32toh(js->h.magic) != JBD_MAGIC ||
	    (type != JBD_SUPER_V1 && type != JBD_SUPER_V2))
		return damaged("no superblock");
	if (be32toh(js->blocksize) != lf->blocksize)
		return damaged("its block size");
	if (type == JBD_SUPER_V1)	/* what follows may be anything */
		memset((char *)js + SUPER_V1_END, 0, sizeof(*js) - SUPER_V1_END);
	err = check_features(js);
	if (err)
		return err;
	logfile_decode(lf);
	return check_lengths(lf);
}

void logfile_decode(struct logfile *lf)
{
	const struct jbd_super *js = &lf->super;
	uint32_t maxlen = be32toh(js->maxlen), fast;

	lf->incompat = be32toh(js->incompat);
	lf->first = be32toh(js->first);
	lf->end = maxlen;
	lf->fast_first = lf->fast_count = 0;
	if (lf->incompat & JBD_INCOMPAT_FAST) {
		fast = be32toh(js->fast_blocks);
		if (!fast)
			fast = JBD_FAST_BLOCKS_DEFAULT;
		/* a journal too small for both has no fast commits */
		if (fast < maxlen && maxlen - fast >= JBD_MIN_BLOCKS) {
			lf->end = maxlen - fast;
			lf->fast_first = lf->end + 1;
			lf->fast_count = fast - 1;
		}
	}
	lf->csum23 = lf->incompat &
		     (JBD_INCOMPAT_CSUM_V2 | JBD_INCOMPAT_CSUM_V3);
	lf->csum_seed = ext2fs_crc32c_le(~0U, js->uuid, sizeof(js->uuid));
	if (lf->incompat & JBD_INCOMPAT_CSUM_V3) {
		lf->tag_bytes = sizeof(struct jbd_tag3);
		return;
	}
	lf->tag_bytes = 8;
	if (lf->incompat & JBD_INCOMPAT_64BIT)
		lf->tag_bytes += 4;
	if (lf->incompat & JBD_INCOMPAT_CSUM_V2)
		lf->tag_bytes += 2;
}

int logfile_open(struct fs *fs, bool writable, struct logfile **out)
{
	struct ext2_super_block *sb = fs->e2->super;
	struct logfile *lf;
	int err;

	*out = NULL;
	if (!ext2fs_has_feature_journal(sb))
		return 0;
	lf = calloc(1, sizeof(*lf));
	if (!lf)
		return -ENOMEM;
	lf->fs = fs;
	lf->dev = fs->dev;
	lf->blocksize = fs->blocksize;
	if (sb->s_journal_inum)
		err = find_inode(lf, sb->s_journal_inum);
	else
		err = find_device(lf, writable);
	if (!err)
		err = load_super(lf);
	if (err) {
		logfile_close(lf);
		return err;
	}
	*out = lf;
	return 0;
}

void logfile_close(struct logfile *lf)
{
	if (!lf)
		return;
	if (lf->external)
		device_close(lf->dev);
	forget_runs(lf);
	free(lf);
}

/* ---- blocks ---- */

/* The run with JBLK, by halves. */
static const struct log_run *find_run(const struct logfile *lf, uint32_t jblk)
{
	size_t lo = 0, hi = lf->run_count;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;

		if (lf->runs[mid].jblk <= jblk)
			lo = mid;
		else
			hi = mid;
	}
	return &lf->runs[lo];
}

uint64_t logfile_offset(const struct logfile *lf, uint32_t jblk, uint32_t *run)
{
	const struct log_run *r = find_run(lf, jblk);
	uint32_t skip = jblk - r->jblk;

	if (run)
		*run = skip < r->count ? r->count - skip : 0;
	return (r->pblk + skip) * lf->blocksize;
}

static int transfer(struct logfile *lf, uint32_t jblk, uint32_t count,
		    uint8_t *buf, bool writing)
{
	while (count) {
		uint32_t part;
		uint64_t off = logfile_offset(lf, jblk, &part);
		size_t len;
		int err;

		if (!part)
			return -EIO;
		if (part > count)
			part = count;
		len = (size_t)part * lf->blocksize;
		if (writing)
			err = device_write(lf->dev, buf, len, off);
		else
			err = device_read(lf->dev, buf, len, off);
		if (err)
			return err;
		buf += len;
		jblk += part;
		count -= part;
	}
	return 0;
}

int logfile_read(struct logfile *lf, uint32_t jblk, uint32_t count, void *buf)
{
	return transfer(lf, jblk, count, buf, false);
}

int logfile_write(struct logfile *lf, uint32_t jblk, uint32_t count,
		  const void *buf)
{
	return transfer(lf, jblk, count, (uint8_t *)buf, true);
}

int logfile_write_super(struct logfile *lf)
{
	if (lf->csum23)
		lf->super.checksum = htobe32(super_csum(&lf->super));
	return device_write(lf->dev, &lf->super, sizeof(lf->super),
			    lf->super_off);
}

int logfile_sync(struct logfile *lf)
{
	return device_sync(lf->dev);
}

bool logfile_owns(const struct logfile *lf, uint64_t blk, uint64_t count)
{
	size_t lo = 0, hi = lf->run_count;

	if (!lf->owned)
		return false;		/* on a device of its own */
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct log_run *r = &lf->owned[mid];

		if (r->pblk + r->count <= blk)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < lf->run_count && lf->owned[lo].pblk < blk + count;
}
