/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mapping.c - files whose data the kernel moves: each call of fs/mapping.h on
 * every layout, streams with their allocation ahead, and the limits.  See
 * mapping_model.c for random sequences.
 *
 * Every access to the device is noted: none may touch a data block of the
 * mapped files.  The judges are e2fsck and debugfs.
 */
#include <linux/falloc.h>
#include "mappingtest.h"

/* "state off+len" in blocks, so that one comparison tells all. */
static const char *text(int err, const struct mapping *m)
{
	static const char *const states[] = { "hole", "unwritten", "written" };
	static char out[100];

	if (err)
		snprintf(out, sizeof(out), "error %d", -err);
	else
		snprintf(out, sizeof(out), "%s %llu+%llu%s", states[m->state],
			 (unsigned long long)m->off / bs,
			 (unsigned long long)m->len / bs,
			 !m->dev == (m->state == MAP_HOLE) ? "" : " dev?");
	return out;
}

static void finds(struct inode *inode, uint64_t pos, uint64_t count,
		  const char *want)
{
	struct mapping m;
	const char *got = text(mapping_find(inode, pos, count, &m), &m);

	if (!ok(!strcmp(got, want), "%llu+%llu: %s", (unsigned long long)pos,
		(unsigned long long)count, want))
		printf("# got %s\n", got);
}

/* Allocates LEN blocks at BLK, and says that they were written if WROTE. */
static int put(struct inode *inode, uint64_t blk, uint64_t len, bool wrote)
{
	uint64_t end = blk + len, size;
	struct mapping m;
	int err;

	while (blk < end) {
		err = mapping_alloc(inode, blk * bs, (end - blk) * bs, 0, &m);
		if (err)
			return err;
		if (m.off > blk * bs || m.off + m.len <= blk * bs)
			return -ERANGE;
		len = m.off / bs + m.len / bs - blk;
		if (len > end - blk)
			len = end - blk;
		err = wrote ? mapping_written(inode, blk * bs, len * bs, true,
					      &size) : 0;
		if (err)
			return err;
		blk += len;
	}
	return 0;
}

/* ---- one thing at a time ---- */

static void test_allowed(void)
{
	static const uint32_t bad[] = {
		EXT4_INLINE_DATA_FL, EXT4_VERITY_FL, EXT4_ENCRYPT_FL,
		EXT4_EA_INODE_FL, EXT3_JOURNAL_DATA_FL,
	};
	struct inode *inode, *other;
	uint32_t flags;
	unsigned i;

	vol_make("-t ext4 -O ^has_journal", "16M");
	vol_open();
	inode = file_open("f", true);
	ok(mapping_allowed(inode), "a regular file with extents may be mapped");
	flags = inode->i.flags;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		inode->i.flags = flags | bad[i];
		ok(!mapping_allowed(inode), "not with flag %#x", bad[i]);
	}
	inode->i.flags = flags & ~EXT4_EXTENTS_FL;
	ok(!mapping_allowed(inode), "not without extents");
	inode->i.flags = flags;
	inode->i.links = 2;
	ok(!mapping_allowed(inode), "not with two links");
	inode->i.links = 0;
	ok(!mapping_allowed(inode), "not without a link");
	inode->i.links = 1;
	if (inode_get_unlocked(vol, EXT2_ROOT_INO, &other))
		bail("root");
	ok(!mapping_allowed(other), "no directory");
	inode_put_unlocked(other);
	file_close(inode);
	vol_close();
	vol_make("-t ext4 -O inline_data -I 256", "16M");
	vol_open();
	inode = file_open("f", true);
	ok(!mapping_allowed(inode), "nothing where files may become inline");
	file_close(inode);
	vol_close();
	vol_make("-t ext4 -O ^extents,^64bit", "16M");
	vol_open();
	inode = file_open("f", true);
	ok(!mapping_allowed(inode), "nothing on a volume without extents");
	file_close(inode);
	vol_close();
}

static void test_find(void)
{
	struct mapping m;
	struct inode *f;
	uint64_t size;

	vol_make("-t ext4 -b 1024 -O ^has_journal", "16M");
	vol_open();
	watch();
	f = map_open("f", true);
	finds(f, 0, 1, "hole 0+1");
	finds(f, 5000, 3000, "hole 0+8");
	finds(f, (uint64_t)INT64_MAX - 2000, 1, "hole 9007199254740990+1");
	is(mapping_find(f, UINT64_MAX, 1, &m), -EINVAL, "past any file");
	finds(f, 1024, UINT64_MAX, "hole 0+9007199254740991");
	is(put(f, 10, 5, false), 0, "five blocks");
	finds(f, 0, 1, "hole 0+10");
	finds(f, 12 * 1024 + 7, 1, "unwritten 10+5");
	finds(f, 15 * 1024, 1, "hole 15+1");
	is(mapping_written(f, 12 * 1024 + 100, 5, true, &size), 0, "5 bytes");
	is(size, 12 * 1024 + 105, "i_size is their end");
	finds(f, 12 * 1024, 1, "written 12+1");
	finds(f, 11 * 1024, 1, "unwritten 10+2");
	finds(f, 14 * 1024, 1, "unwritten 13+2");
	is(mapping_written(f, 10 * 1024, 2, true, &size), 0, "again below");
	is(size, 12 * 1024 + 105, "i_size stays");
	is(mapping_written(f, 13 * 1024, 1024, false, &size), 0, "no convert");
	is(size, 14 * 1024, "only the size");
	finds(f, 13 * 1024, 1, "unwritten 13+2");
	is(mapping_written(f, 10 * 1024, 90 * 1024, true, &size), 0,
	   "over holes");
	finds(f, 13 * 1024, 1, "written 10+5");
	finds(f, 20 * 1024, 1, "hole 15+85");
	is(mapping_written(f, INT64_MAX, 1, true, &size), -EINVAL, "overflow");
	is(mapping_written(f, 1ULL << 50, 1, true, &size), -EFBIG, "too far");
	is(size, 100 * 1024, "the size is told all the same");
	judge_io(f);
	is(io_bad, 0, "no data was accessed");
	file_close(f);
	vol_close();
	ok(vol_clean(), "find: e2fsck");
}

/* Guards: what reads, writes or zeroes data leaves mapped files alone. */
static void test_guards(void)
{
	struct inode *f, *g;
	struct mapping m;
	uint64_t size;
	char buf[4000] = "x";

	vol_make("-t ext4 -b 1024 -O ^has_journal", "16M");
	vol_open();
	f = map_open("f", true);
	g = file_open("g", true);
	watch();
	is(mapping_alloc(g, 0, 10, 0, &m), -EINVAL, "no blocks for others");
	is(mapping_written(g, 0, 10, true, &size), -EINVAL, "no size either");
	is(put(f, 0, 100, true), 0, "a file");
	is(data_write(g, buf, sizeof(buf), 0, 0), 4000, "an ordinary file");
	io_count = 0;
	is(data_read(f, buf, 10, 0), -EIO, "data_read: EIO");
	is(data_write(f, buf, 10, 0, 0), -EIO, "data_write: EIO");
	is(data_write(f, buf, 10, 1 << 20, 0), -EIO, "data_write behind: EIO");
	is(data_copy(f, 0, g, 0, 10, 0), -EOPNOTSUPP, "data_copy from it");
	is(data_copy(g, 0, f, 0, 10, 0), -EOPNOTSUPP, "data_copy to it");
	is(data_truncate(f, 99 * 1024 + 5, 0), 0, "cut inside a block");
	is(data_truncate(f, 120 * 1024 + 5, 0), 0, "grow");
	is(data_truncate(f, 99 * 1024 + 5, 0), 0, "and cut");
	finds(f, 99 * 1024, 1, "written 0+100");
	is(data_fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  10 * 1024 + 1, 3 * 1024, 0), 0, "punch");
	finds(f, 11 * 1024, 1, "hole 11+2");
	finds(f, 10 * 1024, 1, "written 0+11");
	finds(f, 13 * 1024, 1, "written 13+87");
	is(data_fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  98 * 1024, 1024 + 100, 0), 0, "punch at the end");
	finds(f, 98 * 1024, 1, "hole 98+1");
	finds(f, 99 * 1024, 1, "written 99+1");
	is(data_fallocate(f, FALLOC_FL_ZERO_RANGE, 20 * 1024 + 1,
			  4 * 1024, 0), 0, "zero range");
	finds(f, 20 * 1024, 1, "written 13+8");
	finds(f, 22 * 1024, 1, "unwritten 21+3");
	finds(f, 24 * 1024, 1, "written 24+74");
	is(data_fallocate(f, 0, 99 * 1024 + 5, 2 * 1024, 0), 0, "grow by it");
	finds(f, 100 * 1024, 1, "unwritten 100+2");
	is(data_fallocate(f, FALLOC_FL_COLLAPSE_RANGE, 1024, 1024, 0), 0,
	   "collapse");
	finds(f, 10 * 1024, 1, "hole 10+2");
	is(data_fallocate(f, FALLOC_FL_INSERT_RANGE, 2048, 1024, 0), 0,
	   "insert");
	finds(f, 2048, 1, "hole 2+1");
	is(f->i.size, 101 * 1024 + 5, "the size");
	judge_io(f);
	is(io_bad, 0, "no data was accessed");
	is(mapping_written(f, 0, 102 * 1024, true, &size), 0, "all written");
	file_close(f);
	file_close(g);
	vol_close();
	ok(vol_clean(), "guards: e2fsck");
}

static void test_limits(void)
{
	uint64_t max, size;
	struct mapping m;
	struct inode *f;

	vol_make("-t ext4 -b 1024 -O ^has_journal", "16M");
	vol_open();
	watch();
	f = map_open("f", true);
	max = 0xffffffffULL * 1024;
	is(put(f, 0xfffffffeULL, 1, false), 0, "the last block there can be");
	is(mapping_alloc(f, max - 3, 100, 0, &m), 0, "its last bytes");
	ok(!strcmp(text(0, &m), "unwritten 4294967294+1"), "cut to the limit");
	is(mapping_alloc(f, max, 1, 0, &m), -EFBIG, "one more: EFBIG");
	finds(f, max, 1, "hole 4294967295+1");
	finds(f, 1 << 20, 1, "hole 0+4294967294");
	is(mapping_written(f, max - 3, 3, true, &size), 0, "written");
	is(size, max, "i_size");
	finds(f, max - 1, 1, "written 4294967294+1");
	is(mapping_written(f, max - 3, 4, true, &size), -EFBIG, "too large");
	file_close(f);
	vol_close();
	ok(vol_clean(), "limits: e2fsck");
}

/* Every second block: a tree of two levels, and holes across its leaves. */
static void test_deep(void)
{
	struct inode *f;
	struct mapping m;
	uint64_t size;
	int err = 0;
	unsigned i;

	vol_make("-t ext4 -b 1024 -O ^has_journal", "16M");
	vol_open();
	watch();
	f = map_open("f", true);
	for (i = 1; i < 2000 && !err; i += 2)
		err = put(f, i, 1, i % 4 == 1);
	is(err, 0, "a thousand extents");
	ok(((uint8_t *)f->i.block)[6] >= 2, "a tree of two levels");
	for (i = 0; i < 2000 && !err; i++) {
		err = mapping_find(f, i * 1024, 1, &m);
		if (!err && (m.off != i * 1024 || m.len != 1024 ||
			     m.state != (i % 2 == 0 ? MAP_HOLE : i % 4 == 1 ?
					 MAP_WRITTEN : MAP_UNWRITTEN)))
			err = -ERANGE;
	}
	is(err, 0, "each block and each hole is found as it is");
	is(data_fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  100 * 1024, 1700 * 1024, 0), 0, "a wide hole");
	for (i = 100; i < 1800 && !err; i += 50) {
		err = mapping_find(f, i * 1024, 1, &m);
		if (!err && (m.off != 100 * 1024 || m.len != 1701 * 1024))
			err = -ERANGE;
	}
	is(err, 0, "it is seen whole from everywhere");
	is(put(f, 0, 2000, false), 0, "filled");
	is(mapping_written(f, 0, 2000 * 1024, true, &size), 0, "and written");
	judge_io(f);
	is(io_bad, 0, "no data was accessed");
	file_close(f);
	vol_close();
	ok(vol_clean(), "deep: e2fsck");
}

static int no_reads(void *ctx, enum device_op op, uint64_t off, size_t len)
{
	(void)ctx, (void)off, (void)len;
	return op == DEVICE_READ ? -EIO : 0;
}

/* Nothing can be read: errors, and the file as it was. */
static void test_faults(void)
{
	struct inode *f;
	struct mapping m;
	uint64_t size;
	int err = 0;
	unsigned i;

	vol_make("-t ext4 -b 1024 -e continue -O ^has_journal", "16M");
	vol_open();
	watch();
	f = map_open("f", true);
	for (i = 0; i < 500 && !err; i++)
		err = put(f, 2 * i, 1, false);
	is(err, 0, "500 extents");
	is(data_truncate(f, 2000 * 1024, 0), 0, "and a size");
	file_close(f);
	vol_close();
	vol_open();
	watch();
	f = map_open("f", false);
	device_set_fault(vol->dev, no_reads, NULL);
	is(mapping_find(f, 0, 1, &m), -EIO, "find: EIO");
	is(mapping_alloc(f, 1024, 1, 0, &m), -EIO, "alloc: EIO");
	is(mapping_written(f, 0, 1 << 20, true, &size), -EIO, "written: EIO");
	is(size, 2000 * 1024, "the size stays");
	is(mapping_swap_on(f), -EIO, "swap: EIO");
	ok(!f->swap, "it is none");
	watch();
	finds(f, 500 * 1024, 1, "unwritten 500+1");
	is(mapping_written(f, 0, 1 << 20, true, &size), 0, "written");
	finds(f, 500 * 1024, 1, "written 500+1");
	judge_io(f);
	is(io_bad, 0, "no data was accessed");
	file_close(f);
	vol_close();
	ok(vol_clean(), "faults: e2fsck");
}

/* ---- what a crash would find ---- */

/* Flushes and writes, in their order; the first letter is the first call's. */
static char calls[64];

static int note_call(void *ctx, enum device_op op, uint64_t off, size_t len)
{
	size_t n = strlen(calls);

	(void)ctx, (void)off, (void)len;
	if (n + 1 < sizeof(calls))
		calls[n] = op == DEVICE_SYNC ? 'F' : op == DEVICE_WRITE ? 'w' : 'r';
	return 0;
}

static bool is_dirty(struct inode *inode, uint64_t pos, bool write)
{
	struct mapping m;
	int err = write ? mapping_alloc(inode, pos, 1, 0, &m) :
		mapping_find(inode, pos, 1, &m);

	if (err)
		bail("no mapping");
	return m.dirty;
}

/*
 * The kernel writes past us: nothing that says so may be durable before its
 * data is.  And it has to know where a write alone is not enough.
 */
static void test_durable(const char *mkfs)
{
	struct inode *f, *g;
	uint64_t size;

	vol_make_ext4(mkfs, "16M");
	vol_open();
	bs = vol->blocksize;
	f = map_open("f", true);
	g = map_open("g", true);
	is(put(f, 0, 8, true), 0, "a file");
	ok(is_dirty(f, 0, true), "not durable yet");
	ok(!is_dirty(f, 100 * bs, false), "a hole is not dirty");
	is(data_fsync(f, true), 0, "fdatasync");
	ok(!is_dirty(f, 0, true) && !is_dirty(f, 0, false), "now it is");
	is(put(f, 8, 8, false), 0, "more blocks");
	ok(is_dirty(f, 8 * bs, false), "allocated only");
	is(data_fsync(f, true), 0, "fdatasync");
	ok(is_dirty(f, 8 * bs, true), "the size is to move there");
	ok(!is_dirty(f, 0, true), "but not before");
	is(put(g, 0, 1, true), 0, "another file is changed");
	ok(!is_dirty(f, 0, true), "this one is not");
	is(txn_sync(vol, 0), 0, "all is durable");

	memset(calls, 0, sizeof(calls));
	device_set_fault(vol->dev, note_call, NULL);
	is(mapping_written(f, 8 * bs, 8 * bs, true, &size), 0, "written");
	is(data_fsync(f, true), 0, "fsync");
	/* in the log blocks may be written before it, but no commit block */
	if (!ok(journal_has_log(vol) ? !strcmp(calls, "wFwF") :
		calls[0] == 'F', "J3: the data is flushed first"))
		printf("# %s\n", calls);
	device_others_wrote(vol->dev);
	memset(calls, 0, sizeof(calls));
	is(data_fsync(f, true), 0, "fsync of overwritten blocks");
	ok(!strcmp(calls, "F"), "flushes them");
	memset(calls, 0, sizeof(calls));
	is(data_fsync(f, true), 0, "once more");
	ok(!calls[0], "nothing to do");
	file_close(f);
	file_close(g);
	vol_close();
}

/* ---- streams ---- */

static uint64_t dropped;

static void drop(void *ctx, struct inode *inode, uint64_t from)
{
	struct map m;

	dropped = from;
	fs_lock(vol);
	/* still there, or it would be too late */
	*(int *)ctx = map_next(inode, (from + bs - 1) / bs, &m);
	fs_unlock(vol);
}

/* Somebody opens it for writing while the kernel is being told. */
static void drop_and_open(void *ctx, struct inode *inode, uint64_t from)
{
	drop(ctx, inode, from);
	fs_lock(vol);
	inode->writers++;
	fs_unlock(vol);
}

/* Writes LEN bytes in pieces of STEP; how often it had to ask. */
static int stream(struct inode *inode, uint64_t len, uint64_t step)
{
	uint64_t pos, end = 0, size;
	struct mapping m;
	int asked = 0;

	for (pos = 0; pos < len; pos += step) {
		if (end < pos + step) {
			if (mapping_alloc(inode, pos, step, 0, &m))
				return -1;
			asked++;
			end = m.off + m.len;
		}
		if (mapping_written(inode, pos, step, true, &size))
			return -1;
	}
	return asked;
}

/*
 * The server dies with blocks ahead of 12 MiB: who recovers gives them back,
 * e2fsck or we.  (BIGALLOC: e2fsck leaves those of a cluster mapped.)
 */
static void after_crash(bool bigalloc)
{
	struct fs_options opt = { .commit_interval = 5 };
	uint8_t cell[CELLS];
	char crash[400];
	struct fs *fs;
	unsigned i, how;

	is(txn_sync(vol, 0), 0, "durable");
	snprintf(crash, sizeof(crash), "%s/crash", work);
	opt.source = crash;
	for (how = 0; how < 2; how++) {
		run("cp --sparse=always '%s' '%s'", image, crash);
		if (how)
			ok(!fs_open(&opt, &fs) && !fs_close(fs), "we recover");
		else
			ok(run("e2fsck -fy '%s' >'%s/log' 2>&1", crash, work)
			   <= 1, "e2fsck after a crash");
		ok(!run("e2fsck -fn '%s' >'%s/log' 2>&1", crash, work),
		   "clean then");
		ok(read_states(crash, "f", cell), "debugfs reads it");
		for (i = 0; i < CELLS && cell[i] == MAP_WRITTEN; i++)
			;
		is(i, 3072, "all that was written is there");
		while (i < CELLS && !cell[i])
			i++;
		ok(i == CELLS || (bigalloc && !how), "nothing ahead is");
		is(read_size(crash, "f"), 12 << 20, "the size");
	}
}

static void test_stream(const char *mkfs)
{
	struct inode *f, *g;
	struct mapping m;
	int asked, still = -1;

	vol_make_ext4(mkfs, "128M");
	vol_open();
	watch();
	f = map_open("f", true);
	g = map_open("g", true);
	is(stream(g, 32768, 4096), 8, "small files ask for what they write");
	is(mapping_trim(g, NULL, NULL), 0, "nothing ahead");
	ok(!g->ahead && !g->orphan, "no orphan either");
	asked = stream(f, 12 << 20, 128 << 10);
	ok(asked > 0 && asked < 20, "12 MiB in 128 KiB: asked %d times", asked);
	ok(f->ahead && f->orphan, "blocks ahead: an orphan");
	is(mapping_alloc(f, 12 << 20, 1, 0, &m), 0, "more is there");
	ok(m.state == MAP_UNWRITTEN && m.dirty, "and unwritten");
	is(mapping_find(f, (12 << 20) - 1, 1, &m), 0, "a reader");
	is(m.off + m.len, 12 << 20, "is told nothing of it");
	is(mapping_find(f, 12 << 20, 100, &m), 0, "unless it asks");
	ok(m.state == MAP_UNWRITTEN && m.len <= 4096, "and no more than that");

	after_crash(strstr(mkfs, "bigalloc"));
	is(mapping_trim(f, drop, &still), 0, "a writer is there:");
	is(still, -1, "nothing is given back");
	no_writer(f);
	is(mapping_trim(f, drop_and_open, &still), 0, "another one comes:");
	ok(!still && f->ahead && f->orphan, "told, but not given back");
	no_writer(f);
	still = -1;
	is(mapping_trim(f, drop, &still), 0, "the last one goes");
	is(still, 0, "the kernel is told before");
	is(dropped, 12 << 20, "from the end on");
	finds(f, 12 << 20, 1, "hole 3072+1");
	ok(!f->ahead && !f->orphan, "no orphan any more");
	judge_io(f);
	judge_io(g);
	is(io_bad, 0, "no data was accessed");
	file_close(f);
	file_close(g);
	vol_close();
	ok(vol_clean(), "stream: e2fsck");
}

/* Blocks that the user allocated beyond i_size are not ours to cut off. */
static void test_keep(void)
{
	struct inode *f, *g;

	vol_make("-t ext4 -b 4096 -O ^has_journal", "128M");
	vol_open();
	watch();
	f = map_open("f", true);
	is(data_fallocate(f, FALLOC_FL_KEEP_SIZE, 0, 4 << 20, 0), 0, "4 MiB");
	ok(stream(f, 5 << 20, 128 << 10) > 0, "written over and on");
	ok(f->ahead, "ahead as soon as all of that is in the file");
	g = map_open("g", true);
	is(data_fallocate(g, FALLOC_FL_KEEP_SIZE, 30 << 20, 4096, 0), 0,
	   "something far behind");
	ok(stream(g, 2 << 20, 128 << 10) > 0, "a stream");
	ok(!g->ahead && !g->orphan, "nothing ahead there");
	is(data_fallocate(f, FALLOC_FL_KEEP_SIZE, 6 << 20, 4096, 0), 0,
	   "while there are blocks ahead");
	ok(!f->ahead && !f->orphan, "they all stay");
	no_writer(f);
	is(mapping_trim(f, NULL, NULL), 0, "trim");
	is(data_fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			  (6 << 20) + 4096, 1 << 20, 0), 0, "punch");
	finds(f, 6 << 20, 1, "unwritten 1280+257");
	is(data_truncate(f, 1 << 20, 0), 0, "a cut");
	finds(f, 6 << 20, 1, "hole 256+1281");
	judge_io(f);
	judge_io(g);
	is(io_bad, 0, "no data was accessed");
	file_close(f);
	file_close(g);
	vol_close();
	ok(vol_clean(), "keep: e2fsck");
}

/* Ahead and: cut, unlinked while open, left when the volume is closed. */
static void test_ahead_ends(void)
{
	struct inode *f[3];
	uint8_t cell[CELLS];
	unsigned i;

	vol_make("-t ext4 -b 4096 -O ^has_journal", "128M");
	vol_open();
	watch();
	for (i = 0; i < 3; i++) {
		char name[2] = { 'a' + i, 0 };

		f[i] = map_open(name, true);
		ok(stream(f[i], 1 << 20, 65536) > 0 && f[i]->ahead,
		   "%s: blocks ahead", name);
	}
	is(data_truncate(f[0], 1 << 20, 0), 0, "a: a cut at i_size");
	ok(!f[0]->ahead && !f[0]->orphan, "a: gives them back");
	finds(f[0], 1 << 20, 1, "hole 256+1");
	is(file_remove("b"), 0, "b: unlinked");
	ok(f[1]->orphan, "b: an orphan for another reason");
	no_writer(f[1]);
	is(mapping_trim(f[1], NULL, NULL), 0, "b: trim");
	ok(f[1]->orphan && !f[1]->ahead, "b: still an orphan");
	for (i = 0; i < 3; i++)
		file_close(f[i]);
	is(vol_close(), 0, "closed with c's in place");
	ok(vol_clean(), "ends: e2fsck");
	ok(read_states(image, "c", cell), "c: debugfs reads it");
	ok(cell[255] == MAP_WRITTEN && cell[256] == MAP_HOLE, "c: none left");
}

static void test_swap(void)
{
	struct mapping m;
	struct inode *f;
	uint64_t size;

	vol_make("-t ext4 -b 1024 -O ^has_journal", "16M");
	vol_open();
	watch();
	f = map_open("f", true);
	is(put(f, 0, 10, true), 0, "a file");
	is(put(f, 11, 10, true), 0, "with a hole");
	is(mapping_swap_on(f), -EINVAL, "is no swap file");
	is(put(f, 10, 1, true), 0, "filled");
	is(mapping_swap_on(f), 0, "it is one");
	is(data_truncate(f, 0, 0), -ETXTBSY, "truncate");
	is(data_truncate(f, 1 << 20, 0), -ETXTBSY, "and up");
	is(data_fallocate(f, 0, 0, 1 << 20, 0), -ETXTBSY, "fallocate");
	is(data_fallocate(f, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			  4096, 0), -ETXTBSY, "punch");
	is(data_fallocate(f, FALLOC_FL_COLLAPSE_RANGE, 0, 1024, 0), -ETXTBSY,
	   "collapse");
	is(mapping_alloc(f, 1 << 20, 1, 0, &m), -ETXTBSY, "alloc");
	finds(f, 0, 1, "written 0+21");
	is(mapping_written(f, 0, 1024, true, &size), 0, "writing goes on");
	mapping_swap_off(f);
	is(data_truncate(f, 0, 0), 0, "off again");
	is(mapping_swap_on(f), 0, "an empty file has no holes");
	file_close(f);
	vol_close();
	ok(vol_clean(), "swap: e2fsck");
}

/* Everything is taken; what was promised can still be converted bit by bit. */
static void test_full(const char *mkfs, unsigned sure)
{
	unsigned i, n = 0, tries;
	struct inode *f, *g;
	struct mapping m;
	uint64_t size;
	int err;

	vol_make_ext4(mkfs, "8M");
	vol_open();
	watch();
	f = map_open("f", true);
	g = map_open("g", true);
	do {
		err = mapping_alloc(f, n * bs, 64 * bs, DATA_RESERVE, &m);
		if (!err)
			n = (m.off + m.len) / bs;
	} while (!err && n < 10000);
	is(err, -ENOSPC, "full");
	is(mapping_alloc(g, 0, 1, DATA_RESERVE, &m), -ENOSPC, "for all");
	for (err = 0, i = 1; i < n && !err; i += 2)
		err = mapping_written(f, (uint64_t)i * bs, bs, true, &size);
	ok(i > sure, "%u blocks become written one by one", i / 2);
	ok(!err || err == -ENOSPC, "until there is no block for the tree");
	for (tries = 0, i = 0; tries < 3 && !i; tries++) {
		is(data_truncate(f, tries ? 0 : size / 2, 0), 0, "a cut");
		i = !mapping_alloc(g, 0, 20 * bs, DATA_RESERVE, &m);
	}
	ok(i, "makes room at once");
	judge_io(f);
	judge_io(g);
	is(io_bad, 0, "no data was accessed");
	file_close(f);
	file_close(g);
	vol_close();
	ok(vol_clean(), "full: e2fsck");
}

int main(void)
{
	work_begin();
	test_allowed();
	test_find();
	test_guards();
	test_limits();
	test_deep();
	test_faults();
	test_durable("-b 4096 -O ^has_journal");
	test_durable("-b 1024");
	test_stream("-b 4096 -O ^has_journal");
	test_stream("-b 4096 ");
	test_stream("-b 4096 -O ^has_journal,bigalloc -C 65536");
	test_keep();
	test_ahead_ends();
	test_swap();
	test_full("-b 1024 -O ^has_journal", 4000);
	test_full("-b 1024 -O ^has_journal,bigalloc -C 8192", 1500);
	work_end();
	return done();
}
