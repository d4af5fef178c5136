/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * volume.c - mapped files and the volume around them: no space, freed metadata,
 * freezing, unmounting, forgetting, crashes.
 *
 * usage: volume [TEST]
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

static void test_nospace(void)
{
	struct tfile *t, *u;
	uint64_t pos = 0;
	int err = 0;

	lab_begin("16M", "-t ext4 -m 0", NULL);
	u = t_create("other");
	t = t_create("f");
	t_write(u, BUFFERED, 0, 100000);
	while (!err && pos < 64 << 20) {
		err = t_write(t, BUFFERED, pos, 300000);
		pos = t->size;
	}
	/* a short write is what write(2) would return; then the error */
	if (err == -EIO)
		err = t_write(t, BUFFERED, t->size, 300000);
	lab_is(err, -ENOSPC, "the volume is full");
	lab_ok(t->size > 8 << 20, "after %" PRIu64 " bytes", t->size);
	lab_is(file_fsync(&t->f, false), 0, "all that was taken is written");
	lab_is(t_check(t), 0, "and read");
	lab_is(t_write(u, DIRECT, 200000, 300000), -ENOSPC, "direct, too");
	u->size = u->inode->size;	/* zeroes that came before the error */
	lab_is(t_truncate(t, 1000), 0, "truncate");
	fs_syncfs();
	lab_is(t_write(u, DIRECT, 200000, 300000), 0, "there is space again");
	lab_is(t_check(u), 0, "read");
	lab_finish((struct tfile *[]){ t, u }, 2, "nospace");
}

/* Blocks that were a directory's become a file's, and stay the file's. */
static void test_reuse(void)
{
	struct tfile *t, *u;
	struct inode *d, *f;
	char name[250];
	unsigned i, round;
	int err;

	lab_begin("16M", "-t ext4 -m 0 -b 1024", "cache_size=1M");
	t = t_create("f");
	u = t_create("u");
	for (round = 0; round < 3; round++) {
		err = name_mkdir(M.root, "d", &d);
		for (i = 0; i < 600 && !err; i++) {
			snprintf(name, sizeof(name), "%0200u", i);
			err = name_mknod(d, name, S_IFREG | 0644, &f);
		}
		fs_syncfs();
		lab_is(t_check(t), 0, "the file");
		lab_is(t_truncate(t, 10), 0, "is cut");
		for (i = 0; i < 600 && !err; i++) {
			snprintf(name, sizeof(name), "%0200u", i);
			err = name_lookup(d, name, &f);
			if (!err)
				err = name_unlink(d, name, f);
		}
		if (!err)
			err = name_rmdir(M.root, "d");
		inode_evict(d);
		lab_is(err, 0, "a directory comes and goes");
		fs_syncfs();
		for (i = 0; i < 11 << 20 && t_write(t, BUFFERED, i, 1 << 18) == 0; )
			i += 1 << 18;
		lab_is(file_fsync(&t->f, false), 0, "a file fills the volume");
		lab_is(t_again(t), 0, "evicted");
		lab_is(t_check(t), 0, "and read");
		if (t->size > 4 << 20)
			t_fallocate(t, PUNCH, 1 << 20, 2 << 20);
		lab_is(t_write(u, BUFFERED, round * 10000, 10000), 0, "another");
	}
	note("%" PRIu64 " DEV_INVAL", M.stats.dev_invals);
	lab_finish((struct tfile *[]){ t, u }, 2, "reuse");
}

static void test_freeze(void)
{
	struct tfile *t, *u;
	int err;

	lab_begin("32M", "-t ext4", NULL);
	t = t_create("f");
	u = t_create("u");
	t_write(t, BUFFERED, 0, 100000);
	err = fs_freeze();
	lab_is(err, 0, "freeze");
	lab_ok(lab_fsck(), "e2fsck finds nothing");
	lab_ok(!lab_system("dumpe2fs -h %s 2>/dev/null | grep -q 'state: *clean$'",
			   L.image), "the volume is clean");
	lab_ok(lab_system("dumpe2fs -h %s 2>/dev/null | grep -q needs_recovery",
			  L.image), "nothing to recover");
	lab_is(fs_thaw(), 0, "thaw");
	t_write(t, BUFFERED, 100000, 100000);
	lab_is(fs_syncfs(), 0, "syncfs");
	lab_ok(!lab_system("dumpe2fs -h %s 2>/dev/null | "
			   "grep -qE 'needs_recovery|state: *not clean'", L.image),
	       "not clean any more");
	t_write(u, BUFFERED, 0, 5000);
	t_unlink(u);
	lab_is(fs_freeze(), 0, "freeze with an unlinked file");
	lab_is(fs_thaw(), 0, "thaw");
	lab_is(t_check(u), 0, "it is there");
	t_close(u);
	lab_is(t_check(t), 0, "so is the other");
	lab_finish(&t, 1, "freeze");
	t_free(u);
}

static void test_shutdown(void)
{
	struct iom_shutdown_in in = { 0 };
	struct tfile *t;

	lab_begin("32M", "-t ext4", NULL);
	t = t_create("f");
	t_write(t, BUFFERED, 0, 100000);
	file_fsync(&t->f, false);
	lab_is(call(IOM_SHUTDOWN, 1, &in, sizeof(in), NULL, 0, NULL, 0, NULL), 0,
	       "SHUTDOWN");
	lab_ok(t_write(t, BUFFERED, 1 << 20, 10) < 0, "no new blocks");
	lab_is(t_read(t, DIRECT, 0, 100000), 0, "reading goes on");
	t_close(t);
	M.table->configured = 0;
	model_unmount();
	lab_drop();
	lab_is(M.violations, 0, "no violation");
	t_free(t);
}

/* Until it is forgotten, an unlinked file may be under write-back. */
static void test_forget(void)
{
	struct tfile *t, *u;
	struct seen_map m, again;
	uint64_t before;

	lab_begin("16M", "-t ext4 -m 0", "noiomap_cache");
	u = t_create("u");
	t_write(u, BUFFERED, 0, 5000);
	file_fsync(&u->f, false);
	before = lab_free_blocks();
	t = t_create("t");
	lab_is(map_begin(t->inode, IOM_OP_WRITE, 0, 1 << 20, &m), 0, "BEGIN(WRITE)");
	lab_ok(m.map.length >= 1 << 20, "a megabyte");
	map_own(t->inode, &m.map, 0, 1 << 20, m.layout);
	lab_is(t_close(t), 0, "close");
	lab_is(call(FUSE_UNLINK, 1, "t", 2, NULL, 0, NULL, 0, NULL), 0, "unlink");
	fs_syncfs();
	while (t_write(u, BUFFERED, u->size, 1 << 18) == 0 && u->size < 64 << 20)
		;
	lab_is(file_fsync(&u->f, false), 0, "another file fills the volume");
	lab_is(map_begin(t->inode, IOM_OP_WRITEBACK, 4096, 4096, &again), 0,
	       "BEGIN(WRITEBACK)");
	lab_is(again.map.addr - again.map.offset, m.map.addr - m.map.offset,
	       "the blocks are where they were");
	lab_is(map_ioend(t->inode, IOM_IOEND_WRITEBACK | IOM_IOEND_UNWRITTEN |
			 IOM_IOEND_APPEND, 0, 0, 8192, &m.map), 0, "IOEND");
	pthread_mutex_lock(&M.lock);
	map_disown(t->inode, 0, UINT64_MAX);
	t->inode->evicted = true;
	pthread_mutex_unlock(&M.lock);
	call_forget(t->inode->nodeid, t->inode->lookups);
	lab_is(t_truncate(u, 5000), 0, "truncate the other");
	fs_syncfs();
	lab_is(lab_free_blocks(), before, "all blocks are free again");
	t_free(t);
	lab_finish(&u, 1, "forget");
}

/* DESTROY overtakes no RELEASE, whatever they have to do. */
static void test_destroy(void)
{
	enum { N = 60 };
	struct fuse_release_in in = { .flags = O_RDWR };
	struct call *calls[N], *last;
	struct file f[N];
	uint64_t order[N], at;
	char name[20], text[3000];
	unsigned i;
	bool good = true;

	lab_begin("32M", "-t ext4", NULL);
	memset(text, 1, sizeof(text));
	for (i = 0; i < N; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		if (name_create(M.root, name, 0644, &f[i]))
			lab_bail("create");
		file_write(f[i].inode, 0, text, sizeof(text));
		pages_writeback(f[i].inode, 0, UINT64_MAX);
		if (i % 2)
			call(FUSE_UNLINK, 1, name, strlen(name) + 1, NULL, 0,
			     NULL, 0, NULL);
	}
	for (i = 0; i < N; i++) {
		pthread_mutex_lock(&M.lock);
		map_disown(f[i].inode, 0, UINT64_MAX);
		pthread_mutex_unlock(&M.lock);
	}
	M.table->configured = 0;
	M.table->slow_opcode = FUSE_RELEASE;
	M.table->slow_us = 20000;
	for (i = 0; i < N; i++) {
		in.fh = f[i].fh;
		calls[i] = call_send(FUSE_RELEASE, f[i].inode->nodeid, &in,
				     sizeof(in), NULL, 0, NULL, 0);
	}
	last = call_send(FUSE_DESTROY, 0, NULL, 0, NULL, 0, NULL, 0);
	for (i = 0; i < N; i++) {
		good &= !call_wait(calls[i], NULL);
		order[i] = calls[i]->order;
	}
	lab_is(call_wait(last, NULL), 0, "DESTROY");
	at = last->order;
	lab_ok(good, "every RELEASE is answered");
	for (i = 0; i < N; i++)
		good &= order[i] < at;
	lab_ok(good, "before DESTROY is");
	lab_is(model_wait(), 0, "the server ends well");
	lab_drop();
	lab_ok(lab_fsck(), "e2fsck finds nothing");
	lab_is(M.violations, 0, "no violation");
}

/* ---- crashes ---- */

static void recovered(const char *what)
{
	lab_drop();
	lab_ok(lab_system("e2fsck -fy %s >fsck.out 2>&1", L.image) <= 256,
	       "%s: e2fsck repairs it", what);
	lab_ok(lab_fsck(), "%s: and is content", what);
}

/* What DIR/NAME has, or -1. */
static ssize_t kernel_read(const char *name, uint8_t *buf, size_t max)
{
	char path[400];
	ssize_t n = -1;
	int fd;

	lab_system("mkdir -p kernel && mount -t ext4 -o ro,loop %s kernel", L.image);
	snprintf(path, sizeof(path), "kernel/%s", name);
	fd = open(path, O_RDONLY);
	if (fd >= 0) {
		n = read(fd, buf, max);
		close(fd);
	}
	lab_system("umount kernel");
	return n;
}

static void test_crash(void)
{
	static uint8_t buf[1 << 20];
	struct tfile *t, *u;
	struct seen_map m;
	ssize_t n;
	unsigned i, bad = 0;

	lab_begin("32M", "-t ext4", NULL);
	t = t_create("synced");
	u = t_create("begun");
	t_write(t, BUFFERED, 0, 200000);
	lab_is(file_fsync(&t->f, false), 0, "fsync");
	/* allocated and on the device, but no IOEND */
	lab_is(map_begin(u->inode, IOM_OP_WRITE, 0, 100000, &m), 0, "BEGIN(WRITE)");
	memset(buf, 0xaa, 100000);
	model_image_io(true, m.map.addr, buf, 50000);
	lab_is(fs_syncfs(), 0, "syncfs");
	model_kill();
	recovered("before IOEND");
	n = kernel_read("begun", buf, sizeof(buf));
	lab_is(n, 0, "a write without IOEND has no size");
	n = kernel_read("synced", buf, sizeof(buf));
	lab_is(n, t->size, "what was fsynced is there");
	lab_ok(n > 0 && !memcmp(buf, t->data, n), "all of it");
	lab_is(M.violations, 0, "no violation");
	t_free(t);
	t_free(u);

	lab_begin("32M", "-t ext4", NULL);
	t = t_create("part");
	lab_is(map_begin(t->inode, IOM_OP_WRITE, 0, 100000, &m), 0, "BEGIN(WRITE)");
	memset(buf, 0xaa, 100000);
	model_image_io(true, m.map.addr + 8192, buf, 4096);
	lab_is(map_ioend(t->inode, IOM_IOEND_WRITEBACK | IOM_IOEND_UNWRITTEN |
			 IOM_IOEND_APPEND, 0, 8192, 4000, &m.map), 0, "IOEND");
	lab_is(fs_syncfs(), 0, "syncfs");
	model_kill();
	recovered("after IOEND");
	n = kernel_read("part", buf, sizeof(buf));
	lab_is(n, 12192, "the size that IOEND gave");
	for (i = 0; n > 0 && i < (unsigned)n; i++)
		bad += buf[i] != (i < 8192 ? 0 : 0xaa);
	lab_is(bad, 0, "nothing stale before it");
	lab_is(M.violations, 0, "no violation");
	t_free(t);
}

static const struct lab_test tests[] = {
	{ "nospace", test_nospace }, { "reuse", test_reuse },
	{ "freeze", test_freeze }, { "shutdown", test_shutdown },
	{ "destroy", test_destroy }, { "forget", test_forget },
	{ "crash", test_crash },
};

int main(int argc, char **argv)
{
	return lab_main(tests, sizeof(tests) / sizeof(*tests), argc, argv);
}
