/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * pages.c - the page cache: buffered reads and writes, stores into a mapping,
 * zeroing.
 *
 * A page is busy while somebody works on it with model.lock dropped.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pages.h"

unsigned blocks_per_page(void)
{
	return M.block_size >= PAGE ? 1 : PAGE / M.block_size;
}

uint32_t page_block(void)
{
	return M.block_size >= PAGE ? PAGE : M.block_size;
}

/* ---- pages ---- */

unsigned page_find(const struct inode *inode, uint64_t index)
{
	unsigned low = 0, high = inode->page_count, mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (inode->pages[mid]->index < index)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* The page, made if need be, and busy.  model.lock held. */
static struct page *page_get(struct inode *inode, uint64_t index, bool make)
{
	struct page *p;
	unsigned at;

	for (;;) {
		at = page_find(inode, index);
		p = at < inode->page_count ? inode->pages[at] : NULL;
		if (!p || p->index != index)
			break;
		if (!p->busy) {
			p->busy = true;
			return p;
		}
		pthread_cond_wait(&M.cond, &M.lock);
	}
	if (!make)
		return NULL;
	p = calloc(1, sizeof(*p));
	p->index = index;
	p->busy = true;
	if (inode->page_count == inode->page_room) {
		inode->page_room = inode->page_room ? inode->page_room * 2 : 16;
		inode->pages = realloc(inode->pages,
				       inode->page_room * sizeof(p));
	}
	memmove(inode->pages + at + 1, inode->pages + at,
		(inode->page_count - at) * sizeof(p));
	inode->pages[at] = p;
	inode->page_count++;
	return p;
}

void page_put(struct page *p)
{
	p->busy = false;
	pthread_cond_broadcast(&M.cond);
}

static void page_remove(struct inode *inode, struct page *p)
{
	unsigned at = page_find(inode, p->index);

	inode->page_count--;
	memmove(inode->pages + at, inode->pages + at + 1,
		(inode->page_count - at) * sizeof(p));
	free(p);
	pthread_cond_broadcast(&M.cond);
}

unsigned pages_dirty(const struct inode *inode)
{
	unsigned i, n = 0;

	for (i = 0; i < inode->page_count; i++)
		n += inode->pages[i]->dirty != 0;
	return n;
}

void pages_drop(struct inode *inode, uint64_t pos, uint64_t len)
{
	uint64_t first = (pos + PAGE - 1) / PAGE;
	uint64_t end = len == UINT64_MAX ? UINT64_MAX : (pos + len) / PAGE;
	struct page *p;
	unsigned at;

	pthread_mutex_lock(&M.lock);
	for (;;) {
		at = page_find(inode, first);
		if (at >= inode->page_count || inode->pages[at]->index >= end)
			break;
		p = inode->pages[at];
		if (p->busy || p->writeback)
			pthread_cond_wait(&M.cond, &M.lock);
		else
			page_remove(inode, p);
	}
	pthread_mutex_unlock(&M.lock);
}

/* ---- filling ---- */

/* Block B of page P from the device, or zeroes.  model.lock held. */
static void fill_block(struct inode *inode, struct page *p, unsigned b,
		       const struct iom_map *map)
{
	uint64_t pos = p->index * PAGE + (uint64_t)b * page_block();
	uint8_t *data = p->data + b * page_block();

	if (map->type == IOM_MAPPED && !(map->flags & IOM_F_NEW) &&
	    pos < round_up(inode->size, page_block()))
		model_image_io(false, map->addr + pos - map->offset, data,
			       page_block());
	else
		memset(data, 0, page_block());
	/* what is past the end is not the file's, whatever the disk has */
	if (pos + page_block() > inode->size && pos < inode->size)
		memset(data + (inode->size - pos), 0,
		       page_block() - (inode->size - pos));
	p->uptodate |= 1u << b;
}

/* Makes page INDEX up to date; it is busy then, and model.lock held. */
static int page_read(struct inode *inode, uint64_t index, uint32_t op,
		     struct seen_map *m, struct page **out)
{
	struct page *p;
	uint64_t pos;
	unsigned b;
	int err;

	p = page_get(inode, index, true);
	for (b = 0; b < blocks_per_page(); b++) {
		if (p->uptodate & 1u << b)
			continue;
		pos = index * PAGE + (uint64_t)b * page_block();
		if (pos >= inode->size) {
			memset(p->data + b * page_block(), 0, page_block());
			p->uptodate |= 1u << b;
			continue;
		}
		if (!m->map.length || pos < m->map.offset ||
		    pos >= m->map.offset + m->map.length || !map_valid(inode, m)) {
			pthread_mutex_unlock(&M.lock);
			err = map_begin(inode, op, pos, inode->size - pos, m);
			pthread_mutex_lock(&M.lock);
			if (err) {
				page_put(p);
				return err;
			}
		}
		map_own(inode, &m->map, pos, page_block(), m->layout);
		fill_block(inode, p, b, &m->map);
	}
	*out = p;
	return 0;
}

ssize_t file_read(struct inode *inode, uint64_t pos, void *buf, size_t len)
{
	struct seen_map m = { 0 };
	struct page *p;
	size_t done = 0, n;
	int err = 0;

	pthread_rwlock_rdlock(&inode->io);
	pthread_mutex_lock(&M.lock);
	if (pos >= inode->size)
		len = 0;
	else if (len > inode->size - pos)
		len = inode->size - pos;
	while (done < len) {
		n = min_u64(len - done, PAGE - (pos + done) % PAGE);
		err = page_read(inode, (pos + done) / PAGE, 0, &m, &p);
		if (err)
			break;
		memcpy((char *)buf + done, p->data + (pos + done) % PAGE, n);
		page_put(p);
		done += n;
	}
	pthread_mutex_unlock(&M.lock);
	pthread_rwlock_unlock(&inode->io);
	return err && !done ? err : (ssize_t)done;
}

/* ---- changing ---- */

/* Bytes [FROM, TO) of a busy page get DATA, or zeroes. */
static void page_change(struct inode *inode, struct page *p, unsigned from,
			unsigned to, const void *data, const struct iom_map *map)
{
	unsigned b, start, end;

	for (b = from / page_block(); b * page_block() < to; b++) {
		start = b * page_block();
		end = start + page_block();
		if (!(p->uptodate & 1u << b) && (from > start || to < end))
			fill_block(inode, p, b, map);
		p->uptodate |= 1u << b;
		p->dirty |= 1u << b;
	}
	if (data)
		memcpy(p->data + from, data, to - from);
	else
		memset(p->data + from, 0, to - from);
}

/* A run of one mapping: returns bytes done (0: the mapping went stale). */
static size_t change_run(struct inode *inode, uint64_t pos, const uint8_t *data,
			 size_t len, const struct seen_map *m)
{
	size_t done = 0, n;
	struct page *p;
	uint64_t at;

	len = min_u64(len, m->map.offset + m->map.length - pos);
	pthread_mutex_lock(&M.lock);
	while (done < len) {
		at = pos + done;
		n = min_u64(len - done, PAGE - at % PAGE);
		p = page_get(inode, at / PAGE, true);
		while (p->writeback)	/* stable pages, so that races are real */
			pthread_cond_wait(&M.cond, &M.lock);
		if (!map_valid(inode, m)) {
			page_put(p);
			break;
		}
		map_own(inode, &m->map, at, n, m->layout);
		page_change(inode, p, at % PAGE, at % PAGE + n,
			    data ? data + done : NULL, &m->map);
		/* before write-back can take it for what is past the end */
		if (data)
			inode->size = max_u64(inode->size, at + n);
		page_put(p);
		done += n;
	}
	pthread_mutex_unlock(&M.lock);
	return done;
}

/* Has the cache dirty blocks there?  Unwritten ones with none are zero. */
static bool range_dirty(struct inode *inode, uint64_t pos, uint64_t len)
{
	uint64_t last = (pos + len - 1) / PAGE;
	unsigned at;
	bool found = false;

	pthread_mutex_lock(&M.lock);
	for (at = page_find(inode, pos / PAGE); at < inode->page_count &&
	     inode->pages[at]->index <= last; at++)
		found |= inode->pages[at]->dirty || inode->pages[at]->writeback;
	pthread_mutex_unlock(&M.lock);
	return found;
}

/* Clean blocks over holes may be cached with old contents past the end. */
static void zero_clean(struct inode *inode, uint64_t pos, uint64_t len)
{
	uint64_t end = pos + len, n;
	struct page *p;

	pthread_mutex_lock(&M.lock);
	for (; pos < end; pos += n) {
		n = min_u64(end - pos, PAGE - pos % PAGE);
		p = page_get(inode, pos / PAGE, false);
		if (!p)
			continue;
		memset(p->data + pos % PAGE, 0, n);
		page_put(p);
	}
	pthread_mutex_unlock(&M.lock);
}

int pages_zero(struct inode *inode, uint64_t pos, uint64_t len)
{
	struct seen_map m = { 0 };
	size_t n, part;
	int err;

	while (len) {
		err = map_begin(inode, IOM_OP_ZERO, pos, len, &m);
		if (err)
			return err;
		n = min_u64(len, m.map.offset + m.map.length - pos);
		if (m.map.type == IOM_HOLE) {
			zero_clean(inode, pos, min_u64(n, 4 << 20));
		} else if (m.map.type == IOM_UNWRITTEN) {
			n = min_u64(n, 1 << 20);
			if (range_dirty(inode, pos, n)) {
				part = change_run(inode, pos, NULL, n, &m);
				n = part;
			} else {
				zero_clean(inode, pos, n);
			}
		} else {
			n = change_run(inode, pos, NULL, min_u64(n, 1 << 20), &m);
		}
		pos += n;
		len -= n;
	}
	return 0;
}

void pages_zero_tail(struct inode *inode, uint64_t pos)
{
	struct page *p;

	pthread_mutex_lock(&M.lock);
	p = pos % PAGE ? page_get(inode, pos / PAGE, false) : NULL;
	if (p) {
		while (p->writeback)
			pthread_cond_wait(&M.cond, &M.lock);
		memset(p->data + pos % PAGE, 0, PAGE - pos % PAGE);
		page_put(p);
	}
	pthread_mutex_unlock(&M.lock);
}

ssize_t file_write(struct inode *inode, uint64_t pos, const void *buf, size_t len)
{
	struct seen_map m;
	size_t done = 0, n;
	int err = 0;

	pthread_rwlock_wrlock(&inode->io);
	if (pos > inode->size)
		err = pages_zero(inode, inode->size, pos - inode->size);
	while (!err && done < len) {
		err = map_begin(inode, IOM_OP_WRITE, pos + done, len - done, &m);
		if (err)
			break;
		n = change_run(inode, pos + done, (const uint8_t *)buf + done,
			       len - done, &m);
		done += n;
		pthread_mutex_lock(&M.lock);
		inode->times_dirty = true;
		pthread_mutex_unlock(&M.lock);
	}
	pthread_rwlock_unlock(&inode->io);
	return err && !done ? err : (ssize_t)done;
}

static bool all_dirty(const struct page *p, unsigned from, unsigned to)
{
	unsigned b;

	for (b = from / page_block(); b * page_block() < to; b++) {
		if (!(p->dirty & 1u << b))
			return false;
	}
	return true;
}

/* A store through mmap: pages are read, then whole pages dirtied. */
int mmap_store(struct inode *inode, uint64_t pos, const void *buf, size_t len)
{
	uint64_t start, end, at;
	struct seen_map m = { 0 };
	struct page *p;
	size_t n, done;
	int err = 0;

	pthread_rwlock_rdlock(&inode->io);	/* stands for the invalidate lock */
	for (done = 0; !err && done < len; done += n) {
		at = pos + done;
		n = min_u64(len - done, PAGE - at % PAGE);
		start = round_down(at, PAGE);
		if (at + n > inode->size) {
			err = -EFAULT;
			break;
		}
		pthread_mutex_lock(&M.lock);
		err = page_read(inode, at / PAGE, 0, &m, &p);
		if (!err)
			page_put(p);
		pthread_mutex_unlock(&M.lock);
		end = min_u64(start + PAGE, inode->size);
		while (!err && start < end) {
			struct seen_map w;

			err = map_begin(inode, IOM_OP_WRITE | IOM_OP_FAULT,
					start, end - start, &w);
			if (err)
				break;
			pthread_mutex_lock(&M.lock);
			p = page_get(inode, at / PAGE, true);
			while (p->writeback)
				pthread_cond_wait(&M.cond, &M.lock);
			if (map_valid(inode, &w)) {
				uint64_t to = min_u64(end, w.map.offset + w.map.length);

				map_own(inode, &w.map, start, to - start, w.layout);
				for (; start < to; start += page_block())
					p->dirty |= 1u << start % PAGE / page_block();
				start = to;
			}
			page_put(p);
			pthread_mutex_unlock(&M.lock);
		}
		if (err)
			break;
		pthread_mutex_lock(&M.lock);
		p = page_get(inode, at / PAGE, true);
		/* it may have been written since: a new fault, then */
		while (p->writeback)
			pthread_cond_wait(&M.cond, &M.lock);
		if (all_dirty(p, at % PAGE, at % PAGE + n)) {
			memcpy(p->data + at % PAGE, (const char *)buf + done, n);
			inode->times_dirty = true;
		} else {
			n = 0;
		}
		page_put(p);
		pthread_mutex_unlock(&M.lock);
	}
	pthread_rwlock_unlock(&inode->io);
	return err;
}
