/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * recover.c - journals made by hand: every kind of checksum and tag, revokes,
 * escapes, a log that wraps, commits cut short, damage; and a crash after
 * each write of a recovery.  e2fsck judges what we make of a copy.
 */
#include "logtest.h"
#include "fs/mmp.h"
#include "io/device.h"

static const struct kind kinds[] = {
	{ "plain", 0, 0 },
	{ "64 bits", 0, JBD_INCOMPAT_64BIT },
	{ "v1", JBD_COMPAT_CHECKSUM, 0 },
	{ "v2", 0, JBD_INCOMPAT_CSUM_V2 },
	{ "v2, 64 bits", 0, JBD_INCOMPAT_CSUM_V2 | JBD_INCOMPAT_64BIT },
	{ "v3", 0, JBD_INCOMPAT_CSUM_V3 },
	{ "v3, 64 bits", 0, JBD_INCOMPAT_CSUM_V3 | JBD_INCOMPAT_64BIT },
	{ "v1, async", JBD_COMPAT_CHECKSUM, JBD_INCOMPAT_ASYNC },
	{ "v3, async", 0, JBD_INCOMPAT_CSUM_V3 | JBD_INCOMPAT_ASYNC },
};
/* A volume with its journal in one piece, and nothing in it. */
static void begin(const struct kind *k, uint32_t start)
{
	log_begin(k, start,
		  "-t ext4 -b 1024 -O ^metadata_csum,extent -J size=1", "16M",
		  0);
}

/* Four transactions, of which 3 revokes a block of 1, and 4 is VERSION 9. */
static void usual(void)
{
	put_blocks(home, 20, 1);
	put_commit();
	put_blocks(home + 10, 15, 2);
	put_blocks(home + 40, 3, 2);
	put_commit();
	put_revoke(home + 2);
	put_blocks(home + 4, 1, 3);
	put_commit();
	put_blocks(home + 1, 4, 4);
	put_commit();
}

static bool has(uint64_t blk, unsigned version)
{
	uint8_t want[BS], got[BS];
	int f = open(vol_img, O_RDONLY);
	bool same;

	fill(want, blk, version);
	same = pread(f, got, BS, blk * BS) == BS && !memcmp(got, want, BS);
	close(f);
	return same;
}

static int recover_it(void)
{
	struct fs *fs;
	int err = vol_open(&fs);

	if (err)
		return err;
	return fs_close(fs);
}

/* Of all but what a mount changes: the data blocks that the log was about. */
static const char *contents(const char *img)
{
	static char sum[2][80];
	static int which;

	which = !which;
	snprintf(sum[which], sizeof(sum[which]), "%s",
		 shout("dd if=%s bs=1024 skip=%llu count=50 2>/dev/null | sha256sum",
		       img, (unsigned long long)home));
	return sum[which];
}

static void test_kind(const struct kind *k, uint32_t start)
{
	char copy[320];

	begin(k, start);
	usual();
	end();
	snprintf(copy, sizeof(copy), "%s.copy", vol_img);
	sh("cp $IMG $IMG.copy; e2fsck -fy -E journal_only $IMG.copy >/dev/null 2>&1");
	ok(!recover_it(), "%s, from %u", k->what, start);
	ok(has(home, 1) && has(home + 9, 1), "the first");
	ok(has(home + 1, 4) && has(home + 2, 4), "the last, revoked before");
	ok(has(home + 12, 2) && has(home + 42, 2), "the second");
	ok(!strcmp(contents(vol_img), contents(copy)), "as e2fsck has it");
	ok(vol_clean(), "e2fsck finds nothing");
}

static void test_revoke(const struct kind *k)
{
	begin(k, 1);
	put_blocks(home, 3, 1);
	put_commit();
	put_revoke(home + 1);
	put_commit();
	end();
	ok(!recover_it(), "%s: revoked", k->what);
	ok(has(home, 1) && !has(home + 1, 1) && has(home + 2, 1),
	   "what was revoked is not written");
}

/* --- commits cut short, and damage --- */

static void flip(uint32_t jblk, unsigned off)
{
	uint8_t c;

	if (pread(fd, &c, 1, log_at + (uint64_t)jblk * BS + off) != 1)
		bail("pread");
	c ^= 0x40;
	must_write(&c, 1, log_at + (uint64_t)jblk * BS + off);
}

static int image_changed(void)
{
	return sh("cmp -s $IMG $IMG.before");
}

/* The log blocks of usual(): 1 descriptor, 2-21, 22 commit; 23, 24-38, 39,
 * 40-42, 43 commit; 44 revoke, 45, 46, 47 commit; 48, 49-52, 53 commit. */
static void test_damage(const struct kind *k, uint32_t jblk, unsigned off,
			bool refused, const char *what)
{
	begin(k, 1);
	usual();
	flip(jblk, off);
	end();
	sh("cp $IMG $IMG.before");
	if (refused) {
		ok(recover_it() < 0, "%s: %s: refused", k->what, what);
		ok(!image_changed(), "untouched");
		return;
	}
	ok(!recover_it(), "%s: %s: ends there", k->what, what);
	ok(has(home + 12, 2), "what was complete is there");
	ok(!has(home + 3, 4), "what was not is not");
	ok(vol_clean(), "e2fsck finds nothing");
}

static void test_outside(uint64_t blk, const char *what)
{
	begin(&kinds[5], 1);
	put_blocks(home, 3, 1);
	put_commit();
	put_blocks(blk, 1, 1);
	put_commit();
	end();
	sh("cp $IMG $IMG.before");
	ok(recover_it() < 0, "%s: refused", what);
	ok(!image_changed(), "untouched");
}

static void test_mmp(void)
{
	uint32_t incompat, blk;

	mmp_second_ms = 1;
	log_begin(&kinds[0], 1,
		  "-t ext4 -b 1024 -O ^metadata_csum,extent,mmp -J size=1",
		  "16M", 0);
	blk = strtoul(shout("dumpe2fs -h $IMG 2>/dev/null | sed -n 's/^MMP block number: *//p'"),
		      NULL, 10);
	put_blocks(blk, 1, 1);
	put_commit();
	/* debugfs would wait */
	if (!blk || pread(fd, &incompat, 4, 1024 + 0x60) != 4)
		bail("the superblock");
	incompat |= htole32(EXT3_FEATURE_INCOMPAT_RECOVER);
	must_write(&incompat, 4, 1024 + 0x60);
	close(fd);
	ok(recover_it() < 0, "the block of MMP: refused");
	ok(!has(blk, 1), "untouched");
	mmp_second_ms = 1000;
}

static void test_super(void)
{
	begin(&kinds[5], 1);
	usual();
	flip(0, 0x10);
	end();
	sh("cp $IMG $IMG.before");
	ok(recover_it() < 0, "wrong checksum of the superblock: refused");
	ok(!image_changed(), "untouched");

	begin(&kinds[0], 1);
	usual();
	flip(0, 0x28);
	end();
	ok(recover_it() < 0, "an unknown feature: refused");
}

/* --- the inode, an error on record, memory --- */

static void test_backup(void)
{
	struct fs *fs;

	begin(&kinds[6], 1);
	usual();
	end();
	sh("debugfs -w -R 'sif <8> block[0] 0' $IMG >/dev/null 2>&1;"
	   "debugfs -w -R 'sif <8> mode 0' $IMG >/dev/null 2>&1");
	is(vol_open(&fs), 0, "the journal's inode is damaged");
	ok(!fs_writable(fs), "read-only");
	fs_close(fs);
	ok(has(home + 1, 4), "replayed by its backup");
	sh("e2fsck -fy $IMG >/dev/null 2>&1");
	ok(vol_clean(), "e2fsck puts the inode right");
}

/* The log's second half lies over its first. */
static void test_overlap(void)
{
	uint8_t map[36] = { 0x0a, 0xf3, 2, 0, 4, 0 }, none = 0;
	uint32_t p;
	unsigned long where;

	begin(&kinds[0], 1);
	usual();
	end();
	where = strtoul(shout("debugfs -R 'imap <8>' $IMG 2>/dev/null | "
		"sed -n 's/.*block \\([0-9]*\\), offset \\(.*\\)/"
		"echo $((\\1 * 1024 + \\2 + 40))/p' | sh"), NULL, 10);
	p = log_at / BS;
	map[16] = 512 & 0xff;
	map[17] = 512 >> 8;
	memcpy(map + 20, &p, 4);
	map[25] = map[29] = 2;
	p += 200;
	memcpy(map + 32, &p, 4);
	fd = open(vol_img, O_RDWR);
	if (fd < 0 || !where)
		bail("the inode");
	must_write(map, sizeof(map), where);
	must_write(&none, 1, 1024 + offsetof(struct ext2_super_block,
					     s_jnl_backup_type));
	close(fd);
	sh("cp $IMG $IMG.before");
	ok(recover_it() < 0, "blocks that the log has twice: refused");
	ok(!image_changed(), "untouched");
}

static void test_error(void)
{
	begin(&kinds[0], 1);
	usual();
	js.error = htobe32((uint32_t)-5);
	must_write(&js, sizeof(js), log_at);
	end();
	ok(recover_it() < 0, "an error on record: recovered, and refused");
	ok(has(home + 1, 4), "recovered");
	ok(strstr(shout("dumpe2fs -h $IMG 2>/dev/null | grep state"), "errors"),
	   "the volume has it now");
}

static void test_memory(const struct kind *k)
{
	struct fs_options opt = { .source = vol_img, .ro = true };
	uint8_t want[BS], got[BS];
	struct fs *fs;
	unsigned i;

	begin(k, 1);
	usual();
	end();
	sh("cp $IMG $IMG.before");
	if (!ok(!fs_open(&opt, &fs), "%s: ro", k->what))
		return;
	for (i = 1; i < 5; i++) {
		fill(want, home + i, 4);
		is(device_read(fs->dev, got, BS, (home + i) * BS), 0, "read");
		ok(!memcmp(want, got, BS), "as recovered: block %u", i);
	}
	is(device_read(fs->dev, got, 100, (home + 4) * BS + 900), 0, "a part");
	ok(!memcmp(want + 900, got, 100), "of a block");
	is(fs_close(fs), 0, "close");
	ok(!image_changed(), "not a byte was written");
}

/* --- a crash after each write --- */

static void test_crash(const struct kind *k)
{
	char good[80];
	int n, err;

	begin(k, 1000);
	usual();
	end();
	sh("cp $IMG $IMG.before");
	ok(!recover_it(), "%s: to be crashed", k->what);
	snprintf(good, sizeof(good), "%s", contents(vol_img));
	for (n = 0, err = -EIO; err && n < 100; n++) {
		sh("cp $IMG.before $IMG");
		crash_left = n + 1;
		err = recover_it();
		crash_left = -1;
		if (!err)
			break;
		ok(!recover_it(), "recovered after %d writes and flushes", n);
		ok(!strcmp(contents(vol_img), good), "to the same end");
		ok(vol_clean(), "e2fsck finds nothing");
	}
	ok(n > 5 && n < 100, "%d crashes", n);
}

int main(void)
{
	size_t i, n = sizeof(kinds) / sizeof(kinds[0]);

	vol_init("recover");
	for (i = 0; i < n; i++) {
		test_kind(&kinds[i], 1);
		test_kind(&kinds[i], 990);
		test_revoke(&kinds[i]);
		test_memory(&kinds[i]);
	}
	for (i = 3; i < 7; i++) {
		test_damage(&kinds[i], 53, 900, false, "the last commit is torn");
		test_damage(&kinds[i], 53, 8, false, "the last commit is missing");
		test_damage(&kinds[i], 43, 900, true, "a commit in the middle");
		test_damage(&kinds[i], 48, 900, true, "a descriptor");
		test_damage(&kinds[i], 44, 900, true, "a revoke block");
		test_damage(&kinds[i], 50, 900, true, "a block");
	}
	test_damage(&kinds[7], 50, 900, false, "a block of the last");
	test_damage(&kinds[8], 50, 900, false, "a block of the last");
	test_damage(&kinds[7], 30, 900, true, "a block in the middle");
	test_damage(&kinds[8], 30, 900, true, "a block in the middle");
	test_outside(1 << 24, "a block outside the volume");
	test_outside(log_at / BS + 5, "a block of the journal");
	test_mmp();
	test_super();
	test_backup();
	test_overlap();
	test_error();
	test_crash(&kinds[0]);
	test_crash(&kinds[6]);
	return done();
}
