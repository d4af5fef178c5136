/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * htree.c - hashed directories: every hash, many names, growing levels,
 * colliding names, case folding; with the kernel's ext4 and e2fsck as judges.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <time.h>

#include "dirtest.h"

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static unsigned levels(struct vol *v)
{
	struct buf *b;
	struct map m;
	unsigned n = 0;

	must(map_lookup(v->dir, 0, 1, &m), "map");
	if (!(v->dir->i.flags & EXT2_INDEX_FL))
		return 0;
	extern const struct buf_type dir_block_type;

	must(cache_get(v->fs->cache, m.pblk, &dir_block_type, v->dir->ino,
		       v->dir->i.generation, &b), "root");
	n = b->data[24 + 6] + 1u;
	cache_put(b);
	return n;
}

static void test_hash(const char *alg, int flags, const char *mkfs)
{
	char prep[200], what[100];
	unsigned i, failed = 0;
	struct vol v;

	snprintf(what, sizeof(what), "%s %s", alg,
		 flags == 1 ? "signed" : "unsigned");
	snprintf(prep, sizeof(prep),
		 "tune2fs -E hash_alg=%s $img >/dev/null && debugfs -w -R 'ssv flags %d' $img 2>/dev/null",
		 alg, flags);
	vol_prep = prep;
	vol_make(&v, mkfs, 64, 5000);
	vol_prep = NULL;
	for (i = 0; i < 5000; i++)
		failed += model_add(&v, i, i % 16 == 0) != 0;
	is(failed, 0, "all names can be added");
	for (i = 0; i < 5000; i += 3)
		if (v.have[i] >= 0)
			failed += model_remove(&v, i, i % 32 == 0) != 0;
	is(failed, 0, "names can be removed");
	ok(levels(&v) >= 1, "the directory is hashed");
	is(model_wrong(&v), 0, what);
	check_list(&v, 50);
	vol_reopen(&v);
	is(model_wrong(&v), 0, "after opening again");
	vol_end(&v, what);
}

/* Makes the root unusable, in memory and on disk. */
static void break_root(struct vol *v)
{
	extern const struct buf_type dir_block_type;
	struct txn *t;
	struct buf *b;
	struct map m;

	must(map_lookup(v->dir, 0, 1, &m), "map");
	must(cache_get(v->fs->cache, m.pblk, &dir_block_type, v->dir->ino,
		       v->dir->i.generation, &b), "root");
	must(txn_begin(v->fs, TXN_ATTR, &t), "txn_begin");
	must(txn_write(t, b), "txn_write");
	b->data[24 + 5] = 9;		/* info_length */
	txn_end(t);
	cache_put(b);
}

static void test_many(unsigned names)
{
	struct cache_stats a, b;
	unsigned i, failed = 0;
	double t0, t1, t2, t3;
	struct vol v;

	vol_make(&v, "-b 4096 -N 4096", 256, names);
	v.name = name_plain;
	t0 = now();
	for (i = 0; i < names; i++)
		failed += model_add(&v, i, false) != 0;
	t1 = now();
	is(failed, 0, "many names can be added");
	ok(levels(&v) >= 2, "two levels");
	vol_reopen(&v);
	cache_get_stats(v.fs->cache, &a);
	t2 = now();
	is(model_wrong(&v), 0, "many lookups");
	t3 = now();
	cache_get_stats(v.fs->cache, &b);
	printf("# %u names: add %.2f us, look up %.2f us each\n", names,
	       (t1 - t0) * 1e6 / names, (t3 - t2) * 1e6 / names);
	ok(b.hits + b.misses - a.hits - a.misses < 5 * (uint64_t)names,
	   "a lookup looks at few blocks");
	t2 = now();
	check_list(&v, 100);
	t3 = now();
	printf("# listing: %.2f us each\n", (t3 - t2) * 1e6 / names);
	for (i = 0; i < names; i++)
		if (rnd() % 2)
			failed += model_remove(&v, i, false) != 0;
	for (i = 0; i < names; i++)
		if (v.have[i] < 0 && rnd() % 2)
			failed += model_add(&v, i, false) != 0;
	is(failed, 0, "removing and adding again");
	is(model_wrong(&v), 0, "lookups again");
	vol_fsck(&v, "many names");
	vol_reopen(&v);
	break_root(&v);
	check_list(&v, 25000);
	vol_free(&v);
}

/* Long names in small blocks: a tree as deep as it may be, and full. */
static void test_deep(bool large_dir)
{
	unsigned i, names = 60000;
	struct vol v;
	int err = 0;

	vol_make(&v, large_dir ? "-b 1024 -O large_dir -N 4096" :
		 "-b 1024 -N 4096", 256, names);
	v.name = name_long;
	for (i = 0; i < names && !err; i++)
		err = model_add(&v, i, false);
	printf("# %u names, %u levels, %llu blocks\n", i, levels(&v),
	       (unsigned long long)v.dir->i.size >> 10);
	if (large_dir) {
		is(err, 0, "large_dir takes them all");
		is(levels(&v), 3, "three levels");
	} else {
		is(err, -ENOSPC, "without large_dir the tree gets full");
		is(levels(&v), 2, "two levels");
		is(model_add(&v, i - 1, false), -ENOSPC, "it stays full");
		is(model_remove(&v, 0, false), 0, "something is removed");
		is(model_add(&v, 0, false), 0, "and fits again");
	}
	vol_reopen(&v);
	is(model_wrong(&v), 0, "lookups in a deep tree");
	check_list(&v, 64);
	for (i = 0; i < names; i += 2)
		if (v.have[i] >= 0)
			must(model_remove(&v, i, false), "remove");
	vol_fsck(&v, "a deep tree");
	vol_reopen(&v);
	is(model_wrong(&v), 0, "lookups after removals");
	check_list(&v, 1000);
	vol_end(&v, "a deep tree");
}

/* Names of 255 bytes that have one legacy hash, four by four. */
static const unsigned same[] = {
	0x29fd3f6a, 0x616d1c8c, 0x7322d46b, 0x81a2e59a,
	0x4a5df392, 0x76ff7fa7, 0x7798a4f8, 0xe65ec787,
	0x41af9ec5, 0x955b49eb, 0x971ae7ad, 0xb1f2486c,
	0x138e82c3, 0x31d81503, 0x32485637, 0x5872f1e6,
	0x52c8a76f, 0x5320c8f8, 0x9a6be348, 0xf3247147,
	0x432a780e, 0x68521573, 0xcdb41bfa, 0xece29982,
	0x2676dc0a, 0x620fc55a, 0x65962e4c, 0x7df7a895,
	0x297c42b4, 0x81d0b76e, 0xf29c83fd, 0xf666f872,
	0x017802fe, 0x31fc91a0, 0x3704f8f7, 0xa4c64eb2,
	0x4c82e9fb, 0x51e051af, 0x62c4d2a9, 0x82d48792,
	0x1c06c682, 0x5441ed2d, 0x699fb83b, 0xc7e8957e,
	0x564a94cd, 0x596a39fb, 0x67aff22c, 0xc8c95a40,
	0x19a1aebd, 0x8444d891, 0xee34e30c, 0xfaaa911d,
	0x67903d40, 0x85420030, 0xb6ab3263, 0xd9908679,
	0x61440a17, 0x6153bd27, 0x6d0fa6a7, 0x8ea7b38b,
	0x0cc2f549, 0x3b554662, 0x44e8bdf4, 0x7795bbf9,
	0x3c452896, 0x5d6cccab, 0x8678afb5, 0xa0e415ad,
	0x0d3798a0, 0x8f580481, 0xda5608be, 0xf09f9377,
	0x3a67109d, 0xb669fc58, 0xdf87a986, 0xfbf9c090,
	0x089b7d79, 0x4a828256, 0x98f4abe2, 0xa43a60a2,
	0x343664a2, 0x51d75cbb, 0xb1f2c2f3, 0xce139ff4,
	0x047322b0, 0x2aade6f1, 0x80cb6486, 0xd36a89b3,
	0x4140a3d3, 0x60ec0fbf, 0x73420b83, 0x8cdeecfd,
	0x080bb01f, 0x09d69aae, 0x1481c060, 0x790cd071,
};

#define SAME	(sizeof(same) / sizeof(same[0]))

static unsigned name_same(unsigned i, char *buf)
{
	if (i >= SAME)
		return name_long(i, buf);
	memset(buf, 'x', 255);
	sprintf(buf + 247, "%08x", same[i]);
	return 255;
}

static int index_same(const char *name, size_t len)
{
	char buf[256];
	unsigned i;

	for (i = 0; i < 400; i++)
		if (name_same(i, buf) == len && !memcmp(buf, name, len))
			return (int)i;
	return -1;
}

static void test_same(const char *mkfs)
{
	unsigned i, k, failed = 0, continued = 0;
	struct vol v;

	vol_prep = "tune2fs -E hash_alg=legacy $img >/dev/null && debugfs -w -R 'ssv flags 1' $img 2>/dev/null";
	vol_make(&v, mkfs, 16, 400);
	vol_prep = NULL;
	v.name = name_same;
	v.index = index_same;
	for (k = 0; k < 6; k++) {
		for (i = 0; i < 400; i++)
			if (v.have[i] < 0)
				failed += model_add(&v, i, rnd() % 8 == 0) != 0;
		is(model_wrong(&v), 0, "lookups with colliding names");
		check_list(&v, 1 + k * 3);
		for (i = 0; i < 400; i++)
			if (v.have[i] >= 0 && rnd() % 2 &&
			    (i >= SAME || k % 2))
				failed += model_remove(&v, i, false) != 0;
		is(model_wrong(&v), 0, "lookups after removals");
		check_list(&v, 1);
	}
	is(failed, 0, "adding and removing colliding names");
	vol_fsck(&v, "colliding names");
	run("debugfs -R 'htree_dump <%u>' %s 2>/dev/null | grep -c 'Entry #.*Hash 0x.......[13579bdf]' >%s/n",
	    v.dir_ino, v.img, v.tmp);
	char path[300];
	snprintf(path, sizeof(path), "%s/n", v.tmp);
	FILE *f = fopen(path, "r");

	if (!f || fscanf(f, "%u", &continued) != 1)
		continued = 0;
	if (f)
		fclose(f);
	ok(continued, "leaves continue the hash of others (%u)", continued);
	vol_reopen(&v);
	is(model_wrong(&v), 0, "lookups");
	vol_end(&v, "colliding names");
}

/* --- with the kernel --- */

static bool mount_img(struct vol *v, char *mnt, size_t size)
{
	snprintf(mnt, size, "%s/mnt", v->tmp);
	mkdir(mnt, 0755);
	return !run("mount -o loop %s %s 2>/dev/null", v->img, mnt);
}

static void umount_img(struct vol *v)
{
	if (run("umount %s/mnt", v->tmp))
		bail("umount");
}

/* Looks every name up through the kernel, and counts its listing. */
static void kernel_check(struct vol *v, const char *mnt)
{
	unsigned i, wrong = 0, want = 0, n = 0;
	char path[800], name[256];
	struct dirent *de;
	struct stat st;
	DIR *d;

	for (i = 0; i < v->names; i++) {
		v->name(i, name);
		snprintf(path, sizeof(path), "%s/d/%s", mnt, name);
		if (lstat(path, &st))
			wrong += v->have[i] >= 0;
		else
			wrong += v->have[i] < 0 ||
				 st.st_ino != v->file_ino[v->have[i]];
		want += v->have[i] >= 0;
	}
	is(wrong, 0, "the kernel finds every name");
	snprintf(path, sizeof(path), "%s/d", mnt);
	d = opendir(path);
	while (d && (de = readdir(d)))
		n += de->d_name[0] != '.';
	if (d)
		closedir(d);
	is(n, want, "and lists all");
}

/* The kernel adds and removes. */
static void kernel_change(struct vol *v, const char *mnt)
{
	char path[800], from[600], name[256];
	unsigned i, failed = 0;

	for (i = 0; i < v->names; i++) {
		int k = (int)(rnd() % FILES);

		v->name(i, name);
		snprintf(path, sizeof(path), "%s/d/%s", mnt, name);
		snprintf(from, sizeof(from), "%s/t%d", mnt, k);
		if (v->have[i] < 0 && rnd() % 2) {
			failed += link(from, path) != 0;
			v->have[i] = (signed char)k;
		} else if (v->have[i] >= 0 && rnd() % 2) {
			failed += unlink(path) != 0;
			v->have[i] = -1;
		}
	}
	is(failed, 0, "the kernel adds and removes");
}

static void test_kernel(const char *mkfs, const char *prep, unsigned names,
			unsigned (*name)(unsigned, char *), unsigned rounds)
{
	char mnt[400];
	unsigned i, k;
	struct vol v;

	printf("# with the kernel: %s, %s\n", mkfs, prep ? prep : "as is");
	vol_prep = prep;
	vol_make(&v, mkfs, 128, names);
	vol_prep = NULL;
	v.name = name;
	v.index = name == name_same ? index_same : NULL;
	for (k = 0; k < rounds; k++) {
		vol_close(&v);
		if (!mount_img(&v, mnt, sizeof(mnt))) {
			printf("# skipped: the kernel does not mount it\n");
			break;
		}
		kernel_check(&v, mnt);
		kernel_change(&v, mnt);
		umount_img(&v);
		vol_fsck(&v, "after the kernel's changes");
		vol_reopen(&v);
		is(model_wrong(&v), 0, "we find what the kernel made");
		check_list(&v, 33);
		for (i = 0; i < names; i++) {
			if (v.have[i] < 0 && rnd() % 2)
				must(model_add(&v, i, rnd() % 32 == 0), "add");
			else if (v.have[i] >= 0 && rnd() % 2)
				must(model_remove(&v, i, false), "remove");
		}
		is(model_wrong(&v), 0, "and what we changed");
		vol_fsck(&v, "after our changes");
	}
	if (mount_img(&v, mnt, sizeof(mnt))) {
		kernel_check(&v, mnt);
		umount_img(&v);
	}
	vol_free(&v);
}

/* --- case folding: made by debugfs, indexed by e2fsck --- */

static int fold_emit(void *ctx, const char *name, size_t len, uint32_t ino,
		     uint8_t type, uint64_t next)
{
	(void)name, (void)len, (void)ino, (void)type, (void)next;
	++*(unsigned *)ctx;
	return 0;
}

static void test_casefold(bool indexed)
{
	unsigned i, wrong = 0, n = 0;
	char name[300];
	uint32_t ino, want;
	struct vol v;
	FILE *f;

	memset(&v, 0, sizeof(v));
	vol_tmp(&v);
	if (run("mke2fs -q -F -b 1024 -O casefold,^has_journal %s 16M >/dev/null 2>&1",
		v.img)) {
		printf("# skipped: no casefold\n");
		vol_free(&v);
		return;
	}
	snprintf(name, sizeof(name), "%s/cmd", v.tmp);
	f = fopen(name, "w");
	fprintf(f, "mkdir d\nsif d flags 0x40000000\ncd d\n");
	for (i = 0; i < 200; i++)
		fprintf(f, "write /dev/null Datei-\xc3\x84%u\n", i);
	fclose(f);
	run("debugfs -w -f %s %s >/dev/null 2>&1", name, v.img);
	if (indexed)
		run("e2fsck -fyD %s >/dev/null 2>&1", v.img);
	if (run("e2fsck -fn %s >/dev/null 2>&1", v.img))
		bail("casefold image");
	vol_open(&v);
	must(dir_lookup(v.root, "d", 1, &ino, NULL), "d");
	must(inode_get(v.fs, ino, &v.dir), "d");
	for (i = 0; i < 200; i++) {
		sprintf(name, "Datei-\xc3\x84%u", i);
		wrong += dir_lookup(v.dir, name, strlen(name), &want, NULL) != 0;
		sprintf(name, "dATEI-\xc3\xa4%u", i);
		wrong += dir_lookup(v.dir, name, strlen(name), &ino, NULL) != 0 ||
			 ino != want;
		sprintf(name, "Datei-A%u", i);
		wrong += dir_lookup(v.dir, name, strlen(name), &ino, NULL) != -ENOENT;
	}
	is(wrong, 0, indexed ? "folded names, hashed" : "folded names");
	is(!!(v.dir->i.flags & EXT2_INDEX_FL), indexed, "hashed or not");
	is(dir_lookup(v.dir, "a\xff\xfe", 3, &ino, NULL), -ENOENT,
	   "not UTF-8: not found");
	is(dir_iterate(v.dir, 0, fold_emit, &n), 0, "list");
	is(n, 202, "all are listed");
	fs_unlock(v.fs);
	fs_lock(v.fs);
	inode_put(v.dir);
	inode_put(v.root);
	fs_unlock(v.fs);
	fs_close(v.fs);
	v.fs = NULL;
	vol_free(&v);
}

int main(void)
{
	static const char *const algs[] = { "legacy", "half_md4", "tea" };
	unsigned i;

	log_init("htree", false);
	for (i = 0; i < 3; i++) {
		test_hash(algs[i], 1, "-b 1024 -O metadata_csum -N 4096");
		test_hash(algs[i], 2, "-b 1024 -O ^metadata_csum -N 4096");
	}
	test_same("-b 1024 -N 4096");
	test_same("-b 1024 -O ^metadata_csum,^extents,^64bit -N 4096");
	test_many(100000);
	test_deep(false);
	test_deep(true);
	test_casefold(false);
	test_casefold(true);
	test_kernel("-b 1024 -N 4096", NULL, 5000, name_mixed, 3);
	test_kernel("-b 4096 -O ^metadata_csum -N 4096", NULL, 20000, name_mixed, 2);
	test_kernel("-b 1024 -N 4096",
		    "tune2fs -E hash_alg=tea $img >/dev/null && debugfs -w -R 'ssv flags 2' $img 2>/dev/null",
		    5000, name_mixed, 2);
	test_kernel("-b 1024 -O inline_data -I 256 -N 4096", NULL, 8, name_mixed, 4);
	test_kernel("-b 1024 -O inline_data -I 512 -N 4096", NULL, 500, name_mixed, 3);
	test_kernel("-b 1024 -O ^dir_index -N 4096", NULL, 1000, name_mixed, 2);
	test_kernel("-b 1024 -N 4096",
		    "tune2fs -E hash_alg=legacy $img >/dev/null && debugfs -w -R 'ssv flags 1' $img 2>/dev/null",
		    400, name_same, 3);
	test_kernel("-b 1024 -O large_dir -N 4096", NULL, 40000, name_long, 1);
	return done();
}
