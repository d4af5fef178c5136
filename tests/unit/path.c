/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * path.c - the name cache: what it remembers, what it forgets, that it never
 * asks twice; and the walk along a path.
 *
 * The directories are a table of names below; dir_lookup() and inode_get()
 * are stand-ins that count (weak, see cache.c).
 */
#include <stdlib.h>
#include <string.h>

#include "../tap.h"
#include "fs/dir.h"
#include "fs/fs.h"
#include "fs/inode.h"
#include "fs/path.h"

static struct fs fs;
static unsigned asked, held;

/* Directory DIR of the model has names n0 to n999, inodes DIR * 10000 + N. */
__attribute__((weak))
int dir_lookup(struct inode *dir, const char *name, size_t len, uint32_t *ino,
	       uint8_t *type)
{
	unsigned n = 0;
	size_t i;

	(void)type;
	asked++;
	if (len < 2 || name[0] != 'n')
		return len && name[0] == '!' ? -EIO : -ENOENT;
	for (i = 1; i < len; i++) {
		if (name[i] < '0' || name[i] > '9')
			return -ENOENT;
		n = n * 10 + name[i] - '0';
	}
	if (n >= 1000)
		return -ENOENT;
	*ino = dir->ino * 1000 + n;
	return 0;
}

__attribute__((weak)) int dir_get_parent(struct inode *dir, uint32_t *parent)
{
	*parent = dir->ino < 1000 ? 2 : dir->ino / 1000;
	return 0;
}

/* Inodes are directories, but for those with odd numbers. */
__attribute__((weak))
int inode_get(struct fs *f, uint32_t ino, struct inode **out)
{
	struct inode *inode = calloc(1, sizeof(*inode));

	inode->fs = f;
	inode->ino = ino;
	inode->i.mode = ino % 2 ? S_IFREG : S_IFDIR;
	held++;
	*out = inode;
	return 0;
}

__attribute__((weak)) void inode_put(struct inode *inode)
{
	held--;
	free(inode);
}

static int lookup(struct inode *dir, const char *name, uint32_t *ino)
{
	*ino = 0;
	return name_lookup(dir, name, strlen(name), ino);
}

static void test_lookup(void)
{
	struct inode *root, *file, *dir;
	char name[300];
	uint32_t ino;

	fs.names = name_cache_new(&fs, 1000);
	inode_get(&fs, 2, &root);
	inode_get(&fs, 7, &file);
	inode_get(&fs, 4, &dir);
	asked = 0;
	is(lookup(root, "n5", &ino), 0, "look a name up");
	is(ino, 2005, "its inode");
	is(asked, 1, "in the directory");
	lookup(root, "n5", &ino);
	ok(ino == 2005 && asked == 1, "the second time from memory");
	lookup(dir, "n5", &ino);
	ok(ino == 4005 && asked == 2, "another directory's is another");
	is(lookup(root, "nix", &ino), -ENOENT, "not there");
	is(lookup(root, "nix", &ino), -ENOENT, "still not");
	is(asked, 3, "known from memory");
	is(lookup(root, "!", &ino), -EIO, "an error");
	is(lookup(root, "!", &ino), -EIO, "again");
	is(asked, 5, "is not remembered");

	memset(name, 'x', sizeof(name));
	is(name_lookup(root, name, 255, &ino), -ENOENT, "255 bytes");
	is(name_lookup(root, name, 256, &ino), -ENAMETOOLONG, "256 bytes");
	is(name_lookup(root, name, 0, &ino), -ENOENT, "no name");
	is(lookup(file, "n1", &ino), -ENOTDIR, "not in a directory");
	is(lookup(dir, ".", &ino), 0, "dot");
	is(ino, 4, "is itself");
	is(lookup(dir, "..", &ino), 0, "dot dot");
	is(ino, 2, "is the parent");
	dir->i.flags = EXT4_CASEFOLD_FL;
	asked = 0;
	lookup(dir, "n5", &ino);
	lookup(dir, "n5", &ino);
	is(asked, 2, "case-folded names are not remembered");
	dir->i.flags = 0;

	asked = 0;
	name_enter(&fs, 2, "nix", 3, 77);
	ok(!lookup(root, "nix", &ino) && ino == 77, "a name that was made");
	name_enter(&fs, 2, "n5", 2, 0);
	is(lookup(root, "n5", &ino), -ENOENT, "a name that was removed");
	is(asked, 0, "from memory");
	name_drop(&fs, 2, "n5", 2);
	name_drop(&fs, 2, "never seen", 10);
	ok(!lookup(root, "n5", &ino) && asked == 1, "one that was dropped");
	name_drop_dir(&fs, 2);
	name_drop_dir(&fs, 99);
	is(lookup(root, "nix", &ino), -ENOENT, "a directory that was dropped");
	asked = 0;
	lookup(dir, "n5", &ino);
	is(asked, 0, "the other is still known");
	inode_put(root);
	inode_put(file);
	inode_put(dir);
	name_cache_free(fs.names);
	name_cache_free(NULL);
}

static void test_evict(void)
{
	struct inode *root, *dir;
	char name[16];
	uint32_t ino;
	unsigned i, bad = 0, again = 0;

	fs.names = name_cache_new(&fs, 500);
	inode_get(&fs, 2, &root);
	inode_get(&fs, 4, &dir);
	for (i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "n%u", i % 1000);
		bad += lookup(i % 2 ? root : dir, name, &ino) ||
		       ino != (i % 2 ? 2000 : 4000) + i % 1000;
		if (i % 100)
			continue;
		asked = 0;
		lookup(root, "n1", &ino);
		again += asked;
	}
	is(bad, 0, "more names than fit");
	is(again, 1, "one in constant use stays");
	asked = 0;
	lookup(root, "n3", &ino);
	is(asked, 1, "one that was not used lately went");
	name_drop_dir(&fs, 4);
	for (i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "n%u", rand() % 1000);
		switch (rand() % 4) {
		case 0:
			name_drop(&fs, 2, name, strlen(name));
			break;
		case 1:
			if (rand() % 50 == 0)
				name_drop_dir(&fs, rand() % 2 ? 2 : 4);
			break;
		default:
			bad += lookup(rand() % 2 ? root : dir, name, &ino);
		}
	}
	is(bad, 0, "in any order");
	inode_put(root);
	inode_put(dir);
	name_cache_free(fs.names);

	fs.names = name_cache_new(&fs, 0);
	inode_get(&fs, 2, &root);
	lookup(root, "n1", &ino);
	lookup(root, "n2", &ino);
	ok(ino == 2002, "the smallest of caches");
	inode_put(root);
	name_cache_free(fs.names);
}

static void test_walk(void)
{
	struct inode *inode = NULL;

	fs.names = name_cache_new(&fs, 100);
	held = 0;
	is(path_walk(&fs, "/", &inode), 0, "the root");
	is(inode->ino, 2, "its number");
	inode_put(inode);
	is(path_walk(&fs, "//n4/./n6/", &inode), 0, "a path");
	is(inode->ino, 2004006, "leads there");
	inode_put(inode);
	is(path_walk(&fs, "/n4/../n8", &inode), 0, "up and down");
	is(inode->ino, 2008, "too");
	inode_put(inode);
	is(path_walk(&fs, "/n4/nix/n5", &inode), -ENOENT, "not there");
	is(path_walk(&fs, "/n5/n5", &inode), -ENOTDIR, "not a directory");
	is(held, 0, "no reference is left");
	name_cache_free(fs.names);
}

int main(void)
{
	test_lookup();
	test_evict();
	test_walk();
	return done();
}
