/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mapping.c - where a file's bytes are: BEGIN, IOEND, the mapping caches, and
 * the rules that every mapping from the server is held against.
 *
 * Also keeps the table of blocks that belong to mapped files, which the
 * preloaded library watches.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

#define MAX_LOOPS	64	/* of RETRY_CACHE, when others are at work */
#define MAX_CACHE_BYTES	262144u

/* ---- rules of one mapping ---- */

static bool has_addr(uint16_t type)
{
	return type == IOM_MAPPED || type == IOM_UNWRITTEN;
}

static const char *bad_range(const struct iom_map *map)
{
	if (!map->length)
		return "length 0";
	if (map->offset % M.block_size || map->length % M.block_size)
		return "not in blocks";
	if (map->offset + map->length < map->offset)
		return "offset overflows";
	if (map->offset >= M.max_bytes)
		return "past the largest file";
	return NULL;
}

static const char *bad_target(const struct iom_map *map)
{
	if (!has_addr(map->type))
		return map->dev || map->addr != IOM_NULL_ADDR ?
		       "a device without blocks" : NULL;
	if (!map->dev || map->dev != M.dev)
		return "unknown device";
	if (map->addr == IOM_NULL_ADDR || map->addr + map->length < map->addr)
		return "bad address";
	/* the kernel asks this for upserts only; the server has no excuse */
	if (map->addr + map->length > M.dev_size)
		return "past the end of the device";
	if (map->addr % M.block_size)
		return "address not in blocks";
	return NULL;
}

int map_check(const struct iom_map *map, bool write, bool upsert)
{
	const char *why = NULL;

	if (upsert && map->type == IOM_NOCACHE)
		return 0;
	if (map->flags & ~IOM_F_SERVER)
		why = "unknown flags";
	else if (map->type == IOM_PURE_OVERWRITE)
		why = write ? bad_range(map) : "pure overwrite for reading";
	else if (map->type == IOM_RETRY_CACHE)
		why = upsert ? "RETRY_CACHE in an upsert" : NULL;
	else if (map->type > IOM_INLINE)
		why = "unknown type";
	else
		why = bad_range(map);
	if (!why && (map->type <= IOM_INLINE || map->type == IOM_PURE_OVERWRITE))
		why = bad_target(map);
	if (!why)
		return 0;
	violation("mapping %" PRIu64 "+%" PRIu64 " at %" PRIx64 " type %u flags %x dev %u: %s",
		  map->offset, map->length, map->addr, map->type, map->flags,
		  map->dev, why);
	return -EUCLEAN;
}

/* ---- who owns which block ---- */

static void own_block(struct inode *inode, uint64_t file, uint64_t dev)
{
	uint32_t *owner = &M.table->owner[dev];
	uint64_t room = inode->own_room;

	if (file >= MAX_FILE_BLOCKS || dev >= M.table->blocks)
		return;
	if (file >= room) {
		while (room <= file)
			room = room ? room * 2 : 256;
		inode->own = realloc(inode->own, room * sizeof(uint32_t));
		memset(inode->own + inode->own_room, 0,
		       (room - inode->own_room) * sizeof(uint32_t));
		inode->own_room = room;
	}
	if (*owner && *owner != inode->ino)
		violation("block %" PRIu64 " is inode %u's and %" PRIu64 "'s",
			  dev, *owner, inode->ino);
	if (inode->own[file] && inode->own[file] != dev + 1)
		violation("inode %" PRIu64 " block %" PRIu64 " moved from %u to %" PRIu64,
			  inode->ino, file, inode->own[file] - 1, dev);
	inode->own[file] = dev + 1;
	__atomic_store_n(owner, (uint32_t)inode->ino, __ATOMIC_RELAXED);
}

void map_own(struct inode *inode, const struct iom_map *map, uint64_t pos,
	     uint64_t len, uint64_t layout)
{
	uint64_t b, first = pos / M.block_size, end;

	if (!has_addr(map->type) || inode->layout != layout ||
	    inode->layout_busy || !len)
		return;
	end = (min_u64(pos + len, map->offset + map->length) + M.block_size - 1) /
	      M.block_size;
	for (b = first; b < end; b++)
		own_block(inode, b, map->addr / M.block_size + b -
			  map->offset / M.block_size);
}

void map_disown(struct inode *inode, uint64_t first, uint64_t end)
{
	uint64_t b;

	for (b = first; b < end && b < inode->own_room; b++) {
		if (!inode->own[b])
			continue;
		__atomic_store_n(&M.table->owner[inode->own[b] - 1], 0,
				 __ATOMIC_RELAXED);
		inode->own[b] = 0;
	}
}

/* ---- the mapping caches ---- */

static void fork_insert(struct fork *f, unsigned at, const struct iom_map *map)
{
	if (f->count == f->room) {
		f->room = f->room ? f->room * 2 : 8;
		f->maps = realloc(f->maps, f->room * sizeof(*f->maps));
	}
	memmove(f->maps + at + 1, f->maps + at, (f->count - at) * sizeof(*f->maps));
	f->maps[at] = *map;
	f->count++;
}

static void fork_remove(struct fork *f, unsigned at)
{
	f->count--;
	memmove(f->maps + at, f->maps + at + 1, (f->count - at) * sizeof(*f->maps));
}

/* Cuts [POS, END) out of what is cached. */
static void fork_cut(struct fork *f, uint64_t pos, uint64_t end)
{
	struct iom_map *m, right;
	uint64_t m_end;
	unsigned i;

	for (i = 0; i < f->count; i++) {
		m = &f->maps[i];
		m_end = m->offset + m->length;
		if (m_end <= pos || m->offset >= end)
			continue;
		right = *m;
		if (m_end > end) {
			if (has_addr(right.type))
				right.addr += end - right.offset;
			right.offset = end;
			right.length = m_end - end;
		}
		if (m->offset < pos) {
			m->length = pos - m->offset;
			if (m_end > end)
				fork_insert(f, i + 1, &right);
		} else if (m_end > end) {
			*m = right;
		} else {
			fork_remove(f, i--);
		}
	}
}

static bool mergeable(const struct iom_map *a, const struct iom_map *b)
{
	return a->offset + a->length == b->offset && a->type == b->type &&
	       a->flags == b->flags && a->dev == b->dev &&
	       (!has_addr(a->type) || a->addr + a->length == b->addr);
}

static void fork_upsert(struct fork *f, const struct iom_map *map)
{
	uint32_t limit = M.config.flags & IOM_CONFIG_CACHE_MAXBYTES &&
			 M.config.cache_maxbytes ? M.config.cache_maxbytes :
						   MAX_CACHE_BYTES;
	unsigned at;

	if ((f->count + 1) * sizeof(*map) > limit)
		f->count = 0;
	fork_cut(f, map->offset, map->offset + map->length);
	for (at = 0; at < f->count && f->maps[at].offset < map->offset; at++)
		;
	fork_insert(f, at, map);
	if (at + 1 < f->count && mergeable(&f->maps[at], &f->maps[at + 1])) {
		f->maps[at].length += f->maps[at + 1].length;
		fork_remove(f, at + 1);
	}
	if (at && mergeable(&f->maps[at - 1], &f->maps[at])) {
		f->maps[at - 1].length += f->maps[at].length;
		fork_remove(f, at);
	}
}

void map_drop(struct inode *inode, uint64_t pos, uint64_t len)
{
	uint64_t end = pos + len < pos ? UINT64_MAX : pos + len;

	if (!inode->read.exists)
		return;
	pos = round_down(pos, M.block_size);
	if (end < UINT64_MAX - M.block_size)
		end = round_up(end, M.block_size);
	fork_cut(&inode->read, pos, end);
	fork_cut(&inode->write, pos, end);
	inode->cookie++;
}

static bool op_is_write(uint32_t op)
{
	return op & (IOM_OP_WRITE | IOM_OP_WRITEBACK | IOM_OP_UNSHARE | IOM_OP_ZERO);
}

/* As the kernel looks: what cannot be used for this operation is a miss. */
static bool cache_lookup(struct inode *inode, uint32_t op, uint64_t pos,
			 struct seen_map *out)
{
	const struct iom_map *m;
	unsigned i;

	if (op & (IOM_OP_ATOMIC | IOM_OP_SWAPFILE) || !inode->read.exists ||
	    (op & IOM_OP_REPORT && M.past_cache))
		return false;
	for (i = 0; i < inode->read.count; i++) {
		m = &inode->read.maps[i];
		if (pos < m->offset || pos >= m->offset + m->length)
			continue;
		if (op & (IOM_OP_WRITE | IOM_OP_WRITEBACK) && m->type == IOM_HOLE)
			return false;
		if (op & IOM_OP_DIRECT && op & IOM_OP_WRITE &&
		    m->type == IOM_DELALLOC)
			return false;
		out->map = *m;
		out->cookie = inode->cookie;
		out->layout = inode->layout;
		return true;
	}
	return false;
}

/* What the server says of the block of POS; a hole if nothing. */
static struct iom_map truth_at(const struct iom_map *truth, unsigned n,
			       uint64_t pos, uint64_t *next)
{
	struct iom_map hole = { .type = IOM_HOLE };
	unsigned i;

	*next = UINT64_MAX;
	for (i = 0; i < n; i++) {
		if (truth[i].offset > pos) {
			*next = truth[i].offset;
			break;
		}
		if (pos - truth[i].offset < truth[i].length) {
			*next = truth[i].offset + truth[i].length;
			return truth[i];
		}
	}
	return hole;
}

void map_check_cache(const struct inode *inode, const struct iom_map *truth,
		     unsigned n)
{
	const struct iom_map *c;
	struct iom_map t;
	uint64_t pos, next;
	unsigned i;

	for (i = 0; i < inode->read.count; i++) {
		c = &inode->read.maps[i];
		for (pos = c->offset; pos < c->offset + c->length; pos = next) {
			t = truth_at(truth, n, pos, &next);
			/* both are zeroes, and a write asks anew */
			if (c->type == IOM_HOLE && t.type == IOM_UNWRITTEN)
				continue;
			if (c->type == t.type && (t.type == IOM_HOLE ||
			    c->addr - c->offset == t.addr - t.offset))
				continue;
			violation("inode %" PRIu64 ": cached %" PRIu64 "+%" PRIu64 " type %u is type %u at %" PRIu64,
				  inode->ino, c->offset, c->length, c->type,
				  t.type, pos);
			return;
		}
	}
}

/* ---- notifications ---- */

static struct inode *notified(uint64_t nodeid, uint64_t attr_ino, int *err)
{
	struct inode *inode = inode_by_nodeid(nodeid);

	*err = 0;
	if (!inode) {
		*err = -ESTALE;
		return NULL;
	}
	if (inode->ino != attr_ino) {
		violation("notification: nodeid %" PRIu64 " is inode %" PRIu64 ", not %" PRIu64,
			  nodeid, inode->ino, attr_ino);
		*err = -EINVAL;
	}
	if (!inode->mapped) {
		violation("notification for inode %" PRIu64 ", which is not mapped",
			  attr_ino);
		*err = -EINVAL;
	}
	return inode;
}

/* A refusal that was asked for; not the random generator, which locks. */
static int injected(void)
{
	if (!M.upsert_errno)
		return 0;
	if (M.upsert_errors && M.stats.upserts % M.upsert_errors)
		return 0;
	return -M.upsert_errno;
}

static int upsert(const struct iom_upsert *u)
{
	struct inode *inode;
	int err;

	M.stats.upserts++;
	inode = notified(u->nodeid, u->attr_ino, &err);
	if (err)
		return err;
	if (map_check(&u->read, false, true) || map_check(&u->write, true, true))
		return -EUCLEAN;
	if (u->write.type != IOM_NOCACHE && u->write.type != IOM_PURE_OVERWRITE)
		violation("an upsert into the write fork");
	err = injected();
	if (err)
		return err;
	if (u->read.type != IOM_NOCACHE) {
		inode->read.exists = true;
		fork_upsert(&inode->read, &u->read);
	}
	inode->cookie++;
	return 0;
}

static int inval(const struct iom_inval *n)
{
	struct inode *inode;
	int err;

	M.stats.invals++;
	inode = notified(n->nodeid, n->attr_ino, &err);
	if (err)
		return err;
	if (n->read.offset % M.block_size ||
	    (n->read.length != IOM_TO_EOF && n->read.length % M.block_size)) {
		violation("INVAL is not in blocks");
		return -EUCLEAN;
	}
	if (n->read.length)
		map_drop(inode, n->read.offset, n->read.length);
	return 0;
}

static int dev_inval(const struct iom_dev_inval *n)
{
	M.stats.dev_invals++;
	if (n->dev != M.dev)
		return violation("DEV_INVAL of device %u", n->dev), -ENODEV;
	if (n->reserved || n->offset + n->length < n->offset ||
	    n->offset >= M.dev_size)
		return violation("DEV_INVAL %" PRIu64 "+%" PRIu64, n->offset,
				 n->length), -EINVAL;
	return 0;
}

/* model.lock held: called by the control thread while the server waits. */
int map_notify(const void *msg, size_t len)
{
	const struct fuse_out_header *h = msg;
	const void *body = h + 1;
	static const size_t size[] = {
		sizeof(struct iom_dev_inval), sizeof(struct iom_upsert),
		sizeof(struct iom_inval),
	};

	if (len < sizeof(*h) || h->len != len ||
	    len - sizeof(*h) != size[h->error - IOM_NOTIFY_DEV_INVAL]) {
		violation("notification %d of %zu bytes", h->error, len);
		return -EINVAL;
	}
	if (!M.iomap) {
		violation("notification %d to a kernel without iomap", h->error);
		return -EINVAL;
	}
	switch (h->error) {
	case IOM_NOTIFY_UPSERT:
		return upsert(body);
	case IOM_NOTIFY_INVAL:
		return inval(body);
	default:
		return dev_inval(body);
	}
}

/* ---- BEGIN ---- */

static int ask_server(struct inode *inode, uint32_t op, uint64_t pos,
		      uint64_t count, struct iom_begin_out *out)
{
	struct iom_begin_in in = {
		.opflags = op, .attr_ino = inode->ino, .pos = pos, .count = count,
	};
	size_t len;
	int err;

	__atomic_add_fetch(&M.stats.begins, 1, __ATOMIC_RELAXED);
	err = call(IOM_BEGIN, inode->nodeid, &in, sizeof(in), NULL, 0, out,
		   sizeof(*out), &len);
	if (err == -ENOSYS && !(op & IOM_OP_DIRECT))
		violation("BEGIN %x: ENOSYS", op);
	if (!err && len != sizeof(*out)) {
		violation("BEGIN answered with %zu bytes", len);
		err = -EIO;
	}
	return err;
}

static bool covers(const struct iom_map *m, uint64_t pos)
{
	return m->offset <= pos && pos - m->offset < m->length;
}

/* What must hold for the operation, besides the rules for all mappings. */
static void check_for_op(const struct iom_map *m, uint32_t op, uint64_t pos,
			 uint64_t count)
{
	bool must_have = op & (IOM_OP_WRITE | IOM_OP_WRITEBACK | IOM_OP_UNSHARE);

	if (m->type == IOM_INLINE)
		violation("INLINE for %x at %" PRIu64, op, pos);
	if (m->type == IOM_DELALLOC)
		violation("DELALLOC for %x at %" PRIu64, op, pos);
	if (must_have && !has_addr(m->type))
		violation("no blocks for %x at %" PRIu64 "+%" PRIu64 ": type %u",
			  op, pos, count, m->type);
	if (!must_have && (m->flags & (IOM_F_NEW | IOM_F_DIRTY)))
		violation("flags %x for %x", m->flags, op);
	if ((op & IOM_OP_ATOMIC) && !(m->flags & IOM_F_ATOMIC_BIO))
		violation("ATOMIC without F_ATOMIC_BIO");
	if (!(op & IOM_OP_ATOMIC) && (m->flags & IOM_F_ATOMIC_BIO))
		violation("F_ATOMIC_BIO without ATOMIC");
}

static int check_pair(struct inode *inode, const struct iom_begin_out *o,
		      uint32_t op, uint64_t pos, uint64_t count)
{
	if (map_check(&o->read, false, false) || map_check(&o->write, true, false))
		return -EUCLEAN;
	if (!covers(&o->read, pos) || !covers(&o->write, pos)) {
		violation("BEGIN %x at %" PRIu64 ": %" PRIu64 "+%" PRIu64 ", %" PRIu64 "+%" PRIu64,
			  op, pos, o->read.offset, o->read.length,
			  o->write.offset, o->write.length);
		return -EUCLEAN;
	}
	if (o->write.type == IOM_RETRY_CACHE)
		violation("RETRY_CACHE as write mapping");
	if (o->read.type == IOM_RETRY_CACHE) {
		if (!inode->read.exists)
			violation("RETRY_CACHE, and there is no cache");
		if (op & (IOM_OP_REPORT | IOM_OP_ATOMIC | IOM_OP_SWAPFILE))
			violation("RETRY_CACHE for %x", op);
		return inode->read.exists ? 0 : -EUCLEAN;
	}
	if (!(o->read.type == IOM_HOLE && op & IOM_OP_REPORT && count == 0))
		check_for_op(&o->read, op, pos, count);
	return 0;
}

int map_begin(struct inode *inode, uint32_t op, uint64_t pos, uint64_t count,
	      struct seen_map *out)
{
	struct iom_begin_out reply;
	uint64_t layout;
	unsigned loops = 0;
	bool hit;
	int err;

	for (;;) {
		pthread_mutex_lock(&M.lock);
		hit = cache_lookup(inode, op, pos, out);
		layout = inode->layout;
		M.stats.hits += hit && !loops;
		pthread_mutex_unlock(&M.lock);
		if (hit)
			break;
		if (loops && (M.strict || loops > MAX_LOOPS)) {
			violation("RETRY_CACHE for %x at %" PRIu64 ", but the lookup misses",
				  op, pos);
			return -EIO;
		}
		err = ask_server(inode, op, pos, count, &reply);
		if (err)
			return err;
		pthread_mutex_lock(&M.lock);
		err = check_pair(inode, &reply, op, pos, count);
		pthread_mutex_unlock(&M.lock);
		if (err)
			return err;
		if (reply.read.type == IOM_RETRY_CACHE) {
			__atomic_add_fetch(&M.stats.retries, 1, __ATOMIC_RELAXED);
			loops++;
			continue;
		}
		out->map = reply.read;
		if (op_is_write(op) && reply.write.type != IOM_PURE_OVERWRITE)
			out->map = reply.write;
		out->cookie = 0;
		out->layout = layout;
		break;
	}
	return 0;
}

bool map_valid(const struct inode *inode, const struct seen_map *m)
{
	if (m->cookie)
		return m->cookie == inode->cookie;
	/*
	 * To the kernel this one is good for ever.  When the layout changes
	 * meanwhile that is a hole in its interface, not in the server.
	 */
	return m->layout == inode->layout && !inode->layout_busy;
}

/* ---- IOEND ---- */

int map_ioend(struct inode *inode, uint32_t flags, int error, uint64_t pos,
	      uint64_t written, const struct iom_map *map)
{
	struct iom_ioend_in in = {
		.flags = flags, .error = error, .attr_ino = inode->ino,
		.pos = pos, .written = written,
		.new_addr = flags & IOM_IOEND_DIRECT || !map ? UINT64_MAX :
			    (map->addr + pos - map->offset) / 512,
		.dev = flags & IOM_IOEND_DIRECT || !map ? 0 : map->dev,
	};
	struct iom_ioend_out out = { 0 };
	uint64_t before;
	size_t len;
	int err;

	pthread_mutex_lock(&M.lock);
	before = inode->disk_size;
	M.stats.ioends++;
	pthread_mutex_unlock(&M.lock);
	err = call(IOM_IOEND, inode->nodeid, &in, sizeof(in), NULL, 0, &out,
		   sizeof(out), &len);
	if (err == -ENOSYS)
		violation("IOEND: ENOSYS");
	if (err)
		return err;
	if (len != sizeof(out))
		violation("IOEND answered with %zu bytes", len);
	if (!error && !(flags & IOM_IOEND_SWAPOFF) && out.newsize < pos + written)
		violation("IOEND of %" PRIu64 "+%" PRIu64 ": size %" PRIu64,
			  pos, written, out.newsize);
	pthread_mutex_lock(&M.lock);
	if (M.strict && out.newsize != (error || flags & IOM_IOEND_SWAPOFF ?
					before : max_u64(before, pos + written)))
		violation("IOEND of %" PRIu64 "+%" PRIu64 ": size %" PRIu64 " after %" PRIu64,
			  pos, written, out.newsize, before);
	inode->disk_size = M.strict ? out.newsize :
				      max_u64(out.newsize, inode->disk_size);
	if (!error)
		map_drop(inode, pos, written);
	pthread_mutex_unlock(&M.lock);
	return 0;
}
