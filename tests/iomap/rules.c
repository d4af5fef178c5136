/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * rules.c - the protocol's rules, one by one: flags and links, malformed
 * requests, IOEND on parts of extents, refused upserts, times.
 *
 * usage: rules [TEST]
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lab.h"

#define PUNCH	(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define BS	4096u

static int lookup_again(struct inode **inode, const char *name)
{
	inode_evict(*inode);
	return name_lookup(M.root, name, inode);
}

/* ---- who is mapped ---- */

static void test_links(void)
{
	struct tfile *t;
	struct inode *two;

	lab_begin("32M", "-t ext4", NULL);
	t = t_create("one");
	lab_ok(t->inode->mapped, "a new file is mapped");
	t_write(t, BUFFERED, 0, 10000);
	lab_is(name_link(t->inode, M.root, "two"), 0, "a second name");
	lab_is(t_write(t, BUFFERED, 10000, 5000), 0, "it is still mapped");
	lab_is(t_write(t, DIRECT, 4096, 5000), 0, "and written");
	lab_is(name_lookup(M.root, "two", &two), 0, "lookup of the other name");
	lab_ok(two == t->inode, "is the same inode");
	lab_is(t_check(t), 0, "read");
	t_close(t);
	lab_is(lookup_again(&t->inode, "one"), 0, "evicted, looked up");
	lab_ok(!t->inode->mapped, "with two links it is not mapped");
	lab_is(name_unlink(M.root, "two", t->inode), 0, "one link less");
	lab_is(name_lookup(M.root, "one", &two), 0, "lookup");
	lab_ok(two == t->inode && !two->mapped, "not mapped while it is known");
	lab_is(lookup_again(&t->inode, "one"), 0, "evicted, looked up");
	lab_ok(t->inode->mapped, "mapped again");
	lab_is(t_open(t), 0, "open");
	lab_is(t_check(t), 0, "read");
	lab_is(name_rename(M.root, "one", M.root, "three", NULL), 0, "rename");
	strcpy(t->name, "three");
	lab_is(t_write(t, BUFFERED, 0, 3), 0, "write");
	lab_finish(&t, 1, "links");
}

static void test_others(void)
{
	struct inode *i[4] = { NULL };
	struct file f;
	unsigned n;

	lab_begin("32M", "-t ext4", NULL);
	name_mkdir(M.root, "d", &i[0]);
	name_mknod(M.root, "p", S_IFIFO | 0644, &i[1]);
	name_symlink(M.root, "s", "target", &i[2]);
	name_mknod(M.root, "c", S_IFCHR | 0644, &i[3]);
	for (n = 0; n < 4; n++)
		lab_ok(i[n] && !i[n]->mapped && !(i[n]->flags & IOM_ATTR_IOMAP),
		       "no mapping for type %o", i[n] ? i[n]->mode : 0);
	lab_is(name_create(i[0], "f", 0600, &f), 0, "a file in a directory");
	lab_ok(f.inode->mapped, "is mapped");
	file_close(&f);
	lab_finish(NULL, 0, "others");
	for (n = 0; n < 2; n++) {
		lab_image("32M", n ? "-t ext4 -O inline_data -I 256" : "-t ext3");
		if (lab_start(NULL, false))
			lab_bail("start");
		lab_is(name_create(M.root, "f", 0644, &f), 0, "create");
		lab_ok(!f.inode->mapped, "not mapped %s",
		       n ? "where data may be inline" : "without extents");
		file_close(&f);
		lab_finish(NULL, 0, "not mapped");
	}
}

/* ---- messages that no kernel sends, or not now ---- */

static int raw_begin(uint64_t nodeid, uint64_t ino, uint32_t op, uint64_t pos,
		     uint64_t count, size_t len)
{
	struct iom_begin_in in[2] = { {
		.opflags = op, .attr_ino = ino, .pos = pos, .count = count,
	} };
	struct iom_begin_out out;

	return call(IOM_BEGIN, nodeid, in, len, NULL, 0, &out, sizeof(out), NULL);
}

static int raw_ioend(uint64_t nodeid, uint64_t ino, uint32_t flags, uint64_t pos,
		     uint64_t written, size_t len)
{
	struct iom_ioend_in in[2] = { {
		.flags = flags, .attr_ino = ino, .pos = pos, .written = written,
	} };
	struct iom_ioend_out out;

	return call(IOM_IOEND, nodeid, in, len, NULL, 0, &out, sizeof(out), NULL);
}

static void test_malformed(void)
{
	struct tfile *t;
	struct iom_end_in end = { .pos = 0, .count = 1, .written = 1 };
	struct iom_shutdown_in junk = { 0 };
	struct fuse_copy_file_range_in cp = { .len = 100 };
	uint64_t n, i, b = sizeof(struct iom_begin_in);
	int err;

	lab_begin("32M", "-t ext4", NULL);
	t = t_create("f");
	t_write(t, BUFFERED, 0, 9000);
	file_fsync(&t->f, false);
	n = t->inode->nodeid;
	i = t->inode->ino;
	lab_is(raw_begin(n, i, 0, 0, 1, b - 1), -EINVAL, "BEGIN, short");
	lab_is(raw_begin(n, i, 0, 0, 1, 0), -EINVAL, "BEGIN, empty");
	lab_ok(raw_begin(n, i + 1, 0, 0, 1, b) < 0, "another inode");
	lab_ok(raw_begin(4711, i, 0, 0, 1, b) < 0, "an unknown nodeid");
	lab_ok(raw_begin(1, 2, 0, 0, 1, b) < 0, "the root directory");
	lab_ok(raw_begin(0, i, 0, 0, 1, b) < 0, "nodeid 0");
	lab_is(raw_begin(n, i, 0x3ffff800, 0, 1, b), 0, "unknown flags are ignored");
	lab_is(raw_begin(n, i, IOM_OP_NOWAIT | IOM_OP_DONTCACHE, 0, 1, b), 0,
	       "NOWAIT");
	err = raw_begin(n, i, IOM_OP_WRITE, UINT64_MAX - 5, 10, b);
	lab_ok(err < 0 && err != -ENOSYS, "a range that overflows (%d)", err);
	err = raw_begin(n, i, IOM_OP_WRITE, M.max_bytes + BS, 10, b);
	lab_is(err, -EFBIG, "past the largest file");
	err = raw_begin(n, i, 0, UINT64_MAX - 5, 10, b);
	lab_ok(err <= 0, "reading there (%d)", err);
	lab_is(raw_ioend(n, i, IOM_IOEND_WRITEBACK, 0, 10, 47), -EINVAL,
	       "IOEND, short");
	err = raw_ioend(n, i + 1, IOM_IOEND_UNWRITTEN, 0, 10, 48);
	lab_ok(err < 0 && err != -ENOSYS, "IOEND of another inode (%d)", err);
	err = raw_ioend(1, 2, IOM_IOEND_UNWRITTEN, 0, 10, 48);
	lab_ok(err < 0 && err != -ENOSYS, "IOEND of the root (%d)", err);
	err = raw_ioend(4711, i, IOM_IOEND_UNWRITTEN, 0, 10, 48);
	lab_ok(err < 0 && err != -ENOSYS, "IOEND of nobody (%d)", err);
	err = raw_ioend(n, i, IOM_IOEND_UNWRITTEN, UINT64_MAX - 3, 10, 48);
	lab_ok(err < 0 && err != -ENOSYS, "IOEND that overflows (%d)", err);
	lab_is(raw_ioend(n, i, 0xff00, 0, 1, 48), 0, "IOEND with unknown flags");
	end.attr_ino = i;
	err = call(IOM_END, n, &end, sizeof(end), NULL, 0, NULL, 0, NULL);
	lab_ok(!err || err == -ENOSYS, "END (%d)", err);
	err = call(IOM_END, n, &end, 3, NULL, 0, NULL, 0, NULL);
	lab_ok(err < 0, "END, short (%d)", err);
	err = call(IOM_FREEZE, 1, &junk, 3, NULL, 0, NULL, 0, NULL);
	lab_is(err, -EINVAL, "FREEZE, short");
	err = call(IOM_CONFIG, 0, &junk, 3, NULL, 0, NULL, 0, NULL);
	lab_ok(err < 0, "CONFIG, short (%d)", err);
	cp.fh_in = cp.fh_out = t->f.fh;
	cp.nodeid_out = n;
	cp.off_out = 20000;
	err = call(FUSE_COPY_FILE_RANGE, n, &cp, sizeof(cp), NULL, 0, NULL, 0, NULL);
	lab_ok(err < 0, "COPY_FILE_RANGE is the kernel's (%d)", err);
	lab_is(t_check(t), 0, "all is as before");
	lab_finish(&t, 1, "malformed");
}

/* ---- IOEND, allocation ---- */

/* The types of the first blocks, as letters: h u m. */
static void layout(struct tfile *t, char *out, unsigned blocks)
{
	struct seen_map m;
	unsigned i;

	for (i = 0; i < blocks; i++) {
		out[i] = '?';
		if (!map_begin(t->inode, IOM_OP_REPORT, i * BS, BS, &m))
			out[i] = "h?mu"[m.map.type & 3];
	}
	out[blocks] = 0;
}

static void is_layout(struct tfile *t, const char *want, const char *what)
{
	char got[100];

	layout(t, got, strlen(want));
	lab_ok(!strcmp(got, want), "%s: %s", what, got);
	if (strcmp(got, want))
		note("want %s", want);
}

static void zero_blocks(struct seen_map *m, uint64_t pos, uint64_t len)
{
	uint8_t *zero = calloc(1, len);

	model_image_io(true, m->map.addr + pos - m->map.offset, zero, len);
	free(zero);
}

static void test_ioend(void)
{
	const uint32_t W = IOM_IOEND_WRITEBACK | IOM_IOEND_UNWRITTEN;
	struct tfile *t;
	struct seen_map m;
	unsigned i;

	lab_begin("32M", "-t ext4 -b 4096", "noiomap_cache");
	t = t_create("f");
	lab_is(map_begin(t->inode, IOM_OP_WRITE, 0, 10 * BS, &m), 0, "BEGIN(WRITE)");
	lab_is(m.map.type, IOM_UNWRITTEN, "is unwritten");
	lab_ok(m.map.length >= 10 * BS, "and as long as asked");
	is_layout(t, "uuuuuuuuuu", "nothing is written before IOEND");
	zero_blocks(&m, 0, 10 * BS);
	lab_is(map_ioend(t->inode, W, 0, 2 * BS + 100, 200, &m.map), 0,
	       "part of a block");
	is_layout(t, "uumuuuuuuu", "that block is written");
	lab_is(t->inode->disk_size, 2 * BS + 300, "the size follows");
	lab_is(map_ioend(t->inode, W, 0, 2 * BS + 100, 200, &m.map), 0, "again");
	lab_is(t->inode->disk_size, 2 * BS + 300, "changes nothing");
	lab_is(map_ioend(t->inode, W, 0, BS + 1, 3 * BS, &m.map), 0, "over several");
	is_layout(t, "ummmmuuuuu", "five blocks");
	lab_is(map_ioend(t->inode, W, -EIO, 6 * BS, BS, &m.map), 0, "an error");
	is_layout(t, "ummmmuuuuu", "converts nothing");
	lab_is(t->inode->disk_size, 4 * BS + 1, "nor is the size moved");
	lab_is(map_ioend(t->inode, IOM_IOEND_WRITEBACK | IOM_IOEND_APPEND, 0, 4 * BS,
			 BS, &m.map), 0, "append to what is written");
	lab_is(t->inode->disk_size, 5 * BS, "the size moves");
	for (i = 9; i >= 6; i--)
		map_ioend(t->inode, W, 0, i * BS, BS, &m.map);
	is_layout(t, "ummmmummmm", "from the end, block by block");
	t->inode->size = t->size = t->inode->disk_size;
	lab_is(file_fallocate(&t->f, PUNCH, 2 * BS, 2 * BS), 0, "punch");
	lab_is(map_ioend(t->inode, W, 0, BS, 4 * BS, &m.map), 0,
	       "IOEND over a hole");
	is_layout(t, "umhhmummmm", "leaves it");
	lab_is(map_begin(t->inode, IOM_OP_ZERO, 2 * BS, BS, &m), 0, "BEGIN(ZERO)");
	lab_is(m.map.type, IOM_HOLE, "of a hole is one");
	is_layout(t, "umhhmummmm", "and allocates nothing");
	lab_is(map_begin(t->inode, 0, 2 * BS, BS, &m), 0, "BEGIN");
	lab_is(m.map.type, IOM_HOLE, "for reading neither");
	t_close(t);
	t_free(t);
	t = NULL;
	lab_finish(&t, 1, "ioend");
}

static void test_ahead(void)
{
	struct tfile *t;
	struct file two;
	uint64_t before, ahead, pos;

	lab_begin("64M", "-t ext4", NULL);
	t = t_create("f");
	fs_syncfs();
	before = lab_free_blocks();
	for (pos = 0; pos < 4 << 20; pos += 65536) {
		t_write(t, BUFFERED, pos, 65536);
		pages_writeback(t->inode, pos, 65536);
	}
	note("%" PRIu64 " begins, %" PRIu64 " upserts for 64 writes of 64 KiB",
	     M.stats.begins, M.stats.upserts);
	lab_ok(M.stats.begins < 64 * 4, "few requests");
	ahead = lab_free_blocks();
	lab_is(file_open(t->inode, O_RDWR, &two), 0, "a second writer");
	file_close(&two);
	lab_is(lab_free_blocks(), ahead, "comes and goes");
	t_close(t);
	fs_syncfs();
	lab_ok(before - lab_free_blocks() <= (4 << 20) / M.block_size + 4,
	       "what was ahead is given back: %" PRIu64 " blocks used",
	       before - lab_free_blocks());
	lab_is(t_check(t), 0, "read");
	lab_finish(&t, 1, "ahead");
}

/* ---- caches ---- */

static void test_upserts(void)
{
	static const int errors[] = { EINVAL, ENOMEM, ESTALE, EUCLEAN, EIO, 0 };
	struct tfile *t;
	unsigned i;

	lab_begin("32M", "-t ext4", "iomap_cache");
	t = t_create("f");
	for (i = 0; i < 6; i++) {
		M.upsert_errno = errors[i];
		lab_is(t_write(t, BUFFERED, i * 50000, 60000), 0, "write");
		lab_is(pages_writeback(t->inode, 0, UINT64_MAX), 0, "write-back");
		lab_is(t_again(t), 0, "evict");
		lab_is(t_check(t), 0, "read");
		lab_is(t_write(t, DIRECT, i * 50000 + 7, 9000), 0, "direct");
		lab_ok(!M.violations, "upserts get error %d", errors[i]);
	}
	lab_ok(M.stats.retries > 0, "RETRY_CACHE when they do not");
	lab_finish(&t, 1, "upserts");
}

/* ---- attributes, times ---- */

static void test_times(void)
{
	static const struct { int64_t sec; uint32_t nsec; } rows[] = {
		{ 0, 0 }, { 1, 999999999 }, { -5, 7 }, { -2147483648ll, 2 },
		{ 2147483648ll, 5 }, { 15032385500ll, 123456789 },
	};
	struct fuse_attr a;
	struct tfile *t;
	unsigned i;

	lab_begin("32M", "-t ext4", NULL);
	t = t_create("f");
	for (i = 0; i < 6; i++) {
		lab_is(file_times(t->inode, rows[i].sec, rows[i].nsec), 0, "times");
		lab_is(inode_getattr(t->inode, &a), 0, "getattr");
		lab_ok((int64_t)a.ctime == rows[i].sec + 2 &&
		       (int64_t)a.atime == rows[i].sec, "%lld is stored",
		       (long long)rows[i].sec);
		t_again(t);
		lab_ok(t->inode->ctime == rows[i].sec + 2, "and found again");
	}
	lab_is(M.violations, 0, "verbatim");
	t_write(t, BUFFERED, 0, 5000);
	lab_is(inode_getattr(t->inode, &a), 0, "a write not yet on disk");
	lab_is(a.size, 0, "has no size");
	pages_writeback(t->inode, 0, UINT64_MAX);
	lab_is(inode_getattr(t->inode, &a), 0, "written back");
	lab_is(a.size, 5000, "it has");
	lab_finish(&t, 1, "times");
}

static void test_statx(void)
{
	struct iom_statx_in in = { .mask = 0xfff | 0x2000 | 0x10000 };
	struct iom_statx_out out = { 0 };
	struct tfile *t;
	size_t len = 0;

	lab_begin("32M", "-t ext4", NULL);
	t = t_create("f");
	lab_is(call(IOM_STATX, t->inode->nodeid, &in, sizeof(in), NULL, 0, &out,
		    sizeof(out), &len), 0, "STATX");
	lab_is(len, sizeof(out), "its size");
	lab_is(out.stat.ino, t->inode->ino, "the inode");
	lab_ok(out.stat.mask & 0x800 && out.stat.btime.sec > 1600000000,
	       "time of birth");
	lab_ok(!(out.stat.mask & 0x2000) || out.stat.dio_offset_align,
	       "direct I/O's alignment: %u", out.stat.dio_offset_align);
	lab_finish(&t, 1, "statx");
}

static void test_trunc_open(void)
{
	struct tfile *t;
	struct file f;

	lab_begin("32M", "-t ext4", NULL);
	t = t_create("f");
	t_write(t, BUFFERED, 0, 50000);
	file_fsync(&t->f, false);
	if (!(M.init.flags & FUSE_ATOMIC_O_TRUNC)) {
		lab_ok(true, "O_TRUNC # SKIP not negotiated");
	} else {
		pages_drop(t->inode, 0, UINT64_MAX);
		pthread_mutex_lock(&M.lock);
		map_disown(t->inode, 0, UINT64_MAX);
		t->inode->layout++;
		pthread_mutex_unlock(&M.lock);
		lab_is(file_open(t->inode, O_RDWR | O_TRUNC, &f), 0, "open");
		pthread_mutex_lock(&M.lock);
		map_drop(t->inode, 0, UINT64_MAX);
		t->inode->size = t->inode->disk_size = 0;
		pthread_mutex_unlock(&M.lock);
		memset(t->data, 0, t->size);
		t->size = 0;
		lab_is(t_check(t), 0, "it is empty");
		t_write(t, BUFFERED, 3000, 3000);
		lab_is(t_check(t), 0, "and written anew");
		file_close(&f);
	}
	lab_finish(&t, 1, "O_TRUNC");
}

static const struct lab_test tests[] = {
	{ "links", test_links }, { "others", test_others },
	{ "malformed", test_malformed }, { "ioend", test_ioend },
	{ "ahead", test_ahead }, { "upserts", test_upserts },
	{ "times", test_times }, { "statx", test_statx },
	{ "truncopen", test_trunc_open },
};

int main(int argc, char **argv)
{
	return lab_main(tests, sizeof(tests) / sizeof(*tests), argc, argv);
}
