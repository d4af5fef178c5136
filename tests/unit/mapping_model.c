/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mapping_model.c - files whose data the kernel moves: seeded random sequences
 * against a model of block states, and several threads at once.
 *
 * The judges are debugfs, which reads the extents independently, and e2fsck.
 * MAP_SEED=n starts from another seed.
 */
#include <linux/falloc.h>
#include <pthread.h>
#include "mappingtest.h"

struct model {
	const char *name;
	struct inode *inode;
	uint8_t cell[CELLS];		/* enum map_state */
	uint64_t size;
};

static bool same_cells(const uint8_t *got, const struct model *f)
{
	unsigned i;

	for (i = 0; i < CELLS; i++) {
		if (got[i] == f->cell[i])
			continue;
		printf("# %s: block %u is %d, want %d\n", f->name, i, got[i],
		       f->cell[i]);
		return false;
	}
	return true;
}

static struct model files[2] = { { .name = "a" }, { .name = "b" } };

static void cut_cells(struct model *f, uint64_t size)
{
	uint64_t end = (size + bs - 1) / bs;

	memset(f->cell + end, MAP_HOLE, CELLS - end);
}

static void fill_cells(struct model *f, uint64_t from, uint64_t end)
{
	for (; from < end; from++)
		if (f->cell[from] == MAP_HOLE)
			f->cell[from] = MAP_UNWRITTEN;
}

/* The mapping has to be one of the model's: the same state all over, and for
 * holes no longer or shorter than they are. */
static bool true_mapping(const struct model *f, uint64_t pos, uint64_t count,
			 const struct mapping *m)
{
	uint64_t i = m->off / bs, end = (m->off + m->len) / bs;

	if (m->off % bs || m->len % bs || m->off > pos || m->off + m->len <= pos)
		return false;
	if (m->state == MAP_HOLE) {
		if (i && i <= CELLS && f->cell[i - 1] == MAP_HOLE)
			return false;
		if (end < CELLS && f->cell[end] == MAP_HOLE &&
		    end * bs < pos + count)
			return false;
	}
	for (; i < end && i < CELLS; i++)
		if (f->cell[i] != m->state)
			return false;
	return i == end || m->state == MAP_HOLE;
}

static bool rnd_find(struct model *f)
{
	uint64_t pos = rnd((uint64_t)CELLS * bs), count = rnd(100) * bs;
	struct mapping m;

	return !mapping_find(f->inode, pos, count, &m) &&
	       true_mapping(f, pos, count, &m);
}

static bool rnd_alloc(struct model *f)
{
	static uint64_t next;
	uint64_t pos, count = 1 + rnd(60 * bs), l = 0;
	struct mapping m;
	struct map map;
	bool hole;

	pos = rnd(3) ? next : rnd((uint64_t)(CELLS / 2 - 64) * bs);
	if (pos >= (uint64_t)(CELLS / 2 - 64) * bs)
		pos = 0;
	next = pos + count;
	hole = f->cell[pos / bs] == MAP_HOLE;
	if (mapping_alloc(f->inode, pos, count, 0, &m) || (hole && !m.dirty))
		return false;
	/* it alone knows how much it took, but only from POS on */
	fs_lock(vol);
	for (; hole && !map_next(f->inode, l, &map); l = map.lblk + map.len)
		if (map.state == MAP_UNWRITTEN && map.lblk + map.len <= CELLS)
			fill_cells(f, map.lblk > pos / bs ? map.lblk : pos / bs,
				   map.lblk + map.len);
	fs_unlock(vol);
	return m.state != MAP_HOLE && true_mapping(f, pos, count, &m);
}

static bool rnd_written(struct model *f)
{
	uint64_t pos = rnd((uint64_t)(CELLS / 2 - 64) * bs);
	uint64_t len = 1 + rnd(rnd(3) ? 8 * bs : 64 * bs), i, size;

	if (mapping_written(f->inode, pos, len, true, &size))
		return false;
	for (i = pos / bs; i <= (pos + len - 1) / bs; i++)
		if (f->cell[i] == MAP_UNWRITTEN)
			f->cell[i] = MAP_WRITTEN;
	if (f->size < pos + len)
		f->size = pos + len;
	return size == f->size;
}

static bool rnd_truncate(struct model *f)
{
	uint64_t size = rnd((uint64_t)CELLS / 2 * bs);

	/* small cuts, so that there is something left */
	if (rnd(4) && f->size > 20 * bs)
		size = f->size - rnd(20 * bs);
	if (size <= f->size)
		cut_cells(f, size);
	f->size = size;
	return !data_truncate(f->inode, size, 0);
}

static bool rnd_fallocate(struct model *f)
{
	static const int modes[] = {
		0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE,
		FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE,
		FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
	};
	uint64_t off = rnd((uint64_t)(CELLS / 2 - 64) * bs), i;
	uint64_t len = 1 + rnd(rnd(5) ? 10 * bs : 60 * bs), end = off + len;
	int mode = modes[rnd(5)];

	for (i = (off + bs - 1) / bs; i < end / bs; i++)
		if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
			f->cell[i] = MAP_HOLE;
	if (!(mode & FALLOC_FL_PUNCH_HOLE))
		fill_cells(f, off / bs, (end + bs - 1) / bs);
	if (!(mode & FALLOC_FL_KEEP_SIZE) && f->size < end)
		f->size = end;
	return !data_fallocate(f->inode, mode, off, len, 0);
}

static bool rnd_trim(struct model *f)
{
	bool good;

	if (f->inode->ahead)
		cut_cells(f, f->size);
	no_writer(f->inode);
	good = !mapping_trim(f->inode, NULL, NULL);
	f->inode->writers = 1;
	return good;
}

static bool rnd_op(struct model *f)
{
	static const struct {
		const char *name;
		unsigned weight;
		bool (*run)(struct model *f);
	} ops[] = {
		{ "find", 8, rnd_find }, { "alloc", 8, rnd_alloc },
		{ "written", 6, rnd_written }, { "truncate", 2, rnd_truncate },
		{ "fallocate", 4, rnd_fallocate }, { "trim", 1, rnd_trim },
	};
	unsigned i = 0, at = rnd(29);

	while (at >= ops[i].weight)
		at -= ops[i++].weight;
	io_count = 0;
	if (!ops[i].run(f)) {
		printf("# %s: %s\n", f->name, ops[i].name);
		return false;
	}
	judge_io(f->inode);
	return !io_bad;
}

static void files_open(bool make)
{
	unsigned i;

	vol_open();
	watch();
	for (i = 0; i < 2; i++)
		files[i].inode = map_open(files[i].name, make);
}

static bool files_close(void)
{
	uint8_t cell[CELLS];
	bool good = true;
	unsigned i;

	for (i = 0; i < 2; i++) {
		if (files[i].inode->ahead)
			cut_cells(&files[i], files[i].size);
		file_close(files[i].inode);
	}
	if (vol_close())
		return false;
	for (i = 0; i < 2; i++)
		good &= read_states(image, files[i].name, cell) &&
			same_cells(cell, &files[i]) &&
			read_size(image, files[i].name) == files[i].size;
	return vol_clean() && good;
}

static void test_random(const char *mkfs, unsigned rounds)
{
	bool good = true;
	unsigned i, j;

	vol_make_ext4(mkfs, "128M");
	for (i = 0; i < 2; i++) {
		memset(files[i].cell, MAP_HOLE, CELLS);
		files[i].size = 0;
	}
	for (i = 0; i < rounds && good; i++) {
		files_open(!i);
		for (j = 0; j < 1000 && good; j++)
			good = rnd_op(&files[rnd(2)]);
		ok(good, "%s: round %u, %u operations", mkfs, i, j);
		good = files_close() && good;
		ok(good, "%s: round %u: debugfs and e2fsck agree", mkfs, i);
	}
}

/* ---- all at once ---- */

static int crowd_errors;

static void *crowd_writer(void *arg)
{
	struct inode *inode = arg;
	struct mapping m;
	uint64_t size;
	unsigned i;

	for (i = 0; i < 600; i++) {
		uint64_t pos = (uint64_t)(i % 150) * 8 * bs;

		if (mapping_alloc(inode, pos, 8 * bs, 0, &m) ||
		    m.off > pos || m.off + m.len <= pos ||
		    mapping_written(inode, pos, 8 * bs, true, &size))
			__atomic_fetch_add(&crowd_errors, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void *crowd_cutter(void *arg)
{
	struct inode *inode = arg;
	unsigned i;

	for (i = 0; i < 300; i++)
		if (data_truncate(inode, (uint64_t)(i * 37 % 1200) * bs, 0) ||
		    data_fallocate(inode, FALLOC_FL_PUNCH_HOLE |
				   FALLOC_FL_KEEP_SIZE, i * 3 * bs, 5 * bs, 0) ||
		    mapping_trim(inode, NULL, NULL))
			__atomic_fetch_add(&crowd_errors, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void *crowd_reader(void *arg)
{
	struct inode *inode = arg;
	struct mapping m;
	unsigned i;

	for (i = 0; i < 2000; i++) {
		uint64_t pos = (uint64_t)(i * 71 % 1300) * bs;

		if (mapping_find(inode, pos, bs, &m) || m.off > pos ||
		    m.off + m.len <= pos)
			__atomic_fetch_add(&crowd_errors, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

static void test_crowd(void)
{
	void *(*const who[])(void *) = {
		crowd_writer, crowd_writer, crowd_cutter, crowd_reader,
	};
	pthread_t thread[4];
	struct inode *f;
	unsigned i;

	vol_make("-t ext4", "64M");
	vol_open();
	f = map_open("f", true);
	no_writer(f);
	for (i = 0; i < 4; i++)
		if (pthread_create(&thread[i], NULL, who[i], f))
			bail("pthread_create");
	for (i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	is(crowd_errors, 0, "writers, a reader and a cutter at once");
	file_close(f);
	vol_close();
	ok(vol_clean(), "crowd: e2fsck");
}

int main(void)
{
	const char *seed = getenv("MAP_SEED");

	if (seed)
		rnd_state += strtoull(seed, NULL, 0) << 20;
	work_begin();
	test_random("-b 1024 -O ^has_journal", 4);
	test_random("-b 4096", 4);
	test_random("-b 1024 -O bigalloc -C 8192", 4);
	test_random("-b 1024 -O orphan_file", 2);
	test_crowd();
	work_end();
	return done();
}
