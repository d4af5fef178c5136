/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * script.c - a sequence for each thing that the kernel does with a mapped
 * file: reads, writes, appends, gaps, truncate, fallocate, mmap, reports, swap
 * files, atomic writes, on several kinds of volumes.
 *
 * usage: script VOLUME [cache|nocache] [file]
 * VOLUME is a row of the table; "file" gives the server the image itself.
 */
#include <errno.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lab.h"

#define KEEP	FALLOC_FL_KEEP_SIZE
#define PUNCH	(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define ZERO	FALLOC_FL_ZERO_RANGE
#define MIB	(1u << 20)
#define MAX_TFILES 40

static const struct volume {
	const char *name, *size, *mkfs;
} volumes[] = {
	{ "4k", "128M", "-t ext4 -b 4096" },
	{ "1k", "64M", "-t ext4 -b 1024" },
	{ "2k", "64M", "-t ext4 -b 2048" },
	{ "nojournal", "64M", "-t ext4 -O ^has_journal" },
	{ "bigalloc", "128M", "-t ext4 -O bigalloc -C 65536" },
	{ "old", "64M", "-t ext4 -O ^64bit,^metadata_csum,^flex_bg" },
};

static struct tfile *files[MAX_TFILES];
static unsigned count;

static struct tfile *make(const char *name)
{
	struct tfile *t = t_create(name);

	if (!t)
		lab_bail("cannot create a file");
	files[count++] = t;
	if (!t->inode->mapped)
		lab_bail("a new file is not mapped");
	return t;
}

/* Nothing wrong since the last call. */
static void good(const char *what, int err)
{
	static unsigned seen;

	lab_ok(!err && M.violations == seen, "%s (%d, %u violations)", what, err,
	       M.violations - seen);
	seen = M.violations;
}

static int everywhere(struct tfile *t)
{
	int err = t_check(t);

	if (!err)
		err = t_again(t);
	if (!err)
		err = t_check(t);
	if (!err && t->size)
		err = t_read(t, DIRECT, 0, t->size);
	return err;
}

static void test_buffered(void)
{
	struct tfile *t = make("buffered");

	good("write", t_write(t, BUFFERED, 0, 10000));
	good("read before write-back", t_check(t));
	good("write-back", pages_writeback(t->inode, 0, UINT64_MAX));
	lab_is(t->inode->disk_size, 10000, "the size on disk follows");
	good("read from the disk", everywhere(t));
	good("overwrite", t_write(t, BUFFERED, 3000, 5));
	good("append", t_write(t, BUFFERED, 10000, 7000));
	good("append again", t_write(t, BUFFERED, 17000, 1));
	good("fsync", file_fsync(&t->f, false));
	good("the same", everywhere(t));
	good("a gap", t_write(t, BUFFERED, 100000, 333));
	good("before write-back", t_check(t));
	good("and after", everywhere(t));
	good("into the gap", t_write(t, BUFFERED, 50001, 4095));
	good("fdatasync", file_fsync(&t->f, true));
	good("all together", everywhere(t));
}

static void test_direct(void)
{
	struct tfile *t = make("direct");
	uint64_t n;

	good("direct write", t_write(t, DIRECT, 0, 65536));
	lab_is(t->inode->disk_size, 65536, "its size is on disk at once");
	good("read", everywhere(t));
	good("unaligned, below the end", t_write(t, DIRECT, 1111, 2222));
	good("past the end", t_write(t, DIRECT, 70000, 3000));
	good("a gap", t_write(t, DIRECT, 200001, 17));
	good("read", everywhere(t));
	good("buffered after it", t_write(t, BUFFERED, 200010, 500));
	good("direct over dirty pages", t_write(t, DIRECT, 199000, 1300));
	good("read", everywhere(t));
	n = M.stats.ioends;
	good("overwrite", t_write(t, DIRECT, 8192, 8192));
	lab_is(M.stats.ioends, n, "needs no IOEND");
	lab_is(direct_write(t->inode, 2 * MIB, "x", 1, IOM_OP_OVERWRITE_ONLY),
	       -EAGAIN, "OVERWRITE_ONLY of a hole");
	lab_is(direct_write(t->inode, 4096, t->data + 4096, 100,
			    IOM_OP_OVERWRITE_ONLY), 100, "and of blocks");
	t->size = t->inode->size;	/* the gap before it was zeroed */
	good("read", t_check(t));
}

static void test_truncate(void)
{
	struct tfile *t = make("truncate");

	good("write", t_write(t, BUFFERED, 0, 300000));
	good("down, dirty", t_truncate(t, 123457));
	good("read", everywhere(t));
	good("up", t_truncate(t, 500000));
	good("read", everywhere(t));
	good("write in the middle", t_write(t, BUFFERED, 250000, 10));
	good("down by a byte", t_truncate(t, 499999));
	good("to a block's edge", t_truncate(t, 126976));
	good("up by a byte", t_truncate(t, 126977));
	good("read", everywhere(t));
	good("to nothing", t_truncate(t, 0));
	good("read", everywhere(t));
	good("and up", t_truncate(t, 5000));
	good("write again", t_write(t, DIRECT, 100, 9000));
	good("read", everywhere(t));
	/* what a store left behind the end must not come back */
	good("a short file", t_truncate(t, 100));
	good("mapped store", t_write(t, MMAP, 50, 50));
	good("write-back", pages_writeback(t->inode, 0, UINT64_MAX));
	good("up", t_truncate(t, 4000));
	good("zeroes", everywhere(t));
}

static void test_fallocate(void)
{
	struct tfile *t = make("fallocate");

	good("allocate", t_fallocate(t, 0, 0, 100000));
	good("zeroes", everywhere(t));
	good("write into it", t_write(t, BUFFERED, 5000, 20000));
	good("read", everywhere(t));
	good("keep size", t_fallocate(t, KEEP, 100000, 300000));
	good("the size", everywhere(t));
	good("append into it", t_write(t, BUFFERED, 100000, 5000));
	good("direct, too", t_write(t, DIRECT, 105000, 50000));
	good("read", everywhere(t));
	good("punch, whole blocks", t_fallocate(t, PUNCH, 8192, 16384));
	good("read", everywhere(t));
	good("punch, edges", t_fallocate(t, PUNCH, 30001, 9001));
	good("punch, within a block", t_fallocate(t, PUNCH, 45000, 100));
	good("read", everywhere(t));
	good("punch, dirty", (t_write(t, BUFFERED, 0, 60000),
			      t_fallocate(t, PUNCH, 3000, 50000)));
	good("read", everywhere(t));
	good("punch over the end", t_fallocate(t, PUNCH, 150000, 900000));
	good("zero a range", (t_write(t, BUFFERED, 0, 60000),
			      t_fallocate(t, ZERO, 10001, 20000)));
	good("read", everywhere(t));
	good("zero over the end", t_fallocate(t, ZERO, 140000, 80000));
	good("read", everywhere(t));
	good("zero, keeping the size", t_fallocate(t, ZERO | KEEP, 200000, 100000));
	good("read", everywhere(t));
	good("truncate gives back", t_truncate(t, 1));
	good("read", everywhere(t));
}

static void test_mmap(void)
{
	struct tfile *t = make("mmap");
	unsigned i;

	good("a sparse file", t_truncate(t, 100001));
	for (i = 0; i < 10; i++)
		good("store", t_write(t, MMAP, i * 11000, 50 + 500 * i));
	good("read", everywhere(t));
	good("store over blocks", t_write(t, MMAP, 0, 100001));
	good("read", everywhere(t));
}

static void test_reports(void)
{
	struct tfile *t = make("reports");
	struct iom_map maps[20];
	uint64_t n = M.stats.upserts;
	int got;

	lab_is(file_fiemap(t->inode, maps, 20), 0, "an empty file has no blocks");
	t_write(t, BUFFERED, 0, 65536);
	t_write(t, BUFFERED, 1 * MIB, 65536);
	t_fallocate(t, 0, 2 * MIB, 65536);
	file_fsync(&t->f, false);
	n = M.stats.upserts;
	got = file_fiemap(t->inode, maps, 20);
	good("fiemap", got < 3);
	lab_ok(got >= 3 && got < 8, "%d extents", got);
	lab_is(maps[0].offset, 0, "the first is the first");
	lab_is(maps[0].type, IOM_MAPPED, "and written");
	lab_is(file_seek(t->inode, 0, true), 0, "data at 0");
	lab_ok(file_seek(t->inode, 65536, false) == 65536, "a hole behind");
	lab_is(file_seek(t->inode, 65536, true), MIB, "more data");
	lab_is(file_seek(t->inode, MIB + 65536, true), -ENXIO, "no more");
	lab_is(M.stats.upserts, n, "reports do not fill the cache");
	good("reports", everywhere(t));
}

static void test_swap(void)
{
	struct tfile *t = make("swap"), *holes = make("holes");

	good("allocate", t_write(t, BUFFERED, 0, MIB));
	file_fsync(&t->f, false);
	good("swapon", file_swapon(t->inode));
	lab_is(file_truncate(t->inode, 4096, NULL), -ETXTBSY,
	       "no truncate while it is on");
	t->inode->size = t->size;
	lab_is(file_fallocate(&t->f, PUNCH, 8192, 8192), -ETXTBSY, "no punch");
	good("swapoff", file_swapoff(t->inode, 0));
	M.violations = 0;
	t->inode->disk_size = t->size;
	good("truncate again", t_truncate(t, 300000));
	good("a sparse file", t_truncate(holes, MIB));
	lab_ok(file_swapon(holes->inode) < 0, "swapon refuses holes");
	good("and it can be changed", t_write(holes, BUFFERED, 5, 5));
}

static void test_atomic(void)
{
	struct tfile *t = make("atomic");
	uint8_t buf[65536];

	if (!(t->inode->flags & IOM_ATTR_ATOMIC)) {
		lab_ok(true, "atomic # SKIP the device cannot");
		return;
	}
	memset(buf, 7, sizeof(buf));
	t_write(t, DIRECT, 0, 4 * M.block_size);
	memset(t->data + M.block_size, 7, M.block_size);
	lab_is(direct_write(t->inode, M.block_size, buf, M.block_size,
			    IOM_OP_ATOMIC), M.block_size, "an atomic write");
	good("atomic", everywhere(t));
}

static void test_streams(void)
{
	struct tfile *t = make("stream"), *u = make("two");
	uint64_t pos, begins = M.stats.begins;

	for (pos = 0; pos < 8 * MIB; pos += MIB) {
		t_write(t, BUFFERED, pos, MIB);
		if (pos % (2 * MIB) == 0)
			pages_writeback(t->inode, 0, UINT64_MAX);
		t_write(u, BUFFERED, pos / 16, 65536);
	}
	good("two streams", file_fsync(&t->f, false));
	note("%" PRIu64 " BEGINs for 8.5 MiB", M.stats.begins - begins);
	good("the first", everywhere(t));
	good("the second", everywhere(u));
	good("gone", t_truncate(t, 100));
}

/* A file that is far longer than the disk. */
static void test_far(void)
{
	uint64_t top = M.max_bytes & ~(uint64_t)65535;
	struct tfile *t = t_create("far");
	uint8_t buf[1000], got[1000] = { 0 };

	memset(buf, 5, sizeof(buf));
	if (!t)
		lab_bail("create");
	lab_is(file_write(t->inode, top - 70000, buf, sizeof(buf)), sizeof(buf),
	       "write near the largest offset");
	good("fsync", file_fsync(&t->f, false));
	lab_is(file_read(t->inode, top - 70000, got, sizeof(got)), sizeof(got),
	       "read");
	lab_ok(!memcmp(buf, got, sizeof(got)), "the same");
	good("truncate", file_truncate(t->inode, 1, NULL));
	good("close", file_close(&t->f));
	good("unlink", name_unlink(M.root, "far", t->inode));
	t_free(t);
}

/* Deep extent trees: every other block. */
static void test_deep(void)
{
	struct tfile *t = make("deep");
	unsigned i, n = 3000, bs = M.block_size;

	for (i = 0; i < n; i++)
		t_write(t, i % 3 ? BUFFERED : DIRECT, 2 * i * bs, bs);
	good("every other block", file_fsync(&t->f, false));
	good("read", everywhere(t));
	for (i = 0; i < n; i += 3)
		t_fallocate(t, PUNCH, 2 * i * bs, bs);
	good("punch some", everywhere(t));
	for (i = 0; i < n; i += 2)
		t_write(t, BUFFERED, (2 * i + 1) * bs, bs);
	good("fill some", everywhere(t));
	t_truncate(t, n * bs);
	good("half of it", everywhere(t));
}

static void test_unlinked(void)
{
	struct tfile *t = t_create("unlinked"), *u = make("after");

	good("write", t_write(t, BUFFERED, 0, 300000));
	good("unlink, open", t_unlink(t));
	good("write more", t_write(t, BUFFERED, 300000, 100000));
	good("write-back", pages_writeback(t->inode, 0, 200000));
	good("others go on", t_write(u, BUFFERED, 0, 400000));
	good("read", t_check(t));
	good("fsync", file_fsync(&t->f, false));
	good("truncate", t_truncate(t, 350000));
	good("close", t_close(t));
	t_free(t);
	t = t_create("closed");
	good("write", t_write(t, BUFFERED, 0, 300000));
	good("close", t_close(t));
	good("unlink", t_unlink(t));
	good("the other", everywhere(u));
	t_free(t);
}

static void test_errors(void)
{
	struct tfile *t = make("errors");

	good("a file", t_write(t, BUFFERED, 0, 50000));
	file_fsync(&t->f, false);
	M.io_errno = EIO;
	lab_is(direct_write(t->inode, 100000, "x", 1, 0), -EIO, "an I/O error");
	M.io_errno = 0;
	t->inode->size = t->size;
	good("does not count", t_check(t));
	/* the gap before it may have been zeroed: nothing there */
	good("and again", t_write(t, DIRECT, 100000, 5000));
	good("read", everywhere(t));
}

static void (*const tests[])(void) = {
	test_buffered, test_direct, test_truncate, test_fallocate, test_mmap,
	test_reports, test_swap, test_atomic, test_streams, test_far, test_deep,
	test_unlinked, test_errors,
};

int main(int argc, char **argv)
{
	const struct volume *v = &volumes[0];
	const char *opts = "iomap_cache";
	bool file = false;
	unsigned i;
	int err;

	lab_need();
	for (i = 0; argc > 1 && i < sizeof(volumes) / sizeof(*v); i++) {
		if (!strcmp(volumes[i].name, argv[1]))
			v = &volumes[i];
	}
	for (i = 2; i < (unsigned)argc; i++) {
		if (!strcmp(argv[i], "nocache"))
			opts = "noiomap_cache";
		if (!strcmp(argv[i], "file"))
			file = true;
	}
	lab_image(v->size, v->mkfs);
	err = lab_start(opts, file);
	lab_is(err, 0, "start");
	lab_ok(M.iomap && M.dev, "iomap is on");
	if (err || !M.iomap || !M.dev)
		lab_bail("no iomap");
	for (i = 0; i < sizeof(tests) / sizeof(*tests); i++)
		tests[i]();
	note("%" PRIu64 " requests: %" PRIu64 " begin, %" PRIu64 " ioend, %" PRIu64 " upsert, %" PRIu64 " hits, %" PRIu64 " dev_inval",
	     M.stats.requests, M.stats.begins, M.stats.ioends, M.stats.upserts,
	     M.stats.hits, M.stats.dev_invals);
	lab_is(M.stats.reads + M.stats.writes, 0, "no READ, no WRITE");
	if (strcmp(opts, "iomap_cache"))
		lab_is(M.stats.upserts, 0, "no upserts");
	else
		lab_ok(M.stats.upserts > 0, "upserts");
	lab_finish(files, count, v->name);
	return lab_done();
}
