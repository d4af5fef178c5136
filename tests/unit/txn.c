/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * txn.c - transactions: an aborted handle leaves nothing, a commit writes
 * what it should in the order it should, freed blocks wait, a fault ends it
 * all.
 *
 * The volume is made by hand, of blocks that hold their own number; see
 * cache.c about the stand-ins.  Every write and flush of the device comes by
 * the fault hook, which keeps a list of them.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../tap.h"
#include "fs/fs.h"
#include "io/cache.h"
#include "io/device.h"
#include "journal/range.h"
#include "journal/txn.h"
#include "nolog.h"

#define BS	4096
#define BLOCKS	4096

static char dir[256], image[300];
static struct fs fs;

__attribute__((weak))
int fs_corrupt_at(struct fs *f, const char *func, unsigned line, uint32_t ino,
		  uint64_t blk, const char *fmt, ...)
{
	(void)f, (void)func, (void)line, (void)ino, (void)blk, (void)fmt;
	return -EFSCORRUPTED;
}

__attribute__((weak))
int fs_fail_at(struct fs *f, const char *func, unsigned line, int err,
	       uint32_t ino, uint64_t blk, const char *fmt, ...)
{
	(void)f, (void)func, (void)line, (void)ino, (void)blk, (void)fmt;
	return err;
}

__attribute__((weak)) int fs_error_flush(struct fs *f)
{
	(void)f;
	return 0;
}

static int flushed, flushed_aborted;

__attribute__((weak)) void inode_flush_handle(struct txn *t, bool aborted)
{
	(void)t;
	flushed++;
	flushed_aborted += aborted;
}

/* --- types: byte 1 of a block is its seal --- */

static unsigned seals;
static int last_rank;
static bool seal_disorder;

static void seal(struct fs *f, struct buf *b)
{
	(void)f;
	b->data[1] = 0xcc;
	if (b->type->rank < last_rank && b->type->rank != RANK_DIR)
		seal_disorder = true;
	if (b->type->rank != RANK_DIR)
		last_rank = b->type->rank;
	seals++;
}

static const struct buf_type t_map = { "map", RANK_MAP, NULL, seal };
static const struct buf_type t_bitmap = { "bitmap", RANK_BITMAP, NULL, seal };
static const struct buf_type t_itable = { "itable", RANK_ITABLE, NULL, NULL };
static const struct buf_type t_dir = { "dir", RANK_DIR, NULL, seal };
static const struct buf_type t_desc = { "desc", RANK_DESC, NULL, seal };
static const struct buf_type t_super = { "super", RANK_SUPER, NULL, seal };

/* --- what the device was asked for --- */

struct event {
	enum device_op op;
	uint64_t off;
	size_t len;
};
static struct event events[10000];
static unsigned nevents;
static pthread_mutex_t ev_lock = PTHREAD_MUTEX_INITIALIZER;
static int fail_op = -1, fail_after;	/* that op, after so many of it */
static void (*in_write)(void);		/* called once, during a write */

static int record(void *ctx, enum device_op op, uint64_t off, size_t len)
{
	void (*fn)(void);
	int err = 0;

	(void)ctx;
	pthread_mutex_lock(&ev_lock);
	if (op != DEVICE_READ && nevents < 10000)
		events[nevents++] = (struct event){ op, off, len };
	if ((int)op == fail_op && fail_after-- <= 0)
		err = -EIO;
	fn = op == DEVICE_WRITE ? in_write : NULL;
	if (fn)
		in_write = NULL;
	pthread_mutex_unlock(&ev_lock);
	if (fn)
		fn();
	return err;
}

static void setup(unsigned cache_blocks)
{
	uint8_t block[BS];
	FILE *f = fopen(image, "w");
	unsigned i;

	for (i = 0; f && i < BLOCKS; i++) {
		memset(block, i, BS);
		fwrite(block, BS, 1, f);
	}
	if (!f || fclose(f))
		bail("cannot make an image");
	memset(&fs, 0, sizeof(fs));
	pthread_mutex_init(&fs.lock, NULL);
	fs.blocksize = BS;
	fs.opt.commit_interval = 3600;
	if (device_open(image, 0, 0, 0, &fs.dev) ||
	    cache_new(&fs, fs.dev, BS, cache_blocks * BS, &fs.cache) ||
	    journal_open(&fs))
		bail("cannot set up");
	nevents = seals = 0;
	last_rank = 0;
	seal_disorder = false;
	fail_op = -1;
	device_set_fault(fs.dev, record, NULL);
}

static void teardown(void)
{
	journal_close(&fs);
	cache_free(fs.cache);
	device_close(fs.dev);
	pthread_mutex_destroy(&fs.lock);
}

static struct txn *begin(enum txn_kind kind)
{
	struct txn *t;

	fs_lock(&fs);
	if (txn_begin(&fs, kind, &t))
		bail("txn_begin");
	return t;
}

static int end(struct txn *t, int err)
{
	err = txn_stop(t, err);
	fs_unlock(&fs);
	return err;
}

/* In T: byte 2 of BLK becomes VALUE. */
static int change(struct txn *t, const struct buf_type *type, uint64_t blk,
		  uint8_t value)
{
	struct buf *b;
	int err = cache_get(fs.cache, blk, type, 0, 0, &b);

	if (err)
		return err;
	err = txn_write(t, b);
	if (!err)
		b->data[2] = value;
	cache_put(b);
	return err;
}

/* A handle of its own. */
static void change1(const struct buf_type *type, uint64_t blk, uint8_t value)
{
	struct txn *t = begin(TXN_ATTR);

	end(t, change(t, type, blk, value));
}

static int in_cache(const struct buf_type *type, uint64_t blk)
{
	struct buf *b;
	int v;

	fs_lock(&fs);
	if (cache_get(fs.cache, blk, type, 0, 0, &b)) {
		fs_unlock(&fs);
		return -1;
	}
	v = b->data[2];
	cache_put(b);
	fs_unlock(&fs);
	return v;
}

static int on_disk(uint64_t blk, unsigned byte)
{
	FILE *f = fopen(image, "r");
	int c;

	fseek(f, blk * BS + byte, SEEK_SET);
	c = fgetc(f);
	fclose(f);
	return c;
}

static size_t dirty(void)
{
	struct cache_stats st;

	cache_get_stats(fs.cache, &st);
	return st.dirty;
}

/* --- tests --- */

static void test_abort(void)
{
	int small = 1, big[2000];
	struct buf *b, *held;
	struct txn *t;
	unsigned i;

	setup(200);
	for (i = 0; i < 2000; i++)
		big[i] = i;
	change1(&t_map, 10, 0xa0);
	t = begin(TXN_WRITE);
	change(t, &t_map, 10, 0xb0);
	change(t, &t_map, 10, 0xb1);
	change(t, &t_map, 11, 0xb2);
	is(cache_get_new(fs.cache, 12, &t_map, 0, 0, &b), 0, "a new block");
	txn_write(t, b);
	b->data[2] = 0xb3;
	cache_put(b);
	is(cache_get_new(fs.cache, 13, &t_map, 0, 0, &held), 0, "another");
	txn_write(t, held);
	held->data[2] = 0xb4;
	is(txn_save(t, &small, sizeof(small)), 0, "save memory");
	small = 2;
	txn_save(t, &small, sizeof(small));
	small = 3;
	is(txn_save(t, big, sizeof(big)), 0, "save a lot of it");
	memset(big, 0, sizeof(big));
	is(txn_freed(t, 100, 5, true), 0, "free blocks");
	is(dirty(), 4, "four blocks are dirty");
	ok(txn_room(t) == 252, "and used");
	flushed = flushed_aborted = 0;
	is(end(t, -ENOSPC), -ENOSPC, "abort gives the error back");
	ok(flushed == 1 && flushed_aborted == 1, "inodes are told");
	is(in_cache(&t_map, 10), 0xa0, "a block is as the handle before left it");
	is(in_cache(&t_map, 11), 11, "one that was clean is as on disk");
	is(in_cache(&t_map, 12), 12, "a new one is gone");
	is(held->data[2], 0xb4, "one that is held stays for its holder");
	is(in_cache(&t_map, 13), 13, "for nobody else");
	fs_lock(&fs);
	cache_put(held);
	fs_unlock(&fs);
	is(small, 1, "memory is back");
	ok(big[1] == 1 && big[1999] == 1999, "all of it");
	is(txn_frozen_total(&fs), 0, "nothing was freed");
	is(dirty(), 1, "one block is dirty, as before");
	is(txn_sync(&fs, 0), 0, "commit");
	ok(on_disk(10, 2) == 0xa0 && on_disk(11, 2) == 11 &&
	   on_disk(12, 2) == 12, "which is all that is written");
	teardown();
}

static void test_commit(void)
{
	uint64_t id;
	struct txn *t;
	unsigned i, n;

	setup(200);
	is(txn_running(&fs), 1, "ids start at 1");
	is(txn_sync(&fs, 0), 0, "sync of nothing");
	is(nevents, 0, "does nothing");
	t = begin(TXN_CREATE);
	id = txn_id(t);
	change(t, &t_super, 0, 1);
	change(t, &t_desc, 1, 1);
	change(t, &t_dir, 50, 1);
	for (i = 0; i < 100; i++)
		change(t, &t_itable, 300 + i, 1);
	change(t, &t_bitmap, 21, 1);
	change(t, &t_bitmap, 20, 1);
	change(t, &t_map, 40, 1);
	ok(txn_handle_id(t) && txn_fs(t) == &fs && txn_current(&fs) == t,
	   "what the handle says of itself");
	end(t, 0);
	ok(!txn_current(&fs), "none is open");
	is(on_disk(50, 2), 50, "nothing is written before the commit");
	is(nevents, 0, "nothing at all");
	is(txn_sync(&fs, id), 0, "commit");
	is(txn_running(&fs), id + 1, "the next id runs");
	is(seals, 6, "everything that has one was sealed");
	ok(!seal_disorder, "bitmap, descriptor, superblock in this order");
	ok(on_disk(50, 2) == 1 && on_disk(21, 2) == 1 && on_disk(399, 2) == 1,
	   "home");
	is(on_disk(50, 1), 0xcc, "with the seal");
	is(on_disk(0, 2), 0, "the boot sector is not");

	is(nevents, 9, "few writes");
	ok(events[0].off == 40 * BS && events[0].len == BS, "map");
	ok(events[1].off == 20 * BS && events[1].len == 2 * BS, "bitmaps");
	ok(events[2].off == 300 * BS && events[2].len == 64 * BS &&
	   events[3].off == 364 * BS && events[3].len == 36 * BS,
	   "inodes, gathered");
	is(events[4].off, BS, "descriptor");
	is(events[5].op, DEVICE_SYNC, "a flush");
	is(events[6].off, 50 * BS, "directory");
	ok(events[7].off == 1024 && events[7].len == 1024,
	   "the superblock last, in one write of its 1024 bytes");
	is(events[8].op, DEVICE_SYNC, "a flush");
	n = nevents - 1;
	is(dirty(), 0, "nothing dirty any more");
	txn_sync(&fs, 0);
	txn_sync(&fs, id);
	txn_sync(&fs, id + 10);
	is(nevents - 1, n, "syncing again does nothing");
	teardown();
}

static void test_flushes(void)
{
	uint8_t data[BS] = { 0 };

	setup(200);
	change1(&t_itable, 30, 1);
	is(txn_sync(&fs, 0), 0, "without directories");
	is(nevents, 2, "one write, one flush");
	nevents = 0;
	device_write(fs.dev, data, BS, 500 * BS);
	change1(&t_itable, 30, 2);
	txn_sync(&fs, 0);
	ok(nevents == 4 && events[1].op == DEVICE_SYNC &&
	   events[2].off == 30 * BS && events[3].op == DEVICE_SYNC,
	   "data is durable before what points to it");
	nevents = 0;
	device_write(fs.dev, data, BS, 500 * BS);
	txn_sync(&fs, 0);
	ok(nevents == 2 && events[1].op == DEVICE_SYNC, "data alone: a flush");
	txn_sync(&fs, 1);
	is(nevents, 2, "an old id: nothing");
	nevents = 0;
	change1(&t_dir, 31, 1);
	change1(&t_super, 0, 1);
	txn_sync(&fs, 0);
	is(nevents, 3, "nothing that names lead to: no flush for it");
	teardown();
}

/* Changes of a block while a commit writes it. */
static struct buf *cow_buf;
static bool cow_abort;

static void change_while_committing(void)
{
	struct txn *t = begin(TXN_ATTR);
	uint8_t *old = cow_buf->data;

	txn_write(t, cow_buf);
	ok(cow_buf->data != old && cow_buf->data[2] == 0x11,
	   "a block being committed gets a new page with its contents");
	cow_buf->data[2] = 0x22;
	is(txn_freed(t, 700, 3, true), 0, "blocks are freed meanwhile");
	end(t, cow_abort ? -EIO : 0);
}

static void test_cow(void)
{
	struct txn *t;

	for (int i = 0; i < 2; i++) {
		cow_abort = i;
		setup(64);
		fs_lock(&fs);
		cache_get(fs.cache, 60, &t_map, 0, 0, &cow_buf);
		fs_unlock(&fs);
		change1(&t_map, 60, 0x11);
		change1(&t_bitmap, 61, 0x12);
		t = begin(TXN_ATTR);
		txn_freed(t, 600, 3, false);
		end(t, 0);
		in_write = change_while_committing;
		is(txn_sync(&fs, 1), 0, "commit");
		is(on_disk(60, 2), 0x11, "what was committed is on disk");
		is(in_cache(&t_map, 60), i ? 0x11 : 0x22, "memory is right");
		is(dirty(), !i, "what was changed since is dirty");
		is(txn_frozen_total(&fs), i ? 0 : 3,
		   "the older blocks are free, the younger not yet");
		txn_sync(&fs, 0);
		is(on_disk(60, 2), i ? 0x11 : 0x22, "the next commit is right");
		is(on_disk(60, 1), 0xcc, "and sealed");
		is(txn_frozen_total(&fs), 0, "now all are free");
		fs_lock(&fs);
		cache_put(cow_buf);
		fs_unlock(&fs);
		teardown();
	}
}

/* Aborted during a commit, a block is clean; it must not be evicted and read
 * again before the commit has written it. */
static void abort_and_scan(void)
{
	struct txn *t = begin(TXN_ATTR);
	struct buf *b;

	change(t, &t_map, 60, 0x22);
	end(t, -EIO);
	fs_lock(&fs);
	for (unsigned i = 1000; i < 1500; i++) {
		cache_get(fs.cache, i, &t_map, 0, 0, &b);
		cache_put(b);
	}
	fs_unlock(&fs);
	is(in_cache(&t_map, 60), 0x11, "a block under way is not evicted");
	t = begin(TXN_UNLINK);
	txn_freed(t, 61, 1, true);
	end(t, 0);
	is(in_cache(&t_map, 62), 0x13, "nor is another");
}

static void test_pinned_commit(void)
{
	setup(64);
	change1(&t_map, 59, 0x10);
	change1(&t_map, 60, 0x11);
	change1(&t_map, 61, 0x12);
	change1(&t_map, 62, 0x13);
	change1(&t_map, 80, 0x14);
	in_write = abort_and_scan;
	is(txn_sync(&fs, 1), 0, "commit");
	ok(on_disk(60, 2) == 0x11 && on_disk(62, 2) == 0x13, "written");
	is(on_disk(61, 2), 0x12, "also what was freed since: its turn is next");
	teardown();
}

static void test_frozen(void)
{
	struct buf *b;
	struct txn *t;
	uint64_t skip;

	setup(200);
	change1(&t_map, 100, 1);
	t = begin(TXN_UNLINK);
	change(t, &t_map, 101, 2);
	txn_freed(t, 100, 2, true);
	txn_freed(t, 102, 8, false);
	txn_freed(t, 200, 10, false);
	is(txn_frozen(&fs, 100, 5, &skip), 0, "frozen at once");
	is(skip, 10, "so long");
	is(txn_frozen(&fs, 50, 100, &skip), 50, "free up to there");
	is(txn_frozen(&fs, 110, 1000, &skip), 90, "and after it");
	is(txn_frozen(&fs, 210, 1000, &skip), 1000, "free");
	is(txn_frozen_total(&fs), 20, "in all");
	end(t, 0);
	is(dirty(), 0, "freed blocks are not dirty any more");
	is(in_cache(&t_map, 101), 101, "but forgotten");
	nevents = 0;
	is(txn_sync(&fs, 0), 0, "commit");
	for (unsigned i = 0; i < nevents; i++)
		if (events[i].op == DEVICE_WRITE)
			nevents = 1000;
	ok(nevents < 1000, "they are not written");
	is(txn_frozen_total(&fs), 0, "now they are free");
	is(txn_frozen(&fs, 100, 5, &skip), 5, "really");

	/* again new, in the next transaction */
	t = begin(TXN_CREATE);
	is(cache_get_new(fs.cache, 100, &t_dir, 5, 0, &b), 0, "reused");
	is(txn_write(t, b), 0, "written to");
	cache_put(b);
	end(t, 0);
	is(dirty(), 1, "dirty");
	txn_sync(&fs, 0);
	is(on_disk(100, 2), 0, "home");
	teardown();
}

/* A handle that frees thousands of runs of few groups has to end some time. */
static void test_room(void)
{
	struct txn *t;
	unsigned room, i;

	setup(64);
	t = begin(TXN_TRUNCATE);
	room = txn_room(t);
	for (i = 0; i < 100; i++)
		txn_freed(t, 1000 + 2 * i, 1, false);
	ok(txn_room(t) < room && txn_room(t) > room - 20,
	   "many freed runs take room (%u of %u)", txn_room(t), room);
	for (; i < 20000 && txn_room(t); i++)
		txn_freed(t, 1000 + 2 * i, 1, false);
	ok(!txn_room(t), "and in the end all of it");
	end(t, -EIO);
	t = begin(TXN_TRUNCATE);
	is(txn_room(t), room, "which is this handle's alone");
	end(t, 0);
	teardown();
}

static void test_faults(void)
{
	static const struct {
		int op, after;
		const char *what;
	} cases[] = {
		{ DEVICE_SYNC, 0, "flush of the data" },
		{ DEVICE_WRITE, 0, "first write" },
		{ DEVICE_WRITE, 1, "second write" },
		{ DEVICE_SYNC, 1, "flush before names" },
		{ DEVICE_WRITE, 2, "last write" },
		{ DEVICE_SYNC, 2, "last flush" },
	};
	uint8_t data[BS] = { 0 };
	struct txn *t;
	unsigned i, n;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		setup(64);
		change1(&t_map, 60, 1);
		change1(&t_dir, 61, 1);
		change1(&t_super, 0, 1);
		device_write(fs.dev, data, BS, 3000 * BS);
		fail_op = cases[i].op;
		fail_after = cases[i].after;
		is(txn_sync(&fs, 0), -EIO, cases[i].what);
		fail_op = -1;
		ok(fs.aborted, "aborts the volume");
		n = nevents;
		is(txn_sync(&fs, 0), -EIO, "nothing is durable any more");
		fs_lock(&fs);
		is(txn_begin(&fs, TXN_ATTR, &t), -EROFS, "nothing changes");
		fs_unlock(&fs);
		is(in_cache(&t_map, 60), 1, "memory stays as it was");
		is(dirty(), 3, "dirty");
		teardown();
		is(nevents, n, "nothing is written ever after");
	}
	setup(64);
	device_write(fs.dev, data, BS, 3000 * BS);
	fail_op = DEVICE_SYNC;
	fail_after = 0;
	is(txn_sync(&fs, 0), -EIO, "a failing flush of data alone");
	ok(fs.aborted, "aborts as well");
	teardown();

	setup(64);
	change1(&t_map, 60, 1);
	t = begin(TXN_ATTR);
	change(t, &t_map, 61, 1);
	txn_abort_volume(&fs, -EFSCORRUPTED);
	end(t, 0);
	nevents = 0;
	is(txn_sync(&fs, 1), -EIO, "aborted by somebody else");
	teardown();
	is(nevents, 0, "nothing is written either");

	setup(64);
	fs.rdonly = true;
	fs_lock(&fs);
	is(txn_begin(&fs, TXN_ATTR, &t), -EROFS, "read-only: no handle");
	fs_unlock(&fs);
	is(txn_sync(&fs, 0), 0, "but a sync is fine");
	teardown();

	setup(64);
	fs.error_ro = true;
	fs_lock(&fs);
	is(txn_begin(&fs, TXN_SUPER, &t), -EROFS, "read-only by an error");
	fs_unlock(&fs);
	t = begin(TXN_ERROR);
	change(t, &t_super, 0, 1);
	is(end(t, 0), 0, "which is recorded");
	is(txn_sync(&fs, 0), 0, "all the same");
	teardown();
}

static void test_size(void)
{
	unsigned i, most = 0;

	setup(400);
	for (i = 0; i < 2000; i++) {
		change1(&t_map, 1000 + i, 1);
		if (dirty() > most)
			most = dirty();
	}
	ok(most <= 200, "a full transaction commits (%u)", most);
	ok(txn_running(&fs) > 5, "again and again");
	teardown();
	is(on_disk(1000, 2), 1, "the first is home");
	is(on_disk(2999, 2), 1, "closing commits the last");
}

static void wait_durable(unsigned ms)
{
	unsigned i;

	for (i = 0; i < ms / 10; i++) {
		size_t n;

		usleep(10000);
		fs_lock(&fs);
		n = dirty();
		fs_unlock(&fs);
		if (!n)
			return;
	}
}

static void test_thread(void)
{
	unsigned i;

	setup(400);
	is(journal_start(&fs), 0, "start the thread");
	change1(&t_map, 5, 1);
	wait_durable(3000);
	is(on_disk(5, 2), 1, "a quiet volume commits by itself");
	usleep(20000);
	for (i = 0; i < 3000; i++)
		change1(&t_map, 100 + i, 2);
	ok(txn_running(&fs) > 4, "a full transaction too");
	journal_stop(&fs);
	change1(&t_map, 6, 3);
	is(txn_sync(&fs, 0), 0, "stopped: commits by hand");
	is(on_disk(6, 2), 3, "home");
	is(on_disk(3099, 2), 2, "all of them");
	is(journal_start(&fs), 0, "start again");
	change1(&t_map, 7, 4);
	teardown();
	is(on_disk(7, 2), 4, "closing stops the thread and commits");
}

/* Several threads that change their blocks and sync. */
struct worker {
	unsigned n;
	int bad;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	unsigned i;

	for (i = 0; i < 150; i++) {
		struct txn *t = begin(TXN_ATTR);
		uint64_t id = txn_id(t);
		uint8_t v = i % 200 + 1;

		if (change(t, &t_map, 1000 + w->n * 10 + i % 10, v) ||
		    change(t, &t_dir, 2000, v))
			w->bad++;
		txn_freed(t, 3000 + w->n * 200 + i, 1, true);
		if (end(t, i % 7 == 3 ? -EINTR : 0))
			continue;
		if (i % 3)
			continue;
		if (txn_sync(&fs, i % 2 ? id : 0) ||
		    on_disk(1000 + w->n * 10 + i % 10, 2) != v)
			w->bad++;
	}
	return NULL;
}

static void test_threads(void)
{
	struct worker w[4] = { 0 };
	pthread_t t[4];
	unsigned i, bad = 0;

	setup(64);
	journal_start(&fs);
	for (i = 0; i < 4; i++) {
		w[i].n = i;
		pthread_create(&t[i], NULL, work, &w[i]);
	}
	for (i = 0; i < 4; i++) {
		pthread_join(t[i], NULL);
		bad += w[i].bad;
	}
	is(bad, 0, "what was synced is on disk, with four at it");
	teardown();
}

/* Sets of ranges against an array of flags. */
static void test_ranges(void)
{
	struct range_set set = { 0 };
	static bool flags[1000];
	uint64_t start, count, total;
	unsigned i, k, bad = 0, seed = 1;

	for (i = 0; i < 20000; i++) {
		unsigned a = rand_r(&seed) % 1000, n = rand_r(&seed) % 20;
		bool add = rand_r(&seed) % 2;

		if (a + n > 1000)
			n = 1000 - a;
		if (add)
			range_add(&set, a, n);
		else
			range_remove(&set, a, n);
		for (k = a; k < a + n; k++)
			flags[k] = add;
		if (i % 50)
			continue;
		total = 0;
		for (k = 0; k < 1000; k++) {
			bool in = range_next(&set, k, &start, &count) &&
				  start <= k;

			bad += in != flags[k];
			total += flags[k];
		}
		bad += total != set.total;
	}
	is(bad, 0, "range sets");
	range_clear(&set);
	ok(!set.total && !range_next(&set, 0, &start, &count), "empty");
}

int main(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(dir, sizeof(dir), "%s/txn.XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(dir))
		bail("mkdtemp");
	snprintf(image, sizeof(image), "%s/image", dir);
	test_ranges();
	test_abort();
	test_commit();
	test_flushes();
	test_cow();
	test_pinned_commit();
	test_frozen();
	test_room();
	test_faults();
	test_size();
	test_thread();
	test_threads();
	unlink(image);
	rmdir(dir);
	return done();
}
