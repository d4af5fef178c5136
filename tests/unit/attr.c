/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * attr - attributes of inodes and of the volume: what is set is there again,
 * for us and for the kernel; flags follow the kernel's rules.
 */
#include <sys/statvfs.h>
#include "nametest.h"

static void set(const char *path, const struct attr_change *c, int want,
		const char *what)
{
	struct inode *inode = at(path);

	is(attr_set(inode, c), want, what);
	drop(inode);
}

static void test_basic(bool large)
{
	struct attr_change c = {
		.valid = ATTR_MODE | ATTR_UID | ATTR_GID | ATTR_ATIME |
			 ATTR_MTIME,
		.mode = 06751, .uid = 0x12345678, .gid = 0x87654321,
		.atime = { 1000000000, 123456789 },
		.mtime = { -1000, 5 },
	};
	struct stat st;

	make_file("/f");
	set("/f", &c, 0, "all at once");
	st = stat_of("/f");
	is(st.st_mode, S_IFREG | 06751, "mode");
	is(st.st_uid, 0x12345678, "uid");
	is(st.st_gid, 0x87654321, "gid");
	is(st.st_atim.tv_sec, 1000000000, "atime");
	is(st.st_atim.tv_nsec, large ? 123456789 : 0, "and its nanoseconds");
	is(st.st_mtim.tv_sec, -1000, "mtime before 1970");
	ok(st.st_ctim.tv_sec > 1000000000, "ctime is now");

	make_file("/t");
	c = (struct attr_change){
		.valid = ATTR_ATIME | ATTR_MTIME | ATTR_CTIME,
		.atime = { 1LL << 40, 7 }, .mtime = { -(1LL << 40), 7 },
		.ctime = { 3000000000, 9 },
	};
	set("/t", &c, 0, "times out of range");
	st = stat_of("/t");
	is(st.st_atim.tv_sec, large ? (1LL << 34) - (1LL << 31) - 1 : INT32_MAX,
	   "the latest");
	is(st.st_mtim.tv_sec, INT32_MIN, "the earliest");
	is(st.st_ctim.tv_sec, large ? 3000000000 : INT32_MAX, "ctime as given");

	c = (struct attr_change){ .valid = ATTR_SIZE, .size = 123456 };
	set("/t", &c, 0, "size");
	is(stat_of("/t").st_size, 123456, "is set");
	is(stat_of("/t").st_blocks, 0, "without blocks");
}

static void test_kill(void)
{
	struct attr_change c = { .valid = ATTR_MODE, .mode = 06755 };
	struct inode *inode;

	make_file("/k");
	set("/k", &c, 0, "setuid and setgid");
	inode = at("/k");
	is(xattr_set(inode, "security.capability", "x", 1, 0), 0, "capability");
	c = (struct attr_change){
		.valid = ATTR_UID | ATTR_KILL_SUID, .uid = 5
	};
	set("/k", &c, 0, "chown that strips");
	is(stat_of("/k").st_mode, S_IFREG | 0755, "both are gone");
	is(xattr_get(inode, "security.capability", NULL, 0), -ENODATA,
	   "and the capability");
	c = (struct attr_change){ .valid = ATTR_MODE, .mode = 02644 };
	set("/k", &c, 0, "setgid without group execution");
	c.valid = ATTR_KILL_SUID;
	set("/k", &c, 0, "strip");
	is(stat_of("/k").st_mode, S_IFREG | 02644, "stays");
	drop(inode);
}

static void test_flags(void)
{
	struct attr_change c = { .valid = ATTR_MODE, .mode = 0600 };
	struct attr_change now = {
		.valid = ATTR_ATIME_NOW | ATTR_MTIME_NOW
	};
	struct attr_change flush = { .valid = ATTR_MTIME | ATTR_CTIME };
	struct attr_change touch_fuse = {
		.valid = ATTR_ATIME | ATTR_ATIME_NOW | ATTR_MTIME | ATTR_MTIME_NOW
	};
	struct attr_change touch_wb = {
		.valid = ATTR_ATIME | ATTR_ATIME_NOW | ATTR_MTIME | ATTR_CTIME
	};
	struct attr_change times = {
		.valid = ATTR_ATIME | ATTR_MTIME | ATTR_CTIME
	};
	struct attr_change mtime = { .valid = ATTR_MTIME };
	struct inode *f, *d;
	uint32_t flags, shown;

	make_file("/fl");
	make_dir("/dl");
	f = at("/fl");
	d = at("/dl");
	attr_get_flags(f, &shown);
	is(attr_set_flags(f, shown | EXT2_IMMUTABLE_FL, false), -EPERM,
	   "immutable is for the privileged");
	is(attr_set_flags(f, shown | EXT2_NODUMP_FL | EXT2_NOATIME_FL, false),
	   0, "others are not");
	attr_get_flags(f, &flags);
	is(flags, shown | EXT2_NODUMP_FL | EXT2_NOATIME_FL, "and are set");
	is(attr_set_flags(f, shown ^ EXT4_EXTENTS_FL, true), -EOPNOTSUPP,
	   "the map does not change");
	is(attr_set_flags(f, shown | EXT2_DIRSYNC_FL, true), -EOPNOTSUPP,
	   "dirsync is for directories");
	is(attr_set_flags(d, shown | EXT2_DIRSYNC_FL | EXT2_TOPDIR_FL, false),
	   0, "such as this");
	is(attr_set_flags(d, 0x80000000, true), -EOPNOTSUPP, "unknown flag");
	is(attr_set_flags(d, EXT4_CASEFOLD_FL, true), -EOPNOTSUPP,
	   "casefold without the feature");
	is(attr_set_flags(f, shown | EXT2_IMMUTABLE_FL, true), 0, "immutable");
	set("/fl", &c, -EPERM, "then no chmod");
	set("/fl", &now, -EPERM, "nor touch");
	set("/fl", &flush, 0, "but what the kernel had cached");
	is(attr_set_flags(f, shown | EXT2_IMMUTABLE_FL | EXT2_NODUMP_FL, true),
	   -EPERM, "nor other flags");
	is(attr_set_flags(f, shown | EXT2_APPEND_FL, true), 0, "append-only");
	set("/fl", &c, -EPERM, "no chmod");
	set("/fl", &now, 0, "but touch");
	set("/fl", &touch_fuse, 0, "touch, as the kernel's FUSE has it");
	set("/fl", &touch_wb, 0, "the same with the writeback cache");
	set("/fl", &times, -EPERM, "no other times");
	set("/fl", &mtime, -EPERM, "no other mtime");
	is(attr_set_flags(f, shown, true), 0, "and back");
	drop(f);
	drop(d);
}

static void test_fsx(void)
{
	struct fsxattr x;
	struct inode *f;
	bool project = ext2fs_has_feature_project(vol->e2->super);

	make_file("/x");
	f = at("/x");
	is(attr_get_fsx(f, &x), 0, "fsxattr");
	is(x.fsx_xflags, 0, "no flags");
	x.fsx_xflags = FS_XFLAG_NODUMP | FS_XFLAG_SYNC;
	is(attr_set_fsx(f, &x, false), 0, "set two");
	attr_get_fsx(f, &x);
	is(x.fsx_xflags, FS_XFLAG_NODUMP | FS_XFLAG_SYNC, "are there");
	x.fsx_xflags = FS_XFLAG_REALTIME;
	is(attr_set_fsx(f, &x, true), -EOPNOTSUPP, "one of xfs");
	x.fsx_xflags = 0;
	x.fsx_projid = 1000;
	is(attr_set_fsx(f, &x, true), project ? 0 : -EOPNOTSUPP, "project");
	attr_get_fsx(f, &x);
	is(x.fsx_projid, project ? 1000 : 0, "is kept");
	drop(f);
}

static void test_project_rule(void)
{
	struct fsxattr x = { .fsx_xflags = FS_XFLAG_PROJINHERIT,
			     .fsx_projid = 7 };
	struct inode *d;

	if (!ext2fs_has_feature_project(vol->e2->super))
		return;
	make_dir("/p");
	d = at("/p");
	is(attr_set_fsx(d, &x, true), 0, "a project's directory");
	drop(d);
	make_file("/p/in");
	make_file("/out");
	d = at("/p/in");
	attr_get_fsx(d, &x);
	is(x.fsx_projid, 7, "its files are the project's");
	drop(d);
	is(move("/out", "/p/out", 0), -EXDEV, "others do not come in");
	is(link_to("/out", "/p/out"), -EXDEV, "not by a link either");
	is(move("/p/in", "/in", 0), 0, "they may go");
}

static void test_volume(void)
{
	char label[FSLABEL_MAX], cmd[600];
	struct inode *f = at("/f");
	uint32_t gen;
	uint64_t done_bytes;

	is(attr_set_label(vol, "sixteen bytes ok"), 0, "label");
	attr_get_label(vol, label);
	ok(!strcmp(label, "sixteen bytes ok"), "is read back");
	is(attr_set_label(vol, "seventeen bytes !"), -EINVAL, "too long");
	attr_get_version(f, &gen);
	is(attr_set_version(f, gen + 1), vol->csum ? -ENOTTY : 0, "version");
	is(attr_trim(vol, UINT64_MAX / 2, 1 << 20, 0, &done_bytes), -EINVAL,
	   "trim beyond the end");
	is(attr_trim(vol, 0, 1, 0, &done_bytes), -EINVAL, "less than a block");
	is(attr_trim(vol, 0, UINT64_MAX, 1ULL << 50, &done_bytes), -EINVAL,
	   "runs larger than a group");
	drop(f);
	is(vol_close(), 0, "closes");
	ok(vol_clean(), "e2fsck finds nothing");
	snprintf(cmd, sizeof(cmd), "test \"$(e2label '%s')\" = "
		 "'sixteen bytes ok'", image);
	is(run("%s", cmd), 0, "e2label agrees");
	vol_open();
}

/* The kernel's stat and statfs of the same volume. */
static void test_kernel(void)
{
	static const char *const names[] = {
		"/f", "/t", "/k", "/fl", "/dl", "/", "/lost+found"
	};
	struct stat ours[7], st;
	struct statvfs ov, kv;
	unsigned k;

	for (k = 0; k < 7; k++)
		ours[k] = stat_of(names[k]);
	attr_statfs(vol, &ov);
	vol_close();
	if (!kernel_mount("ro")) {
		printf("# no loop mount\n");
		vol_open();
		return;
	}
	for (k = 0; k < 7; k++) {
		lstat(kernel_path(names[k]), &st);
		ok(st.st_mode == ours[k].st_mode &&
		   st.st_nlink == ours[k].st_nlink &&
		   st.st_uid == ours[k].st_uid && st.st_gid == ours[k].st_gid &&
		   st.st_size == ours[k].st_size &&
		   st.st_blocks == ours[k].st_blocks &&
		   st.st_ino == ours[k].st_ino &&
		   !memcmp(&st.st_mtim, &ours[k].st_mtim, 16) &&
		   !memcmp(&st.st_atim, &ours[k].st_atim, 16) &&
		   !memcmp(&st.st_ctim, &ours[k].st_ctim, 16),
		   "the kernel's stat of %s", names[k]);
	}
	statvfs(kernel_path("/"), &kv);
	is(ov.f_blocks, kv.f_blocks, "f_blocks");
	is(ov.f_bfree, kv.f_bfree, "f_bfree");
	is(ov.f_bavail, kv.f_bavail, "f_bavail");
	is(ov.f_files, kv.f_files, "f_files");
	is(ov.f_ffree, kv.f_ffree, "f_ffree");
	kernel_umount();
	vol_open();
}

int main(void)
{
	static const struct {
		const char *mke2fs;
		bool large;
	} kinds[] = {
		{ "-t ext4", true },
		{ "-t ext4 -O project,^metadata_csum -b 1024", true },
		{ "-t ext2 -I 128", false },
		{ "-t ext4 -O bigalloc -C 16384", true },
	};
	unsigned k;

	work_begin();
	for (k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		printf("# mke2fs %s\n", kinds[k].mke2fs);
		vol_make(kinds[k].mke2fs, "32M");
		vol_open();
		test_basic(kinds[k].large);
		test_kill();
		test_flags();
		test_fsx();
		test_project_rule();
		test_volume();
		test_kernel();
		vol_close();
	}
	work_end();
	return done();
}
