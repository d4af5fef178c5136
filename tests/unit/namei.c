/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * namei - operations on names: results, link counts, times, inheritance;
 * random ones beside the same on the host's file system; failures that leave
 * nothing.
 */
#include <dirent.h>
#include <sys/sysmacros.h>
#include "nametest.h"
#include "fs/data.h"
#include "fs/dir.h"

static const char *const kinds[] = {
	"-t ext4",
	"-t ext4 -b 1024 -O ^metadata_csum,^has_journal",
	"-t ext4 -O inline_data,^has_journal -I 512",
	"-t ext4 -O bigalloc -C 16384",
	"-t ext2 -b 1024 -I 128",
	"-t ext3 -b 4096",
	"-t ext2 -b 1024 -I 128 -O none",
};

static void open_again(void)
{
	is(inode_table_busy(vol), 0, "no inode is still held");
	is(vol_close(), 0, "closes");
	ok(vol_clean(), "e2fsck finds nothing");
	vol_open();
}

static void test_create(void)
{
	struct stat st;
	char name[300], target[200];

	is(make_file("/f"), 0, "create a file");
	is(make_file("/f"), -EEXIST, "not twice");
	is(make_dir("/d"), 0, "create a directory");
	is(stat_of("/d").st_nlink, 2, "which has 2 links");
	is(stat_of("/").st_nlink, 4, "and the root 4 now");
	is(make("/fifo", S_IFIFO | 0600, 0, NULL), 0, "a fifo");
	is(make("/old", S_IFCHR | 0600, makedev(5, 7), NULL), 0, "a device");
	is(make("/new", S_IFBLK | 0600, makedev(300, 70000), NULL), 0,
	   "a device with large numbers");
	ok(stat_of("/old").st_rdev == makedev(5, 7), "5:7");
	ok(stat_of("/new").st_rdev == makedev(300, 70000), "300:70000");
	is(make("/short", 0, 0, "target"), 0, "a short symlink");
	memset(target, 'x', sizeof(target) - 1);
	target[sizeof(target) - 1] = 0;
	is(make("/d/long", 0, 0, target), 0, "a long one");
	is(make("/none", 0, 0, ""), -ENOENT, "an empty one");
	ok(S_ISLNK(stat_of("/short").st_mode), "is a symlink");
	st = stat_of("/f");
	is(st.st_mode, S_IFREG | 0644, "mode");
	is(st.st_nlink, 1, "links");
	memset(name, 'n', sizeof(name));
	name[0] = '/';
	name[257] = 0;
	is(make_file(name), -ENAMETOOLONG, "256 bytes of name are too many");
	name[256] = 0;
	is(make_file(name), 0, "255 are not");
	is(make_file("/f/x"), -ENOTDIR, "below a file");
	is(make_file("/d/"), -EINVAL, "an empty name");
	is(make_file("/d/."), -EEXIST, "a dot");
	open_again();
	ok(stat_of("/new").st_rdev == makedev(300, 70000), "still 300:70000");
	is(unlink_at(name), 0, "unlink");
	is(unlink_at(name), -ENOENT, "not twice");
	is(unlink_at("/d"), -EISDIR, "unlink of a directory");
	is(rmdir_at("/f"), -ENOTDIR, "rmdir of a file");
	is(rmdir_at("/d"), -ENOTEMPTY, "rmdir of a full directory");
	is(rmdir_at("/d/."), -EINVAL, "rmdir of a dot");
	is(unlink_at("/d/long"), 0, "empty it");
	is(rmdir_at("/d"), 0, "and remove it");
	is(stat_of("/").st_nlink, 3, "the root has lost a link");
	open_again();
}

static void set_dir(const char *path, mode_t mode, gid_t gid, uint32_t flags)
{
	struct attr_change c = {
		.valid = ATTR_MODE | ATTR_GID, .mode = mode, .gid = gid,
	};
	struct inode *inode = at(path);

	attr_set(inode, &c);
	set_flags(inode, flags);
	drop(inode);
}

static uint32_t flags_of(const char *path)
{
	struct inode *inode = at(path);
	uint32_t flags = 0;

	attr_get_flags(inode, &flags);
	drop(inode);
	return flags & ~FIXED_FLAGS;
}

static void test_inherit(void)
{
	uint32_t flags = EXT2_NODUMP_FL | EXT2_NOATIME_FL | EXT2_DIRSYNC_FL |
			 EXT2_NOTAIL_FL;

	make_dir("/g");
	set_dir("/g", 02775, 100000, flags);
	who.uid = 70001;
	who.gid = 70002;
	is(make("/g/f", S_IFREG | 0666, 0, NULL), 0, "below a setgid directory");
	is(make("/g/d", S_IFDIR | 0777, 0, NULL), 0, "a directory as well");
	is(make("/g/l", 0, 0, "t"), 0, "and a symlink");
	is(stat_of("/g/f").st_uid, 70001, "the caller's uid");
	is(stat_of("/g/f").st_gid, 100000, "the directory's gid, all of it");
	is(stat_of("/g/f").st_mode, S_IFREG | 0644, "mode less the umask");
	is(stat_of("/g/d").st_mode, S_IFDIR | 02755, "setgid is passed on");
	is(flags_of("/g/d"), flags, "flags of a directory");
	is(flags_of("/g/f"), flags & ~EXT2_DIRSYNC_FL, "of a file");
	is(flags_of("/g/l"), EXT2_NODUMP_FL | EXT2_NOATIME_FL, "of a symlink");
	who.uid = who.gid = 0;
	make_file("/own");
	is(stat_of("/own").st_gid, 0, "elsewhere the caller's gid");
}

static void set_links(const char *path, unsigned links)
{
	struct inode *inode = at(path);
	struct txn *t;

	fs_lock(vol);
	if (txn_begin(vol, TXN_ATTR, &t) || inode_dirty(t, inode))
		bail("set_links");
	inode->i.links = links;
	txn_end(t);
	fs_unlock(vol);
	drop(inode);
}

static void test_links(void)
{
	make_file("/one");
	is(link_to("/one", "/two"), 0, "link");
	is(stat_of("/two").st_nlink, 2, "two links");
	ok(stat_of("/one").st_ino == stat_of("/two").st_ino, "same inode");
	is(link_to("/one", "/two"), -EEXIST, "not twice");
	is(link_to("/g", "/two2"), -EPERM, "no link to a directory");
	set_links("/one", 65000);
	is(link_to("/one", "/three"), -EMLINK, "65000 links are the most");
	set_links("/one", 2);
	set_links("/g", 65000);
	if (ext2fs_has_feature_dir_nlink(vol->e2->super)) {
		is(make_dir("/g/more"), 0, "more than 65000 directories");
		is(stat_of("/g").st_nlink, 1, "are not counted");
		is(rmdir_at("/g/more"), 0, "nor when they go");
		is(stat_of("/g").st_nlink, 1, "still 1");
	} else {
		is(make_dir("/g/more"), -EMLINK, "no more than 65000 directories");
	}
	set_links("/g", 3);
	is(unlink_at("/one"), 0, "unlink");
	is(stat_of("/two").st_nlink, 1, "one link");
	open_again();
}

static void test_open_unlinked(void)
{
	struct inode *inode = file_open("held", true);
	uint8_t data[5000] = { 1 };

	is(data_write(inode, data, sizeof(data), 0, 0), sizeof(data), "write");
	is(unlink_at("/held"), 0, "unlink an open file");
	ok(!at("/held"), "its name is gone");
	is(data_read(inode, data, sizeof(data), 0), sizeof(data), "its data not");
	is(make_file("/held"), 0, "the name is free");
	fs_lock(vol);
	is(inode->i.links, 0, "no links");
	fs_unlock(vol);
	is(link_to("/held", "/other"), 0, "link of the new one");
	file_close(inode);
	open_again();
}

/* Requests that found an inode may come after its last name went. */
static void test_late(void)
{
	struct inode *link, *file;
	char buf[200];

	is(make("/late-link", S_IFLNK | 0777, 0, "target"), 0, "a symlink");
	is(make_file("/late-file"), 0, "a file");
	link = at("/late-link");
	file = at("/late-file");
	is(unlink_at("/late-link"), 0, "unlinked");
	is(unlink_at("/late-file"), 0, "unlinked");
	is(data_readlink(link, buf, sizeof(buf)), -ESTALE, "readlink is late");
	is(data_truncate(file, 5, 0), -ESTALE, "truncate is late");
	is(data_write(file, buf, 5, 0, 0), -ESTALE, "write is late");
	if (xattr_supported(vol)) {
		is(xattr_get(file, "user.x", buf, 5), -ESTALE, "getxattr is late");
		is(xattr_list(file, buf, 5), -ESTALE, "listxattr is late");
	}
	is(vol->error_log.pending, 0, "none is damage");
	drop(link);
	drop(file);
	open_again();
}

static void test_flags(void)
{
	struct inode *f, *d;

	make_dir("/i");
	make_file("/i/f");
	f = at("/i/f");
	d = at("/i");
	set_flags(f, EXT2_IMMUTABLE_FL);
	is(unlink_at("/i/f"), -EPERM, "immutable: no unlink");
	is(link_to("/i/f", "/i/g"), -EPERM, "no link");
	is(move("/i/f", "/i/g", 0), -EPERM, "no rename");
	set_flags(f, 0);
	set_flags(d, EXT2_APPEND_FL);
	is(unlink_at("/i/f"), -EPERM, "append-only directory: no unlink");
	is(make_file("/i/g"), 0, "but create");
	set_flags(d, EXT2_IMMUTABLE_FL);
	is(make_file("/i/h"), -EPERM, "immutable directory: no create");
	is(rmdir_at("/i"), -EPERM, "no rmdir");
	set_flags(d, 0);
	is(unlink_at("/i/f"), 0, "and without the flags");
	drop(f);
	drop(d);
}

static void test_rename(void)
{
	uint64_t a, b;

	make_dir("/r");
	make_dir("/r/a");
	make_dir("/r/b");
	make_file("/r/a/f");
	make_file("/r/b/g");
	a = stat_of("/r/a/f").st_ino;
	is(move("/r/a/f", "/r/b/f", RENAME_NOREPLACE), 0, "to another directory");
	is(move("/r/b/f", "/r/b/g", RENAME_NOREPLACE), -EEXIST, "noreplace");
	is(move("/r/b/f", "/r/b/g", 0), 0, "over a file");
	ok(stat_of("/r/b/g").st_ino == a, "which is the moved one now");
	is(move("/r/a", "/r/a/x", 0), -EINVAL, "a directory into itself");
	make_dir("/r/a/deep");
	make_dir("/r/a/deep/er");
	is(move("/r/a", "/r/a/deep/er/a", 0), -EINVAL, "below itself");
	is(move("/r/a/deep", "/r/b/deep", 0), 0, "a directory elsewhere");
	is(stat_of("/r/a").st_nlink, 2, "links of where it was");
	is(stat_of("/r/b").st_nlink, 3, "and of where it is");
	is(move("/r/a", "/r/b", 0), -ENOTEMPTY, "over a full directory");
	is(move("/r/b/g", "/r/a", 0), -EISDIR, "a file over a directory");
	is(move("/r/a", "/r/b/g", 0), -ENOTDIR, "a directory over a file");
	is(move("/r/b", "/r/a", 0), 0, "over an empty directory");
	is(stat_of("/r").st_nlink, 3, "one is left");
	make_file("/r/x");
	b = stat_of("/r/a/deep").st_ino;
	is(move("/r/x", "/r/a/deep", RENAME_EXCHANGE), 0, "exchange");
	ok(stat_of("/r/x").st_ino == b, "the directory is here");
	is(stat_of("/r").st_nlink, 4, "and is counted here");
	is(stat_of("/r/a").st_nlink, 2, "no longer there");
	is(move("/r/x", "/r/none", RENAME_EXCHANGE), -ENOENT, "with nothing");
	is(move("/r", "/r/a/deep", RENAME_EXCHANGE), -EINVAL, "with a child");
	is(move("/r/a/deep", "/r", RENAME_EXCHANGE), -EINVAL, "with a parent");
	is(move("/r/a/deep", "/r/f2", RENAME_WHITEOUT), 0, "leaving a whiteout");
	ok(S_ISCHR(stat_of("/r/a/deep").st_mode) &&
	   !stat_of("/r/a/deep").st_rdev, "which is device 0:0");
	is(move("/r/f2", "/r/f2", 0), 0, "to itself");
	is(link_to("/r/f2", "/r/f3"), 0, "another name");
	is(move("/r/f2", "/r/f3", 0), 0, "to another name of itself");
	is(stat_of("/r/f2").st_nlink, 2, "changes nothing");
	is(move("/r/f2", "/r/q", 0x80), -EINVAL, "an unknown flag");
	is(move("/r/.", "/r/q", 0), -EBUSY, "a dot");
	open_again();
}

/* ---- random operations, here and on the host ---- */

#define DIRS	5
#define NAMES	12

static void random_path(char *path, size_t size)
{
	static const char *const dirs[DIRS] = {
		"", "/da", "/da/db", "/dc", "/dc/da"
	};
	static const char *const names[NAMES] = {
		"da", "db", "dc", "f1", "f2", "f3", "f4", "a-longer-name-5",
		"n6", "n7", "n8", "n9"
	};

	snprintf(path, size, "/rnd%s/%s", dirs[rnd(DIRS)], names[rnd(NAMES)]);
}

static int negative(int ret)
{
	return ret < 0 ? -errno : 0;
}

/* A full directory of the same name may be refused either way. */
static bool same_error(int a, int b)
{
	if (a == -EEXIST)
		a = -ENOTEMPTY;
	if (b == -EEXIST)
		b = -ENOTEMPTY;
	return a == b;
}

static bool random_step(unsigned step)
{
	char a[100], b[100], ha[400], hb[400];
	unsigned op = rnd(8), flags = 0;
	int ours, host;

	random_path(a, sizeof(a));
	random_path(b, sizeof(b));
	snprintf(ha, sizeof(ha), "%s%s", work, a);
	snprintf(hb, sizeof(hb), "%s%s", work, b);
	switch (op) {
	case 0:
		ours = make_file(a);
		host = negative(mknod(ha, S_IFREG | 0644, 0));
		break;
	case 1:
		ours = make_dir(a);
		host = negative(mkdir(ha, 0755));
		break;
	case 2:
		ours = unlink_at(a);
		host = negative(unlink(ha));
		break;
	case 3:
		ours = rmdir_at(a);
		host = negative(rmdir(ha));
		break;
	case 4:
		ours = link_to(a, b);
		host = negative(link(ha, hb));
		break;
	default:
		if (op == 6)
			flags = RENAME_NOREPLACE;
		if (op == 7)
			flags = RENAME_EXCHANGE;
		ours = move(a, b, flags);
		host = negative(renameat2(AT_FDCWD, ha, AT_FDCWD, hb, flags));
	}
	/* Which of several errors is reported first may differ. */
	if (!ours == !host && (!ours || same_error(ours, host) || op >= 4 ||
			       host == -ENOTDIR))
		return true;
	printf("# step %u: op %u flags %u %s %s: %d, host %d\n", step, op,
	       flags, a, b, ours, host);
	return false;
}

static unsigned count_host, count_same;

static void compare_tree(const char *path)
{
	char host[2000], sub[1000];
	struct dirent *e;
	struct stat st, ours;
	DIR *d;

	snprintf(host, sizeof(host), "%s%s", work, path);
	d = opendir(host);
	while (d && (e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		snprintf(sub, sizeof(sub), "%s/%s", path, e->d_name);
		snprintf(host, sizeof(host), "%s%s", work, sub);
		lstat(host, &st);
		ours = stat_of(sub);
		count_host++;
		if (ours.st_mode == st.st_mode &&
		    (S_ISDIR(st.st_mode) || ours.st_nlink == st.st_nlink))
			count_same++;
		else
			printf("# %s: mode %o, host %o\n", sub, ours.st_mode,
			       st.st_mode);
		if (S_ISDIR(st.st_mode))
			compare_tree(sub);
	}
	if (d)
		closedir(d);
}

static int count_entry(void *ctx, const char *name, size_t len, uint32_t ino,
		       uint8_t type, uint64_t next)
{
	(void)ino, (void)type, (void)next;
	if (!(name[0] == '.' && len < 3))
		++*(unsigned *)ctx;
	return 0;
}

/* Entries of all directories that the host has, too. */
static unsigned count_ours(const char *path)
{
	struct inode *inode = at(path);
	char host[2000], sub[1000];
	struct dirent *e;
	unsigned n = 0;
	DIR *d;

	if (!inode)
		return 0;
	fs_lock(vol);
	dir_iterate(inode, 0, count_entry, &n);
	fs_unlock(vol);
	drop(inode);
	snprintf(host, sizeof(host), "%s%s", work, path);
	d = opendir(host);
	while (d && (e = readdir(d))) {
		if (e->d_type != DT_DIR || e->d_name[0] == '.')
			continue;
		snprintf(sub, sizeof(sub), "%s/%s", path, e->d_name);
		n += count_ours(sub);
	}
	if (d)
		closedir(d);
	return n;
}

static void test_random(unsigned steps)
{
	unsigned k, bad = 0;

	run("rm -rf '%s/rnd'; mkdir '%s/rnd'", work, work);
	umask(022);
	make_dir("/rnd");
	for (k = 0; k < steps && bad < 5; k++)
		bad += !random_step(k);
	is(bad, 0, "random operations end as on the host");
	count_host = count_same = 0;
	compare_tree("/rnd");
	ok(count_host > 5, "some names are left (%u)", count_host);
	is(count_same, count_host, "the same names, modes and links");
	is(count_ours("/rnd"), count_host, "and no others");
	open_again();
	count_host = count_same = 0;
	compare_tree("/rnd");
	is(count_same, count_host, "the same after opening again");
}

/* ---- several at once ---- */

static void *one_of_many(void *arg)
{
	unsigned seed = (uintptr_t)arg, k;

	for (k = 0; k < 1500; k++) {
		char a[32], b[32];
		struct inode *inode;

		snprintf(a, sizeof(a), "/%s/n%d", rand_r(&seed) % 2 ? "m" : "m2",
			 rand_r(&seed) % 8);
		snprintf(b, sizeof(b), "/%s/n%d", rand_r(&seed) % 2 ? "m" : "m2",
			 rand_r(&seed) % 8);
		switch (rand_r(&seed) % 7) {
		case 0:
			make_file(a);
			break;
		case 1:
			make_dir(a);
			break;
		case 2:
			unlink_at(a);
			break;
		case 3:
			rmdir_at(a);
			break;
		case 4:
			link_to(a, b);
			break;
		case 5:
			move(a, b, rand_r(&seed) % 3 ? 0 : RENAME_EXCHANGE);
			break;
		default:
			/* open, write, maybe unlink, close */
			fs_lock(vol);
			if (path_walk(vol, a, &inode))
				inode = NULL;
			else
				inode_open(inode);
			fs_unlock(vol);
			if (!inode)
				break;
			if (S_ISREG(inode->i.mode))
				data_write(inode, "data", 4, rand_r(&seed) % 20000, 0);
			if (rand_r(&seed) % 2)
				unlink_at(a);
			file_close(inode);
		}
	}
	return NULL;
}

static void test_threads(void)
{
	pthread_t t[4];
	unsigned k;

	make_dir("/m");
	make_dir("/m2");
	for (k = 0; k < 4; k++)
		pthread_create(&t[k], NULL, one_of_many, (void *)(uintptr_t)(k + 1));
	for (k = 0; k < 4; k++)
		pthread_join(t[k], NULL);
	open_again();
}

/* With dirsync a name is on disk when the call returns. */
static void test_dirsync(void)
{
	vol->opt.dirsync = true;
	make_dir("/synced");
	is(make_file("/synced/here"), 0, "create with dirsync");
	is(run("debugfs -R 'stat /synced/here' '%s' 2>/dev/null | grep -q "
	       "'Type: regular'", image), 0, "is on disk");
	is(unlink_at("/synced/here"), 0, "unlink with dirsync");
	is(run("debugfs -R 'stat /synced/here' '%s' 2>/dev/null | grep -q "
	       "'Type: regular'", image), 1, "is no longer on disk");
	vol->opt.dirsync = false;
}

/* ---- fsync by many ---- */

#define SHARERS	8

static void *one_fsync(void *arg)
{
	return (void *)(intptr_t)data_fsync(arg, false);
}

static uint64_t running(void)
{
	uint64_t id;

	fs_lock(vol);
	id = txn_running(vol);
	fs_unlock(vol);
	return id;
}

/* Files are made, and made durable at once; how many commits it took. */
static unsigned commits(unsigned round, int *bad)
{
	struct inode *files[SHARERS];
	pthread_t t[SHARERS];
	uint64_t before;
	char name[32];
	unsigned k;
	void *err;

	for (k = 0; k < SHARERS; k++) {
		snprintf(name, sizeof(name), "/share%u.%u", round, k);
		*bad |= make_file(name);
		files[k] = at(name);
	}
	before = running();
	for (k = 0; k < SHARERS; k++)
		pthread_create(&t[k], NULL, one_fsync, files[k]);
	for (k = 0; k < SHARERS; k++) {
		pthread_join(t[k], &err);
		*bad |= err != NULL;
	}
	for (k = 0; k < SHARERS; k++)
		drop(files[k]);
	return running() - before;
}

/* What was changed before the first of them is in one commit. */
static void test_shared(void)
{
	unsigned most = 0, n, k;
	int bad = 0;

	for (k = 0; k < 20; k++) {
		n = commits(k, &bad);
		if (n > most)
			most = n;
	}
	ok(!bad, "files are made and synced");
	is(most, 1, "by one commit");
}

/* ---- failures ---- */

static uint64_t free_inodes(void)
{
	struct statvfs st;

	attr_statfs(vol, &st);
	return st.f_ffree;
}

static void test_full(void)
{
	char name[32];
	uint64_t before;
	int k, err = 0;

	vol_make("-t ext4 -N 32 -b 1024", "8M");
	vol_open();
	for (k = 0; !err && k < 100; k++) {
		snprintf(name, sizeof(name), "/n%d", k);
		err = make_file(name);
	}
	is(err, -ENOSPC, "no inodes left");
	is(free_inodes(), 0, "none at all");
	ok(!at(name), "the last name does not exist");
	is(move("/n0", "/n1", RENAME_WHITEOUT), -ENOSPC, "no whiteout either");
	ok(stat_of("/n0").st_ino && stat_of("/n1").st_ino,
	   "both names are as before");
	is(unlink_at("/n0"), 0, "unlink one");
	before = free_inodes();
	is(before, 1, "one is free");
	is(make_dir("/again"), 0, "and used again");
	open_again();
	vol_close();
}

/* No blocks left: operations fail in their middle, and leave nothing. */
static void test_no_blocks(void)
{
	static uint8_t data[65536];
	struct inode *inode;
	char target[300], a[40], b[40];
	unsigned k, full = 0;
	uint64_t off = 0;
	ssize_t n;

	vol_make("-t ext4 -b 1024 -I 128 -O ^has_journal,^resize_inode -N 4096",
		 "4M");
	vol_open();
	make_dir("/x");
	make_dir("/y");
	inode = file_open("filler", true);
	do {
		n = data_write(inode, data, sizeof(data), off, DATA_RESERVE);
		off += n > 0 ? n : 0;
	} while (n > 0);
	file_close(inode);
	memset(target, 't', sizeof(target));
	target[sizeof(target) - 1] = 0;
	for (k = 0; k < 3000; k++) {
		int err;

		snprintf(a, sizeof(a), "/%s/name-of-some-length-%d",
			 rnd(2) ? "x" : "y", (int)rnd(300));
		snprintf(b, sizeof(b), "/%s/name-of-some-length-%d",
			 rnd(2) ? "x" : "y", (int)rnd(300));
		switch (rnd(5)) {
		case 0:
			err = make(a, 0, 0, target);
			break;
		case 1:
			err = make_dir(a);
			break;
		case 2:
			err = make_file(a);
			break;
		case 3:
			err = move(a, b, rnd(2) ? RENAME_WHITEOUT : 0);
			break;
		default:
			err = rnd(3) ? 0 : unlink_at(a);
		}
		full += err == -ENOSPC;
	}
	ok(full > 20, "%u operations had no room", full);
	is(unlink_at("/filler"), 0, "make room");
	is(make_dir("/x/last"), 0, "which can be used");
	open_again();
	vol_close();
}

int main(void)
{
	unsigned k;

	work_begin();
	for (k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		printf("# mke2fs %s\n", kinds[k]);
		vol_make(kinds[k], "24M");
		vol_open();
		test_create();
		test_inherit();
		test_links();
		test_open_unlinked();
		test_late();
		test_flags();
		test_rename();
		test_random(k ? 1500 : 6000);
		test_threads();
		if (!ext2fs_has_feature_journal(vol->e2->super))
			test_dirsync();
		test_shared();
		vol_close();
	}
	test_full();
	test_no_blocks();
	work_end();
	return done();
}
