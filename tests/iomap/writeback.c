/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * writeback.c - dirty pages on their way to the device, and IOEND after that.
 *
 * Takes no inode lock: it meets writes, truncate and unlink.  A page under
 * write-back is neither changed nor dropped.
 */
#include <stdlib.h>
#include <string.h>

#include "pages.h"

#define BATCH	2048		/* pages of one round, at most */

/* One write to the device. */
struct ioend {
	uint64_t pos, len;		/* blocks written */
	uint64_t written;		/* of them, below the end of the file */
	struct iom_map map;
	uint8_t *data;
	int error;
};

struct round {
	struct page *pages[BATCH];
	unsigned count;
	struct ioend ends[BATCH * 4];
	unsigned end_count;
	struct seen_map map;
};

static void ioend_add(struct round *r, uint64_t pos, const uint8_t *data,
		      uint64_t written, const struct iom_map *map, int error)
{
	uint32_t size = page_block();
	struct ioend *e = r->end_count ? &r->ends[r->end_count - 1] : NULL;

	if (!e || e->pos + e->len != pos || e->error != error || error ||
	    e->map.type != map->type ||
	    e->map.addr - e->map.offset != map->addr - map->offset) {
		e = &r->ends[r->end_count++];
		memset(e, 0, sizeof(*e));
		e->pos = pos;
		e->map = *map;
		e->error = error;
	}
	e->data = realloc(e->data, e->len + size);
	memcpy(e->data + e->len, data, size);
	e->len += size;
	e->written += written;
}

/* The blocks of a busy page; model.lock held, dropped for requests. */
static void writeback_page(struct inode *inode, struct page *p, struct round *r)
{
	uint64_t pos, size = inode->size;
	unsigned b;
	int err;

	p->writeback = true;
	if (p->index * PAGE + PAGE > size && p->index * PAGE < size)
		memset(p->data + size % PAGE, 0, PAGE - size % PAGE);
	for (b = 0; b < blocks_per_page(); b++) {
		if (!(p->dirty & 1u << b))
			continue;
		p->dirty &= ~(1u << b);
		pos = p->index * PAGE + (uint64_t)b * page_block();
		if (pos >= size)
			continue;
		err = 0;
		if (!r->map.map.length || pos < r->map.map.offset ||
		    pos >= r->map.map.offset + r->map.map.length ||
		    !map_valid(inode, &r->map)) {
			pthread_mutex_unlock(&M.lock);
			err = map_begin(inode, IOM_OP_WRITEBACK, pos,
					page_block() * (blocks_per_page() - b),
					&r->map);
			pthread_mutex_lock(&M.lock);
		}
		if (err)
			r->map.map.length = 0;
		else
			map_own(inode, &r->map.map, pos, page_block(), r->map.layout);
		ioend_add(r, pos, p->data + b * page_block(),
			  min_u64(size - pos, page_block()), &r->map.map, err);
	}
}

static int submit(struct inode *inode, struct ioend *e)
{
	uint32_t flags = IOM_IOEND_WRITEBACK;
	bool append;

	if (!e->error && e->map.type == IOM_HOLE)
		return 0;
	if (!e->error && M.io_errno)
		e->error = -M.io_errno;
	if (!e->error)
		model_image_io(true, e->map.addr + e->pos - e->map.offset,
			       e->data, e->len);
	pthread_mutex_lock(&M.lock);
	append = e->pos + e->written > inode->disk_size;
	pthread_mutex_unlock(&M.lock);
	if (e->map.type == IOM_UNWRITTEN)
		flags |= IOM_IOEND_UNWRITTEN;
	if (append)
		flags |= IOM_IOEND_APPEND;
	if (!e->error && !append && e->map.type != IOM_UNWRITTEN)
		return 0;
	if (e->error) {
		map_ioend(inode, flags, e->error, e->pos, e->written, &e->map);
		return e->error;
	}
	return map_ioend(inode, flags, 0, e->pos, e->written, &e->map);
}

static void round_finish(struct inode *inode, struct round *r)
{
	unsigned i, at;
	int err = 0, e;

	while (r->end_count) {
		/* the device completes in any order */
		at = model_random() % r->end_count;
		e = submit(inode, &r->ends[at]);
		err = err ? err : e;
		free(r->ends[at].data);
		r->ends[at] = r->ends[--r->end_count];
	}
	pthread_mutex_lock(&M.lock);
	for (i = 0; i < r->count; i++)
		r->pages[i]->writeback = false;
	if (err)
		inode->wb_error = err;
	pthread_cond_broadcast(&M.cond);
	pthread_mutex_unlock(&M.lock);
}

/* Dirty pages of the range that nobody has, into a round. */
static void round_collect(struct inode *inode, uint64_t first, uint64_t last,
			  struct round *r, bool *more)
{
	struct page *p;
	uint64_t index = first;
	unsigned at;

	*more = false;
	while (r->count < (M.batch ? M.batch : 64)) {
		at = page_find(inode, index);
		while (at < inode->page_count && !inode->pages[at]->dirty)
			at++;
		if (at >= inode->page_count || inode->pages[at]->index > last)
			return;
		index = inode->pages[at]->index;
		/* who holds pages already must not wait for others */
		p = inode->pages[at];
		if (p->busy || p->writeback) {
			*more = true;
			if (r->count) {
				index++;
				continue;
			}
			pthread_cond_wait(&M.cond, &M.lock);
			continue;
		}
		p->busy = true;
		writeback_page(inode, p, r);
		page_put(p);
		r->pages[r->count++] = p;
		index++;
	}
	*more = true;
}

/* Waits until no page of the range is under write-back. */
static void wait_writeback(struct inode *inode, uint64_t first, uint64_t last)
{
	unsigned at;

	for (;;) {
		for (at = page_find(inode, first); at < inode->page_count &&
		     inode->pages[at]->index <= last; at++) {
			if (inode->pages[at]->writeback)
				break;
		}
		if (at >= inode->page_count || inode->pages[at]->index > last)
			return;
		pthread_cond_wait(&M.cond, &M.lock);
	}
}

int pages_writeback(struct inode *inode, uint64_t pos, uint64_t len)
{
	uint64_t first = pos / PAGE, last;
	bool more = true;
	int err;

	last = len == UINT64_MAX || pos + len < pos ? UINT64_MAX :
	       len ? (pos + len - 1) / PAGE : first;
	while (more && !M.dead) {
		struct round *r = calloc(1, sizeof(*r));

		pthread_mutex_lock(&M.lock);
		round_collect(inode, first, last, r, &more);
		pthread_mutex_unlock(&M.lock);
		round_finish(inode, r);
		free(r);
	}
	pthread_mutex_lock(&M.lock);
	wait_writeback(inode, first, last);
	err = inode->wb_error;		/* told once */
	inode->wb_error = 0;
	pthread_mutex_unlock(&M.lock);
	return err;
}
