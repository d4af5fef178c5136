/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inline.c - regular files inside their inode: when they are, when they stop
 * being so, and that nothing is lost on the way.
 */
#include <linux/falloc.h>
#include "fs/xattr.h"
#include "datatest.h"

static uint8_t model[20000], got[20000];

static bool reads(struct inode *inode, uint64_t size)
{
	ssize_t n = data_read(inode, got, sizeof(got), 0);

	if (n != (ssize_t)size)
		printf("# %zd bytes, want %llu\n", n,
		       (unsigned long long)size);
	return n == (ssize_t)size && !memcmp(got, model, size);
}

/* A file of SIZE bytes is inline or not, and e2fsck and others read it. */
static void sizes(const char *mke2fs, const unsigned *inlined,
		  const unsigned *not_inlined)
{
	const unsigned *set[2] = { inlined, not_inlined };
	struct inode *inode;
	char name[20];
	unsigned i, j, n;

	vol_make(mke2fs, "8M");
	vol_open();
	rnd_fill(model, sizeof(model));
	for (i = 0; i < 2; i++)
		for (j = 0; (n = set[i][j]); j++) {
			snprintf(name, sizeof(name), "f%u", n);
			inode = file_open(name, true);
			is(data_write(inode, model, n, 0, 0), n, "write");
			ok(inode_has_inline(inode) == !i, "%u bytes are%s inline",
			   n, i ? " not" : "");
			ok(reads(inode, n), "reads the same");
			file_close(inode);
		}
	is(vol_close(), 0, "closed");
	ok(vol_clean(), "e2fsck: %s", mke2fs);
	for (i = 0; i < 2; i++)
		for (j = 0; (n = set[i][j]); j++) {
			snprintf(name, sizeof(name), "f%u", n);
			/* debugfs 1.47.0 shows all 60 bytes of i_block */
			if (n >= 60)
				ok(debugfs_same(name, model, n),
				   "debugfs reads %u", n);
			ok(kernel_same(name, model, n), "the kernel reads %u", n);
		}
}

/* One way through growing and shrinking. */
static void changes(void)
{
	struct inode *inode;
	uint64_t pblk;

	vol_make("-t ext4 -b 1024 -O inline_data -I 256", "8M");
	vol_open();
	inode = file_open("f", true);
	memset(model, 0, sizeof(model));
	ok(!inode_has_inline(inode), "an empty file is not inline yet");
	is(data_write(inode, "hello", 5, 0, 0), 5, "first write");
	memcpy(model, "hello", 5);
	ok(inode_has_inline(inode), "makes it inline");
	is(inode->i.blocks, 0, "without blocks");
	is(data_bmap(inode, 0, &pblk), 0, "bmap");
	is(pblk, 0, "says so");
	is(data_write(inode, "x", 1, 100, 0), 1, "beyond the end");
	model[100] = 'x';
	ok(inode_has_inline(inode) && reads(inode, 101), "still inline");
	is(data_seek(inode, 7, SEEK_DATA), 7, "SEEK_DATA");
	is(data_seek(inode, 7, SEEK_HOLE), 101, "SEEK_HOLE");
	is(data_seek(inode, 101, SEEK_DATA), -ENXIO, "at the end");
	is(data_truncate(inode, 3, 0), 0, "shrink");
	memset(model + 3, 0, 200);
	is(data_truncate(inode, 90, 0), 0, "grow");
	ok(inode_has_inline(inode) && reads(inode, 90), "zeros between");
	is(data_write(inode, "abc", 3, 500, 0), 3, "too large");
	memcpy(model + 500, "abc", 3);
	ok(!inode_has_inline(inode) && inode_has_extents(inode), "has blocks");
	ok(reads(inode, 503), "nothing lost");
	is(inode->i.blocks, 1, "one of them");
	is(data_truncate(inode, 0, 0), 0, "cut to nothing");
	is(inode->i.blocks, 0, "no blocks");
	is(data_write(inode, "back", 4, 0, 0), 4, "small again");
	ok(inode_has_inline(inode), "inline again");
	memset(model, 0, sizeof(model));
	memcpy(model, "back", 4);
	is(data_truncate(inode, 15000, 0), 0, "grow beyond");
	ok(!inode_has_inline(inode) && reads(inode, 15000), "sparse");
	is(inode->i.blocks, 1, "one block");
	file_close(inode);

	inode = file_open("g", true);
	is(data_write(inode, "back", 4, 0, 0), 4, "another");
	is(data_fallocate(inode, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1,
			  2, 0), 0, "punch");
	memset(model + 1, 0, 2);
	ok(!inode_has_inline(inode) && reads(inode, 4), "has blocks");
	file_close(inode);
	is(vol_close(), 0, "closed");
	ok(vol_clean(), "changes: e2fsck");
	ok(debugfs_same("g", model, 4), "debugfs reads g, in a block");
}

/* Other xattrs take the room. */
static void crowded(void)
{
	struct inode *inode;
	char value[40];

	vol_make("-t ext4 -b 1024 -O inline_data -I 256", "8M");
	vol_open();
	rnd_fill(model, sizeof(model));
	inode = file_open("a", true);
	is(data_write(inode, model, 120, 0, 0), 120, "inline with xattr room");
	ok(inode_has_inline(inode), "inline");
	memset(value, 'v', sizeof(value));
	is(xattr_set(inode, "user.big", value, sizeof(value), 0), 0,
	   "an xattr finds place");
	ok(reads(inode, 120), "contents stay");
	file_close(inode);

	inode = file_open("b", true);
	is(xattr_set(inode, "user.big", value, sizeof(value), 0), 0,
	   "xattr first");
	is(data_write(inode, model, 120, 0, 0), 120, "write");
	ok(!inode_has_inline(inode), "no room: blocks");
	ok(reads(inode, 120), "contents");
	file_close(inode);

	inode = file_open("c", true);
	is(data_write(inode, model, 50, 0, 0), 50, "50 bytes");
	is(xattr_set(inode, "user.big", value, sizeof(value), 0), 0, "xattr");
	is(data_write(inode, model + 50, 70, 50, 0), 70, "70 more");
	ok(!inode_has_inline(inode), "no room: blocks");
	ok(reads(inode, 120), "contents");
	is(xattr_get(inode, "user.big", value, sizeof(value)), sizeof(value),
	   "the xattr stays");
	file_close(inode);
	is(vol_close(), 0, "closed");
	ok(vol_clean(), "crowded: e2fsck");
	ok(debugfs_same("a", model, 120), "debugfs reads a");
	ok(kernel_same("c", model, 120), "the kernel reads c");
}

/* Files of the kernel's making. */
static void foreign(void)
{
	struct inode *inode;
	unsigned i;

	if (getuid())
		return;
	vol_make("-t ext4 -b 1024 -O inline_data -I 256", "8M");
	if (run("mkdir -p '%s/k' && mount -o loop '%s' '%s/k' 2>/dev/null",
		work, image, work))
		return;
	memset(model, 0, sizeof(model));
	for (i = 0; i < 100; i++)
		model[i] = 'a' + i % 26;
	run("printf %%s '%.100s' >'%s/k/f'; umount '%s/k'", (char *)model, work,
	    work);
	vol_open();
	inode = file_open("f", false);
	ok(inode_has_inline(inode), "the kernel's file is inline");
	ok(reads(inode, 100), "and read");
	is(data_write(inode, "Z", 1, 99, 0), 1, "written");
	is(data_write(inode, "Z", 1, 3, 0), 1, "written");
	model[99] = model[3] = 'Z';
	ok(reads(inode, 100), "and read");
	file_close(inode);
	is(vol_close(), 0, "closed");
	ok(vol_clean(), "foreign: e2fsck");
	ok(kernel_same("f", model, 100), "the kernel reads it");
}

static bool fail_writes;

static int fault(void *ctx, enum device_op op, uint64_t off, size_t len)
{
	(void)ctx, (void)off, (void)len;
	return fail_writes && op == DEVICE_WRITE ? -EIO : 0;
}

/* A conversion that fails leaves an inline file. */
static void failing(void)
{
	struct inode *inode;

	vol_make("-t ext4 -b 1024 -O inline_data -I 256", "8M");
	vol_open();
	rnd_fill(model, sizeof(model));
	inode = file_open("f", true);
	is(data_write(inode, model, 80, 0, 0), 80, "80 bytes");
	is(txn_sync(vol, 0), 0, "durable");
	device_set_fault(vol->dev, fault, NULL);
	fail_writes = true;
	is(data_write(inode, "x", 1, 5000, 0), -EIO, "the device fails");
	is(data_fallocate(inode, 0, 0, 10, 0), -EIO, "fallocate fails");
	fail_writes = false;
	ok(inode_has_inline(inode) && reads(inode, 80), "nothing changed");
	file_close(inode);
	is(vol_close(), 0, "closed");
	ok(vol_clean(), "failing: e2fsck");
}

int main(void)
{
	static const unsigned in256[] = { 1, 59, 60, 61, 100, 128, 0 };
	static const unsigned out256[] = { 129, 200, 1024, 5000, 0 };
	static const unsigned in1k[] = { 60, 500, 896, 0 };
	static const unsigned out1k[] = { 897, 1024, 4097, 0 };
	static const unsigned none[] = { 0 };
	static const unsigned out128[] = { 1, 60, 100, 0 };

	work_begin();
	sizes("-t ext4 -b 1024 -O inline_data -I 256", in256, out256);
	sizes("-t ext4 -b 4096 -O inline_data -I 1024", in1k, out1k);
	sizes("-t ext4 -b 1024 -I 256", none, out128);
	changes();
	crowded();
	foreign();
	failing();
	work_end();
	return done();
}
