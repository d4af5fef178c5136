/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * map.c - mappings against a model: seeded random inserts, allocations,
 * conversions, removals, shifts and aborts on several files at once, for
 * every kind of map and several geometries.  e2fsck judges each image, and
 * debugfs reads the trees independently.
 *
 * MAP_SEED=n starts from another seed, MAP_DEEP=1 adds a tree of depth 4.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "../tap.h"
#include "fs/alloc.h"
#include "fs/fs.h"
#include "fs/inode.h"
#include "fs/map.h"
#include "fs/map_internal.h"
#include "journal/txn.h"
#include "sys/log.h"

#define FILES	3

struct cell {
	uint64_t pblk;
	uint8_t state;			/* enum map_state */
};

struct file {
	struct inode *inode;
	struct cell *cell, *saved;
};

static char dir[200], img[256];
static struct fs *fs;
static struct file files[FILES];
static uint32_t cells;
static uint64_t rng;

static uint32_t rnd(uint32_t n)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (uint32_t)((rng >> 11) % n);
}

static int run(const char *fmt, const char *a, const char *b)
{
	char cmd[1000];

	snprintf(cmd, sizeof(cmd), fmt, a, b);
	return system(cmd);
}

/* ---- images ---- */

static void make(const char *mkfs, unsigned files_count)
{
	char cmd[1000];
	unsigned i;

	unlink(img);
	snprintf(cmd, sizeof(cmd), "mke2fs -q -F %s", mkfs);
	/* size last: mkfs holds options and '|' and the size */
	*strchr(cmd, '|') = 0;
	snprintf(cmd + strlen(cmd), sizeof(cmd) - strlen(cmd), " %s %s >%s/out 2>&1",
		 img, strchr(mkfs, '|') + 1, dir);
	if (system(cmd))
		bail(cmd);
	for (i = 0; i < files_count; i++) {
		snprintf(cmd, sizeof(cmd),
			 "debugfs -w -R 'write /dev/null f%u' %s >/dev/null 2>&1",
			 i, img);
		if (system(cmd))
			bail(cmd);
	}
}

static int open_fs(void)
{
	struct fs_options opt = { .source = img };
	unsigned i;
	int err = fs_open(&opt, &fs);

	if (err)
		return err;
	for (i = 0; i < FILES && !err; i++) {
		err = inode_get_unlocked(fs, 12 + i, &files[i].inode);
		files[i].cell = calloc(cells, sizeof(struct cell));
		files[i].saved = calloc(cells, sizeof(struct cell));
	}
	return err;
}

static int close_fs(void)
{
	unsigned i;

	for (i = 0; i < FILES; i++) {
		inode_put_unlocked(files[i].inode);
		free(files[i].cell);
		free(files[i].saved);
	}
	return fs_close(fs);
}

static bool fsck(void)
{
	bool good = run("e2fsck -fn %s >%s/out 2>&1", img, dir) == 0;

	if (!good)
		run("sed 's/^/# /' %s%s/out | head -30", "", dir);
	return good;
}

/* ---- model against map ---- */

static bool compare(struct file *f)
{
	uint64_t l = 0, i;
	struct map m;
	int err;

	while (l < cells) {
		err = map_lookup(f->inode, l, cells - l, &m);
		if (err || !m.len || m.lblk != l || m.len > cells - l) {
			printf("# lookup %llu: err %d len %llu\n",
			       (unsigned long long)l, err,
			       (unsigned long long)m.len);
			return false;
		}
		for (i = 0; i < m.len; i++) {
			struct cell *c = &f->cell[l + i];

			if (c->state == m.state &&
			    (!c->state || c->pblk == m.pblk + i))
				continue;
			printf("# inode %u block %llu: map %d %llu, model %d %llu\n",
			       f->inode->ino, (unsigned long long)(l + i),
			       m.state, (unsigned long long)(m.pblk + i),
			       c->state, (unsigned long long)c->pblk);
			return false;
		}
		l += m.len;
	}
	return true;
}

static bool compare_next(struct file *f)
{
	uint32_t l = rnd(cells), n = l;
	struct map m;
	int err = map_next(f->inode, l, &m);

	while (n < cells && !f->cell[n].state)
		n++;
	if (n == cells)
		return err == -ENXIO || (!err && m.lblk >= cells);
	return !err && m.lblk == n && m.pblk == f->cell[n].pblk &&
	       m.state == f->cell[n].state;
}

/* ---- operations; each in an open handle ---- */

static void set_cells(struct file *f, uint64_t l, uint64_t p, uint64_t n, int st)
{
	for (; n--; l++, p++) {
		f->cell[l].pblk = st ? p : 0;
		f->cell[l].state = (uint8_t)st;
	}
}

static uint32_t hole_at(struct file *f, uint32_t l, uint32_t max)
{
	uint32_t n = 0;

	while (n < max && l + n < cells && !f->cell[l + n].state)
		n++;
	return n;
}

static int op_insert(struct txn *t, struct file *f)
{
	unsigned ratio = fs->cluster_ratio;
	uint32_t l = rnd(cells), n = hole_at(f, l, 1 + rnd(rnd(4) ? 8 : 300));
	bool unwritten = inode_has_extents(f->inode) && rnd(2);
	uint64_t pblk, got;
	int err;

	if (!n)
		return 0;
	err = map_cluster(f->inode, l, &pblk);
	if (err)
		return err;
	if (pblk) {
		if (n > ratio - l % ratio)
			n = ratio - l % ratio;
	} else {
		/* not into a cluster behind that may be taken */
		if (ratio > 1 && n > ratio - l % ratio)
			n = ratio - l % ratio;
		got = (l % ratio + n + ratio - 1) / ratio * ratio;
		err = block_alloc(t, f->inode, rnd(2) ? map_goal(f->inode, l) :
				  rnd((uint32_t)fs->blocks_count) & ~(ratio - 1),
				  got, 0, &pblk, &got);
		if (err)
			return err;
		pblk += l % ratio;
		if (n > got - l % ratio) {
			n = (uint32_t)got - l % ratio;
		} else if (n + ratio <= got) {
			printf("# block_alloc gave more than wanted\n");
			return -EINVAL;
		}
	}
	err = map_insert(t, f->inode, l, pblk, n, unwritten);
	if (!err)
		set_cells(f, l, pblk, n, unwritten ? MAP_UNWRITTEN : MAP_WRITTEN);
	return err;
}

static int op_alloc(struct txn *t, struct file *f)
{
	uint32_t l = rnd(cells), n = 1 + rnd(200), i;
	uint64_t done;
	struct map m;
	int err;

	if (n > cells - l)
		n = cells - l;
	err = map_alloc(t, f->inode, l, n, 0, &done);
	for (i = 0; !err && i < done; i++) {
		struct cell *c = &f->cell[l + i];

		err = map_lookup(f->inode, l + i, 1, &m);
		if (c->state)
			continue;
		c->pblk = m.pblk;
		c->state = inode_has_extents(f->inode) ? MAP_UNWRITTEN :
							 MAP_WRITTEN;
	}
	return err;
}

static int op_convert(struct txn *t, struct file *f)
{
	uint32_t l = rnd(cells), n = 1 + rnd(rnd(3) ? 10 : 300), i;

	for (i = l; i < l + n && i < cells; i++)
		if (f->cell[i].state == MAP_UNWRITTEN)
			f->cell[i].state = MAP_WRITTEN;
	return map_convert(t, f->inode, l, n);
}

static int op_remove(struct txn *t, struct file *f)
{
	uint32_t l = rnd(cells), n = 1 + rnd(rnd(10) ? 40 : cells), i;
	int err;

	err = map_remove(t, f->inode, l, n);
	if (err < 0)
		return err;
	if (err == 1) {
		/* only the end of the range is gone: learn from where on */
		struct map m = { 0 };
		uint64_t at = l;

		while (!map_next(f->inode, at, &m) && m.lblk < l + n)
			at = m.lblk + m.len;
		for (i = (uint32_t)at; i < l + n && i < cells; i++)
			set_cells(f, i, 0, 1, MAP_HOLE);
		return 0;
	}
	for (i = l; i < l + n && i < cells; i++)
		set_cells(f, i, 0, 1, MAP_HOLE);
	return 0;
}

static int op_shift(struct txn *t, struct file *f)
{
	unsigned ratio = fs->cluster_ratio;
	uint32_t d = (1 + rnd(20)) * ratio, l = rnd(cells / ratio) * ratio, i;
	uint64_t pos = 0;
	int err;

	if (!inode_has_extents(f->inode) || l < d || l + d > cells)
		return 0;
	if (rnd(2)) {
		err = map_remove(t, f->inode, l - d, d);
		if (err)
			return err == 1 ? -EAGAIN : err;
		err = map_shift(t, f->inode, l, -(int64_t)d, &pos);
		if (err)
			return err;
		memmove(&f->cell[l - d], &f->cell[l],
			(cells - l) * sizeof(struct cell));
		set_cells(f, cells - d, 0, d, MAP_HOLE);
		return 0;
	}
	/* keep what is mapped inside of the model */
	err = map_remove(t, f->inode, cells - d, UINT64_MAX);
	if (err)
		return err == 1 ? -EAGAIN : err;
	err = map_shift(t, f->inode, l, d, &pos);
	if (err)
		return err;
	memmove(&f->cell[l + d], &f->cell[l],
		(cells - l - d) * sizeof(struct cell));
	for (i = l; i < l + d; i++)
		set_cells(f, i, 0, 1, MAP_HOLE);
	return 0;
}

typedef int (*op_fn)(struct txn *, struct file *);
static const op_fn ops[] = {
	op_insert, op_insert, op_insert, op_alloc, op_convert, op_remove,
	op_shift,
};

/* One operation, sometimes aborted.  The model follows. */
static int step(struct file *f)
{
	struct inode_core before = f->inode->i;
	bool abort_it = !rnd(4);
	struct txn *t;
	int err;

	memcpy(f->saved, f->cell, cells * sizeof(struct cell));
	err = txn_begin(fs, TXN_TRUNCATE, &t);
	if (err)
		return err;
	err = inode_dirty(t, f->inode);
	f->inode->i.size = (uint64_t)cells << fs->blockbits;
	if (!err)
		err = ops[rnd(sizeof(ops) / sizeof(ops[0]))](t, f);
	if (!err && !abort_it) {
		txn_end(t);
		return 0;
	}
	txn_abort(t);
	memcpy(f->cell, f->saved, cells * sizeof(struct cell));
	if (memcmp(f->inode->i.block, before.block, sizeof(before.block)) ||
	    f->inode->i.blocks != before.blocks) {
		printf("# an aborted handle left something in the inode\n");
		return -EINVAL;
	}
	return err == -ENOSPC || err == -EAGAIN ? 0 : err;
}

/* ---- debugfs as the second opinion ---- */

static bool debugfs_extents(struct file *f, uint32_t ino, bool compare_all)
{
	struct cell *got = calloc(cells, sizeof(*got));
	unsigned long long l0, l1, p0, p1, n, i;
	char cmd[600], line[400], flag[40];
	bool good = true;
	FILE *p;

	snprintf(cmd, sizeof(cmd), "debugfs -R 'dump_extents -l <%u>' %s 2>/dev/null",
		 ino, img);
	p = popen(cmd, "r");
	while (fgets(line, sizeof(line), p)) {
		flag[0] = 0;
		if (sscanf(line, "%*u/%*u %*u/%*u %llu - %llu %llu - %llu %llu %39s",
			   &l0, &l1, &p0, &p1, &n, flag) < 5)
			continue;
		for (i = 0; i < n && l0 + i < cells; i++) {
			got[l0 + i].pblk = p0 + i;
			got[l0 + i].state = flag[0] == 'U' ? MAP_UNWRITTEN :
							     MAP_WRITTEN;
		}
	}
	pclose(p);
	for (i = 0; i < cells && good; i++)
		good = got[i].state == f->cell[i].state &&
		       got[i].pblk == f->cell[i].pblk;
	if (!good)
		printf("# debugfs differs at inode %u block %llu\n", ino, i - 1);
	free(got);
	return good || !compare_all;
}

static bool debugfs_bmap(struct file *f, uint32_t ino)
{
	char name[256], cmd[600], line[200];
	uint32_t at[200], i;
	bool good = true;
	FILE *p;

	snprintf(name, sizeof(name), "%s/cmds", dir);
	p = fopen(name, "w");
	for (i = 0; i < 200; i++) {
		at[i] = rnd(cells);
		fprintf(p, "bmap <%u> %u\n", ino, at[i]);
	}
	fclose(p);
	snprintf(cmd, sizeof(cmd), "debugfs -f %s %s 2>/dev/null", name, img);
	p = popen(cmd, "r");
	for (i = 0; i < 200 && fgets(line, sizeof(line), p);) {
		if (!strncmp(line, "debugfs", 7))
			continue;
		if (strtoull(line, NULL, 10) != f->cell[at[i]].pblk) {
			printf("# bmap %u: %s", at[i], line);
			good = false;
		}
		i++;
	}
	pclose(p);
	return good && i == 200;
}

/* ---- tests ---- */

static void report(int err, const char *what, const char *name)
{
	if (err)
		printf("# %s: %d (%s)\n", what, err, strerror(-err));
	ok(!err, "%s: %s", name, what);
}

static void test_random(const char *name, const char *mkfs, uint32_t n,
			unsigned steps, uint64_t seed)
{
	unsigned i, j;
	bool same = true, extents;
	struct cell *keep[FILES];
	int err;

	rng = seed * 0x9e3779b97f4a7c15ULL + 1;
	cells = n;
	make(mkfs, FILES);
	err = open_fs();
	if (err)
		bail("fs_open failed");
	extents = inode_has_extents(files[0].inode);
	fs_lock(fs);
	for (i = 0; i < steps && !err && same; i++) {
		struct file *f = &files[rnd(FILES)];

		err = step(f);
		if (!err && i % 16 == 0)
			same = compare(f) && compare_next(f);
	}
	for (j = 0; j < FILES; j++) {
		same = same && compare(&files[j]);
		keep[j] = malloc(n * sizeof(struct cell));
		memcpy(keep[j], files[j].cell, n * sizeof(struct cell));
	}
	fs_unlock(fs);
	report(err, "operations", name);
	ok(same, "%s: map and model agree", name);
	report(close_fs(), "close", name);
	ok(fsck(), "%s: e2fsck", name);

	for (j = 0; j < FILES; j++) {
		struct file f = { .cell = keep[j] };

		ok(extents ? debugfs_extents(&f, 12 + j, true) :
			     debugfs_bmap(&f, 12 + j),
		   "%s: debugfs reads file %u the same", name, j);
	}
	/* and it is read back the same by a new mount; then all goes */
	err = open_fs();
	for (j = 0; j < FILES; j++) {
		memcpy(files[j].cell, keep[j], n * sizeof(struct cell));
		free(keep[j]);
	}
	fs_lock(fs);
	for (j = 0, same = true; j < FILES; j++)
		same = same && compare(&files[j]);
	ok(!err && same, "%s: the same after opening again", name);
	for (j = 0; j < FILES && !err; j++) {
		do {
			struct txn *t;

			err = txn_begin(fs, TXN_TRUNCATE, &t);
			if (!err)
				err = map_remove(t, files[j].inode, 0,
						 UINT64_MAX);
			txn_stop(t, err < 0 ? err : 0);
		} while (err == 1);
		if (files[j].inode->i.blocks)
			same = false;
	}
	fs_unlock(fs);
	ok(!err && same, "%s: everything removed, i_blocks 0", name);
	report(close_fs(), "close", name);
	ok(fsck(), "%s: e2fsck after removal", name);
}

static int put(struct inode *inode, uint64_t l, uint64_t p, uint64_t n, bool u)
{
	struct txn *t;
	int err = txn_begin(fs, TXN_WRITE, &t);

	if (!err)
		err = map_insert(t, inode, l, p, n, u);
	return txn_stop(t, err);
}

/* Blocks taken outside of any file's map, until put() enters them. */
static int take(struct inode *inode, uint64_t want, uint64_t *blk, uint64_t *got)
{
	struct txn *t;
	int err = txn_begin(fs, TXN_WRITE, &t);

	if (!err)
		err = block_alloc(t, inode, 0, want, 0, blk, got);
	return txn_stop(t, err);
}

static int depth_of(struct inode *inode)
{
	return le16toh(ext_root(inode)->depth);
}

/* Every second block of a file: as many extents as possible. */
static void test_deep(const char *name, const char *mkfs, uint32_t extents,
		      int depth, bool backwards)
{
	struct inode *inode;
	struct txn *t;
	uint64_t blk = 0, got = 0, i;
	unsigned handles = 0;
	struct map m;
	int err;

	cells = 1;
	make(mkfs, FILES);
	err = open_fs();
	if (err)
		bail("fs_open failed");
	inode = files[0].inode;
	fs_lock(fs);
	/* contiguous blocks, which alternate in state: nothing merges */
	for (i = 0; i < extents && !err; i++) {
		uint64_t l = backwards ? extents - 1 - i : i;

		if (!got)
			err = take(inode, extents - i, &blk, &got);
		if (!err)
			err = put(inode, l, blk, 1, l & 1);
		blk++;
		got--;
	}
	report(err, "inserts", name);
	ok(depth_of(inode) == depth, "%s: depth is %d", name, depth_of(inode));
	err = map_lookup(inode, extents / 2, UINT64_MAX, &m);
	ok(!err && m.len == 1, "%s: lookup in the middle", name);
	err = map_next(inode, extents, &m);
	is(err, -ENXIO, "nothing behind the last one");
	err = txn_begin(fs, TXN_ATTR, &t);
	if (!err)
		err = inode_dirty(t, inode);
	inode->i.size = (uint64_t)extents << fs->blockbits;
	txn_stop(t, err);
	fs_unlock(fs);
	report(close_fs(), "close", name);
	ok(fsck(), "%s: e2fsck of the deep tree", name);

	open_fs();
	inode = files[0].inode;
	fs_lock(fs);
	do {
		err = txn_begin(fs, TXN_TRUNCATE, &t);
		if (!err)
			err = map_remove(t, inode, 10, UINT64_MAX);
		txn_stop(t, err < 0 ? err : 0);
		/* an interrupted removal has taken the end */
		if (err == 1 && !handles++) {
			struct map last;
			uint64_t l = 0;

			for (i = 0; !map_next(inode, l, &last); i++)
				l = last.lblk + last.len;
			ok(i == l && l > 10 && l < extents,
			   "%s: a first piece leaves blocks 0..%llu", name,
			   (unsigned long long)l - 1);
		}
	} while (err == 1);
	report(err, "removal", name);
	ok(depth_of(inode) == 1, "%s: ten extents: depth 1", name);
	err = txn_begin(fs, TXN_TRUNCATE, &t);
	if (!err)
		err = map_remove(t, inode, 3, 7);
	txn_stop(t, err);
	ok(!err && depth_of(inode) == 0 && inode->i.blocks == 3,
	   "%s: three extents: depth 0", name);
	fs_unlock(fs);
	report(close_fs(), "close", name);
	ok(fsck(), "%s: e2fsck afterwards", name);
}

/* Are the extents from block L on as long as WANT says (up to a 0)? */
static bool lengths_are(struct inode *inode, uint64_t l, const uint64_t *want,
			int state)
{
	struct map m;

	for (; *want; l += *want++) {
		if (map_next(inode, l, &m) || m.lblk != l || m.len != *want ||
		    m.state != (enum map_state)state) {
			printf("# at %llu: %llu blocks, state %d\n",
			       (unsigned long long)l, (unsigned long long)m.len,
			       m.state);
			return false;
		}
	}
	return true;
}

/* Large extents: limits of length, merging, conversion in one go. */
static void test_lengths(void)
{
	static const uint64_t unwritten[] = { 32767, 32767, 4465, 0 };
	static const uint64_t one_more[] = { 32768, 32767, 4465, 0 };
	uint64_t blk = 0, got, next, n = 0, i;
	struct inode *inode;
	struct txn *t;
	int err = 0;

	cells = 1;
	make("-t ext4 -b 4096 -G 32 -O ^has_journal|2G", FILES);
	if (open_fs())
		bail("fs_open failed");
	inode = files[0].inode;
	fs_lock(fs);
	err = txn_begin(fs, TXN_WRITE, &t);
	/* groups 10 to 12: no superblock's copy in between */
	for (next = 330000; n < 70000 && !err; n += got, next = blk + got) {
		err = block_alloc(t, inode, next, 70000 - n, 0, &blk, &got);
		if (!err && n && blk != next)
			bail("blocks are not contiguous");
	}
	blk = next - n;
	if (!err)
		err = map_insert(t, inode, 1, blk + 1, n - 1, true);
	inode->i.size = n << 12;
	is(txn_stop(t, err), 0, "a long unwritten run");
	ok(lengths_are(inode, 1, unwritten, MAP_UNWRITTEN), "its extents");
	err = txn_begin(fs, TXN_WRITE, &t);
	for (i = 0; i < n && !err; i += 5000)
		err = map_convert(t, inode, i, 5000);
	is(txn_stop(t, err), 0, "converted piece by piece");
	ok(lengths_are(inode, 1, unwritten, MAP_WRITTEN), "its extents stay");
	is(put(inode, 0, blk, 1, false), 0, "one block in front");
	ok(lengths_are(inode, 0, one_more, MAP_WRITTEN), "the longest extent");
	is(put(inode, 0, blk, 1, false), -EEXIST, "no double mapping");
	is(put(inode, MAP_MAX_BLOCKS, blk, 1, false), -EFBIG, "past the end");
	is(put(inode, MAP_MAX_BLOCKS - 1, blk, 2, false), -EFBIG,
	   "over the end");
	is(map_max_size(inode), MAP_MAX_BLOCKS << 12, "largest file");
	fs_unlock(fs);
	report(close_fs(), "close", "lengths");
	ok(fsck(), "lengths: e2fsck");
}

/* A full volume: whatever fails leaves nothing behind. */
static void test_full(const char *name, const char *mkfs)
{
	struct inode *inode;
	uint64_t l = 0, done, total = 0;
	struct txn *t;
	int err;

	cells = 1;
	make(mkfs, FILES);
	if (open_fs())
		bail("fs_open failed");
	inode = files[0].inode;
	fs_lock(fs);
	do {
		err = txn_begin(fs, TXN_WRITE, &t);
		if (!err)
			err = map_alloc(t, inode, l, 1 + rnd(5), ALLOC_RESERVE,
					&done);
		if (!err) {
			total += done;
			l += done + rnd(3);
			inode->i.size = l << fs->blockbits;
			err = inode_dirty(t, inode);
		} else if (done) {
			printf("# done is %llu\n", (unsigned long long)done);
			err = -EINVAL;
		}
		txn_stop(t, err);
	} while (!err);
	is(err, -ENOSPC, "filled until there is no space");
	ok(total > 1000 && block_available(fs, ALLOC_RESERVE) < 64,
	   "%s: %llu blocks mapped, %llu left", name, (unsigned long long)total,
	   (unsigned long long)block_available(fs, ALLOC_RESERVE));
	/* splits need tree blocks that are not there */
	for (l = 1, err = 0; !err && l < total; l += 2) {
		err = txn_begin(fs, TXN_WRITE, &t);
		if (!err)
			err = map_convert(t, inode, l, 1);
		txn_stop(t, err);
	}
	ok(!err || err == -ENOSPC, "%s: converting every second block: %d", name,
	   err);
	fs_unlock(fs);
	report(close_fs(), "close", name);
	ok(fsck(), "%s: e2fsck", name);
}

/* Damage: errors, never a crash, and reading goes on elsewhere. */
static void test_damage(const char *name, const char *mkfs, unsigned rounds)
{
	unsigned i, j, errors = 0;
	int keep = dup(2);
	struct inode_core good;
	struct inode *inode;
	struct buf *b;
	struct map m;
	char log[256];

	/* thousands of messages; a crash leaves the file behind */
	snprintf(log, sizeof(log), "%s/stderr", dir);
	if (!freopen(log, "w", stderr))
		bail(log);
	cells = 3000;
	make(mkfs, FILES);
	if (open_fs())
		bail("fs_open failed");
	inode = files[0].inode;
	fs_lock(fs);
	for (i = 0; i < 400; i++)
		if (step(&files[0]))
			break;
	good = inode->i;
	for (i = 0; i < rounds; i++) {
		uint8_t *raw = (uint8_t *)inode->i.block, save[65536];
		struct txn *t;
		uint64_t l = 0, blk = 0;
		int err;

		b = NULL;
		/* either in the inode or, in the cache, in the block below */
		if (inode_has_extents(inode) && depth_of(inode))
			blk = ext_idx_blk(ext_idxs(ext_root(inode)));
		if (blk && rnd(2) && !ext_get_node(inode, blk,
				(unsigned)depth_of(inode) - 1, true, &b)) {
			memcpy(save, b->data, fs->blocksize);
			for (j = 1 + rnd(3); j; j--)
				b->data[rnd(rnd(2) ? 60 : fs->blocksize)] =
					(uint8_t)rnd(256);
			if (ext_buf_type.verify(fs, b)) {
				errors++;
				memcpy(b->data, save, fs->blocksize);
				cache_put(b);
				continue;
			}
		} else {
			for (j = 1 + rnd(3); j; j--)
				raw[rnd(60)] = (uint8_t)rnd(256);
		}
		for (j = 0; j < 100 && !map_next(inode, l, &m); j++)
			l = m.lblk + m.len;
		for (j = 0; j < 20; j++)
			if (map_lookup(inode, rnd(cells), 1 + rnd(1000), &m))
				errors++;
		map_is_small(inode);
		if (!txn_begin(fs, TXN_TRUNCATE, &t)) {
			uint64_t pos = 0, done;

			if (rnd(2))
				map_alloc(t, inode, rnd(cells), 100, 0, &done);
			if (rnd(2))
				map_convert(t, inode, rnd(cells), 100);
			if (rnd(2))
				map_shift(t, inode, rnd(cells),
					  (int64_t)rnd(30) - 15, &pos);
			err = map_remove(t, inode, rnd(cells), UINT64_MAX);
			if (err < 0)
				errors++;
			txn_abort(t);
		}
		if (b) {
			memcpy(b->data, save, fs->blocksize);
			cache_put(b);
		}
		inode->i = good;
		fs->rdonly = fs->aborted = false;
	}
	ok(errors > 0, "%s: survived, %u errors reported", name, errors);
	ok(compare(&files[0]), "%s: all is as before", name);
	fs_unlock(fs);
	close_fs();
	fflush(stderr);
	dup2(keep, 2);
	close(keep);
}

int main(void)
{
	const char *tmp = getenv("TMPDIR"), *s = getenv("MAP_SEED");
	uint64_t seed = s ? strtoull(s, NULL, 0) : 1;

	snprintf(dir, sizeof(dir), "%s/map-test-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(dir))
		bail("mkdtemp");
	snprintf(img, sizeof(img), "%s/img", dir);
	log_init(img, false);
	rng = 1;

	test_random("extents 1k", "-t ext4 -b 1024|64M", 3000, 4000, seed);
	test_random("extents 4k", "-t ext4 -b 4096|128M", 6000, 4000, seed + 1);
	test_random("extents, no checksums", "-t ext4 -b 2048 -O ^metadata_csum,^64bit|64M",
		    3000, 3000, seed + 2);
	test_random("ext2 1k", "-t ext2 -b 1024|100M", 70000, 1500, seed + 3);
	test_random("ext2 4k", "-t ext2 -b 4096|100M", 6000, 2000, seed + 4);
	test_random("bigalloc 1k", "-t ext4 -b 1024 -O bigalloc -C 16384|128M",
		    3000, 3000, seed + 5);
	test_random("bigalloc 4k", "-t ext4 -b 4096 -O bigalloc -C 65536|256M",
		    3000, 3000, seed + 6);
	test_random("tight", "-t ext4 -b 1024 -m 0 -O ^has_journal|6M", 6000, 3000,
		    seed + 7);
	test_deep("deep 1k", "-t ext4 -b 1024 -O ^has_journal|64M", 40000, 3, false);
	test_deep("deep backwards", "-t ext4 -b 1024 -O ^has_journal|64M", 30000, 3, true);
	test_deep("deep 4k", "-t ext4 -b 4096 -O ^has_journal|256M", 30000, 2, false);
	if (getenv("MAP_DEEP"))
		test_deep("deepest", "-t ext4 -b 1024 -O ^has_journal|3G",
			  2400000, 4, false);
	test_lengths();
	test_full("full extents", "-t ext4 -b 1024 -m 0 -O ^has_journal|8M");
	test_full("full ext2", "-t ext2 -b 1024 -m 0|8M");
	test_full("full bigalloc", "-t ext4 -b 1024 -m 0 -O ^has_journal,bigalloc -C 8192|48M");
	test_damage("damage", "-t ext4 -b 1024 -O ^metadata_csum,^has_journal|32M", 3000);
	test_damage("damage ext2", "-t ext2 -b 1024|32M", 1000);

	run("rm -rf %s%s", dir, "");
	return done();
}
