/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * cache.c - the block cache: what is read, how often it is checked, what is
 * evicted, what happens when a block is claimed as two things.
 *
 * The volume is made by hand: a device, a cache, a lock.  Damage that the
 * cache reports comes to the stand-in below (weak: with the whole library
 * linked in as objects, the real one counts).
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../tap.h"
#include "fs/fs.h"
#include "io/cache.h"
#include "io/device.h"
#include "journal/txn.h"
#include "nolog.h"

#define BS	1024
#define BLOCKS	8192

static char dir[256], image[300];
static struct fs fs;
static unsigned verified, complaints;
static int verdict;

__attribute__((weak))
int fs_corrupt_at(struct fs *f, const char *func, unsigned line, uint32_t ino,
		  uint64_t blk, const char *fmt, ...)
{
	(void)f, (void)func, (void)line, (void)ino, (void)blk, (void)fmt;
	complaints++;
	return -EFSCORRUPTED;
}

__attribute__((weak))
int fs_fail_at(struct fs *f, const char *func, unsigned line, int err,
	       uint32_t ino, uint64_t blk, const char *fmt, ...)
{
	(void)f, (void)func, (void)line, (void)ino, (void)blk, (void)fmt;
	complaints++;
	return err;
}

__attribute__((weak)) int fs_error_flush(struct fs *f)
{
	(void)f;
	return 0;
}

__attribute__((weak)) void inode_flush_handle(struct txn *t, bool aborted)
{
	(void)t, (void)aborted;
}

static int verify(struct fs *f, struct buf *b)
{
	(void)f;
	verified++;
	return verdict ? verdict : b->data[0] == (uint8_t)b->blk ? 0 : -EIO;
}

static int verify_any(struct fs *f, struct buf *b)
{
	(void)f, (void)b;
	verified++;
	return verdict;
}

static const struct buf_type plain = { "plain block", RANK_MAP, verify, NULL };
static const struct buf_type other = { "other block", RANK_DIR, verify_any, NULL };

static unsigned reads(void)
{
	struct device_stats st;

	device_get_stats(fs.dev, &st);
	return st.reads;
}

static size_t in_memory(void)
{
	struct cache_stats st;

	cache_get_stats(fs.cache, &st);
	return st.blocks;
}

/* Makes the image, opens it; a cache of N blocks. */
static void setup(unsigned n)
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
	if (device_open(image, 0, 0, 0, &fs.dev) ||
	    cache_new(&fs, fs.dev, BS, n * BS, &fs.cache) || journal_open(&fs))
		bail("cannot set up");
	fs_lock(&fs);
	verified = complaints = 0;
	verdict = 0;
}

static void teardown(void)
{
	fs_unlock(&fs);
	journal_close(&fs);
	cache_free(fs.cache);
	device_close(fs.dev);
	pthread_mutex_destroy(&fs.lock);
}

/* Gets BLK and lets go of it. */
static int look(uint64_t blk)
{
	struct buf *b;
	int err = cache_get(fs.cache, blk, &plain, 0, 0, &b);

	if (!err)
		cache_put(b);
	return err;
}

static void test_get(void)
{
	struct buf *a, *b;
	unsigned r;

	setup(100);
	r = reads();
	is(cache_get(fs.cache, 7, &plain, 0, 0, &a), 0, "get");
	ok(a->data[0] == 7 && a->data[BS - 1] == 7 && a->blk == 7, "its block");
	is(cache_get(fs.cache, 7, &plain, 0, 0, &b), 0, "get it again");
	ok(a == b, "is the same buffer");
	is(reads() - r, 1, "read once");
	is(verified, 1, "checked once");
	cache_put(a);
	cache_put(b);
	cache_put(NULL);
	look(7);
	is(reads() - r, 1, "still in memory when nobody holds it");
	is(verified, 1, "still not checked again");

	is(cache_get(fs.cache, BLOCKS, &plain, 0, 0, &a), -EIO,
	   "beyond the end of the device");
	is(cache_get(fs.cache, UINT64_MAX / 4, &plain, 0, 0, &a), -EIO,
	   "far beyond");
	is(cache_get(fs.cache, UINT64_MAX, &plain, 0, 0, &a), -EIO, "and more");
	is(complaints, 3, "all reported");
	is(in_memory(), 1, "none kept");
	teardown();
}

static int read_fault(void *ctx, enum device_op op, uint64_t off, size_t len)
{
	(void)ctx, (void)len;
	return op == DEVICE_READ && off == 9 * BS ? -EIO : 0;
}

static void test_bad(void)
{
	struct buf *a;

	setup(100);
	verdict = -EFSCORRUPTED;
	is(look(5), -EFSCORRUPTED, "a block that is found bad");
	is(in_memory(), 0, "is not kept");
	verdict = 0;
	is(look(5), 0, "and may be good at the next try");

	device_set_fault(fs.dev, read_fault, NULL);
	is(look(9), -EIO, "a block that cannot be read");
	is(complaints, 1, "is reported");
	device_set_fault(fs.dev, NULL, NULL);
	is(look(9), 0, "and read when it can be");

	/* one block, two types */
	is(cache_get(fs.cache, 5, &other, 3, 1, &a), 0,
	   "clean and unused: may turn out to be something else");
	is(verified, 4, "which is checked");
	ok(a->type == &other && a->ino == 3, "and remembered");
	is(look(5), -EFSCORRUPTED, "not while somebody uses it");
	cache_put(a);
	verdict = -EFSCORRUPTED;
	is(look(5), -EFSCORRUPTED, "not if it does not pass");
	is(in_memory(), 1, "it is dropped then");
	teardown();
}

static void test_dirty_type(void)
{
	struct buf *a, *b;
	struct txn *t;

	setup(100);
	txn_begin(&fs, TXN_ATTR, &t);
	cache_get(fs.cache, 5, &plain, 0, 0, &a);
	is(txn_write(t, a), 0, "make dirty");
	cache_put(a);
	txn_end(t);
	is(cache_get(fs.cache, 5, &other, 0, 0, &b), -EFSCORRUPTED,
	   "a dirty block is nothing else");
	is(cache_get(fs.cache, 5, &plain, 7, 0, &b), -EFSCORRUPTED,
	   "nor somebody else's");
	is(cache_get_new(fs.cache, 5, &plain, 0, 0, &b), -EFSCORRUPTED,
	   "nor is it new");
	is(complaints, 3, "all reported");
	teardown();
}

static void test_limit(void)
{
	struct cache_stats st;
	struct buf *held[80];
	unsigned i, r;

	setup(1);
	for (i = 0; i < 1000; i++)
		look(i);
	is(in_memory(), 64, "at least 64 blocks, and no more");
	cache_get_stats(fs.cache, &st);
	ok(st.misses == 1000 && st.evictions == 936 && !st.hits, "statistics");
	teardown();

	setup(64);
	for (i = 0; i < 80; i++)
		cache_get(fs.cache, i, &plain, 0, 0, &held[i]);
	for (i = 100; i < 200; i++)
		look(i);
	r = reads();
	for (i = 0; i < 80; i++)
		look(i);
	is(reads() - r, 0, "what is held is not evicted");
	for (i = 0; i < 80; i++)
		cache_put(held[i]);
	is(in_memory(), 64, "but is when it is let go");
	teardown();
}

static void test_dirty_stays(void)
{
	struct cache_stats st;
	struct buf *b;
	struct txn *t;
	unsigned i, r;

	setup(64);
	txn_begin(&fs, TXN_TRUNCATE, &t);
	for (i = 0; i < 100; i++) {
		cache_get(fs.cache, i, &plain, 0, 0, &b);
		txn_write(t, b);
		b->data[1] = 0xee;
		cache_put(b);
	}
	txn_end(t);
	for (i = 1000; i < 2000; i++)
		look(i);
	cache_get_stats(fs.cache, &st);
	is(st.dirty, 100, "dirty blocks are counted");
	is(st.blocks, 164, "and come on top");
	r = reads();
	for (i = 0; i < 100; i++)
		look(i);
	is(reads() - r, 0, "they stay");
	fs_unlock(&fs);
	is(txn_sync(&fs, 0), 0, "commit");
	fs_lock(&fs);
	cache_get_stats(fs.cache, &st);
	ok(st.dirty == 0 && st.blocks == 64, "clean they count again");
	teardown();
}

/* Blocks in use survive a scan of the whole device. */
static void test_scan(void)
{
	unsigned i, k, r;

	setup(1024);
	for (k = 0; k < 10; k++)
		for (i = 0; i < 300; i++)
			look(i);
	for (i = 300; i < BLOCKS; i++)
		for (k = 0; k < 16; k++)	/* inodes of a table block */
			look(i);
	r = reads();
	for (i = 0; i < 300; i++)
		look(i);
	is(reads() - r, 0, "a scan evicts none of the working set");
	for (k = 0; k < 10; k++)
		for (i = 0; i < 1000; i++)
			look(i);
	for (k = 0; k < 20; k++)
		for (i = 4000; i < 4900; i++)
			look(i);
	r = reads();
	for (i = 4000; i < 4900; i++)
		look(i);
	is(reads() - r, 0, "a new working set takes its place");
	teardown();
}

static void test_new(void)
{
	struct buf *b;
	struct txn *t;
	unsigned r, i;
	bool zero = true;

	setup(100);
	look(6);
	r = reads();
	for (i = 5; i <= 6; i++) {
		txn_begin(&fs, TXN_ATTR, &t);
		is(cache_get_new(fs.cache, i, &other, 9, 8, &b), 0, "new block");
		for (unsigned k = 0; k < BS; k++)
			zero = zero && !b->data[k];
		ok(zero && b->ino == 9 && b->gen == 8, "zeros, and its owner");
		is(txn_write(t, b), 0, "make it dirty");
		b->data[0] = 1;
		cache_put(b);
		txn_end(t);
	}
	is(reads() - r, 0, "not read");
	is(cache_get(fs.cache, 5, &other, 9, 8, &b), 0, "it is there");
	is(b->data[0], 1, "as written");
	cache_put(b);

	is(cache_get_new(fs.cache, 11, &plain, 0, 0, &b), 0, "a new block");
	cache_put(b);
	is(cache_get(fs.cache, 11, &plain, 0, 0, &b), 0,
	   "that was never made dirty");
	is(b->data[0], 11, "is read from disk again");
	cache_put(b);
	r = reads();
	fs_unlock(&fs);
	txn_sync(&fs, 0);
	fs_lock(&fs);
	is(cache_get(fs.cache, 5, &other, 9, 8, &b), 0, "a committed new block");
	cache_put(b);
	cache_get(fs.cache, 5, &other, 9, 8, &b);
	cache_put(b);
	is(reads() - r, 0, "stays");
	teardown();
}

static void test_forget(void)
{
	struct buf *b;
	struct txn *t;
	unsigned i, r, w;
	struct device_stats st;

	setup(2000);
	for (i = 0; i < 1000; i++)
		look(i);
	cache_forget(fs.cache, 10, 5);
	is(in_memory(), 995, "a few are forgotten");
	cache_forget(fs.cache, 500, UINT64_MAX / 2);
	is(in_memory(), 495, "a giant range too");
	r = reads();
	look(12);
	is(reads() - r, 1, "and read again");
	cache_get(fs.cache, 20, &plain, 0, 0, &b);
	cache_forget(fs.cache, 20, 1);
	is(b->data[0], 20, "who holds one keeps its contents");
	look(20);
	ok(reads() - r == 2, "others read it");
	txn_begin(&fs, TXN_ATTR, &t);
	is(txn_write(t, b), -EFSCORRUPTED, "it cannot be changed any more");
	txn_end(t);
	cache_put(b);

	txn_begin(&fs, TXN_ATTR, &t);
	cache_get(fs.cache, 30, &plain, 0, 0, &b);
	txn_write(t, b);
	cache_put(b);
	txn_end(t);
	cache_forget(fs.cache, 30, 1);
	device_get_stats(fs.dev, &st);
	w = st.writes;
	fs_unlock(&fs);
	is(txn_sync(&fs, 0), 0, "commit");
	fs_lock(&fs);
	device_get_stats(fs.dev, &st);
	is(st.writes - w, 0, "what was forgotten is not written");
	teardown();
}

static void test_readahead(void)
{
	setup(100);
	cache_readahead(fs.cache, 0, 50);
	cache_readahead(fs.cache, BLOCKS - 1, 50);
	cache_readahead(fs.cache, UINT64_MAX - 3, 50);
	is(complaints, 0, "reading ahead never fails");
	teardown();
}

int main(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(dir, sizeof(dir), "%s/cache.XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(dir))
		bail("mkdtemp");
	snprintf(image, sizeof(image), "%s/image", dir);
	test_get();
	test_bad();
	test_dirty_type();
	test_limit();
	test_dirty_stays();
	test_scan();
	test_new();
	test_forget();
	test_readahead();
	unlink(image);
	rmdir(dir);
	return done();
}
