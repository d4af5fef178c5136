/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * append.c - one transaction, written to a log that has been replayed.
 *
 * For recovery only, where no volume is open and no other transaction exists:
 * it is the way to make many blocks change at once.  Knows the layout of a
 * transaction in the log.  Takes no lock.
 */
#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "journal/append.h"
#include "journal/logfile.h"
#include "journal/scan.h"

struct append {
	struct logfile *lf;
	uint32_t pos, tid;
	uint8_t *block;			/* a control block */
	uint8_t *data;			/* an escaped one */
};

static size_t tags_in_block(const struct logfile *lf)
{
	size_t room = lf->blocksize - sizeof(struct jbd_header) -
		      sizeof(lf->super.uuid);

	if (lf->csum23)
		room -= sizeof(struct jbd_tail);
	return room / lf->tag_bytes;
}

bool log_append_fits(const struct logfile *lf, size_t count)
{
	size_t tags = tags_in_block(lf);

	return count + (count + tags - 1) / tags + 1 < lf->end - lf->first;
}

static int put_block(struct append *a, const void *block)
{
	int err = logfile_write(a->lf, a->pos, 1, block);

	a->pos = logfile_next(a->lf, a->pos);
	return err;
}

static void start_block(struct append *a, uint32_t type)
{
	struct jbd_header h = {
		.magic = htobe32(JBD_MAGIC), .type = htobe32(type),
		.sequence = htobe32(a->tid),
	};

	memset(a->block, 0, a->lf->blocksize);
	memcpy(a->block, &h, sizeof(h));
}

static bool needs_escape(const struct log_page *p)
{
	uint32_t magic = htobe32(JBD_MAGIC);

	return !memcmp(p->data, &magic, sizeof(magic));
}

/* The page as it stands in the log. */
static const void *log_copy(struct append *a, const struct log_page *p)
{
	if (!needs_escape(p))
		return p->data;
	memcpy(a->data, p->data, a->lf->blocksize);
	memset(a->data, 0, 4);
	return a->data;
}

static void put_tag(struct append *a, uint8_t *at, const struct log_page *p,
		    unsigned flags)
{
	const struct logfile *lf = a->lf;
	uint32_t crc = 0;
	struct jbd_tag3 t3;
	struct jbd_tag t;

	if (needs_escape(p))
		flags |= JBD_TAG_ESCAPE;
	if (lf->csum23)
		crc = log_tag_csum(lf, a->tid, log_copy(a, p));
	if (lf->incompat & JBD_INCOMPAT_CSUM_V3) {
		t3.blocknr = htobe32((uint32_t)p->blk);
		t3.blocknr_high = htobe32(p->blk >> 32);
		t3.flags = htobe32(flags);
		t3.checksum = htobe32(crc);
		memcpy(at, &t3, sizeof(t3));
		return;
	}
	t.blocknr = htobe32((uint32_t)p->blk);
	t.blocknr_high = htobe32(p->blk >> 32);
	t.flags = htobe16(flags);
	t.checksum = htobe16(crc & 0xffff);
	memcpy(at, &t, lf->tag_bytes < sizeof(t) ? lf->tag_bytes : sizeof(t));
}

/* A descriptor and the N copies that belong to it. */
static int put_pages(struct append *a, const struct log_page *pages, size_t n)
{
	struct logfile *lf = a->lf;
	size_t at = sizeof(struct jbd_header), tail, i;
	uint32_t be;
	int err;

	start_block(a, JBD_DESCRIPTOR);
	for (i = 0; i < n; i++) {
		put_tag(a, a->block + at, &pages[i],
			(i ? JBD_TAG_SAME_UUID : 0) |
			(i + 1 == n ? JBD_TAG_LAST : 0));
		at += lf->tag_bytes;
		if (!i) {
			memcpy(a->block + at, lf->super.uuid,
			       sizeof(lf->super.uuid));
			at += sizeof(lf->super.uuid);
		}
	}
	if (lf->csum23) {
		tail = lf->blocksize - sizeof(struct jbd_tail);
		be = htobe32(log_block_csum(lf, a->block, tail));
		memcpy(a->block + tail, &be, sizeof(be));
	}
	err = put_block(a, a->block);
	for (i = 0; i < n && !err; i++)
		err = put_block(a, log_copy(a, &pages[i]));
	return err;
}

/* Without a checksum of version 1: it need not be there. */
static int put_commit(struct append *a)
{
	struct jbd_commit c;
	struct timespec now;
	size_t field = offsetof(struct jbd_commit, chksum);

	clock_gettime(CLOCK_REALTIME, &now);
	start_block(a, JBD_COMMIT);
	memcpy(&c, a->block, sizeof(c));
	c.sec = htobe64(now.tv_sec);
	c.nsec = htobe32(now.tv_nsec);
	memcpy(a->block, &c, sizeof(c));
	if (a->lf->csum23) {
		c.chksum[0] = htobe32(log_block_csum(a->lf, a->block, field));
		memcpy(a->block, &c, sizeof(c));
	}
	return put_block(a, a->block);
}

static int append_all(struct append *a, const struct log_page *pages,
		      size_t count)
{
	struct logfile *lf = a->lf;
	size_t tags = tags_in_block(lf), n;
	int err;

	lf->super.start = htobe32(a->pos);
	lf->super.sequence = htobe32(a->tid);
	err = logfile_write_super(lf);
	if (!err)
		err = logfile_sync(lf);
	while (count && !err) {
		n = count < tags ? count : tags;
		err = put_pages(a, pages, n);
		pages += n;
		count -= n;
	}
	if (!err)
		err = logfile_sync(lf);
	if (!err)
		err = put_commit(a);
	return err ? err : logfile_sync(lf);
}

int log_append(struct logfile *lf, uint32_t head, uint32_t tid,
	       const struct log_page *pages, size_t count)
{
	struct append a = { .lf = lf, .pos = head, .tid = tid };
	int err = -ENOMEM;

	a.block = malloc(lf->blocksize);
	a.data = malloc(lf->blocksize);
	if (a.block && a.data)
		err = append_all(&a, pages, count);
	free(a.block);
	free(a.data);
	return err;
}
