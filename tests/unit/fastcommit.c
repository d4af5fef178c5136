/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fastcommit.c - fast commits made by hand: replayed, and a crash after each
 * write of that; too many for the log; a volume that the log makes read-only;
 * and what nobody sane would write.
 */
#include "logtest.h"
#include "io/device.h"

#define MKFS	"-t ext4 -b 1024 -I 256 -N 8000 -O ^metadata_csum,fast_commit -J size=2"
#define FILE_INO	20
#define DIR_INO		21
#define IN_INO		22

static const struct kind kinds[] = {
	{ "plain", 0, 0 },
	{ "v2", 0, JBD_INCOMPAT_CSUM_V2 },
	{ "v3, 64 bits", 0, JBD_INCOMPAT_CSUM_V3 | JBD_INCOMPAT_64BIT },
};
static const struct kind *use = kinds;

static uint8_t area[BS];		/* the block being filled */
static size_t at;
static uint32_t area_pos, crc;
static unsigned reads;

ssize_t pread64(int f, void *buf, size_t n, off64_t off)
{
	reads++;
	return syscall(SYS_pread64, f, buf, n, off);
}

/* --- notes --- */

static void le32(uint8_t *p, uint32_t v)
{
	v = htole32(v);
	memcpy(p, &v, 4);
}

static void le16(uint8_t *p, uint16_t v)
{
	v = htole16(v);
	memcpy(p, &v, 2);
}

static void next_area(void)
{
	must_write(area, BS, log_at + (uint64_t)area_pos++ * BS);
	memset(area, 0, BS);
	at = 0;
}

static void tag(unsigned which, unsigned n)
{
	le16(area + at, which);
	le16(area + at + 2, n);
}

/* Of N bytes; some space is always left for the next pad. */
static void note(unsigned which, const void *value, unsigned n)
{
	if (at + 4 + n + 4 > BS) {
		tag(7, BS - at - 4);
		crc = ext2fs_crc32c_le(crc, area + at, BS - at);
		next_area();
	}
	tag(which, n);
	memcpy(area + at + 4, value, n);
	crc = ext2fs_crc32c_le(crc, area + at, 4 + n);
	at += 4 + n;
}

static void note_head(void)
{
	uint8_t v[8];

	area_pos = len - fast_len + 1;
	at = 0;
	crc = 0;
	memset(area, 0, BS);
	le32(v, 0);
	le32(v + 4, tid);
	note(9, v, sizeof(v));
}

static void note_tail(void)
{
	if (at + 12 > BS) {
		tag(7, BS - at - 4);
		crc = ext2fs_crc32c_le(crc, area + at, BS - at);
		next_area();
	}
	tag(8, BS - at - 4);
	le32(area + at + 4, tid);
	crc = ext2fs_crc32c_le(crc, area + at, 8);
	le32(area + at + 8, crc);
	crc = 0;
	next_area();
}

static void note_inode(uint32_t ino, uint16_t mode, unsigned links,
		       uint32_t size)
{
	uint8_t v[4 + 160] = { 0 };
	struct ext2_inode raw = {
		.i_mode = htole16(mode), .i_links_count = htole16(links),
		.i_size = htole32(size), .i_generation = htole32(5),
		.i_flags = htole32(EXT4_EXTENTS_FL),
		.i_mtime = htole32(1000000000),
	};

	le32(v, ino);
	memcpy(v + 4, &raw, sizeof(raw));
	le16(v + 4 + 128, 32);
	note(6, v, sizeof(v));
}

static void note_add(uint32_t ino, uint32_t lblk, uint32_t pblk, unsigned n)
{
	uint8_t v[16] = { 0 };

	le32(v, ino);
	le32(v + 4, lblk);
	le16(v + 8, n);
	le32(v + 12, pblk);
	note(1, v, sizeof(v));
}

static void note_del(uint32_t ino, uint32_t lblk, uint32_t n)
{
	uint8_t v[12];

	le32(v, ino);
	le32(v + 4, lblk);
	le32(v + 8, n);
	note(2, v, sizeof(v));
}

static void note_name(unsigned which, uint32_t dir, uint32_t ino,
		      const char *name)
{
	uint8_t v[8 + 255];

	le32(v, dir);
	le32(v + 4, ino);
	memcpy(v + 8, name, strlen(name));
	note(which, v, 8 + strlen(name));
}

/* --- volumes --- */

/* A volume with a file "old", and a transaction of three blocks of data. */
static void begin(const char *size, const char *journal)
{
	char mkfs[200];

	snprintf(mkfs, sizeof(mkfs), "%s%s", MKFS, journal);
	log_begin(use, 1, mkfs, size, 256);
	fast_len = len - 1024;
	put_super(1);
	sh("head -c 5000 /dev/zero >$IMG.data;"
	   "debugfs -w -R \"write $IMG.data old\" $IMG >/dev/null 2>&1");
	put_blocks(home, 3, 1);
	put_commit();
}

static uint32_t old_ino(void)
{
	return strtoul(shout("debugfs -R 'stat old' $IMG 2>/dev/null | "
			     "sed -n 's/^Inode: \\([0-9]*\\).*/\\1/p'"),
		       NULL, 10);
}

/* A file and a directory with another are new, one is gone. */
static void usual(void)
{
	note_head();
	note_inode(FILE_INO, S_IFREG | 0644, 1, 3 * BS);
	note_add(FILE_INO, 0, home, 3);
	note_name(3, 2, FILE_INO, "new");
	note_inode(DIR_INO, S_IFDIR | 0755, 2, BS);
	note_name(3, 2, DIR_INO, "dir");
	note_tail();
	note_inode(IN_INO, S_IFREG | 0644, 1, BS);
	note_add(IN_INO, 0, home + 10, 1);
	note_name(3, DIR_INO, IN_INO, "in");
	note_name(4, DIR_INO, FILE_INO, "link");
	note_inode(FILE_INO, S_IFREG | 0644, 2, 3 * BS);
	note_name(5, 2, old_ino(), "old");
	note_tail();
}

/* Names, numbers, sizes; contents. */
static const char *tree(void)
{
	return shout("for d in / /dir; do debugfs -R \"ls -p $d\" $IMG 2>/dev/null; done;"
		     "debugfs -R 'cat /new' $IMG 2>/dev/null | sha256sum");
}

static int recover_it(void)
{
	struct fs *fs;
	int err = vol_open(&fs);

	if (err)
		return err;
	return fs_close(fs);
}

static void test_replay(void)
{
	uint8_t want[3 * BS];
	const char *t;
	unsigned i;
	FILE *f;

	begin("16M", "");
	usual();
	end();
	ok(!recover_it(), "recovered");
	t = tree();
	ok(strstr(t, "/20/100644/0/0/new/3072/"), "a new file");
	ok(strstr(t, "/21/040755/0/0/dir//"), "a directory");
	ok(strstr(t, "/22/100644/0/0/in/1024/"), "with a file");
	ok(strstr(t, "/20/100644/0/0/link/3072/"), "and a second name");
	ok(!strstr(t, "/old/"), "a name is gone");
	for (i = 0; i < 3; i++)
		fill(want + i * BS, home + i, 1);
	sh("debugfs -R 'dump /new '$IMG.data $IMG >/dev/null 2>&1");
	f = fopen(shout("echo $IMG.data"), "r");
	if (!f)
		bail("dump");
	{
		uint8_t got[3 * BS] = { 0 };

		ok(fread(got, 1, sizeof(got), f) == sizeof(got) &&
		   !memcmp(got, want, sizeof(got)), "the log's data is in it");
	}
	fclose(f);
	ok(vol_clean(), "e2fsck finds nothing");
}

static void test_crash(const struct kind *k)
{
	char good[4096];
	int n, err;

	use = k;
	begin("16M", "");
	usual();
	end();
	sh("cp $IMG $IMG.before");
	ok(!recover_it(), "%s: to be crashed", k->what);
	snprintf(good, sizeof(good), "%s", tree());
	for (n = 0, err = -EIO; err && n < 200; n++) {
		sh("cp $IMG.before $IMG");
		crash_left = n + 1;
		err = recover_it();
		crash_left = -1;
		if (!err)
			break;
		ok(!recover_it(), "recovered after %d writes and flushes", n);
		ok(!strcmp(tree(), good), "to the same end");
		ok(vol_clean(), "e2fsck finds nothing");
	}
	ok(n > 15 && n < 200, "%d crashes", n);
	use = kinds;
}

/* --- too many --- */

static void test_too_many(void)
{
	struct fs_options opt = { .source = vol_img, .ro = true };
	struct inode *inode;
	struct fs *fs;
	unsigned i;

	begin("32M", "");
	note_head();
	for (i = 0; i < 1100; i++)	/* each in a block of its own */
		note_inode(20 + 4 * i, S_IFREG | 0600, 1, 0);
	note_tail();
	end();
	sh("cp $IMG $IMG.before");
	is(recover_it(), -EFSCORRUPTED, "too many for the log: refused");
	ok(!sh("cmp -s $IMG $IMG.before"), "untouched");
	if (!ok(!fs_open(&opt, &fs), "but not with ro"))
		return;
	fs_lock(fs);
	ok(!inode_get(fs, 20 + 4 * 1099, &inode), "all of it is there");
	if (inode)
		inode_put(inode);
	fs_unlock(fs);
	fs_close(fs);
	ok(!sh("cmp -s $IMG $IMG.before"), "untouched");
}

/* --- read-only by the log's superblock --- */

static void fill_super(uint8_t *page, uint64_t blk, unsigned version)
{
	struct ext2_super_block *sb = (void *)page;

	(void)version;
	if (pread(fd, page, BS, blk * BS) != BS)
		bail("pread");
	sb->s_feature_ro_compat |= htole32(EXT4_FEATURE_RO_COMPAT_READONLY);
	sb->s_feature_incompat |= htole32(EXT3_FEATURE_INCOMPAT_RECOVER);
}

static void test_read_only(void)
{
	struct inode *inode = NULL;
	struct fs *fs;

	begin("16M", "");
	filler = fill_super;
	put_blocks(1, 1, 1);
	filler = fill;
	put_commit();
	usual();
	end();
	sh("cp $IMG $IMG.before");
	if (!ok(!vol_open(&fs), "read-only by the log's superblock"))
		return;
	ok(!fs_writable(fs) && fs->shown, "recovered in memory");
	fs_lock(fs);
	is(inode_get(fs, IN_INO, &inode), 0, "a file of a fast commit is there");
	if (inode)
		inode_put(inode);
	fs_unlock(fs);
	fs_close(fs);
	ok(!sh("cmp -s $IMG $IMG.before"), "not a byte was written");
}

/* --- nonsense --- */

static void refused(const char *what)
{
	note_tail();
	end();
	sh("cp $IMG $IMG.before");
	ok(recover_it() == -EFSCORRUPTED, "%s: refused", what);
	ok(!sh("cmp -s $IMG $IMG.before"), "untouched");
}

static void test_reserved(void)
{
	begin("16M", "");
	note_head();
	note_del(8, 0, 100);
	refused("a range of the journal");
	begin("16M", "");
	note_head();
	note_name(4, 2, 8, "journal");
	refused("a name of the journal");
	begin("16M", "");
	note_head();
	note_name(4, 11, 2, "root");
	refused("a name of the root");
	begin("16M", "");
	note_head();
	note_inode(FILE_INO, S_IFREG | 0644, 1, BS);
	note_add(FILE_INO, 0, log_at / BS + 30, 1);
	refused("a block of the journal");
}

/* Nothing but a head, before a large area that was never written. */
static void test_empty_area(void)
{
	begin("64M", " -J size=24");
	note_head();
	next_area();
	end();
	reads = 0;
	ok(!recover_it(), "an area of %u blocks, with a head", fast_len);
	ok(reads < 4000, "is not read to its end: %u reads", reads);
	ok(vol_clean(), "e2fsck finds nothing");
}

/* Orphans in a circle that the first of them is not part of. */
static void test_circle(void)
{
	struct fs *fs;

	begin("16M", "");
	usual();
	end();
	sh("for i in 1 2 3; do debugfs -w -R \"write $IMG.data o$i\" $IMG; done >/dev/null 2>&1;"
	   "a=$(debugfs -R 'ls -p' $IMG 2>/dev/null | awk -F/ '/o1/ {print $2}');"
	   "debugfs -w -R \"ssv last_orphan $a\" $IMG >/dev/null 2>&1;"
	   "debugfs -w -R \"sif <$a> dtime @$((a + 1))\" $IMG >/dev/null 2>&1;"
	   "debugfs -w -R \"sif <$((a + 1))> dtime @$((a + 2))\" $IMG >/dev/null 2>&1;"
	   "debugfs -w -R \"sif <$((a + 2))> dtime @$((a + 1))\" $IMG >/dev/null 2>&1");
	alarm(60);
	if (!vol_open(&fs))
		fs_close(fs);
	alarm(0);
	ok(1, "orphans in a circle come to an end");
}

int main(void)
{
	size_t i;

	vol_init("fastcommit");
	test_replay();
	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		test_crash(&kinds[i]);
	test_too_many();
	test_read_only();
	test_reserved();
	test_empty_area();
	test_circle();
	return done();
}
