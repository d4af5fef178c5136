/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * recover.c - making a volume what its journal says.
 *
 * Knows where blocks belong and in which order things are written; what is in
 * the log is scan.c's to read, fast commits are fastcommit.c's.  Works below
 * the cache: whoever opened the volume has to open it anew afterwards.  Needs
 * the volume lock, takes none.
 *
 * The order of writing:
 *
 *	blocks of the log at home; flush
 *	of fast commits: what they change, as one more transaction in the log,
 *	so that a crash finds all or nothing of it; the same at home; flush
 *	the journal's superblock: nothing to replay; flush
 *	the volume's superblock: no recovery needed; flush
 *
 * Each step may be cut off anywhere: replaying again what was replayed leads
 * to the same blocks.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "fs/fs.h"
#include "io/device.h"
#include "journal/fastcommit.h"
#include "journal/logfile.h"
#include "journal/recover.h"
#include "journal/scan.h"
#include "journal/append.h"
#include "sys/log.h"

#define SUPER_OFFSET	1024
#define GATHER		64		/* blocks in one write */

struct recovery {
	struct fs *fs;
	struct logfile *lf;
	struct log_scan scan;
	struct fastcommit *fast;
	bool shown;
};

static int refuse(struct fs *fs)
{
	msg_err("Journal needs recovery; running `e2fsck -E journal_only' is required.");
	msg_err("Please run e2fsck -fy %s.", fs->opt.source);
	return -EFSCORRUPTED;
}

/* ---- where blocks belong ---- */

/* Blocks of the volume as the log would have it: it may have grown. */
static int find_size(struct recovery *r, uint64_t *blocks)
{
	struct fs *fs = r->fs;
	const struct log_block *b;
	struct ext2_super_block *sb;
	uint64_t count;
	uint8_t *page;
	int err;

	*blocks = fs->blocks_count;
	b = log_scan_find(&r->scan, SUPER_OFFSET / fs->blocksize);
	if (!b)
		return 0;
	page = malloc(fs->blocksize);
	if (!page)
		return -ENOMEM;
	err = logfile_read(r->lf, b->jblk, 1, page);
	sb = (void *)(page + SUPER_OFFSET % fs->blocksize);
	if (!err && le16toh(sb->s_magic) != EXT2_SUPER_MAGIC)
		err = -EFSCORRUPTED;
	if (!err) {
		count = le32toh(sb->s_blocks_count);
		if (le32toh(sb->s_feature_incompat) &
		    EXT4_FEATURE_INCOMPAT_64BIT)
			count |= (uint64_t)le32toh(sb->s_blocks_count_hi) << 32;
		if (count > *blocks &&
		    count <= device_size(fs->dev) >> fs->blockbits)
			*blocks = count;
	}
	free(page);
	return err;
}

/* The block of MMP is ours by now, and never in a log. */
static bool is_mmp(const struct fs *fs, uint64_t blk)
{
	return ext2fs_has_feature_mmp(fs->e2->super) &&
	       blk == fs->e2->super->s_mmp_block;
}

static int check_homes(struct recovery *r)
{
	uint64_t blocks, blk;
	size_t i;
	int err;

	err = find_size(r, &blocks);
	if (err == -EFSCORRUPTED)
		msg_err("The journal is damaged: a bad superblock in it.");
	for (i = 0; i < r->scan.count && !err; i++) {
		blk = r->scan.blocks[i].blk;
		if (blk < blocks && !logfile_owns(r->lf, blk, 1) &&
		    !is_mmp(r->fs, blk))
			continue;
		msg_err("The journal is damaged: it has a block for %llu.",
			(unsigned long long)blk);
		err = -EFSCORRUPTED;
	}
	return err;
}

/* ---- the two superblocks ---- */

static bool is_dirty(const struct recovery *r)
{
	return r->lf->super.start;
}

/*
 * RECOVERED: the volume needs no recovery any more.  The journal's error is
 * the volume's in any case.
 */
static int write_super(struct recovery *r, bool recovered)
{
	struct fs *fs = r->fs;
	struct ext2_super_block sb;
	int err;

	err = device_read(fs->dev, &sb, sizeof(sb), SUPER_OFFSET);
	if (err)
		return err;
	if (r->lf->super.error)
		sb.s_state |= htole16(EXT2_ERROR_FS);
	if (recovered)
		sb.s_feature_incompat &=
			htole32(~EXT3_FEATURE_INCOMPAT_RECOVER);
	if (le32toh(sb.s_feature_ro_compat) &
	    EXT4_FEATURE_RO_COMPAT_METADATA_CSUM)
		sb.s_checksum = htole32(ext2fs_crc32c_le(~0U, (uint8_t *)&sb,
				offsetof(struct ext2_super_block, s_checksum)));
	return device_write(fs->dev, &sb, sizeof(sb), SUPER_OFFSET);
}

static int finish_log(struct recovery *r, uint32_t next_tid)
{
	struct jbd_super *js = &r->lf->super;
	int err;

	if (!js->start && !js->error)
		return 0;
	if (js->start)
		js->sequence = htobe32(next_tid);
	js->start = 0;
	js->error = 0;
	err = logfile_write_super(r->lf);
	return err ? err : logfile_sync(r->lf);
}

/* ---- writing ---- */

static int read_copy(struct recovery *r, const struct log_block *b,
		     uint8_t *page)
{
	uint32_t magic = htobe32(JBD_MAGIC);
	int err = logfile_read(r->lf, b->jblk, 1, page);

	if (!err && b->escaped)
		memcpy(page, &magic, sizeof(magic));
	return err;
}

static int write_homes(struct recovery *r)
{
	const struct log_scan *s = &r->scan;
	unsigned bits = r->fs->blockbits;
	uint8_t *pages;
	size_t i, n;
	int err = 0;

	if (posix_memalign((void **)&pages, 4096, (size_t)GATHER << bits))
		return -ENOMEM;
	for (i = 0; i < s->count && !err; i += n) {
		for (n = 0; n < GATHER && i + n < s->count && !err; n++) {
			if (s->blocks[i + n].blk != s->blocks[i].blk + n)
				break;
			err = read_copy(r, &s->blocks[i + n],
					pages + (n << bits));
		}
		if (!err)
			err = device_write(r->fs->dev, pages, n << bits,
					   s->blocks[i].blk << bits);
	}
	free(pages);
	return err;
}

/* What fast commits changed leaves the overlay for the log and its homes. */
static int write_fast(struct recovery *r, const struct log_page *pages,
		      size_t count)
{
	unsigned bits = r->fs->blockbits;
	size_t i;
	int err;

	err = log_append(r->lf, r->scan.head, r->scan.end_tid, pages, count);
	for (i = 0; i < count && !err; i++)
		err = device_write(r->fs->dev, pages[i].data,
				   (size_t)1 << bits, pages[i].blk << bits);
	return err ? err : device_sync(r->fs->dev);
}

static int write_all(struct recovery *r, const struct log_page *pages,
		     size_t count)
{
	int err;

	err = write_homes(r);
	if (!err && r->lf->super.error)
		err = write_super(r, false);
	if (!err)
		err = device_sync(r->fs->dev);
	if (!err && count)
		err = write_fast(r, pages, count);
	if (!err)
		err = finish_log(r, r->scan.end_tid + (count ? 2 : 1));
	if (!err)
		err = write_super(r, true);
	return err ? err : device_sync(r->fs->dev);
}

static void free_pages(struct log_page *pages, size_t count)
{
	while (count)
		free(pages[--count].data);
	free(pages);
}

/* Copies of what is in the overlay. */
static int collect_pages(struct recovery *r, struct log_page **out, size_t *n)
{
	size_t size = r->fs->blocksize, room = 0;
	struct log_page *pages = NULL, *p;
	const void *page;
	uint64_t blk;

	*out = NULL;
	*n = 0;
	for (blk = 0; (page = device_overlay_page(r->fs->dev, &blk)); blk++) {
		if (*n == room) {
			room = room ? 2 * room : 64;
			p = realloc(pages, room * sizeof(*p));
			if (!p)
				return -ENOMEM;
			*out = pages = p;
		}
		if (logfile_owns(r->lf, blk, 1)) {
			msg_err("The journal is damaged: its own blocks are not marked as in use.");
			return -EFSCORRUPTED;
		}
		p = &pages[*n];
		p->blk = blk;
		if (posix_memalign(&p->data, 4096, size))
			return -ENOMEM;
		memcpy(p->data, page, size);
		++*n;
	}
	return 0;
}

int recover_write(struct recovery *r)
{
	struct log_page *pages = NULL;
	size_t count = 0;
	int err = 0;

	if (r->shown) {
		err = collect_pages(r, &pages, &count);
		if (err == -EFSCORRUPTED)
			refuse(r->fs);
		if (!err && !log_append_fits(r->lf, count)) {
			msg_err("The journal is too small for what its fast commits change.");
			err = refuse(r->fs);
		}
		device_overlay_end(r->fs->dev);
		r->shown = false;
	}
	if (!err) {
		err = write_all(r, pages, count);
		if (err)
			msg_err("Recovering the journal: %s.", strerror(-err));
	}
	free_pages(pages, count);
	return err;
}

/* ---- reading ---- */

static int read_log(struct recovery *r)
{
	int err;

	if (!is_dirty(r)) {
		r->scan.end_tid = be32toh(r->lf->super.sequence);
		return 0;
	}
	err = log_scan(r->lf, &r->scan);
	if (!err)
		err = check_homes(r);
	if (!err)
		err = fastcommit_load(r->lf, r->scan.end_tid, &r->fast);
	return err;
}

int recover_begin(struct fs *fs, struct recovery **out)
{
	struct recovery *r = calloc(1, sizeof(*r));
	int err;

	if (!r)
		return -ENOMEM;
	r->fs = fs;
	err = logfile_open(fs, !fs->rdonly, &r->lf);
	if (!err && !r->lf) {
		msg_err("There is no journal to recover from.");
		err = -EFSCORRUPTED;
	}
	if (!err)
		msg_warn("Recovering journal.");
	if (!err)
		err = read_log(r);
	if (err) {
		recover_free(r);
		refuse(fs);
		return err == -ENOMEM ? err : -EFSCORRUPTED;
	}
	msg_info("transactions %u to %u, %zu blocks%s", r->scan.first_tid,
		 r->scan.end_tid - 1, r->scan.count,
		 r->fast ? ", and fast commits" : "");
	*out = r;
	return 0;
}

int recover_show(struct recovery *r)
{
	struct fs *fs = r->fs;
	size_t i;
	int err;

	err = device_overlay(fs->dev, fs->blocksize, r->lf->dev,
			     htobe32(JBD_MAGIC));
	r->shown = !err;
	for (i = 0; i < r->scan.count && !err; i++) {
		const struct log_block *b = &r->scan.blocks[i];

		err = device_redirect(fs->dev, b->blk,
				      logfile_offset(r->lf, b->jblk, NULL),
				      b->escaped);
	}
	return err;
}

struct fastcommit *recover_fast(const struct recovery *r)
{
	return r->fast;
}

int recover_keep(struct recovery *r)
{
	int err = write_super(r, true);

	if (err)
		return err;
	r->shown = false;
	if (r->lf->external) {
		/* it is read from there as long as the volume is open */
		r->fs->log_dev = r->lf->dev;
		r->lf->external = false;
	}
	return 0;
}

void recover_free(struct recovery *r)
{
	if (!r)
		return;
	if (r->shown)
		device_overlay_end(r->fs->dev);
	fastcommit_free(r->fast);
	log_scan_free(&r->scan);
	logfile_close(r->lf);
	free(r);
}
