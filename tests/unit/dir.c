/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dir.c - directories of every layout against a model: linear, hashed,
 * inline; listing while names come and go; damage.
 */
#include "dirtest.h"

/* N random operations; some handles are aborted. */
static unsigned churn(struct vol *v, unsigned n)
{
	unsigned failed = 0;

	while (n--) {
		unsigned i = rnd() % v->names;
		bool abort = rnd() % 16 == 0;
		int err;

		if (v->have[i] < 0)
			err = model_add(v, i, abort);
		else if (rnd() % 8 == 0)
			err = model_set(v, i);
		else
			err = model_remove(v, i, abort);
		failed += err != 0;
		failed += !model_right(v, i);
	}
	return failed;
}

static void fill(struct vol *v, unsigned from, unsigned end)
{
	unsigned i, failed = 0;

	for (i = from; i < end; i++)
		if (v->have[i] < 0)
			failed += model_add(v, i, false) != 0;
	is(failed, 0, "all names can be added");
}

static void empty(struct vol *v)
{
	unsigned i, failed = 0;

	is(dir_is_empty(v->dir), 0, "the directory is not empty");
	for (i = 0; i < v->names; i++)
		if (v->have[i] >= 0)
			failed += model_remove(v, i, false) != 0;
	is(failed, 0, "all names can be removed");
	is(dir_is_empty(v->dir), 1, "the directory is empty");
}

static void test_layout(const char *what, const char *mkfs, unsigned names)
{
	struct vol v;
	uint32_t parent;

	printf("# %s\n", what);
	vol_make(&v, mkfs, 64, names);
	is(dir_is_empty(v.dir), 1, "a new directory is empty");
	check_list(&v, 1);
	is(churn(&v, names * 4), 0, "random operations");
	is(model_wrong(&v), 0, "lookups");
	check_list(&v, 17);
	vol_reopen(&v);
	is(model_wrong(&v), 0, "lookups after opening again");
	fill(&v, 0, names);
	check_list(&v, 1000);
	is(dir_get_parent(v.dir, &parent), 0, "get parent");
	is(parent, EXT2_ROOT_INO, "the parent is the root");
	vol_fsck(&v, what);
	vol_reopen(&v);
	empty(&v);
	check_list(&v, 1);
	is(churn(&v, names), 0, "random operations in the emptied directory");
	vol_end(&v, what);
}

/* A listing during which names go and others come. */
static void test_concurrent(const char *what, const char *mkfs, unsigned names,
			    unsigned stay)
{
	bool hashed = !strstr(mkfs, "^dir_index");
	unsigned i, wrong = 0;
	struct lister l;
	struct vol v;

	vol_make(&v, mkfs, 64, names);
	for (i = 0; i < names; i += names / stay)
		must(model_add(&v, i, false), "add");
	/* The rest comes and goes; the model lets those that stay alone. */
	signed char *stays = malloc(names);
	memcpy(stays, v.have, names);
	memset(&l, 0, sizeof(l));
	l.v = &v;
	l.seen = calloc(1, names);
	int ret;

	do {
		l.budget = 3;
		ret = dir_iterate(v.dir, l.cookie, lister_emit, &l);
		for (unsigned n = 0; n < 25; n++) {
			i = rnd() % names;
			if (stays[i] >= 0)
				continue;
			if (v.have[i] < 0)
				must(model_add(&v, i, false), "add");
			else
				must(model_remove(&v, i, false), "remove");
		}
	} while (ret == 1 && l.count < 10 * names);
	is(ret, 0, "the listing ends");
	for (i = 0; i < names; i++)
		wrong += stays[i] >= 0 ? l.seen[i] != 1 :
			 l.seen[i] > 1 && hashed;
	ok(!wrong && l.dots == 2 && !l.strange && !l.backwards,
	   "%s: what stayed is listed once while others come and go (%u wrong, %u strange, %u backwards)",
	   what, wrong, l.strange, l.backwards);
	free(l.seen);
	free(stays);
	is(model_wrong(&v), 0, "lookups");
	vol_end(&v, what);
}

/* A big directory without an index must not be filled in quadratic time. */
static void test_linear_speed(void)
{
	struct vol v;
	unsigned i;
	struct cache_stats a, b;

	vol_make(&v, "-O ^dir_index -b 1024 -N 4096", 64, 20000);
	v.name = name_plain;
	fill(&v, 0, 10000);
	cache_get_stats(v.fs->cache, &a);
	for (i = 10000; i < 20000; i++)
		must(model_add(&v, i, false), "add");
	cache_get_stats(v.fs->cache, &b);
	ok(b.hits - a.hits < 600000,
	   "appending to a linear directory looks at few blocks (%llu)",
	   (unsigned long long)(b.hits - a.hits));
	i = v.dir->i.size >> v.fs->blockbits;
	for (unsigned n = 0; n < 20000; n += 2)
		must(model_remove(&v, n, false), "remove");
	for (unsigned n = 0; n < 20000; n += 2)
		must(model_add(&v, n, false), "add");
	is(v.dir->i.size >> v.fs->blockbits, i, "removed space is used again");
	vol_end(&v, "linear");
}

static void test_parent(const char *mkfs)
{
	struct inode *other, *sub;
	struct vol v;
	struct txn *t;
	uint32_t p = 0;
	uint8_t type;

	vol_make(&v, mkfs, 16, 10);
	other = vol_new_inode(&v, v.root, "other", S_IFDIR | 0755);
	sub = vol_new_inode(&v, v.dir, "sub", S_IFDIR | 0755);
	is(dir_lookup(sub, "..", 2, &p, &type), 0, "look .. up");
	is(p, v.dir->ino, ".. is the parent");
	is(dir_lookup(sub, ".", 1, &p, NULL), 0, "look . up");
	is(p, sub->ino, ". is the directory");
	must(txn_begin(v.fs, TXN_RENAME, &t), "begin");
	must(inode_dirty(t, v.dir), "dirty");
	must(inode_dirty(t, other), "dirty");
	v.dir->i.links--;
	other->i.links++;
	is(dir_remove(t, v.dir, "sub", 3), 0, "remove");
	is(dir_remove(t, v.dir, "sub", 3), -ENOENT, "remove once more");
	is(dir_set(t, v.dir, "sub", 3, v.root->ino, S_IFDIR), -ENOENT, "set what is not there");
	is(dir_add(t, other, "sub", 3, sub->ino, S_IFDIR), 0, "add");
	is(dir_set_parent(t, sub, other->ino), 0, "set parent");
	txn_end(t);
	is(dir_get_parent(sub, &p), 0, "get parent");
	is(p, other->ino, "the parent is the new one");
	inode_put(other);
	inode_put(sub);
	vol_end(&v, mkfs);
}

/* Pokes at block LBLK of the directory while the volume is closed. */
static void poke(struct vol *v, unsigned lblk, unsigned off, const void *bytes,
		 size_t len, const char *debugfs)
{
	struct map m;
	uint64_t pos;
	FILE *f;

	must(map_lookup(v->dir, lblk, 1, &m), "map");
	pos = m.pblk * v->fs->blocksize + off;
	vol_close(v);
	if (len) {
		f = fopen(v->img, "r+");
		if (!f || fseek(f, (long)pos, SEEK_SET) ||
		    fwrite(bytes, 1, len, f) != len || fclose(f))
			bail("poke");
	}
	/* what was found before must not keep it from being opened */
	run("debugfs -w -R 'ssv state 1' %s >/dev/null 2>&1", v->img);
	if (debugfs)
		run("debugfs -w -R '%s' %s >/dev/null 2>&1", debugfs, v->img);
	vol_reopen(v);
}

static unsigned found(struct vol *v)
{
	unsigned i, n = 0;

	for (i = 0; i < v->names; i++)
		n += model_right(v, i);
	return n;
}

static unsigned listed(struct vol *v, int *ret)
{
	struct lister l = { .v = v, .budget = 1u << 30 };

	l.seen = calloc(1, v->names);
	*ret = dir_iterate(v->dir, 0, lister_emit, &l);
	free(l.seen);
	return l.count;
}

static void test_damage(const char *what, const char *mkfs)
{
	struct vol v;
	int ret;
	unsigned n;
	uint16_t len = htole16(7);
	uint32_t ino = htole32(99999999);
	uint32_t cl = htole32(0x00ff0010);
	char punch[64];

	printf("# damage: %s\n", what);
	vol_make(&v, mkfs, 32, 2000);
	snprintf(punch, sizeof(punch), "punch <%u> 3 3", v.dir_ino);
	fill(&v, 0, 2000);
	n = found(&v);
	is(n, 2000, "all there");

	/* a bad rec_len in block 3 */
	poke(&v, 3, 4, &len, 2, NULL);
	n = found(&v);
	ok(n < 2000 && n > 1500, "a bad block hides its own names only (%u)", n);
	n = listed(&v, &ret);
	ok(n < 2002 && n > 1500, "others are listed (%u)", n);
	ok(ret == -EFSCORRUPTED || ret == -EIO, "and an error tells (%d)", ret);
	is(dir_is_empty(v.dir), 0, "not empty");

	/* a hole in place of block 3 */
	poke(&v, 5, 0, NULL, 0, punch);
	n = found(&v);
	ok(n < 2000 && n > 1500, "a hole hides its own names only (%u)", n);
	n = listed(&v, &ret);
	ok(n < 2002 && n > 1500, "others are listed (%u)", n);

	/* an inode number out of range (or, with checksums, a bad block) */
	poke(&v, 5, 0, &ino, 4, NULL);
	n = found(&v);
	ok(n > 1400, "a bad inode number hides its own name only (%u)", n);

	/* the root's counts */
	poke(&v, 0, 32, &cl, 4, NULL);
	n = found(&v);
	ok(n > 1400, "without its index the names are found (%u)", n);
	n = listed(&v, &ret);
	ok(n > 1400, "and listed (%u)", n);

	/* all of block 0 */
	char junk[1024];

	memset(junk, 0xff, sizeof(junk));
	poke(&v, 0, 0, junk, sizeof(junk), NULL);
	found(&v);
	listed(&v, &ret);
	ok(1, "no crash without a first block");
	is(dir_is_empty(v.dir) < 0 || !dir_is_empty(v.dir), 1, "never called empty");
	ret = dir_lookup(v.dir, "..", 2, &ino, NULL);
	ok(ret == -EFSCORRUPTED || ret == -EIO, "no parent");
	vol_free(&v);
}

/* The feature was taken away from a volume with hashed directories. */
static void test_dropped_index(const char *mkfs, bool csum)
{
	struct vol v;

	vol_make(&v, mkfs, 16, 1000);
	fill(&v, 0, 500);
	ok(v.dir->i.flags & EXT2_INDEX_FL, "hashed at first");
	vol_close(&v);
	run("debugfs -w -R 'feature ^dir_index' %s >/dev/null 2>&1", v.img);
	vol_reopen(&v);
	is(model_wrong(&v), 0, "lookups without dir_index");
	check_list(&v, 10);
	must(model_remove(&v, 7, false), "remove");
	if (csum) {
		is(model_add(&v, 600, false), -EFSCORRUPTED, "not added to");
	} else {
		fill(&v, 500, 1000);
		ok(!(v.dir->i.flags & EXT2_INDEX_FL), "not hashed any more");
		is(model_wrong(&v), 0, "lookups");
		check_list(&v, 10);
		vol_fsck(&v, "dropped dir_index");
	}
	vol_free(&v);
}

/* Operations on a directory that has been damaged at random: none may crash
 * or hang, whatever they return. */
static void junk_ops(struct vol *v)
{
	struct lister l = { .v = v };
	unsigned n, calls = 0;
	char name[256];
	uint32_t ino;
	struct txn *t;
	int ret;

	l.seen = calloc(1, v->names);
	for (n = 0; n < 300; n++) {
		unsigned i = rnd() % v->names, len = v->name(i, name);
		unsigned what = rnd() % 4;

		dir_lookup(v->dir, name, len, &ino, NULL);
		if (txn_begin(v->fs, TXN_LINK, &t))
			break;
		if (what == 0)
			ret = dir_remove(t, v->dir, name, len);
		else if (what == 1)
			ret = dir_set(t, v->dir, name, len, v->file_ino[0], S_IFREG);
		else
			ret = dir_add(t, v->dir, name, len, v->file_ino[1], S_IFREG);
		txn_stop(t, ret);
	}
	do {
		l.budget = 400;
		ret = dir_iterate(v->dir, l.cookie, lister_emit, &l);
	} while (ret == 1 && ++calls < 1000);
	ok(calls < 1000 && !l.backwards, "junk: the listing ends (%u names)",
	   l.count);
	dir_is_empty(v->dir);
	dir_get_parent(v->dir, &ino);
	free(l.seen);
}

static void test_junk(const char *what, const char *mkfs, unsigned names,
		      unsigned rounds)
{
	uint64_t blocks[4096];
	unsigned n, i, count, bs;
	struct vol v;

	printf("# junk: %s\n", what);
	vol_make(&v, mkfs, 16, 2 * names);
	v.name = names > 1000 ? name_long : name_mixed;
	fill(&v, 0, names);
	bs = v.fs->blocksize;
	count = (unsigned)(v.dir->i.size / bs);
	for (i = 0; i < count && i < 4096; i++) {
		struct map m = { 0 };

		must(map_lookup(v.dir, i, 1, &m), "map");
		blocks[i] = m.pblk;
	}
	vol_close(&v);
	run("cp --sparse=always %s %s.good", v.img, v.img);
	log_init("junk", false);
	for (n = 0; n < rounds; n++) {
		unsigned k = 1 + rnd() % 8;
		FILE *f;

		run("cp --sparse=always %s.good %s", v.img, v.img);
		f = fopen(v.img, "r+");
		while (k--) {
			/* the root and the first bytes of blocks matter most */
			uint64_t blk = blocks[rnd() % 3 ? rnd() % count : 0];
			unsigned off = rnd() % 2 ? rnd() % 64 : rnd() % bs;

			fseek(f, (long)(blk * bs + off), SEEK_SET);
			if (rnd() % 2)
				fputc((int)(rnd() & 255), f);
			else
				fputc((int)(rnd() % 12), f);
		}
		fclose(f);
		vol_reopen(&v);
		junk_ops(&v);
		vol_close(&v);
	}
	vol_free(&v);
}

int main(void)
{
	log_init("dirtest", false);
	test_layout("linear 1k", "-b 1024 -O ^dir_index -N 4096", 1500);
	test_layout("linear 4k csum", "-b 4096 -O ^dir_index,metadata_csum -N 4096", 1500);
	test_layout("ext2", "-t ext2 -b 1024 -O ^dir_index,^filetype -N 4096", 1500);
	test_layout("ext3 1k", "-t ext3 -b 1024 -N 4096", 2000);
	test_layout("no filetype, hashed", "-b 1024 -O ^filetype -N 4096", 1500);
	test_layout("1k csum", "-b 1024 -O metadata_csum -N 4096", 2000);
	test_layout("1k", "-b 1024 -O ^metadata_csum -N 4096", 2000);
	test_layout("4k csum", "-b 4096 -O metadata_csum -N 4096", 4000);
	test_layout("4k", "-b 4096 -O ^metadata_csum -N 4096", 4000);
	test_layout("64k csum", "-b 65536 -O metadata_csum -N 4096", 5000);
	test_layout("64k linear", "-b 65536 -O ^dir_index -N 4096", 5000);
	test_layout("inline 256", "-b 1024 -O inline_data -I 256 -N 4096", 12);
	test_layout("inline grows", "-b 1024 -O inline_data -I 256 -N 4096", 1000);
	test_layout("inline linear", "-b 1024 -O inline_data,^dir_index -I 512 -N 4096", 500);
	test_layout("inline 1024", "-b 4096 -O inline_data,^metadata_csum -I 1024 -N 4096", 600);
	test_layout("bigalloc", "-b 1024 -O bigalloc -C 16384 -N 4096", 2000);
	test_layout("bigalloc linear", "-b 4096 -O bigalloc,^dir_index -C 65536 -N 4096", 2000);
	test_concurrent("linear", "-b 1024 -O ^dir_index -N 4096", 1000, 250);
	test_concurrent("hashed 1k", "-b 1024 -N 4096", 1000, 250);
	test_concurrent("hashed 4k", "-b 4096 -N 4096", 2000, 500);
	test_concurrent("inline", "-b 1024 -O inline_data -I 512 -N 4096", 200, 8);
	test_concurrent("inline linear", "-b 1024 -O inline_data,^dir_index -I 512 -N 4096", 200, 8);
	test_concurrent("one block", "-b 4096 -N 4096", 200, 10);
	test_linear_speed();
	test_parent("-b 1024");
	test_parent("-b 4096 -O ^dir_index,^metadata_csum");
	test_parent("-b 1024 -O inline_data");
	test_dropped_index("-b 1024 -O ^metadata_csum -N 1024", false);
	test_dropped_index("-b 1024 -O metadata_csum -N 1024", true);
	test_damage("hashed", "-b 1024 -O ^metadata_csum -N 4096");
	test_damage("hashed csum", "-b 1024 -O metadata_csum -N 4096");
	test_junk("linear", "-b 1024 -O ^dir_index,^metadata_csum -N 1024", 300, 30);
	test_junk("hashed", "-b 1024 -O ^metadata_csum -N 1024", 300, 60);
	test_junk("two levels", "-b 1024 -O ^metadata_csum -N 1024", 1500, 60);
	return done();
}
