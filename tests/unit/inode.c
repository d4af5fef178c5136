/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inode.c - inodes in memory and on disk: every field there and back, one
 * copy per number, aborts, damage, and tables that were never written.
 */
#include "fs/data.h"
#include "fs/namei.h"
#include "voltest.h"

static struct fs *fs;
static struct inode *root;
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

static struct inode *create(const char *name, mode_t mode)
{
	struct inode *inode;

	if (namei_create(root, name, strlen(name), mode, 0, NULL, &who,
			 &inode))
		bail("namei_create");
	return inode;
}

static struct txn *begin(void)
{
	struct txn *t;

	fs_lock(fs);
	if (txn_begin(fs, TXN_CREATE, &t))
		bail("txn_begin");
	return t;
}

static void end(struct txn *t, int err)
{
	txn_stop(t, err);
	fs_unlock(fs);
}

static void change(struct inode *inode, void (*fn)(struct inode_core *c))
{
	struct txn *t = begin();
	int err = inode_dirty(t, inode);

	if (!err)
		fn(&inode->i);
	end(t, err);
	is(err, 0, "changed");
}

/* --- fields --- */

static void set_fields(struct inode_core *c)
{
	c->mode = S_IFREG | 06751;
	c->uid = 0x12345678;
	c->gid = 0x87654321;
	c->version = 0x123456789aULL;
	c->atime = (struct timespec) { -5, 123456789 };
	c->mtime = (struct timespec) { 1LL << 33, 999999999 };
	c->ctime = (struct timespec) { 4102444800LL, 1 };
	c->crtime = (struct timespec) { 1, 2 };
}

static bool same_time(struct timespec a, int64_t sec, long nsec, bool wide)
{
	if (!wide) {
		sec = sec > INT32_MAX ? INT32_MAX : sec;
		nsec = 0;
	}
	return a.tv_sec == sec && a.tv_nsec == nsec;
}

static void check_fields(const char *mkfs, unsigned isize)
{
	bool wide = isize > 128;
	struct inode *inode;
	const char *out;
	uint32_t ino;

	vol_make(mkfs, "64M");
	open_root();
	inode = create("file", 0644);
	ino = inode->ino;
	change(inode, set_fields);
	inode_put_unlocked(inode);
	close_root();

	out = shout("debugfs -R 'stat file' $IMG 2>/dev/null");
	ok(strstr(out, "Mode:  06751"), "debugfs: mode");
	ok(strstr(out, "User: 305419896"), "debugfs: uid");
	ok(strstr(out, "Group: -2023406815") || strstr(out, "Group: 2271560481"),
	   "debugfs: gid");
	ok(!wide || strstr(out, "Version: 0x00000012:3456789a"),
	   "debugfs: version");
	ok(!wide || strstr(out, "crtime: 0x00000001:00000008"),
	   "debugfs: crtime");
	ok(vol_clean(), "e2fsck: %s", mkfs);

	open_root();
	is(inode_get_unlocked(fs, ino, &inode), 0, "read back");
	is(inode->i.mode, S_IFREG | 06751, "mode");
	is(inode->i.uid, 0x12345678, "uid");
	is(inode->i.gid, 0x87654321, "gid");
	is(inode->i.links, 1, "links");
	ok(same_time(inode->i.atime, -5, 123456789, wide), "atime before 1970");
	ok(same_time(inode->i.mtime, 1LL << 33, 999999999, wide), "mtime");
	ok(same_time(inode->i.ctime, 4102444800LL, 1, wide), "ctime in 2100");
	is(inode->i.version, wide ? 0x123456789aULL : 0x3456789a, "version");
	inode_put_unlocked(inode);
	close_root();
}

static void check_kernel(void)
{
	const char *out;

	vol_make("-t ext4", "64M");
	open_root();
	inode_put_unlocked(create("file", 0644));
	fs_lock(fs);
	struct inode *inode = inode_peek(fs, 12);
	fs_unlock(fs);
	change(inode, set_fields);
	close_root();
	out = shout("mkdir -p $IMG.mnt && mount -o loop,ro $IMG $IMG.mnt 2>/dev/null && stat -c '%%a %%u %%g %%X %%y %%Z' $IMG.mnt/file && umount $IMG.mnt");
	if (!out[0])
		return;
	printf("# %s\n", out);
	ok(strstr(out, "6751 305419896 2271560481 -5 ") &&
	   strstr(out, ".999999999 ") && strstr(out, " 4102444800"),
	   "the kernel sees the same");
}

/* --- aborts --- */

static void test_abort(void)
{
	struct inode *inode, *other;
	struct inode_core before;
	struct txn *t;
	uint32_t ino;

	vol_make("-t ext4", "64M");
	open_root();
	inode = create("file", 0644);
	before = inode->i;
	t = begin();
	inode_dirty(t, inode);
	set_fields(&inode->i);
	inode->body[200] ^= 1;
	end(t, -EIO);
	ok(!memcmp(&before, &inode->i, sizeof(before)), "the old fields are back");
	change(inode, set_fields);
	is(inode->sync_tid, txn_running(fs), "sync id");
	is(inode->datasync_tid, txn_running(fs), "datasync id");
	txn_sync(fs, 0);
	t = begin();
	inode_dirty_attr(t, inode);
	inode->i.atime.tv_sec = 77;
	end(t, 0);
	is(inode->sync_tid, txn_running(fs), "times: sync id");
	ok(inode->datasync_tid < txn_running(fs), "times: not the datasync id");
	inode_put_unlocked(inode);

	t = begin();
	is(inode_alloc(t, root, S_IFREG, &ino), 0, "a number");
	is(inode_new(t, ino, S_IFREG | 0600, &inode), 0, "a new inode");
	ok(inode->i.generation != 0 && inode->i.ctime.tv_sec, "with values");
	end(t, -ENOSPC);
	fs_lock(fs);
	inode_put(inode);
	is(inode_get(fs, ino, &other), -ESTALE, "an abort takes it away");
	ok(!inode_peek(fs, ino), "from memory too");
	is(inode_in_use(fs, ino), 0, "its number is free");
	fs_unlock(fs);
	close_root();
	ok(vol_clean(), "e2fsck");
}

static uint32_t freed_ino;

static void on_freed(void *ctx, uint32_t ino)
{
	(*(int *)ctx)++;
	freed_ino = ino;
}

static void test_lifetime(void)
{
	struct inode *a, *b;
	int freed = 0;
	uint32_t ino;

	vol_make("-t ext4", "64M");
	open_root();
	fs->on_inode_freed = on_freed;
	fs->on_inode_freed_ctx = &freed;
	a = create("a", 0644);
	ino = a->ino;
	inode_get_unlocked(fs, ino, &b);
	ok(a == b, "one copy per number");
	inode_put_unlocked(b);
	fs_lock(fs);
	inode_open(a);
	fs_unlock(fs);
	is(namei_unlink(root, "a", 1), 0, "unlink");
	is(freed, 0, "open: not freed");
	is(inode_get_unlocked(fs, ino, &b), 0, "and still found");
	inode_put_unlocked(b);
	is(inode_close(a), 0, "close");
	is(freed, 1, "freed");
	is(freed_ino, ino, "that one");
	is(inode_get_unlocked(fs, ino, &b), -ESTALE, "not found any more");
	inode_put_unlocked(a);
	close_root();
	ok(atoi(shout("debugfs -R 'stat <%u>' $IMG 2>/dev/null | grep -c dtime", ino)) == 1,
	   "it has a deletion time");
	ok(vol_clean(), "e2fsck");
}

/* A reference that outlives the inode must not write over its successor. */
static void test_stale(void)
{
	struct inode *old, *new;
	char name[16], data[3000];
	unsigned i = 0;

	memset(data, 'x', sizeof(data));
	vol_make("-t ext4 -b 1024", "16M");
	open_root();
	old = create("old", 0644);
	is(data_write(old, data, 100, 0, 0), 100, "written");
	is(namei_unlink(root, "old", 3), 0, "deleted");
	txn_sync(fs, 0);
	do {
		snprintf(name, sizeof(name), "new%u", i++);
		new = create(name, 0644);
		inode_put_unlocked(new);
		txn_sync(fs, 0);
	} while (new->ino != old->ino && i < 50);
	is(new->ino, old->ino, "another has its number");
	is(data_write(new, data, 3000, 0, 0), 3000, "and contents");
	is(data_write(old, data, 10, 0, 0), -ESTALE, "write");
	is(data_truncate(old, 7, 0), -ESTALE, "truncate");
	data_accessed(old);
	inode_put_unlocked(old);
	close_root();
	is(atoi(shout("debugfs -R 'stat %s' $IMG 2>/dev/null | sed -n 's/.*Size: //p'",
		      name)), 3000, "the new inode is untouched");
	ok(vol_clean(), "e2fsck: stale reference");
}

static void test_many(void)
{
	uint32_t first = 0, i;
	struct inode *inode;
	char name[16];

	vol_make("-t ext4 -N 70000 -O ^has_journal", "64M");
	open_root();
	for (i = 0; i < 40000; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		inode = create(name, 0600);
		first = first ? first : inode->ino;
		inode_put_unlocked(inode);
	}
	fs_lock(fs);
	ok(!inode_peek(fs, first), "old inodes leave memory");
	ok(inode_peek(fs, first + 39999), "new ones stay");
	is(inode_get(fs, first, &inode), 0, "and come back");
	inode_put(inode);
	fs_unlock(fs);
	close_root();
	ok(vol_clean(), "e2fsck");
}

/* --- damage --- */

static void expect(const char *what, const char *cmd, int want)
{
	struct inode *inode;
	struct fs *f;
	uint32_t ino;

	vol_make("-t ext4 -e continue", "64M");
	open_root();
	inode = create("file", 0644);
	ino = inode->ino;
	inode_put_unlocked(inode);
	close_root();
	sh(cmd, ino);
	f = vol_must_open();
	is(inode_get_unlocked(f, ino, &inode), want, what);
	fs_close(f);
}

static void test_damage(void)
{
	struct inode *inode;
	uint32_t i;

	expect("bad type", "debugfs -w -R 'sif <%u> mode 0130644' $IMG 2>/dev/null",
	       -EFSCORRUPTED);
	expect("no links", "debugfs -w -R 'sif <%u> links_count 0' $IMG 2>/dev/null",
	       -ESTALE);
	expect("bad extra size", "debugfs -w -R 'sif <%u> extra_isize 200' $IMG 2>/dev/null",
	       -EFSCORRUPTED);
	expect("bad xattr block", "debugfs -w -R 'sif <%u> file_acl 1' $IMG 2>/dev/null",
	       -EFSCORRUPTED);
	expect("negative size", "debugfs -w -R 'sif <%u> size 0xfffffffffffff000' $IMG 2>/dev/null",
	       -EFSCORRUPTED);
	expect("bad checksum", "debugfs -w -R 'sif <%u> checksum 0x1234' $IMG 2>/dev/null",
	       -EFSBADCRC);

	vol_make("-t ext4", "64M");
	open_root();
	fs_lock(fs);
	for (i = 0; i <= 10; i++)
		if (i != 2 && inode_get(fs, i, &inode) != -EINVAL)
			break;
	is(i, 11, "reserved inodes are not found");
	is(inode_get_any(fs, 8, &inode), 0, "unless asked for");
	inode_put(inode);
	is(inode_get(fs, fs->e2->super->s_inodes_count + 1, &inode), -EINVAL,
	   "no number is too large");
	is(inode_get(fs, 4000, &inode), -ESTALE, "never used");
	fs_unlock(fs);
	close_root();
}

/* Tables that mke2fs left alone hold rubbish. */
static void test_rubbish(const char *mkfs)
{
	char name[16];
	unsigned i;

	vol_make(mkfs, "64M");
	/* where inodes 20 to 1500 will be; and where whole tables will be */
	sh("blk=$(dumpe2fs $IMG 2>/dev/null | sed -n '/^Group 0:/,/^Group 1:/s/.*Inode table at \\([0-9]*\\)-.*/\\1/p');"
	   "dd if=/dev/urandom of=$IMG bs=1024 seek=$((blk + 19 * 256 / 1024 + 1)) count=250 conv=notrunc 2>/dev/null;"
	   "blk=$(dumpe2fs $IMG 2>/dev/null | sed -n '/^Group 3:/,/^Group 4:/s/.*Inode table at \\([0-9]*\\)-.*/\\1/p');"
	   "dd if=/dev/urandom of=$IMG bs=1024 seek=$((blk)) count=250 conv=notrunc 2>/dev/null");
	open_root();
	for (i = 0; i < 9000; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		inode_put_unlocked(create(name, 0600));
	}
	close_root();
	ok(vol_clean(), "e2fsck: rubbish in tables: %s", mkfs);
}

int main(void)
{
	vol_init("inode");
	check_fields("-t ext4", 256);
	check_fields("-t ext4 -I 128", 128);
	check_fields("-t ext4 -I 1024 -b 1024", 1024);
	check_fields("-t ext4 -O ^metadata_csum", 256);
	check_fields("-t ext2 -I 128", 128);
	check_fields("-t ext4 -O project,^64bit,^huge_file", 256);
	if (geteuid() == 0)
		check_kernel();
	test_abort();
	test_lifetime();
	test_stale();
	test_many();
	test_damage();
	test_rubbish("-t ext4 -b 1024 -E lazy_itable_init=1 -O ^has_journal,^flex_bg");
	test_rubbish("-t ext4 -b 1024 -E lazy_itable_init=1 -O ^has_journal,^metadata_csum,uninit_bg");
	return done();
}
