/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logtest.h - logs made by hand, and crashes: for the tests of recovery.
 *
 * The writer here shares only the constants with the program.
 */
#ifndef TESTS_LOGTEST_H
#define TESTS_LOGTEST_H

#include <endian.h>
#include <sys/syscall.h>

#include "voltest.h"
#include "journal/format.h"

#define BS	1024
#define TID	77

static int fd;
static uint64_t log_at;			/* bytes; the journal lies in one piece */
static struct jbd_super js;
static uint32_t pos, tid, seed, len, fast_len;
static uint64_t home;			/* free blocks, for the log to fill */

struct kind {
	const char *what;
	uint32_t compat, incompat;
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
	if (++pos == len - fast_len)
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
	if (fast_len) {
		js.incompat |= htobe32(JBD_INCOMPAT_FAST);
		js.fast_blocks = htobe32(fast_len);
	}
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

/* What a block of the volume is in the log. */
static void (*filler)(uint8_t *page, uint64_t blk, unsigned version) = fill;

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
		filler(pages[i], blk + i, version);
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

__attribute__((unused)) static void put_revoke(uint64_t blk)
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

/* Blocks of zeroes, from log block JBLK on. */
static void clear_log(uint32_t jblk, uint32_t n)
{
	static uint8_t zero[BS];

	for (; n--; jblk++)
		must_write(zero, BS, log_at + (uint64_t)jblk * BS);
}

/*
 * An empty log of LEN blocks in one piece on a new volume, FAST of them at
 * its end for fast commits; HOME is the first of 50 free blocks.
 */
static void log_begin(const struct kind *k, uint32_t start, const char *mkfs,
		      const char *size, uint32_t fast)
{
	kind = k;
	fast_len = fast;
	vol_make(mkfs, size);
	log_at = strtoull(shout("debugfs -R 'bmap <8> 0' $IMG 2>/dev/null"),
			  NULL, 10) * BS;
	len = strtoull(shout("debugfs -R 'stat <8>' $IMG 2>/dev/null | "
			     "sed -n 's/.*Size: //p'"), NULL, 10) / BS;
	home = strtoull(shout("debugfs -R 'ffb 50 12000' $IMG 2>/dev/null | sed 's/.*: //'"),
			NULL, 10);
	fd = open(vol_img, O_RDWR);
	if (fd < 0 || !log_at || !home || !len)
		bail("the image");
	clear_log(0, len);
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

/* --- crashes --- */

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

#endif
