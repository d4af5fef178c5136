/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * record.c - the control blocks of a log as they are written: descriptors,
 * commit blocks, and what these have in common with revoke blocks.
 *
 * Knows their layout and checksums; not in which order anything is written,
 * nor where.  What is read is scan.c's, which trusts nothing of it.  Takes no
 * lock.
 */
#include <endian.h>
#include <string.h>
#include <time.h>

#include "fs/fs.h"
#include "journal/format.h"
#include "journal/logfile.h"
#include "journal/record.h"

unsigned record_tags(const struct logfile *lf)
{
	unsigned tail = lf->csum23 ? sizeof(struct jbd_tail) : 0;

	return (lf->blocksize - sizeof(struct jbd_header) -
		sizeof(lf->super.uuid) - tail) / lf->tag_bytes;
}

void record_start(const struct logfile *lf, uint8_t *block, uint32_t type,
		  uint32_t tid)
{
	struct jbd_header h = {
		.magic = htobe32(JBD_MAGIC), .type = htobe32(type),
		.sequence = htobe32(tid),
	};

	memset(block, 0, lf->blocksize);
	memcpy(block, &h, sizeof(h));
}

bool record_escaped(const uint8_t *data)
{
	uint32_t first;

	memcpy(&first, data, sizeof(first));
	return first == htobe32(JBD_MAGIC);
}

/* As the copy will be, which must not begin with the magic number. */
static uint32_t copy_csum(const struct logfile *lf, uint32_t tid,
			  const uint8_t *data)
{
	uint32_t be = htobe32(tid), zero = 0, crc;
	unsigned skip = record_escaped(data) ? sizeof(zero) : 0;

	crc = ext2fs_crc32c_le(lf->csum_seed, (uint8_t *)&be, sizeof(be));
	if (skip)
		crc = ext2fs_crc32c_le(crc, (uint8_t *)&zero, skip);
	return ext2fs_crc32c_le(crc, data + skip, lf->blocksize - skip);
}

void record_tag(const struct logfile *lf, uint32_t tid, uint8_t **at,
		uint64_t blk, const uint8_t *data, size_t n, size_t count)
{
	uint32_t crc = lf->csum23 ? copy_csum(lf, tid, data) : 0;
	uint32_t flags = (n ? JBD_TAG_SAME_UUID : 0) |
			 (n + 1 == count ? JBD_TAG_LAST : 0) |
			 (record_escaped(data) ? JBD_TAG_ESCAPE : 0);
	struct jbd_tag old = {
		.blocknr = htobe32((uint32_t)blk),
		.checksum = htobe16(crc & 0xffff),
		.flags = htobe16(flags),
		.blocknr_high = htobe32(blk >> 32),
	};
	struct jbd_tag3 tag = {
		.blocknr = htobe32((uint32_t)blk),
		.flags = htobe32(flags),
		.blocknr_high = htobe32(blk >> 32),
		.checksum = htobe32(crc),
	};

	if (lf->incompat & JBD_INCOMPAT_CSUM_V3)
		memcpy(*at, &tag, sizeof(tag));
	else	/* version 2 has two bytes more than it uses */
		memcpy(*at, &old, lf->tag_bytes < sizeof(old) ?
				  lf->tag_bytes : sizeof(old));
	*at += lf->tag_bytes;
	if (n)
		return;
	memcpy(*at, lf->super.uuid, sizeof(lf->super.uuid));
	*at += sizeof(lf->super.uuid);
}

void record_seal(const struct logfile *lf, uint8_t *block)
{
	uint32_t csum;

	if (!lf->csum23)
		return;
	csum = htobe32(ext2fs_crc32c_le(lf->csum_seed, block, lf->blocksize));
	memcpy(block + lf->blocksize - sizeof(csum), &csum, sizeof(csum));
}

void record_commit(const struct logfile *lf, uint8_t *block, uint32_t tid,
		   const struct timespec *now)
{
	struct jbd_commit c;

	record_start(lf, block, JBD_COMMIT, tid);
	memcpy(&c, block, sizeof(c));
	c.sec = htobe64(now->tv_sec);
	c.nsec = htobe32(now->tv_nsec);
	memcpy(block, &c, sizeof(c));
	if (!lf->csum23)
		return;
	c.chksum[0] = htobe32(ext2fs_crc32c_le(lf->csum_seed, block,
					       lf->blocksize));
	memcpy(block, &c, sizeof(c));
}
