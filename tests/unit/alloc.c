/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * alloc.c - blocks: taken near the goal, never twice, never while frozen or
 * reserved; counted exactly; given back at an abort; over all geometries.
 *
 * Blocks are hung into an inode as an extent would be too much here: what is
 * allocated is freed again before e2fsck looks, or written into the bitmap of
 * what e2fsck is told to expect (free counts and checksums).
 */
#include "fs/group.h"
#include "fs/namei.h"
#include "fs/orphan.h"
#include "io/device.h"
#include "voltest.h"

static struct fs *fs;
static struct inode *root;

static void open_root(void)
{
	fs = vol_must_open();
	if (inode_get_unlocked(fs, EXT2_ROOT_INO, &root))
		bail("no root");
}

static void close_root(const char *what)
{
	inode_put_unlocked(root);
	is(inode_table_busy(fs), 0, "no inode is in use");
	is(fs_close(fs), 0, "close");
	ok(vol_clean(), "e2fsck: %s", what);
}

static struct txn *begin(enum txn_kind kind)
{
	struct txn *t;

	fs_lock(fs);
	if (txn_begin(fs, kind, &t))
		bail("txn_begin");
	return t;
}

static void end(struct txn *t, int err)
{
	txn_stop(t, err);
	fs_unlock(fs);
}

static int take(uint64_t goal, uint64_t want, unsigned flags, uint64_t *blk,
		uint64_t *got)
{
	struct txn *t = begin(TXN_WRITE);
	int err = block_alloc(t, root, goal, want, flags, blk, got);

	end(t, err);
	return err;
}

static int give(uint64_t blk, uint64_t count)
{
	struct txn *t = begin(TXN_TRUNCATE);
	int err = block_free(t, root, blk, count, false);

	end(t, err);
	return err;
}

static uint64_t count_free(void)
{
	uint64_t n;

	fs_lock(fs);
	n = vol_free_blocks(fs);
	fs_unlock(fs);
	return n;
}

/* --- one volume, taken whole and given back --- */

struct piece {
	uint64_t blk, len;
};

/* Every block has an owner at most. */
static uint8_t *owned;

static bool own(uint64_t blk, uint64_t len, int what)
{
	uint64_t i;

	for (i = blk; i < blk + len; i++) {
		if (i >= fs->blocks_count || owned[i] == what ||
		    !fs_block_valid(fs, i, 1))
			return false;
		owned[i] = what;
	}
	return true;
}

static void test_fill(const char *mkfs, const char *size)
{
	static struct piece p[2000000];
	uint64_t before, total = 0, blk, got;
	size_t n = 0, i;
	bool good = true;
	int err;

	vol_make(mkfs, size);
	open_root();
	before = count_free();
	owned = calloc(1, fs->blocks_count);
	for (;;) {
		/* small and large requests, near and far */
		uint64_t want = (n % 7 == 0) ? 3000 : n % 5 + 1;
		uint64_t goal = n % 3 ? 0 : (n * 7919) % fs->blocks_count;

		err = take(goal, want, ALLOC_RESERVE, &blk, &got);
		if (err)
			break;
		good &= got > 0 && own(blk, got, 1);
		good &= got <= (want | (fs->cluster_ratio - 1)) + 1;
		p[n].blk = blk;
		p[n++].len = got;
		total += got;
	}
	is(err, -ENOSPC, "until there is nothing left");
	ok(good, "no block twice, none of the fixed metadata: %s", mkfs);
	is(total, before, "all that was said to be free");
	is(count_free(), 0, "none is left");
	for (i = 0; i < n; i += 2)
		good &= !give(p[i].blk, p[i].len) &&
			own(p[i].blk, p[i].len, 0);
	ok(good, "half of it freed");
	is(take(0, 1, ALLOC_RESERVE, &blk, &got), -ENOSPC,
	   "what was freed is not used before it is durable");
	is(txn_sync(fs, 0), 0, "commit");
	is(take(0, 1, ALLOC_RESERVE, &blk, &got), 0, "now it is");
	good &= own(blk, got, 1);
	give(blk, got);
	own(blk, got, 0);
	for (i = 1; i < n; i += 2)
		good &= !give(p[i].blk, p[i].len) &&
			own(p[i].blk, p[i].len, 0);
	ok(good, "the other half too");
	is(count_free(), before, "all is back");
	free(owned);
	close_root(mkfs);
}

/* --- rules --- */

static void test_goal(void)
{
	uint64_t blk, got, blk2, got2;

	vol_make("-t ext4 -b 4096", "512M");
	open_root();
	take(0, 16, 0, &blk, &got);
	is(got, 16, "a run of what was asked for");
	take(blk + got, 16, 0, &blk2, &got2);
	is(blk2, blk + 16, "exactly at the goal");
	is(got2, 16, "whole");
	give(blk2, got2);
	take(blk, 16, 0, &blk2, &got2);
	ok(blk2 > blk && blk2 < blk + 1000, "near a goal that is in use");
	is(got2, 16, "whole again");
	ok(blk2 >= blk + 32, "behind what is frozen");
	give(blk, got);
	give(blk2, got2);
	take(40000, 30000, 0, &blk, &got);
	ok(got >= 20000, "a long run is found");
	give(blk, got);
	close_root("goals");
}

static void test_reserve_rule(void)
{
	uint64_t blk, got, taken = 0, r;

	vol_make("-t ext4 -m 20", "32M");
	open_root();
	r = le32toh(fs_super(fs)->s_r_blocks_count);
	while (!take(0, 100, 0, &blk, &got))
		taken += got;
	is(count_free(), r, "an ordinary user leaves the reserve");
	is(take(0, 1, 0, &blk, &got), -ENOSPC, "and gets nothing of it");
	is(take(0, 1, ALLOC_META, &blk, &got), 0, "metadata does");
	is(take(0, 1, ALLOC_RESERVE, &blk, &got), 0, "root does");
	fs_lock(fs);
	is(block_available(fs, 0), 0, "nothing available");
	is(block_available(fs, ALLOC_RESERVE), r - 2, "but to root");
	fs_unlock(fs);
	inode_put_unlocked(root);
	fs_close(fs);
	ok(taken > 0, "something was taken");
	ok(!strstr(shout("e2fsck -fn $IMG 2>&1"), "Free blocks count wrong for group #0 (0, counted=0)"),
	   "sane");
}

static void test_abort(void)
{
	uint64_t blk, got, before, a, n;
	struct txn *t;
	int i;

	vol_make("-t ext4 -O ^resize_inode -g 2048", "64M");
	open_root();
	before = count_free();
	take(0, 500, 0, &a, &n);
	for (i = 0; i < 20; i++) {
		t = begin(TXN_WRITE);
		block_alloc(t, root, (uint64_t)i * 800 + 100, 3000, 0, &blk,
			    &got);
		block_alloc(t, root, 0, 77, 0, &blk, &got);
		if (i == 3)
			is(block_free(t, root, a, n, false), 0, "freed");
		end(t, -EIO);
	}
	is(count_free(), before - n, "an abort leaves the counts");
	fs_lock(fs);
	is(txn_frozen_total(fs), 0, "and nothing frozen");
	is(block_in_use(fs, a), 1, "what was freed is in use");
	is(block_in_use(fs, blk), 0, "what was taken is free");
	fs_unlock(fs);
	give(a, n);
	close_root("aborts");
}

static void test_reservation(void)
{
	uint64_t blk, got, blk2, got2, before;
	struct txn *t;

	vol_make("-t ext4", "64M");
	open_root();
	before = count_free();
	fs_lock(fs);
	is(block_reserve(root, 0, 64, 0, &blk, &got), 0, "reserve");
	is(got, 64, "all of it");
	is(block_in_use(fs, blk), 0, "it is not allocated");
	is(block_available(fs, ALLOC_META), before - 64, "but not available");
	fs_unlock(fs);
	take(blk, 64, 0, &blk2, &got2);
	ok(blk2 >= blk + 64 || blk2 + got2 <= blk, "nobody else gets it");
	give(blk2, got2);

	t = begin(TXN_WRITE);
	is(block_claim(t, root, blk, 40), 0, "claim a part");
	is(block_available(fs, ALLOC_META) + got2, before - 64,
	   "claimed is not counted twice");
	end(t, -EIO);
	fs_lock(fs);
	is(block_in_use(fs, blk), 0, "an abort takes the claim back");
	is(block_available(fs, ALLOC_META) + got2, before - 64,
	   "to a reservation");
	fs_unlock(fs);
	t = begin(TXN_WRITE);
	is(block_claim(t, root, blk + 8, 40), 0, "claim the middle");
	end(t, 0);
	fs_lock(fs);
	is(block_in_use(fs, blk + 8), 1, "it is allocated");
	is(block_in_use(fs, blk + 7), 0, "what is before it is not");
	block_unreserve(fs, blk, 8);
	block_unreserve(fs, blk + 48, 16);
	block_unreserve(fs, blk, 64);
	is(block_available(fs, ALLOC_META) + got2, before - 40,
	   "the rest is available again");
	fs_unlock(fs);
	give(blk + 8, 40);
	close_root("reservations");
}

static void test_bad_free(void)
{
	uint64_t blk, got;

	vol_make("-t ext4 -e continue", "64M");
	open_root();
	take(0, 8, 0, &blk, &got);
	is(give(blk, 9), -EFSCORRUPTED, "freeing what is free");
	is(give(0, 1), -EFSCORRUPTED, "freeing the superblock");
	is(give(fs->blocks_count - 1, 2), -EFSCORRUPTED,
	   "freeing beyond the end");
	is(give(ext2fs_inode_table_loc(fs->e2, 0) + 3, 1), -EFSCORRUPTED,
	   "freeing an inode table");
	is(give(blk, 8), 0, "freeing what is ours");
	inode_put_unlocked(root);
	fs_close(fs);
	sh("debugfs -w -R 'ssv state 1' $IMG >/dev/null 2>&1");
	ok(vol_clean(), "and no harm is done");
}

/* A bitmap that lies puts its group out of use, and no more. */
static void test_bad_bitmap(const char *mkfs)
{
	uint64_t blk, got, bitmap, n = 0;
	bool outside = true;

	vol_make(mkfs, "64M");
	open_root();
	take(8193 + 2000, 10, 0, &blk, &got);	/* makes it, if it was uninit */
	inode_put_unlocked(root);
	fs_close(fs);
	bitmap = atoll(shout("dumpe2fs $IMG 2>/dev/null | sed -n '/^Group 1:/,$s/.*Block bitmap at \\([0-9]*\\).*/\\1/p' | head -1"));
	sh("printf '\\377\\377' | dd of=$IMG bs=1 seek=$((%llu * 1024 + 900)) conv=notrunc 2>/dev/null",
	   (unsigned long long)bitmap);
	open_root();
	while (!take(8193 + 100, 4000, ALLOC_RESERVE, &blk, &got)) {
		outside &= blk >= 2 * 8192 + 1 || blk + got <= 8193;
		n += got;
	}
	ok(outside && n > 10000, "other groups are used: %s", mkfs);
	inode_put_unlocked(root);
	fs_close(fs);
}

/*
 * What the search remembers about full groups is forgotten when something is
 * freed there, and when a handle is aborted.
 */
static void test_hints(void)
{
	struct piece first = { 0, 0 }, last = { 0, 0 };
	uint64_t blk, got;
	struct txn *t;

	vol_make("-t ext4 -b 1024 -O ^has_journal", "64M");
	open_root();
	while (!take(0, 2000, ALLOC_RESERVE, &blk, &got)) {
		if (!first.len)
			first = (struct piece) { blk, got };
		last = (struct piece) { blk, got };
	}
	give(last.blk, last.len);
	txn_sync(fs, 0);
	is(take(0, 1, ALLOC_RESERVE, &blk, &got), 0,
	   "past all full groups");
	give(first.blk, 1);
	give(first.blk + 2, 1);
	txn_sync(fs, 0);
	while (last.len > 1 && !take(last.blk, 1000, ALLOC_RESERVE, &blk, &got) &&
	       blk != first.blk && blk != first.blk + 2)
		;
	give(blk, 1);
	txn_sync(fs, 0);
	is(take(last.blk, 1, ALLOC_RESERVE, &blk, &got), 0,
	   "what was freed in a full group is found");
	give(blk, got);

	/* a group is full in the handle only */
	txn_sync(fs, 0);
	while (!take(0, 1, ALLOC_RESERVE, &blk, &got))
		;
	give(first.blk + 10, 20);
	give(last.blk, 1);
	txn_sync(fs, 0);
	t = begin(TXN_WRITE);
	block_alloc(t, root, first.blk + 10, 20, ALLOC_RESERVE, &blk, &got);
	is(got, 20, "taken in a handle");
	block_alloc(t, root, 0, 1, ALLOC_RESERVE, &blk, &got);
	is(blk, last.blk, "all there was");
	end(t, -EIO);
	is(take(0, 18, ALLOC_RESERVE, &blk, &got), 0, "after the abort");
	is(got, 18, "the long run is found again");
	inode_put_unlocked(root);
	fs_close(fs);
}

/* --- inodes --- */

static int new_inode(struct inode *dir, uint16_t mode, uint32_t *ino)
{
	struct txn *t = begin(TXN_CREATE);
	int err = inode_alloc(t, dir, mode, ino);

	end(t, err);
	return err;
}

static int drop_inode(uint32_t ino, bool dir)
{
	struct txn *t = begin(TXN_UNLINK);
	int err = inode_free(t, ino, dir);

	end(t, err);
	return err;
}

static void test_inodes(const char *mkfs)
{
	static uint32_t inos[200000];
	uint32_t n = 0, i, ino, free_before;
	uint8_t *seen;
	bool good = true;
	int err;

	vol_make(mkfs, "64M");
	open_root();
	free_before = le32toh(fs_super(fs)->s_free_inodes_count);
	seen = calloc(1, fs->e2->super->s_inodes_count + 1);
	while (!(err = new_inode(root, n % 5 ? S_IFREG : S_IFDIR, &ino))) {
		good &= ino > EXT2_FIRST_INO(fs->e2->super) && !seen[ino];
		seen[ino] = 1;
		inos[n++] = ino;
	}
	is(err, -ENOSPC, "until there is none");
	is(n, free_before, "all that were free");
	ok(good, "none twice: %s", mkfs);
	for (i = 0; i < n; i++)
		good &= !drop_inode(inos[i], i % 5 == 0);
	ok(good, "all given back");
	is(new_inode(root, S_IFREG, &ino), -ENOSPC,
	   "not to be used before it is durable");
	i = 0;
	ok(fs_retry_nospc(fs, -ENOSPC, &i), "worth another try");
	is(new_inode(root, S_IFREG, &ino), 0, "which is successful");
	drop_inode(ino, false);
	is(le32toh(fs_super(fs)->s_free_inodes_count), free_before,
	   "counted exactly");
	free(seen);
	close_root(mkfs);
}

/* What another try makes available does not include what is freed later. */
static void test_thaw(void)
{
	uint32_t a, b, ino, i;
	unsigned tries = 0;

	vol_make("-t ext4 -b 1024", "64M");
	open_root();
	new_inode(root, S_IFREG, &a);
	new_inode(root, S_IFREG, &b);
	txn_sync(fs, 0);
	drop_inode(b, false);
	txn_sync(fs, 0);
	ok(fs_retry_nospc(fs, -ENOSPC, &tries), "nothing is running: try again");
	drop_inode(a, false);
	for (i = 0; i < 20; i++) {
		new_inode(root, S_IFREG, &ino);
		if (ino == a)
			break;
	}
	is(i, 20, "what is freed then has to wait");
	inode_put_unlocked(root);
	fs_close(fs);
}

static void test_spread(void)
{
	uint32_t ino, groups[16] = { 0 }, i, used = 0;
	struct inode dir = { .ino = 0 };

	vol_make("-t ext4 -G 1 -b 1024", "128M");
	open_root();
	dir.fs = fs;
	dir.i.mode = S_IFDIR;
	for (i = 0; i < 32; i++) {
		new_inode(root, S_IFDIR, &ino);
		groups[inode_group(fs, ino) % 16]++;
	}
	for (i = 0; i < 16; i++)
		used += groups[i] > 0;
	ok(used >= 12, "top directories are spread (%u of 16)", used);
	dir.ino = ino;
	for (i = 0, used = 0; i < 50; i++) {
		uint32_t file;

		new_inode(&dir, S_IFREG, &file);
		used += inode_group(fs, file) == inode_group(fs, ino);
	}
	is(used, 50, "files are near their directory");
	for (i = 0, used = 0; i < 50; i++) {
		uint32_t sub;

		new_inode(&dir, S_IFDIR, &sub);
		used += inode_group(fs, sub) == inode_group(fs, ino);
	}
	is(used, 50, "and so are its directories");
	inode_put_unlocked(root);
	fs_close(fs);
}

/* --- a large volume --- */

static void test_large(void)
{
	uint64_t blk, got;
	struct timespec a, b;
	double ms;

	vol_make("-t ext4 -E lazy_itable_init=1 -O ^has_journal", "4T");
	open_root();
	clock_gettime(CLOCK_MONOTONIC, &a);
	take(fs->blocks_count - 5000, 100, 0, &blk, &got);
	clock_gettime(CLOCK_MONOTONIC, &b);
	ms = (b.tv_sec - a.tv_sec) * 1e3 + (b.tv_nsec - a.tv_nsec) / 1e6;
	ok(blk > fs->blocks_count - 70000 && got == 100, "at the far end");
	ok(ms < 200, "in no time (%.2f ms)", ms);
	give(blk, got);
	inode_put_unlocked(root);
	is(fs_close(fs), 0, "close");
}

static int discards;
static uint64_t discarded;

static int no_discard(void *ctx, enum device_op op, uint64_t off, size_t len)
{
	(void)ctx, (void)off;
	if (op == DEVICE_DISCARD) {
		discards++;
		discarded += len;
	}
	return 0;
}

static void test_trim(void)
{
	uint64_t done, before;
	int err;

	vol_make("-t ext4", "64M");
	sh("dd if=/dev/urandom of=$IMG.f bs=1M count=10 2>/dev/null; debugfs -w -R \"write $IMG.f f\" $IMG >/dev/null 2>&1");
	open_root();
	device_set_fault(fs->dev, no_discard, NULL);
	before = count_free();
	err = block_trim(fs, 0, UINT64_MAX, 1, &done);
	ok(!err || err == -EOPNOTSUPP, "trim");
	if (!err) {
		is(done, before, "all free blocks are discarded");
		is(discarded >> fs->blockbits, before, "and were asked for");
		ok(discards < 50, "in few calls (%d)", discards);
		block_trim(fs, 0, UINT64_MAX, 1u << 30, &done);
		is(done, 0, "none is that long");
	}
	is(block_available(fs, ALLOC_META), before, "nothing stays reserved");
	close_root("trim");
	ok(!sh("debugfs -R \"dump f $IMG.g\" $IMG >/dev/null 2>&1; cmp $IMG.f $IMG.g"),
	   "files are untouched");
}

int main(void)
{
	static const char *const geometries[] = {
		"-t ext4 -b 1024", "-t ext4 -b 2048", "-t ext4 -b 4096",
		"-t ext4 -b 65536 -O ^has_journal",
		"-t ext2 -b 1024", "-t ext2 -r 0", "-t ext3",
		"-t ext4 -O bigalloc -b 1024",
		"-t ext4 -O bigalloc -b 4096 -C 65536",
		"-t ext4 -O ^metadata_csum", "-t ext4 -O ^metadata_csum,uninit_bg",
		"-t ext4 -O ^metadata_csum,^uninit_bg,^64bit",
		"-t ext4 -O meta_bg,^resize_inode -b 1024",
		"-t ext4 -O meta_bg,^resize_inode -b 1024 -g 1024",
		"-t ext4 -O meta_bg,^resize_inode,^flex_bg,^64bit -b 1024 -g 512",
		"-t ext4 -O ^64bit -b 1024", "-t ext4 -O ^flex_bg -b 1024",
		"-t ext4 -O sparse_super2 -b 1024",
		"-t ext4 -I 128", "-t ext4 -I 1024 -b 1024",
		"-t ext4 -G 4 -g 1024 -b 1024", "-t ext4 -O orphan_file",
		"-t ext4 -E lazy_itable_init=1 -b 1024 -O ^has_journal",
	};
	size_t i;

	vol_init("alloc");
	for (i = 0; i < sizeof(geometries) / sizeof(geometries[0]); i++) {
		test_fill(geometries[i], "64M");
		test_inodes(geometries[i]);
	}
	test_goal();
	test_reserve_rule();
	test_abort();
	test_reservation();
	test_bad_free();
	test_hints();
	test_bad_bitmap("-t ext4 -b 1024 -O ^flex_bg -e continue");
	test_bad_bitmap("-t ext2 -b 1024 -e continue");
	test_thaw();
	test_spread();
	test_large();
	test_trim();
	return done();
}
