/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * recover.c - journals made by hand: every kind of checksum and tag, revokes,
 * escapes, a log that wraps, commits cut short, damage; and a crash after
 * each write of a recovery.  e2fsck judges what we make of a copy.
 *
 * The writer here shares only the constants with the program.
 */
#include <endian.h>
#include <sys/syscall.h>

#include "voltest.h"
#include "io/device.h"
#include "journal/format.h"

#define BS	1024
#define TID	77

static int fd;
static uint64_t log_at;			/* bytes; the journal lies in one piece */
static struct jbd_super js;
static uint32_t pos, tid, seed, len;
static uint64_t home;			/* free blocks, for the log to fill */

struct kind {
	const char *what;
	uint32_t compat, incompat;
};

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
static const struct kind *kind;
static uint32_t v1_crc;

static bool csum23(void)
{
	return kind->incompat & (JBD_INCOMPAT_CSUM_V2 | JBD_INCOMPAT_CSUM_V3);
}

static void put32(uint8_t *p, uint32_t v)
{
	v = htobe32(v);
	memcpy(p, &v, 4);
}

static void put16(uint8_t *p, uint16_t v)
{
	v = htobe16(v);
	memcpy(p, &v, 2);
}

static void must_write(const void *buf, size_t n, uint64_t off)
{
	if (pwrite(fd, buf, n, off) != (ssize_t)n)
		bail("pwrite");
}

static void put_log(const void *block)
{
	must_write(block, BS, log_at + (uint64_t)pos * BS);
	if (++pos == len)
		pos = 1;
}

static void put_super(uint32_t start)
{
	memset(&js, 0, sizeof(js));
	js.h.magic = htobe32(JBD_MAGIC);
	js.h.type = htobe32(JBD_SUPER_V2);
	js.blocksize = htobe32(BS);
	js.maxlen = htobe32(len);
	js.first = htobe32(1);
	js.sequence = htobe32(TID);
	js.start = htobe32(start);
	js.nr_users = htobe32(1);
	js.compat = htobe32(kind->compat);
	js.incompat = htobe32(kind->incompat | JBD_INCOMPAT_REVOKE);
	memset(js.uuid, 0x5a, sizeof(js.uuid));
	if (csum23()) {
		js.checksum_type = JBD_CSUM_CRC32C;
		js.checksum = htobe32(ext2fs_crc32c_le(~0U, (uint8_t *)&js,
						       sizeof(js)));
	}
	seed = ext2fs_crc32c_le(~0U, js.uuid, sizeof(js.uuid));
	must_write(&js, sizeof(js), log_at);
}

static void fill(uint8_t *page, uint64_t blk, unsigned version)
{
	memset(page, 'a' + (blk * 7 + version) % 26, BS);
	if (blk % 3 == 0)
		put32(page, JBD_MAGIC);		/* to be escaped */
}

static void start_block(uint8_t *b, uint32_t type)
{
	memset(b, 0, BS);
	put32(b, JBD_MAGIC);
	put32(b + 4, type);
	put32(b + 8, tid);
}

static void put_tail(uint8_t *b)
{
	if (csum23())
		put32(b + BS - 4, ext2fs_crc32c_le(seed, b, BS));
}

/* N blocks from BLK, as VERSION has them. */
static void put_blocks(uint64_t blk, unsigned n, unsigned version)
{
	uint8_t desc[BS], pages[40][BS], *p = desc + 12;
	unsigned i, flags;
	uint32_t be = htobe32(tid), crc;

	start_block(desc, JBD_DESCRIPTOR);
	for (i = 0; i < n; i++) {
		fill(pages[i], blk + i, version);
		flags = i ? JBD_TAG_SAME_UUID : 0;
		if (i + 1 == n)
			flags |= JBD_TAG_LAST;
		if ((blk + i) % 3 == 0) {
			flags |= JBD_TAG_ESCAPE;
			memset(pages[i], 0, 4);
		}
		crc = ext2fs_crc32c_le(seed, (uint8_t *)&be, 4);
		crc = ext2fs_crc32c_le(crc, pages[i], BS);
		put32(p, blk + i);
		if (kind->incompat & JBD_INCOMPAT_CSUM_V3) {
			put32(p + 4, flags);
			put32(p + 12, crc);
			p += 16;
		} else {
			put16(p + 6, flags);
			if (kind->incompat & JBD_INCOMPAT_CSUM_V2)
				put16(p + 4, crc & 0xffff);
			p += 8;
			if (kind->incompat & JBD_INCOMPAT_64BIT)
				p += 4;
			if (kind->incompat & JBD_INCOMPAT_CSUM_V2)
				p += 2;
		}
		if (!i)
			p += 16;
	}
	put_tail(desc);
	put_log(desc);
	v1_crc = ext2fs_crc32_be(v1_crc, desc, BS);
	for (i = 0; i < n; i++) {
		put_log(pages[i]);
		v1_crc = ext2fs_crc32_be(v1_crc, pages[i], BS);
	}
}

static void put_revoke(uint64_t blk)
{
	uint8_t b[BS];
	bool wide = kind->incompat & JBD_INCOMPAT_64BIT;

	start_block(b, JBD_REVOKE);
	put32(b + 12, wide ? 24 : 20);
	put32(b + (wide ? 20 : 16), blk);
	put_tail(b);
	put_log(b);
}

static void put_commit(void)
{
	uint8_t b[BS];

	start_block(b, JBD_COMMIT);
	put32(b + 0x34, 1000000 + tid);
	if (csum23()) {
		put32(b + 16, ext2fs_crc32c_le(seed, b, BS));
	} else if (kind->compat & JBD_COMPAT_CHECKSUM) {
		b[12] = 1;
		b[13] = 4;
		put32(b + 16, v1_crc);
	}
	put_log(b);
	v1_crc = ~0U;
	tid++;
}

/* A volume with its journal in one piece, and nothing in it. */
static void begin(const struct kind *k, uint32_t start)
{
	static uint8_t zero[BS];
	uint32_t i;

	kind = k;
	vol_make("-t ext4 -b 1024 -O ^metadata_csum,extent -J size=1", "16M");
	log_at = strtoull(shout("debugfs -R 'bmap <8> 0' $IMG 2>/dev/null"),
			  NULL, 10) * BS;
	home = strtoull(shout("debugfs -R 'ffb 50 12000' $IMG 2>/dev/null | sed 's/.*: //'"),
			NULL, 10);
	len = 1024;
	fd = open(vol_img, O_RDWR);
	if (fd < 0 || !log_at || !home)
		bail("the image");
	for (i = 0; i < len; i++)
		must_write(zero, BS, log_at + (uint64_t)i * BS);
	pos = start;
	tid = TID;
	v1_crc = ~0U;
	put_super(start);
}

static void end(void)
{
	close(fd);
	if (sh("debugfs -w -R 'feature needs_recovery' $IMG >/dev/null 2>&1"))
		bail("debugfs");
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

/* The server's calls come by here, as they are those of this program. */
static int crash_left = -1;		/* writes until the crash; -1: none */

static bool crashed(void)
{
	if (crash_left < 0)
		return false;
	if (crash_left)
		crash_left--;
	errno = EIO;
	return !crash_left;
}

ssize_t pwrite64(int f, const void *buf, size_t n, off64_t off)
{
	return crashed() ? -1 : syscall(SYS_pwrite64, f, buf, n, off);
}

int fdatasync(int f)
{
	return crashed() ? -1 : syscall(SYS_fdatasync, f);
}

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
	test_super();
	test_backup();
	test_error();
	test_crash(&kinds[0]);
	test_crash(&kinds[6]);
	return done();
}
