/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * log.c - the log that is written: at whatever write the server stops, what
 * e2fsck and the kernel replay is a sound volume, with all that was synced.
 *
 * A copy of the image is made when the device is asked for a write, and
 * judged there.  LONG=1 judges many more.
 */
#include <endian.h>
#include <pthread.h>

#include "fs/data.h"
#include "fs/namei.h"
#include "fs/xattr.h"
#include "io/device.h"
#include "journal/format.h"
#include "voltest.h"

#define NAMES	40

static const struct caller who = { .reserve = true };
static struct fs *fs;
static struct inode *root;
static uint64_t random_state = 88172645463325252;
static char copy[310];
static bool long_run;

static unsigned rnd(unsigned n)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 16) % n;
}

static void open_root(void)
{
	fs = vol_must_open();
	if (inode_get_unlocked(fs, EXT2_ROOT_INO, &root))
		bail("no root");
}

static int close_root(void)
{
	inode_put_unlocked(root);
	return fs_close(fs);
}

/* --- judging a copy --- */

static void take_copy(void)
{
	sh("cp --sparse=always $IMG %s", copy);
}

/* Only the replay may have something to do, and orphans. */
static bool judge_e2fsck(void)
{
	if (sh("e2fsck -fy -E journal_only %s >$IMG.fsck 2>&1; test $? -le 1",
	       copy) ||
	    sh("e2fsck -fn %s >>$IMG.fsck 2>&1", copy)) {
		sh("sed 's/^/# /' $IMG.fsck; dumpe2fs -h %s 2>&1 | tail -15 | sed 's/^/# /'",
		   copy);
		return false;
	}
	return true;
}

static bool judge_kernel(void)
{
	if (sh("mkdir -p $IMG.mnt; mount -o loop %s $IMG.mnt 2>$IMG.fsck", copy))
		return !sh("cat $IMG.fsck; false");
	sh("umount $IMG.mnt");
	if (!sh("e2fsck -fn %s >$IMG.fsck 2>&1", copy))
		return true;
	sh("sed 's/^/# kernel: /' $IMG.fsck");
	return false;
}

static unsigned judged, bad, kernel_share;

static void judge(void)
{
	bool good;

	if (kernel_share && ++judged % kernel_share == 0)
		good = judge_kernel();
	else
		good = judge_e2fsck();
	bad += !good;
	if (!good && getenv("KEEP"))
		sh("cp %s /tmp/bad.img", copy);
}

/* --- every write may be the last --- */

static unsigned every, writes, syncs;
static int fail_op = -1;
static unsigned fail_at;

static int on_access(void *ctx, enum device_op op, uint64_t off, size_t len)
{
	unsigned n;

	(void)ctx, (void)off, (void)len;
	if (op != DEVICE_WRITE && op != DEVICE_SYNC)
		return 0;
	n = op == DEVICE_WRITE ? ++writes : ++syncs;
	if ((int)op == fail_op && n >= fail_at)
		return -EIO;
	if (every && op == DEVICE_WRITE && !rnd(every)) {
		take_copy();
		judge();
	}
	return 0;
}

/* --- a workload --- */

static struct inode *dirs[4];

static struct inode *any_dir(void)
{
	struct inode *dir = dirs[rnd(4)];

	return dir ? dir : root;
}

static void op_create(struct inode *dir, const char *name)
{
	static const char target[] = "a target that is longer than sixty bytes, so that it takes a block";
	struct inode *inode;
	int kind = rnd(8);

	if (namei_create(dir, name, strlen(name), kind == 0 ? S_IFLNK | 0777 :
			 S_IFREG | 0644, 0, kind == 0 ? target : NULL, &who,
			 &inode))
		return;
	if (kind > 2)
		data_write(inode, "first", 5, rnd(3) * 2000, DATA_RESERVE);
	if (kind == 1)
		data_fsync(inode, false);
	inode_put_unlocked(inode);
}

static void op_change(struct inode *inode)
{
	static char data[60000];
	char name[20];
	int i;

	switch (rnd(6)) {
	case 0:
		data_truncate(inode, rnd(50000), DATA_RESERVE);
		break;
	case 1:		/* with holes: a tree of extents */
		for (i = 0; i < 12; i++)
			data_write(inode, data, 1000, rnd(400) * 4096,
				   DATA_RESERVE);
		break;
	case 2:
	case 3:
		snprintf(name, sizeof(name), "user.a%u", rnd(4));
		xattr_set(inode, name, data, rnd(700), 0);
		break;
	case 4:
		data_fsync(inode, rnd(2));
		break;
	default:
		data_write(inode, data, 1 + rnd(sizeof(data)), rnd(40000),
			   DATA_RESERVE);
	}
}

static void op_dir(struct inode *dir)
{
	unsigned i = rnd(4);
	char name[8];

	if (dir != root)
		return;
	snprintf(name, sizeof(name), "d%u", i);
	if (dirs[i]) {
		struct inode *d = dirs[i];
		char inner[8];

		for (unsigned k = 0; k < NAMES; k++) {
			snprintf(inner, sizeof(inner), "n%u", k);
			namei_unlink(d, inner, strlen(inner));
		}
		dirs[i] = NULL;
		inode_put_unlocked(d);
		namei_rmdir(root, name, strlen(name));
	} else if (namei_create(root, name, strlen(name), S_IFDIR | 0755, 0,
				NULL, &who, &dirs[i])) {
		dirs[i] = NULL;
	}
}

static void op(void)
{
	struct inode *dir = any_dir(), *inode;
	char name[200], other[200];
	int n;

	/* long names make directories of many blocks */
	n = snprintf(name, sizeof(name), "n%u", rnd(NAMES));
	if (rnd(2))
		n += snprintf(name + n, sizeof(name) - n, "%0*d",
			      100 + rnd(80), 0);
	switch (rnd(12)) {
	case 0 ... 3:
		op_create(dir, name);
		break;
	case 4 ... 5:
		namei_unlink(dir, name, strlen(name));
		break;
	case 6:
		snprintf(other, sizeof(other), "n%u", rnd(NAMES));
		namei_rename(dir, name, strlen(name), any_dir(), other,
			     strlen(other), 0, &who);
		break;
	case 7:
		op_dir(dir);
		break;
	default:
		if (namei_lookup(dir, name, strlen(name), &inode))
			break;
		if (S_ISREG(inode->i.mode))
			op_change(inode);
		inode_put_unlocked(inode);
	}
	if (!rnd(25))
		txn_sync(fs, 0);
}

static void run_ops(unsigned count)
{
	while (count--)
		op();
	for (int i = 0; i < 4; i++) {
		if (dirs[i])
			inode_put_unlocked(dirs[i]);
		dirs[i] = NULL;
	}
}

/* A field of the log's superblock. */
static uint32_t log_field(size_t off)
{
	uint32_t v = 0;
	char cmd[400];

	snprintf(cmd, sizeof(cmd), "debugfs -R 'dump <8> /dev/stdout' $IMG 2>/dev/null | dd bs=4 skip=%zu count=1 2>/dev/null | od -An -tu4 --endian=big",
		 off / 4);
	sscanf(shout("%s", cmd), "%u", &v);
	return v;
}

static void test_crashes(const char *mkfs, const char *size, unsigned ops)
{
	vol_make(mkfs, size);
	open_root();
	judged = bad = writes = syncs = 0;
	every = long_run ? 12 : 60;
	kernel_share = geteuid() == 0 ? 8 : 0;
	device_set_fault(fs->dev, on_access, NULL);
	run_ops(ops);
	every = 0;
	is(close_root(), 0, "close");
	ok(!bad, "%u crashes within %u writes, %u flushes: %s", judged, writes,
	   syncs, mkfs);
	ok(vol_clean(), "e2fsck: after the unmount");
	ok(!strstr(shout("dumpe2fs -h $IMG 2>/dev/null"), "needs_recovery"),
	   "which needs no recovery");
	is(log_field(offsetof(struct jbd_super, start)), 0,
	   "the log is empty");
}

/* --- freed metadata that becomes file data --- */

static void make_tree(void)
{
	static char data[3000];
	struct inode *dir, *inode;
	char name[120];
	int i;

	if (namei_create(root, "dir", 3, S_IFDIR | 0755, 0, NULL, &who, &dir))
		bail("mkdir");
	for (i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "%0100d", i);
		if (namei_create(dir, name, 100, S_IFREG | 0644, 0, NULL, &who,
				 &inode))
			bail("create");
		if (i < 10)
			xattr_set(inode, "user.x", data, 500, 0);
		if (i < 5)
			for (int k = 0; k < 12; k++)
				data_write(inode, "x", 1, k * 8192,
					   DATA_RESERVE);
		inode_put_unlocked(inode);
	}
	inode_put_unlocked(dir);
}

static void remove_tree(void)
{
	struct inode *dir;
	char name[120];

	if (namei_lookup(root, "dir", 3, &dir))
		bail("lookup");
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "%0100d", i);
		namei_unlink(dir, name, 100);
	}
	inode_put_unlocked(dir);
	namei_rmdir(root, "dir", 3);
}

/* All the space there is becomes one file; every 512 bytes say where. */
static uint64_t fill(void)
{
	struct inode *inode;
	uint64_t at = 0;
	char block[1024];
	ssize_t n;

	if (namei_create(root, "fill", 4, S_IFREG | 0644, 0, NULL, &who,
			 &inode))
		bail("create");
	do {
		memset(block, 0, sizeof(block));
		snprintf(block, 512, "at %llu", (unsigned long long)at);
		snprintf(block + 512, 512, "and %llu", (unsigned long long)at);
		n = data_write(inode, block, sizeof(block), at, DATA_RESERVE);
		if (n > 0)
			at += n;
	} while (n == sizeof(block));
	ok(!data_fsync(inode, false) && at > 500000, "a file of %llu bytes",
	   (unsigned long long)at);
	inode_put_unlocked(inode);
	return at;
}

static bool filled(uint64_t size)
{
	char want[512], *got = malloc(size + 1);
	uint64_t at;
	FILE *f;
	size_t n;

	sh("rm -f $IMG.got; debugfs -R 'dump fill %s.got' %s 2>/dev/null",
	   vol_img, copy);
	snprintf(want, sizeof(want), "%s.got", vol_img);
	f = fopen(want, "r");
	n = f ? fread(got, 1, size + 1, f) : 0;
	if (f)
		fclose(f);
	for (at = 0; n == size && at < size; at += 512) {
		snprintf(want, sizeof(want), at % 1024 ? "and %llu" : "at %llu",
			 (unsigned long long)(at & ~1023ULL));
		if (strcmp(want, got + at))
			break;
	}
	if (at < size)
		printf("# wrong at %llu of %llu, have %zu bytes\n",
		       (unsigned long long)at, (unsigned long long)size, n);
	free(got);
	return at >= size;
}

/* Everything up to SYNCED the log may have: the tree, and that it is gone. */
static void test_revoke(const char *mkfs, bool sync_tree)
{
	uint64_t size;

	vol_make(mkfs, "2500k");
	open_root();
	make_tree();
	if (sync_tree)
		txn_sync(fs, 0);
	remove_tree();
	txn_sync(fs, 0);
	size = fill();
	take_copy();
	ok(judge_e2fsck(), "a tree's blocks are a file's: %s", mkfs);
	ok(filled(size), "whose contents are right");
	if (geteuid() == 0) {
		take_copy();
		ok(judge_kernel(), "the kernel agrees");
		ok(filled(size), "contents");
	}
	is(close_root(), 0, "close");
	ok(vol_clean(), "clean");
}

/* --- commits and checkpoints while others go on --- */

static void *worker(void *arg)
{
	unsigned me = (uintptr_t)arg, i;
	struct inode *inode;
	intptr_t failed = 0;
	char name[32];

	for (i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "t%u-%u", me, i % 50);
		if (namei_create(root, name, strlen(name), S_IFREG | 0644, 0,
				 NULL, &who, &inode)) {
			failed += namei_unlink(root, name, strlen(name)) != 0;
			continue;
		}
		failed += data_write(inode, name, sizeof(name), i * 100,
				     DATA_RESERVE) != sizeof(name);
		if (i % 4 == me % 4)
			failed += data_fsync(inode, false) != 0;
		if (i % 40 == 39)
			failed += txn_sync(fs, 0) != 0;
		inode_put_unlocked(inode);
	}
	return (void *)failed;
}

static void test_threads(void)
{
	pthread_t thread[4];
	intptr_t failed = 0;
	void *ret;
	unsigned i;

	vol_make("-t ext4 -b 1024 -J size=1", "8M");
	open_root();
	is(fs_start(fs), 0, "the thread");
	for (i = 0; i < 4; i++)
		if (pthread_create(&thread[i], NULL, worker,
				   (void *)(uintptr_t)i))
			bail("pthread_create");
	for (i = 0; i < 4; i++) {
		pthread_join(thread[i], &ret);
		failed += (intptr_t)ret;
	}
	is(failed, 0, "four at once");
	is(txn_sync(fs, 0), 0, "sync");
	is(close_root(), 0, "close");
	ok(vol_clean(), "clean");
}

/* --- what it looks like --- */

static void test_features(const char *mkfs, const char *want)
{
	const char *out;

	vol_make(mkfs, "16M");
	open_root();
	op_create(root, "name");
	txn_sync(fs, 0);
	take_copy();
	out = shout("dumpe2fs -h %s 2>/dev/null | grep 'Journal features'",
		    copy);
	ok(strstr(out, want), "%s: %s", mkfs, out);
	ok(strstr(shout("dumpe2fs -h %s 2>/dev/null", copy), "needs_recovery"),
	   "needs recovery");
	out = shout("debugfs -R 'logdump -a' %s 2>&1", copy);
	ok(strstr(out, "descriptor block") && strstr(out, "commit block"),
	   "debugfs reads the log");
	close_root();
}

/* --- a device that fails --- */

static void test_failures(int op_kind, const char *what)
{
	unsigned i, last = 0;
	int aborted = 0, unsound = 0, noted = 0;

	for (i = 1; i < 200; i += long_run ? 1 :
	     op_kind == DEVICE_WRITE ? 9 : 2) {
		random_state = 4711;
		vol_make("-t ext4 -b 1024 -J size=1", "8M");
		open_root();
		writes = syncs = 0;
		fail_op = op_kind;
		fail_at = i;
		device_set_fault(fs->dev, on_access, NULL);
		run_ops(150);
		txn_sync(fs, 0);
		aborted += fs->aborted;
		last = op_kind == DEVICE_WRITE ? writes : syncs;
		fail_op = -1;
		close_root();
		if (last < i)
			break;
		take_copy();
		noted += log_field(offsetof(struct jbd_super, error)) != 0;
		/* with the error on record there is a full check */
		if (sh("e2fsck -fy -E journal_only %s >$IMG.fsck 2>&1; e2fsck -fn %s >$IMG.fsck 2>&1; test $? -le 4",
		       copy, copy) ||
		    strstr(shout("cat $IMG.fsck"), "WARNING") ||
		    strstr(shout("cat $IMG.fsck"), "? no")) {
			sh("sed 's/^/# /' $IMG.fsck");
			printf("# with the failure of %s %u\n", what, i);
			unsound++;
		}
	}
	ok(aborted > 2, "%d volumes aborted by a %s", aborted, what);
	is(unsound, 0, "each is sound after a replay");
	ok(op_kind == DEVICE_WRITE || noted, "the log has it on record");
}

int main(void)
{
	unsigned n;

	long_run = getenv("LONG") != NULL;
	n = long_run ? 4000 : 700;
	vol_init("log");
	snprintf(copy, sizeof(copy), "%s.c", vol_img);
	test_features("-t ext4", "journal_incompat_revoke journal_64bit journal_checksum_v3");
	test_features("-t ext4 -O ^64bit,^metadata_csum",
		      "journal_incompat_revoke");
	test_revoke("-t ext4 -b 1024 -J size=1 -O ^resize_inode -m 0", true);
	test_revoke("-t ext4 -b 1024 -J size=1 -O ^resize_inode -m 0", false);
	test_revoke("-t ext3 -b 1024 -J size=1 -O ^resize_inode -m 0 -I 128",
		    true);
	test_crashes("-t ext4 -b 1024 -J size=1 -N 512", "8M", n);
	test_crashes("-t ext4 -b 1024 -J size=1 -O ^metadata_csum,^64bit", "8M",
		     n);
	test_crashes("-t ext4 -b 4096 -J size=4 -O orphan_file", "24M", n);
	test_crashes("-t ext3 -b 1024 -J size=1", "8M", n);
	test_crashes("-t ext4 -b 1024 -C 4096 -O bigalloc,^resize_inode -J size=1",
		     "8M", n);
	test_crashes("-t ext4 -b 1024 -J size=1 -O ea_inode,inline_data", "8M",
		     n);
	test_threads();
	test_failures(DEVICE_WRITE, "write");
	test_failures(DEVICE_SYNC, "flush");
	return done();
}
