/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * append.c - one transaction, written to a log that has been replayed.
 *
 * For recovery only, where no volume is open and no other transaction exists:
 * it is the way to make many blocks change at once.  Takes no lock.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "journal/append.h"
#include "journal/logfile.h"
#include "journal/record.h"

struct append {
	struct logfile *lf;
	uint32_t pos, tid;
	uint8_t *block;			/* a control block */
	uint8_t *data;			/* an escaped one */
};

bool log_append_fits(const struct logfile *lf, size_t count)
{
	size_t tags = record_tags(lf);

	return count + (count + tags - 1) / tags + 1 < lf->end - lf->first;
}

static int put_block(struct append *a, const void *block)
{
	int err = logfile_write(a->lf, a->pos, 1, block);

	a->pos = logfile_next(a->lf, a->pos);
	return err;
}

/* The page as it stands in the log. */
static const void *log_copy(struct append *a, const struct log_page *p)
{
	if (!record_escaped(p->data))
		return p->data;
	memcpy(a->data, p->data, a->lf->blocksize);
	memset(a->data, 0, sizeof(uint32_t));
	return a->data;
}

/* A descriptor and the N copies that belong to it. */
static int put_pages(struct append *a, const struct log_page *pages, size_t n)
{
	uint8_t *at = a->block + sizeof(struct jbd_header);
	size_t i;
	int err;

	record_start(a->lf, a->block, JBD_DESCRIPTOR, a->tid);
	for (i = 0; i < n; i++)
		record_tag(a->lf, a->tid, &at, pages[i].blk, pages[i].data, i,
			   n);
	record_seal(a->lf, a->block);
	err = put_block(a, a->block);
	for (i = 0; i < n && !err; i++)
		err = put_block(a, log_copy(a, &pages[i]));
	return err;
}

static int put_commit(struct append *a)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	record_commit(a->lf, a->block, a->tid, &now);
	return put_block(a, a->block);
}

static int append_all(struct append *a, const struct log_page *pages,
		      size_t count)
{
	struct logfile *lf = a->lf;
	size_t tags = record_tags(lf), n;
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
