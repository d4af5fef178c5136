/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logedge.c - the log at its edges: ended by somebody else, frozen, its
 * checkpoint failing, a block that is written to after it was freed.
 */
#include "fs/freeze.h"
#include "fs/namei.h"
#include "io/cache.h"
#include "io/device.h"
#include "journal/txn_internal.h"
#include "voltest.h"

#define SMALL	"-t ext4 -b 1024 -J size=1"
#define SPARE	8000		/* a block that nobody has */
#define HELD	80		/* more than the smallest cache has */

static const struct caller who = { .reserve = true };
static struct fs *fs;
static struct inode *root;
static char copy[310];

static void open_small(void)
{
	vol_make(SMALL, "8M");
	if (fs_open(&(struct fs_options){ .source = vol_img, .cache_size = 1 },
		    &fs))
		bail("fs_open");
	if (inode_get_unlocked(fs, EXT2_ROOT_INO, &root))
		bail("no root");
}

static int close_root(void)
{
	inode_put_unlocked(root);
	return fs_close(fs);
}

static void create(const char *name)
{
	struct inode *inode;

	if (namei_create(root, name, strlen(name), S_IFREG | 0644, 0, NULL,
			 &who, &inode))
		bail("create");
	inode_put_unlocked(inode);
}

static void take_copy(void)
{
	sh("cp --sparse=always $IMG %s", copy);
}

/* A copy is sound after e2fsck's replay. */
static bool replayed(void)
{
	return !sh("e2fsck -fy -E journal_only %s >$IMG.fsck 2>&1; test $? -le 1",
		   copy) &&
	       !sh("e2fsck -fn %s >>$IMG.fsck 2>&1", copy);
}

static int shut_down(void *ctx, enum device_op op, uint64_t off, size_t len)
{
	(void)ctx, (void)off, (void)len;
	if (op != DEVICE_SYNC)
		return 0;
	fs_lock(fs);
	txn_abort_volume(fs, -EIO);
	fs_unlock(fs);
	return 0;
}

/* By somebody else, while the last data is flushed. */
static void test_shutdown(void)
{
	static const char data[1024];

	open_small();
	create("name");
	txn_sync(fs, 0);
	device_write(fs->dev, data, sizeof(data), SPARE * 1024);
	device_set_fault(fs->dev, shut_down, NULL);
	is(journal_log_end(fs), -EIO, "a shutdown before the last checkpoint");
	device_set_fault(fs->dev, NULL, NULL);
	ok(!fs->journal->log.failed, "is no failure of the log");
	close_root();
	take_copy();
	ok(replayed(), "all is in the log");
}

static int no_write(void *ctx, enum device_op op, uint64_t off, size_t len)
{
	(void)ctx, (void)off, (void)len;
	return op == DEVICE_WRITE ? -EIO : 0;
}

/* What cannot be written home stays in the log. */
static void test_freeze_fault(void)
{
	open_small();
	create("name");
	txn_sync(fs, 0);
	device_set_fault(fs->dev, no_write, NULL);
	ok(fs_freeze(fs, false) < 0, "a freeze whose checkpoint fails");
	device_set_fault(fs->dev, NULL, NULL);
	fs_thaw(fs);
	ok(fs->aborted, "ends the volume");
	take_copy();
	close_root();
	sh("e2fsck -fy -E journal_only %s >/dev/null 2>&1", copy);
	ok(strstr(shout("debugfs -R 'stat name' %s 2>&1", copy), "Inode:"),
	   "what was durable is so after a replay");
}

/* Nobody commits meanwhile, but in the end it must fit. */
static void test_frozen_room(void)
{
	struct txn *t;
	int i, err = 0;

	open_small();
	is(fs_freeze(fs, false), 0, "freeze");
	fs_lock(fs);
	for (i = 0; i < 100 && !err; i++) {
		err = txn_begin(fs, TXN_UNLINK, &t);
		if (err)
			break;
		err = txn_freed(t, (i + 1) * 100000, 5000, true);
		txn_end(t);
	}
	fs_unlock(fs);
	is(err, -EBUSY, "no more than the log can take");
	is(fs_thaw(fs), 0, "thaw");
	is(txn_sync(fs, 0), 0, "a commit of all that");
	is(close_root(), 0, "close");
	ok(vol_clean(), "clean");
}

static const struct buf_type spare_type = { "test", RANK_MAP, NULL, NULL };

static void change_spare(struct txn *t)
{
	struct buf *b;

	if (cache_get(fs->cache, SPARE, &spare_type, 0, 0, &b) ||
	    txn_write(t, b))
		bail("txn_write");
	memset(b->data, 'm', 1024);
	cache_put(b);
}

/* Who still writes to a block after it was freed takes no revoke away. */
static void test_written_freed(void)
{
	char data[1024];
	struct txn *t;

	for (int i = 0; i < 2; i++) {
		open_small();
		fs_lock(fs);
		if (!txn_begin(fs, TXN_ATTR, &t)) {
			change_spare(t);
			txn_end(t);
		}
		fs_unlock(fs);
		txn_sync(fs, 0);
		fs_lock(fs);
		if (!txn_begin(fs, TXN_ATTR, &t)) {
			if (i)
				change_spare(t);
			txn_freed(t, SPARE, 1, true);
			if (!i)
				change_spare(t);
			txn_end(t);
		}
		fs_unlock(fs);
		txn_sync(fs, 0);
		memset(data, 'd', sizeof(data));
		device_write(fs->dev, data, sizeof(data), SPARE * 1024);
		take_copy();
		ok(replayed(), "replay");
		ok(!strncmp(shout("dd if=%s bs=1024 skip=%d count=1 2>/dev/null",
				  copy, SPARE), "dddd", 4),
		   "a block written %s it was freed is revoked",
		   i ? "before" : "after");
		close_root();
	}
}

static char in_cache(void)
{
	struct buf *b;
	char c;

	if (cache_get(fs->cache, SPARE, &spare_type, 0, 0, &b))
		bail("cache_get");
	c = b->data[0];
	cache_put(b);
	return c;
}

/* Committed again, a block stays where it is, also in a cache that is full of
 * blocks in use. */
static void test_full_cache(void)
{
	struct buf *held[HELD];
	struct txn *t;
	int i, k;

	open_small();
	fs_lock(fs);
	for (i = 0; i < HELD; i++)
		if (cache_get(fs->cache, SPARE - HELD + i, &spare_type, 0, 0,
			      &held[i]))
			bail("cache_get");
	for (k = 0; k < 2; k++) {
		if (!txn_begin(fs, TXN_ATTR, &t)) {
			change_spare(t);
			txn_end(t);
		}
		fs_unlock(fs);
		txn_sync(fs, 0);
		fs_lock(fs);
	}
	is(in_cache(), 'm', "a block that was committed twice");
	for (i = 0; i < HELD; i++)
		cache_put(held[i]);
	fs_unlock(fs);
	is(close_root(), 0, "close");
}

static int start_thread(void *ctx, enum device_op op, uint64_t off, size_t len)
{
	(void)ctx, (void)off, (void)len;
	if (op != DEVICE_SYNC || fs->journal->threaded)
		return 0;
	is(fs_start(fs), 0, "the thread begins in the middle of a commit");
	usleep(300000);		/* until it waits */
	return 0;
}

/*
 * The thread empties a log that is idle, also if somebody else wrote to it;
 * meanwhile a change wakes it, which is to be durable sooner (commit=).
 */
static void test_idle(void)
{
	bool logged = true, asleep = false;
	int i;

	open_small();
	create("name");
	device_set_fault(fs->dev, start_thread, NULL);
	txn_sync(fs, 0);
	device_set_fault(fs->dev, NULL, NULL);
	for (i = 0; i < 2000 && logged; i++) {
		usleep(10000);
		fs_lock(fs);
		logged = fs->journal->log.oldest;
		asleep |= logged && fs->journal->asleep;
		fs_unlock(fs);
	}
	ok(!logged, "it empties the log");
	ok(asleep, "until then a change would have been heard of");
	is(close_root(), 0, "close");
}

int main(void)
{
	vol_init("logedge");
	snprintf(copy, sizeof(copy), "%s.c", vol_img);
	test_shutdown();
	test_freeze_fault();
	test_frozen_room();
	test_written_freed();
	test_full_cache();
	test_idle();
	return done();
}
