/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xattr - extended attributes: random ones beside a model in memory, wherever
 * they are stored; read by the kernel and written by it; shared blocks;
 * damaged ones.
 */
#include <sys/xattr.h>
#include "nametest.h"
#include "fs/alloc.h"

#define FILES	6
#define KEYS	14

struct known {
	bool set;
	size_t size;
	uint8_t data[65536];
};

static struct known (*model)[KEYS];
/* Of the files: may be inline, beside the attributes. */
static const char contents[150] = "contents, and zeroes";

static const char *file_name(unsigned f)
{
	static char buf[32];

	snprintf(buf, sizeof(buf), "/x%u", f);
	return buf;
}

static const char *key_name(unsigned k)
{
	static char buf[300];
	static const char *const prefix[] = {
		"user.", "trusted.", "security.", "user.long-"
	};
	static const char fill[] = "0123456789012345678901234567890123456789"
		"0123456789012345678901234567890123456789012345678901234567890";

	snprintf(buf, sizeof(buf), "%sk%u%.*s", prefix[k % 4], k,
		 k % 4 == 3 ? 80 : (int)k % 5, fill);
	return buf;
}

static size_t random_size(size_t most)
{
	switch (rnd(6)) {
	case 0:
		return 0;
	case 1:
	case 2:
		return rnd(40);
	case 3:
		return rnd(300);
	case 4:
		return rnd(1200);
	default:
		return rnd(most);
	}
}

/* Compares all attributes of a file; says what differs. */
static bool same(unsigned f)
{
	static uint8_t buf[65536];
	struct inode *inode = at(file_name(f));
	size_t want = 0;
	bool good = true;
	unsigned k;

	if (data_read(inode, buf, sizeof(buf), 0) !=
	    (ssize_t)sizeof(contents) - f * 20 ||
	    memcmp(buf, contents, sizeof(contents) - f * 20)) {
		printf("# file %u: other contents\n", f);
		good = false;
	}
	for (k = 0; k < KEYS; k++) {
		struct known *m = &model[f][k];
		ssize_t len = xattr_get(inode, key_name(k), buf, sizeof(buf));

		if (m->set)
			want += strlen(key_name(k)) + 1;
		if (m->set ? len == (ssize_t)m->size &&
			     !memcmp(buf, m->data, len) : len == -ENODATA)
			continue;
		printf("# file %u, %s: %zd, want %zd\n", f, key_name(k), len,
		       m->set ? (ssize_t)m->size : -ENODATA);
		good = false;
	}
	if (xattr_list(inode, NULL, 0) != (ssize_t)want) {
		printf("# file %u: list of %zd bytes, want %zu\n", f,
		       xattr_list(inode, NULL, 0), want);
		good = false;
	}
	drop(inode);
	return good;
}

static bool all_same(void)
{
	bool good = true;
	unsigned f;

	for (f = 0; f < FILES; f++)
		good &= same(f);
	return good;
}

static bool random_set(struct inode *inode, unsigned f, unsigned k, size_t most)
{
	struct known *m = &model[f][k];
	size_t n, size = random_size(most);
	static uint8_t data[65536];
	int err;

	for (n = 0; n < size; n++)
		data[n] = rnd(256);
	err = xattr_set(inode, key_name(k), data, size, 0);
	if (err == -ENOSPC)
		return same(f);
	if (err) {
		printf("# set %s, %zu bytes: %d\n", key_name(k), size, err);
		return false;
	}
	m->set = true;
	m->size = size;
	memcpy(m->data, data, size);
	return true;
}

static unsigned stored;

static void make_files(void)
{
	unsigned f;

	memset(model, 0, sizeof(*model) * FILES);
	for (f = 0; f < FILES; f++) {
		struct inode *inode;

		make_file(file_name(f));
		inode = at(file_name(f));
		data_write(inode, contents, sizeof(contents) - f * 20, 0, 0);
		drop(inode);
	}
}

static void test_random(unsigned steps, size_t most)
{
	unsigned n, f, k, bad = 0;

	for (n = 0; n < steps && !bad; n++) {
		struct inode *inode;

		f = rnd(FILES);
		k = rnd(KEYS);
		inode = at(file_name(f));
		if (rnd(3)) {
			bad += !random_set(inode, f, k, most);
		} else {
			int err = xattr_remove(inode, key_name(k));

			bad += err != (model[f][k].set ? 0 : -ENODATA);
			model[f][k].set = false;
		}
		drop(inode);
		if (n % 64 == 0)
			bad += !all_same();
	}
	is(bad, 0, "random sets and removals");
	ok(all_same(), "all attributes are as in the model");
	for (stored = f = 0; f < FILES; f++)
		for (k = 0; k < KEYS; k++)
			stored += model[f][k].set;
}

static void open_again(void)
{
	is(inode_table_busy(vol), 0, "no inode is still held");
	is(vol_close(), 0, "closes");
	ok(vol_clean(), "e2fsck finds nothing");
	vol_open();
}

/* The kernel sees the same, and adds what we must then see. */
static void test_kernel(void)
{
	static uint8_t buf[65536];
	unsigned f, k, good = 0, n = 0;

	vol_close();
	if (!kernel_mount("rw")) {
		printf("# no loop mount\n");
		vol_open();
		return;
	}
	for (f = 0; f < FILES; f++)
		for (k = 0; k < KEYS; k++) {
			struct known *m = &model[f][k];
			ssize_t len = getxattr(kernel_path(file_name(f)),
					       key_name(k), buf, sizeof(buf));

			good += m->set && len == (ssize_t)m->size &&
				!memcmp(buf, m->data, len);
		}
	is(good, stored, "the kernel reads them all");
	for (f = 0; f < FILES; f++)
		for (k = 0; k < KEYS; k += 3) {
			struct known *m = &model[f][k];
			size_t size = random_size(900);

			memset(buf, 'k' + f + k, size);
			if (setxattr(kernel_path(file_name(f)), key_name(k),
				     buf, size, 0))
				continue;
			n++;
			m->set = true;
			m->size = size;
			memcpy(m->data, buf, size);
		}
	ok(n, "the kernel sets %u", n);
	kernel_umount();
	vol_open();
	ok(all_same(), "and we read them");
}

static uint64_t free_blocks(uint64_t *inodes)
{
	struct statvfs st;

	attr_statfs(vol, &st);
	*inodes = st.f_ffree;
	return st.f_bfree;
}

static void test_delete(uint64_t blocks, uint64_t inodes)
{
	uint64_t i, b;
	unsigned f;

	for (f = 0; f < FILES; f++)
		unlink_at(file_name(f));
	txn_sync(vol, 0);
	b = free_blocks(&i);
	is(b, blocks, "deletion frees the blocks");
	is(i, inodes, "and the inodes");
	open_again();
}

static void test_rules(void)
{
	struct inode *f, *l, *d;
	char buf[100], name[300];

	make_file("/rules");
	make("/ruleslink", 0, 0, "rules");
	make_dir("/rulesdir");
	f = at("/rules");
	l = at("/ruleslink");
	d = at("/rulesdir");
	is(xattr_set(f, "user.a", "one", 3, XATTR_REPLACE), -ENODATA, "replace");
	is(xattr_set(f, "user.a", "one", 3, XATTR_CREATE), 0, "create");
	is(xattr_set(f, "user.a", "two", 3, XATTR_CREATE), -EEXIST, "not twice");
	is(xattr_set(f, "user.a", "two", 3, XATTR_REPLACE), 0, "replace");
	is(xattr_get(f, "user.a", NULL, 0), 3, "size");
	is(xattr_get(f, "user.a", buf, 2), -ERANGE, "too small");
	is(xattr_get(f, "user.a", buf, 3), 3, "just right");
	ok(!memcmp(buf, "two", 3), "the value");
	is(xattr_list(f, buf, 3), -ERANGE, "list too small");
	is(xattr_list(f, buf, sizeof(buf)), 7, "list");
	ok(!strcmp(buf, "user.a"), "the name");
	is(xattr_set(f, "user.", "x", 1, 0), -EINVAL, "a prefix alone");
	is(xattr_set(f, "other.x", "x", 1, 0), -EOPNOTSUPP, "unknown namespace");
	is(xattr_set(f, "system.data", "x", 1, 0), -EOPNOTSUPP, "inline data");
	is(xattr_get(f, "system.data", buf, 100), -EOPNOTSUPP, "not shown");
	is(xattr_set(l, "user.a", "x", 1, 0), -EPERM, "user. on a symlink");
	is(xattr_set(l, "trusted.a", "x", 1, 0), 0, "trusted. on a symlink");
	is(xattr_set(d, "user.a", "x", 1, 0), 0, "user. on a directory");
	is(xattr_set(f, "user.big", buf, 65537, 0), -E2BIG, "more than 64 KiB");
	is(xattr_remove(f, "user.none"), -ENODATA, "remove nothing");
	memset(name, 'n', sizeof(name));
	memcpy(name, "user.", 5);
	name[256] = 0;
	is(xattr_set(f, name, "x", 1, 0), -ERANGE, "256 bytes of name");
	name[255] = 0;
	is(xattr_set(f, name, "x", 1, 0), 0, "255 are allowed");
	set_flags(f, EXT2_IMMUTABLE_FL);
	is(xattr_set(f, "user.b", "x", 1, 0), -EPERM, "immutable");
	set_flags(f, 0);
	drop(f);
	drop(l);
	drop(d);
}

/* Blocks that the kernel shares between files. */
static void test_shared(void)
{
	static char large[9000];
	char path[64], value[600];
	struct inode *inode;
	unsigned k;
	int ret = 0;
	bool own = ext2fs_has_feature_ea_inode(vol->e2->super);

	memset(value, 's', sizeof(value));
	memset(large, 'l', sizeof(large));
	vol_close();
	if (!kernel_mount("rw")) {
		vol_open();
		return;
	}
	for (k = 0; k < 5; k++) {
		snprintf(path, sizeof(path), "/s%u", k);
		ret |= run("touch '%s'", kernel_path(path));
		ret |= setxattr(kernel_path(path), "user.same", value,
				sizeof(value), 0);
		if (own)
			ret |= setxattr(kernel_path(path), "user.large", large,
					sizeof(large), 0);
	}
	is(ret, 0, "the kernel makes equal attributes");
	kernel_umount();
	vol_open();
	inode = at("/s1");
	is(xattr_set(inode, "user.same", "other", 5, 0), 0, "change one");
	drop(inode);
	inode = at("/s2");
	is(xattr_set(inode, "user.more", "more", 4, 0), 0, "add to one");
	is(xattr_get(inode, "user.same", value, sizeof(value)), 600, "keeps");
	drop(inode);
	inode = at("/s3");
	is(xattr_remove(inode, "user.same"), 0, "remove from one");
	drop(inode);
	is(unlink_at("/s4"), 0, "delete one");
	inode = at("/s0");
	is(xattr_get(inode, "user.same", value, sizeof(value)), 600,
	   "the first still has it");
	if (own) {
		is(xattr_get(inode, "user.large", large, sizeof(large)),
		   sizeof(large), "also what is in an inode");
		is(xattr_remove(inode, "user.large"), 0, "which is removed");
	}
	drop(inode);
	open_again();
}

/*
 * A symlink's target is in the inode, however large its attributes are.  We
 * do not make such, as e2fsck 1.47.0 is wrong about them.
 */
static void test_symlink(void)
{
	static char value[9000];
	struct inode *inode;
	char target[100];
	int ret;

	if (!ext2fs_has_feature_ea_inode(vol->e2->super))
		return;
	make("/fast", 0, 0, "a short target");
	inode = at("/fast");
	is(xattr_set(inode, "trusted.large", value, sizeof(value), 0), -ENOSPC,
	   "no attribute of a symlink in an inode");
	drop(inode);
	open_again();
	vol_close();
	if (!kernel_mount("rw")) {
		vol_open();
		return;
	}
	ret = lsetxattr(kernel_path("/fast"), "trusted.large", value,
			sizeof(value), 0);
	is(ret, 0, "the kernel makes one");
	kernel_umount();
	vol_open();
	inode = at("/fast");
	is(data_readlink(inode, target, sizeof(target)), 14, "we read the link");
	is(xattr_get(inode, "trusted.large", value, sizeof(value)),
	   sizeof(value), "and the attribute");
	drop(inode);
	is(unlink_at("/fast"), 0, "and remove it");
	open_again();
}

/* No room: whatever is missing, nothing changes. */
static void test_full(void)
{
	static uint8_t value[65536], buf[65536];
	struct inode *a, *b;
	int err = 0, n = 0, good = 0;
	char name[32];

	vol_make("-t ext4 -O ea_inode,^has_journal -b 1024 -N 64", "1M");
	vol_open();
	make_file("/a");
	make_file("/b");
	b = at("/b");
	memset(value, 'f', sizeof(value));
	for (n = 0; n < 40; n++) {
		snprintf(name, sizeof(name), "user.m%d", n);
		good += xattr_set(b, name, value, 2000, 0) == 0;
	}
	drop(b);
	is(good, 40, "many values in inodes");
	is(unlink_at("/b"), 0, "go with their file");
	open_again();
	make_file("/b");
	a = at("/a");
	b = at("/b");
	n = good = 0;
	is(xattr_set(b, "user.keep", value, 3000, 0), 0, "one to keep");
	while (!err && n < 100) {
		snprintf(name, sizeof(name), "user.n%d", n++);
		err = xattr_set(a, name, value, 40000 + n, 0);
	}
	is(err, -ENOSPC, "full");
	is(xattr_get(a, name, buf, sizeof(buf)), -ENODATA, "the last is not there");
	is(xattr_set(b, "user.keep", value, 65536, 0), -ENOSPC, "no room to grow");
	is(xattr_get(b, "user.keep", buf, sizeof(buf)), 3000, "what was is kept");
	ok(!memcmp(buf, value, 3000), "with its value");
	while (n--) {
		snprintf(name, sizeof(name), "user.n%d", n);
		good += xattr_remove(a, name) == 0;
	}
	ok(good > 5, "%d are removed", good);
	is(xattr_set(b, "user.keep", value, 65536, 0), 0, "room again");
	is(xattr_get(b, "user.keep", buf, sizeof(buf)), 65536, "all of it");
	drop(a);
	drop(b);
	open_again();
	vol_close();
}

/* Damage in an attribute block is found, and nothing worse happens. */
static void test_damage(void)
{
	static uint8_t value[2000];
	char cmd[200];
	struct inode *inode;
	unsigned k, bad = 0;

	memset(value, 'v', sizeof(value));
	for (k = 0; k < 200; k++) {
		char path[32];
		uint64_t blk, start;
		unsigned off;
		int fd;

		vol_make("-t ext4 -O ^metadata_csum,^has_journal,ea_inode "
			 "-b 1024 -I 512", "2M");
		vol_open();
		make_file("/d");
		inode = at("/d");
		xattr_set(inode, "user.a", value, 500, 0);
		xattr_set(inode, "user.b", value, 50, 0);
		xattr_set(inode, "user.c", value, 70, 0);
		xattr_set(inode, "user.d", value, 300, 0);
		xattr_set(inode, "user.e", value, 2000, 0);
		start = inode->i.file_acl * 1024;
		/* Or its area in the inode, or of the inode behind it, which
		 * holds a value. */
		inode_location(vol, inode->ino + (k % 4 == 2), &blk, &off);
		if (k % 4)
			start = blk * 1024 + off + (k % 4 == 2 ? 0 : 160);
		drop(inode);
		vol_close();
		fd = open(image, O_RDWR);
		for (bad = 0; bad < 1 + k % 3; bad++) {
			uint8_t byte = rnd(256);
			unsigned at_byte = rnd(k % 4 ? 128 : 1024);

			if (pwrite(fd, &byte, 1, start + at_byte) != 1)
				bail("pwrite");
		}
		close(fd);
		vol_open();
		inode = at("/d");
		xattr_list(inode, NULL, 0);
		xattr_get(inode, "user.a", value, sizeof(value));
		xattr_get(inode, "user.e", value, sizeof(value));
		xattr_set(inode, "user.b", value, 600, 0);
		xattr_remove(inode, "user.d");
		snprintf(path, sizeof(path), "user.%u", k);
		xattr_set(inode, path, value, 10, 0);
		drop(inode);
		unlink_at("/d");
		vol_close();
		memset(value, 'v', sizeof(value));
		snprintf(cmd, sizeof(cmd), "e2fsck -fy '%.100s' >/dev/null 2>&1",
			 image);
		if (run("%s", cmd) > 2)
			bail("e2fsck");
	}
	ok(1, "200 damaged attributes");
}

int main(void)
{
	static const struct {
		const char *mke2fs;
		size_t most;
	} kinds[] = {
		{ "-t ext4", 3000 },
		{ "-t ext4 -I 128", 3000 },
		{ "-t ext4 -I 1024 -b 4096 -O ^metadata_csum", 3000 },
		{ "-t ext4 -I 512 -b 1024", 900 },
		{ "-t ext4 -O ea_inode,^has_journal", 65536 },
		{ "-t ext4 -O ea_inode,^metadata_csum -b 1024", 65536 },
		{ "-t ext4 -O ea_inode,^extents,^64bit -I 128 -b 2048", 20000 },
		{ "-t ext4 -O bigalloc,ea_inode -C 16384", 20000 },
		{ "-t ext4 -O inline_data -I 512", 3000 },
		{ "-t ext2 -b 1024 -I 128", 800 },
		{ "-t ext3 -b 4096", 3000 },
		{ "-t ext4 -O metadata_csum_seed,ea_inode -b 4096", 30000 },
	};
	uint64_t blocks, inodes;
	unsigned k;

	model = calloc(FILES, sizeof(*model));
	work_begin();
	for (k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		printf("# mke2fs %s\n", kinds[k].mke2fs);
		vol_make(kinds[k].mke2fs, "48M");
		vol_open();
		blocks = free_blocks(&inodes);
		make_files();
		test_random(1500, kinds[k].most);
		open_again();
		ok(all_same(), "the same after opening again");
		test_kernel();
		test_random(300, kinds[k].most);
		test_delete(blocks, inodes);
		test_rules();
		test_shared();
		test_symlink();
		vol_close();
	}
	test_full();
	test_damage();
	work_end();
	free(model);
	return done();
}
