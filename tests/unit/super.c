/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * super.c - opening and closing: what is refused or only read, what the
 * mount protocol writes, what an error leaves in the superblock.
 */
#include "voltest.h"
#include "fs/mmp.h"

/* --- the mount protocol --- */

static void test_protocol(const char *mkfs)
{
	struct fs *fs;
	int count;

	vol_make(mkfs, "64M");
	count = atoi(shout("dumpe2fs -h $IMG 2>/dev/null | sed -n 's/^Mount count: *//p'"));
	fs = vol_must_open();
	is(atoi(shout("dumpe2fs -h $IMG 2>/dev/null | sed -n 's/^Mount count: *//p'")),
	   count + 1, "the mount count is on disk at once");
	/* with a journal nothing but the replay is missing */
	ok(strstr(shout("dumpe2fs -h $IMG 2>/dev/null | grep -E 'state|features'"),
		  ext2fs_has_feature_journal(fs->e2->super) ?
		  "needs_recovery" : "not clean"),
	   "mounted is not clean: %s", mkfs);
	is(fs_close(fs), 0, "close");
	ok(!strstr(shout("dumpe2fs -h $IMG 2>/dev/null | grep state"), "not clean"),
	   "clean again");
	ok(!strstr(shout("dumpe2fs -h $IMG 2>/dev/null | grep features"),
		   "needs_recovery"), "nothing is to be replayed");
	ok(vol_clean(), "e2fsck: %s", mkfs);
}

static void test_readonly(void)
{
	struct fs_options opt = { .source = vol_img, .ro = true };
	struct fs *fs;
	char sum[100];

	vol_make("-t ext4", "64M");
	snprintf(sum, sizeof(sum), "%s", shout("md5sum <$IMG"));
	is(fs_open(&opt, &fs), 0, "open read-only");
	ok(!fs_writable(fs), "is not writable");
	is(fs_close(fs), 0, "close");
	ok(!strcmp(sum, shout("md5sum <$IMG")), "not a byte was written");

	sh("debugfs -w -R 'ssv state 0' $IMG 2>/dev/null");
	fs = vol_must_open();
	fs_close(fs);
	ok(strstr(shout("dumpe2fs -h $IMG 2>/dev/null | grep state"), "not clean"),
	   "not clean before: not clean afterwards");
}

/* --- the policy --- */

enum outcome { WRITES, READS, REFUSED };

static const struct policy_row {
	const char *what, *mkfs, *then;
	enum outcome rw, ro, norecovery;
} policy[] = {
	{ "plain", "-t ext4", "", WRITES, READS, WRITES },
	{ "ext2", "-t ext2", "", WRITES, READS, WRITES },
	{ "revision 0", "-t ext2 -r 0", "", WRITES, READS, WRITES },
	{ "quota", "-t ext4 -O quota", "", READS, READS, READS },
	{ "project", "-t ext4 -O project", "", WRITES, READS, WRITES },
	{ "verity", "-t ext4 -O verity", "", READS, READS, READS },
	{ "encrypt", "-t ext4 -O encrypt", "", READS, READS, READS },
	{ "casefold", "-t ext4 -O casefold", "", WRITES, READS, WRITES },
	{ "mmp", "-t ext4 -O mmp", "", WRITES, READS, WRITES },
	{ "bigalloc", "-t ext4 -O bigalloc", "", WRITES, READS, WRITES },
	{ "readonly", "-t ext4", "feature read-only", READS, READS, READS },
	{ "shared blocks", "-t ext4", "feature shared_blocks",
	  READS, READS, READS },
	{ "unknown ro_compat", "-t ext4", "feature FEATURE_R25",
	  READS, READS, READS },
	{ "unknown compat", "-t ext4", "feature FEATURE_C25",
	  WRITES, READS, WRITES },
	{ "unknown incompat", "-t ext4", "feature FEATURE_I25",
	  REFUSED, REFUSED, REFUSED },
	{ "compression", "-t ext4", "feature compression",
	  REFUSED, REFUSED, REFUSED },
	{ "dirty journal", "-t ext4", "feature needs_recovery",
	  WRITES, READS, READS },
	{ "needs_recovery, no journal", "-t ext2", "feature needs_recovery",
	  REFUSED, REFUSED, READS },
	{ "error state", "-t ext4", "ssv state 3", REFUSED, READS, REFUSED },
	{ "bad magic", "-t ext4", "!dd if=/dev/zero of=$IMG bs=1024 seek=1 count=1 conv=notrunc",
	  REFUSED, REFUSED, REFUSED },
	{ "bad root", "-t ext4", "sif <2> mode 0100755",
	  REFUSED, REFUSED, REFUSED },
};

static enum outcome outcome(bool ro, bool norecovery)
{
	struct fs_options opt = {
		.source = vol_img, .ro = ro, .norecovery = norecovery,
	};
	enum outcome ret;
	struct fs *fs;

	if (fs_open(&opt, &fs))
		return REFUSED;
	ret = fs_writable(fs) ? WRITES : READS;
	fs_close(fs);
	return ret;
}

static void test_policy(void)
{
	size_t i;

	for (i = 0; i < sizeof(policy) / sizeof(policy[0]); i++) {
		const struct policy_row *p = &policy[i];

		vol_make(p->mkfs, "64M");
		if (p->then[0] == '!')
			sh("%s 2>/dev/null", p->then + 1);
		else if (p->then[0])
			sh("debugfs -w -R '%s' $IMG >/dev/null 2>&1", p->then);
		printf("# %s\n", p->what);
		is(outcome(true, false), p->ro, p->what);
		is(outcome(false, true), p->norecovery, p->what);
		is(outcome(false, false), p->rw, p->what);
	}
}

static void test_write_protected(void)
{
	struct fs *fs;

	if (geteuid() == 0)
		return;			/* root writes anyway */
	vol_make("-t ext4", "16M");
	chmod(vol_img, 0444);
	is(vol_open(&fs), 0, "a write-protected image opens");
	ok(!fs_writable(fs), "read-only");
	fs_close(fs);
}

static void test_truncated(void)
{
	struct fs_options opt = { .source = vol_img, .ro = true };
	struct fs *fs;

	vol_make("-t ext4", "64M");
	sh("truncate -s 48M $IMG");
	is(vol_open(&fs), -EFSCORRUPTED, "a truncated image is not written");
	is(fs_open(&opt, &fs), 0, "but read");
	fs_close(fs);
}

/* --- errors --- */

static void report(struct fs *fs)
{
	fs_lock(fs);
	is(fs_corrupt(fs, 12, 345, "made up"), -EFSCORRUPTED, "fs_corrupt()");
	is(fs_fail(fs, -EIO, 13, 0, "made up"), -EIO, "fs_fail()");
	fs_unlock(fs);
}

static void check_recorded(void)
{
	ok(strstr(shout("dumpe2fs -h $IMG 2>/dev/null"), "clean with errors"),
	   "the error state is set");
	is(atoi(shout("dumpe2fs -h $IMG 2>/dev/null | sed -n 's/^FS Error count: *//p'")),
	   2, "two errors are counted");
	is(atoi(shout("dumpe2fs -h $IMG 2>/dev/null | sed -n 's/^First error inode #: *//p'")),
	   12, "the first is there");
	ok(strstr(shout("dumpe2fs -h $IMG 2>/dev/null | grep 'First error err'"),
		  "EFSCORRUPTED"), "with its code");
	ok(strstr(shout("dumpe2fs -h $IMG 2>/dev/null | grep 'Last error func'"),
		  "report"), "the last one with its function");
	ok(strstr(shout("dumpe2fs -h $IMG 2>/dev/null | grep 'Last error err'"),
		  "EIO"), "and its code");
}

static void test_errors(enum fs_errors policy_wanted)
{
	struct fs_options opt = { .source = vol_img, .errors = policy_wanted };
	struct txn *t;
	struct fs *fs;

	vol_make("-t ext4", "64M");
	is(fs_open(&opt, &fs), 0, "open");
	report(fs);
	is(fs_writable(fs), policy_wanted == FS_ERRORS_CONTINUE,
	   "errors= is followed");
	fs_lock(fs);
	if (policy_wanted == FS_ERRORS_CONTINUE) {
		is(txn_begin(fs, TXN_SUPER, &t), 0, "a handle begins");
		txn_end(t);
	} else {
		is(txn_begin(fs, TXN_SUPER, &t), -EROFS, "no handle begins");
	}
	fs_unlock(fs);
	is(fs_close(fs), 0, "close");
	check_recorded();
	is(vol_open(&fs), -EUCLEAN, "not written before e2fsck was run");
}

static void test_clock(void)
{
	struct timespec a, b = { 0, 0 };
	struct fs *fs;
	int i, bad = 0;

	fs = vol_must_open();
	for (i = 0; i < 100000; i++) {
		a = fs_now(fs);
		if (a.tv_sec < b.tv_sec ||
		    (a.tv_sec == b.tv_sec && a.tv_nsec < b.tv_nsec))
			bad++;
		b = a;
	}
	is(bad, 0, "the clock never goes back");
	fs_close(fs);
}

/* mke2fs's own figure, which counts whole clusters. */
static void test_overhead_clusters(void)
{
	struct fs_options opt = { .source = vol_img, .ro = true };
	struct fs *fs;
	int want;

	vol_make("-t ext4 -O bigalloc", "300M");
	want = atoi(shout("dumpe2fs -h $IMG 2>/dev/null | sed -n 's/^Overhead clusters: *//p'"));
	sh("debugfs -w -R 'ssv overhead_clusters 0' $IMG >/dev/null 2>&1");
	is(fs_open(&opt, &fs), 0, "open");
	is(fs->overhead >> fs->clusterbits, want, "overhead in clusters");
	fs_close(fs);
}

/* The kernel's figure for the same image, if there is a kernel to ask. */
static void test_overhead(const char *mkfs)
{
	struct fs_options opt = { .source = vol_img, .ro = true };
	struct fs *fs;
	long long kernel;

	vol_make(mkfs, "300M");
	sh("debugfs -w -R 'ssv overhead_clusters 0' $IMG >/dev/null 2>&1");
	kernel = atoll(shout("mkdir -p $IMG.mnt && mount -o loop,ro,noload $IMG $IMG.mnt 2>/dev/null && stat -f -c %%b $IMG.mnt && umount $IMG.mnt"));
	if (!kernel)
		return;
	is(fs_open(&opt, &fs), 0, "open");
	is(fs->blocks_count - fs->overhead, kernel, mkfs);
	fs_close(fs);
}

int main(void)
{
	vol_init("super");
	mmp_second_ms = 1;
	test_protocol("-t ext4");
	test_protocol("-t ext2 -b 1024");
	test_protocol("-t ext2 -r 0");
	test_protocol("-t ext4 -b 65536 -O ^has_journal");
	test_protocol("-t ext4 -O ^metadata_csum,uninit_bg");
	test_protocol("-t ext4 -O bigalloc -b 1024");
	test_readonly();
	test_policy();
	test_write_protected();
	test_truncated();
	test_errors(FS_ERRORS_CONTINUE);
	test_errors(FS_ERRORS_RO);
	vol_make("-t ext4", "16M");
	test_clock();
	test_overhead_clusters();
	if (geteuid() == 0) {
		test_overhead("-t ext4");
		test_overhead("-t ext4 -b 1024");
		test_overhead("-t ext2 -b 1024");
		test_overhead("-t ext4 -O ^resize_inode,meta_bg");
		test_overhead("-t ext4 -O sparse_super2");
		test_overhead("-t ext4 -O ^flex_bg -b 1024");
	}
	return done();
}
