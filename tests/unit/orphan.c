/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * orphan.c - the orphan list and the orphan file: added and taken off in any
 * order, finished after a crash by us and by e2fsck, and left by the kernel.
 *
 * A crash is a copy of the image taken after a commit.
 */
#include "fs/data.h"
#include "fs/map.h"
#include "fs/namei.h"
#include "fs/orphan.h"
#include "voltest.h"

#define FILES	40

static struct fs *fs;
static struct inode *root, *file[FILES];
static const struct caller who = { .reserve = true };

static void open_root(void)
{
	fs = vol_must_open();
	if (inode_get_unlocked(fs, EXT2_ROOT_INO, &root))
		bail("no root");
}

static void close_root(void)
{
	inode_put_unlocked(root);
	is(inode_table_busy(fs), 0, "no inode is in use");
	is(fs_close(fs), 0, "close");
}

/* Files of some blocks, open and unlinked. */
static void make_orphans(void)
{
	static char data[100000];
	char name[16];
	int i, bad = 0;

	memset(data, 'x', sizeof(data));
	for (i = 0; i < FILES; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		bad += namei_create(root, name, strlen(name), S_IFREG | 0644,
				    0, NULL, &who, &file[i]) != 0;
		bad += data_write(file[i], data, 1000 + i * 2000, 0,
				  DATA_RESERVE) != 1000 + i * 2000;
		fs_lock(fs);
		inode_open(file[i]);
		fs_unlock(fs);
		bad += namei_unlink(root, name, strlen(name)) != 0;
	}
	is(bad, 0, "files, open and unlinked");
}

static int drop(int i)
{
	int err = inode_close(file[i]);

	inode_put_unlocked(file[i]);
	file[i] = NULL;
	return err;
}

/* Names of the images: the one in use and the copy. */
static void swap_to_copy(bool copy)
{
	size_t n = strlen(vol_img);

	if (copy)
		strcat(vol_img, ".c");
	else
		vol_img[n - 2] = 0;
}

static void crash(void)
{
	txn_sync(fs, 0);
	sh("cp --sparse=always $IMG $IMG.c");
}

/* The copy is mounted: everything is as if the files had never been. */
static void check_copy(uint64_t free_blocks, uint32_t free_inodes,
		       const char *what)
{
	struct fs *f;

	swap_to_copy(true);
	is(vol_open(&f), 0, "the copy opens");
	is(le32toh(fs_super(f)->s_last_orphan), 0, "the list is empty");
	is(vol_free_blocks(f), free_blocks, "all blocks are free again");
	is(le32toh(fs_super(f)->s_free_inodes_count), free_inodes,
	   "all inodes are");
	is(fs_close(f), 0, "close");
	sh("debugfs -w -R 'ssv state 1' $IMG >/dev/null 2>&1");
	ok(vol_clean(), "e2fsck: %s", what);
	swap_to_copy(false);
}

/* What e2fsck -y does with the copy. */
static void check_copy_fsck(const char *what)
{
	const char *out;

	swap_to_copy(true);
	out = shout("e2fsck -fy $IMG 2>&1");
	ok(strstr(out, "orphan"), "e2fsck knows the orphans: %s", what);
	ok(!strstr(out, "UNEXPECTED") && !strstr(out, "rong") &&
	   !strstr(out, "orrupt") && !strstr(out, "nvalid"),
	   "and finds nothing else");
	if (strstr(out, "rong") || strstr(out, "orrupt") ||
	    strstr(out, "nvalid"))
		printf("# %s\n", out);
	ok(vol_clean(), "clean after that");
	swap_to_copy(false);
}

static void test_list(const char *mkfs)
{
	uint64_t free_blocks;
	uint32_t free_inodes;
	int i, bad = 0;

	vol_make(mkfs, "64M");
	open_root();
	/* the directory's block stays */
	namei_create(root, "x", 1, S_IFREG | 0644, 0, NULL, &who, &file[0]);
	inode_put_unlocked(file[0]);
	free_blocks = vol_free_blocks(fs);
	free_inodes = le32toh(fs_super(fs)->s_free_inodes_count);
	make_orphans();
	crash();
	check_copy_fsck(mkfs);
	crash();
	check_copy(free_blocks, free_inodes, mkfs);

	/* some from the middle, the head, the tail */
	for (i = 0; i < FILES; i += 3)
		bad += drop(i) != 0;
	bad += drop(FILES - 2) != 0;
	is(bad, 0, "some deleted");
	crash();
	check_copy(free_blocks, free_inodes, "some were deleted");
	for (i = FILES - 1; i >= 0; i--)
		if (file[i])
			bad += drop(i) != 0;
	is(bad, 0, "all deleted");
	is(vol_free_blocks(fs), free_blocks, "blocks are free");
	is(le32toh(fs_super(fs)->s_free_inodes_count), free_inodes,
	   "inodes are free");
	close_root();
	ok(vol_clean(), "e2fsck: %s", mkfs);
	ok(!strstr(shout("dumpe2fs -h $IMG 2>/dev/null"), "orphan_present"),
	   "nothing is left in the file");
}

/* At the unmount files are still open. */
static void test_close(const char *mkfs)
{
	uint64_t free_blocks;
	int i;

	vol_make(mkfs, "64M");
	open_root();
	free_blocks = vol_free_blocks(fs);
	make_orphans();
	for (i = 0; i < FILES; i++)
		inode_put_unlocked(file[i]);
	inode_put_unlocked(root);
	is(fs_close(fs), 0, "close");
	ok(vol_clean(), "e2fsck: orphans at the unmount");
	fs = vol_must_open();
	is(vol_free_blocks(fs), free_blocks, "everything was freed");
	fs_close(fs);
}

static void test_abort(const char *mkfs)
{
	struct txn *t;
	int i;

	vol_make(mkfs, "64M");
	open_root();
	make_orphans();
	for (i = 0; i < 30; i++) {
		fs_lock(fs);
		if (txn_begin(fs, TXN_ORPHAN, &t))
			bail("txn_begin");
		orphan_del(t, file[i]);
		orphan_del(t, file[(i * 7 + 3) % FILES]);
		if (i & 1)
			orphan_add(t, file[i]);
		txn_abort(t);
		fs_unlock(fs);
	}
	for (i = 0; i < FILES; i++)
		drop(i);
	is(le32toh(fs_super(fs)->s_last_orphan), 0, "the list is empty");
	close_root();
	ok(vol_clean(), "e2fsck: after aborts, %s", mkfs);
}

/* A truncate that did not get to its end. */
static void test_truncate(const char *mkfs)
{
	static char data[300000];
	struct inode *inode;
	struct txn *t;
	struct fs *f;
	uint32_t ino;

	vol_make(mkfs, "64M");
	open_root();
	namei_create(root, "f", 1, S_IFREG | 0644, 0, NULL, &who, &inode);
	ino = inode->ino;
	data_write(inode, data, sizeof(data), 0, DATA_RESERVE);
	fs_lock(fs);
	if (txn_begin(fs, TXN_ORPHAN, &t))
		bail("txn_begin");
	orphan_add(t, inode);
	inode_dirty(t, inode);
	inode->i.size = 5000;
	txn_end(t);
	fs_unlock(fs);
	crash();
	/* e2fsck 1.47.0 cuts in the middle of clusters, then complains */
	if (fs->cluster_ratio == 1)
		check_copy_fsck(mkfs);
	crash();
	swap_to_copy(true);
	f = vol_must_open();
	swap_to_copy(false);
	struct inode *g;
	is(inode_get_unlocked(f, ino, &g), 0, "the file is there");
	is(g->i.size, 5000, "with its new size");
	is(g->i.blocks, ((5000 + f->blocksize - 1) / f->blocksize +
	   f->cluster_ratio - 1) / f->cluster_ratio * f->cluster_ratio,
	   "and the blocks for it");
	is(g->i.dtime, 0, "not marked as deleted");
	inode_put_unlocked(g);
	fs_close(f);
	swap_to_copy(true);
	sh("debugfs -w -R 'ssv state 1' $IMG >/dev/null 2>&1");
	ok(vol_clean(), "e2fsck: truncated, %s", mkfs);
	swap_to_copy(false);
	inode_put_unlocked(inode);
	close_root();
}

/* --- rubbish --- */

/* LEFT: where the list is stuck, as that inode cannot be read (now). */
static void test_stuck(const char *what, const char *cmd, uint32_t left)
{
	int i;

	vol_make("-t ext4 -e continue", "64M");
	open_root();
	make_orphans();
	crash();
	swap_to_copy(true);
	/* or the log would put it right again */
	sh("debugfs -w -R jr $IMG >/dev/null 2>&1");
	sh("%s", cmd);
	struct fs *f;
	int err = vol_open(&f);

	ok(!err, "opens: %s", what);
	if (!err) {
		is(le32toh(fs_super(f)->s_last_orphan), left,
		   "the rest of the list");
		fs_close(f);
	}
	swap_to_copy(false);
	for (i = 0; i < FILES; i++)
		drop(i);
	close_root();
}

static void test_rubbish(const char *what, const char *cmd)
{
	test_stuck(what, cmd, 0);
}

/* --- what the kernel leaves --- */

static void test_kernel(const char *mkfs)
{
	struct fs *f;
	int err;

	vol_make(mkfs, "64M");
	if (sh("mkdir -p $IMG.mnt && mount -o loop $IMG $IMG.mnt 2>/dev/null"))
		return;
	sh("cd $IMG.mnt; for i in 1 2 3 4 5; do dd if=/dev/zero of=f$i bs=1k count=$((i * 300)) 2>/dev/null; done;"
	   "exec 3<f1 4<f2 5<f3 6<f4 7<f5; rm f?; sync -f .; cp --sparse=always $IMG $IMG.c");
	sh("umount $IMG.mnt");
	swap_to_copy(true);
	/* e2fsck -E journal_only would finish them itself */
	sh("debugfs -w -R jr $IMG >/dev/null 2>&1");
	ok(strstr(shout("dumpe2fs -h $IMG 2>/dev/null"), "orphan_present") ||
	   strstr(shout("dumpe2fs -h $IMG 2>/dev/null"), "First orphan inode"),
	   "the kernel left orphans: %s", mkfs);
	err = vol_open(&f);
	is(err, 0, "opens");
	if (!err) {
		is(le32toh(fs_super(f)->s_free_inodes_count),
		   f->e2->super->s_inodes_count - 11 -
		   !!ext2fs_has_feature_orphan_file(f->e2->super),
		   "all inodes are free again");
		is(f->error_log.any, 0, "no error was found");
		fs_close(f);
	}
	sh("debugfs -w -R 'ssv state 1' $IMG >/dev/null 2>&1");
	ok(vol_clean(), "e2fsck: after the kernel, %s", mkfs);
	swap_to_copy(false);
}

/* The library's checksum is ours. */
static void test_checksum(void)
{
	vol_make("-t ext4 -O orphan_file", "64M");
	open_root();
	make_orphans();
	crash();
	swap_to_copy(true);
	ok(!strstr(shout("e2fsck -fn $IMG 2>&1"), "hecksum"),
	   "the orphan file's checksum");
	swap_to_copy(false);
	for (int i = 0; i < FILES; i++)
		drop(i);
	close_root();
}

int main(void)
{
	static const char *const mkfs[] = {
		"-t ext4", "-t ext4 -O orphan_file",
		"-t ext4 -O orphan_file -b 1024 -E orphan_file_size=8192",
		"-t ext4 -O orphan_file,^metadata_csum", "-t ext2 -b 1024",
		"-t ext4 -I 128 -O ^metadata_csum",
		"-t ext4 -O bigalloc,^resize_inode", "-t ext4 -O ea_inode,inline_data",
	};
	size_t i;

	vol_init("orphan");
	for (i = 0; i < sizeof(mkfs) / sizeof(mkfs[0]); i++) {
		test_list(mkfs[i]);
		test_abort(mkfs[i]);
		test_truncate(mkfs[i]);
	}
	test_close("-t ext4");
	test_close("-t ext4 -O orphan_file");
	test_checksum();
	test_rubbish("head out of range", "debugfs -w -R 'ssv last_orphan 999999' $IMG 2>/dev/null");
	test_rubbish("head is the root", "debugfs -w -R 'ssv last_orphan 2' $IMG 2>/dev/null");
	test_rubbish("head is free", "debugfs -w -R 'ssv last_orphan 2000' $IMG 2>/dev/null");
	test_rubbish("next out of range", "debugfs -w -R 'sif <30> dtime 99999' $IMG 2>/dev/null");
	test_rubbish("cycle", "debugfs -w -R 'sif <30> dtime 40' $IMG 2>/dev/null");
	test_rubbish("itself", "debugfs -w -R 'sif <30> dtime 30' $IMG 2>/dev/null");
	test_rubbish("with links", "debugfs -w -R 'sif <30> links_count 1' $IMG 2>/dev/null");
	test_stuck("bad checksum", "debugfs -w -R 'sif <30> checksum 1' $IMG 2>/dev/null", 30);
	test_rubbish("bad map", "debugfs -w -R 'sif <50> block[0] 12345' $IMG 2>/dev/null");
	if (geteuid() == 0) {
		test_kernel("-t ext4");
		test_kernel("-t ext4 -O orphan_file");
		test_kernel("-t ext4 -O orphan_file -b 1024");
		test_kernel("-t ext4 -O orphan_file,^metadata_csum");
	}
	return done();
}
