/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * iomap.c - the connection on which the kernel does I/O by itself, and the
 * mappings that it is given.
 *
 * Knows the protocol (ops/iomap_proto.h) and fs/mapping.h; nothing of how
 * files are stored.  Whatever is missing (the kernel's offer, the right to
 * use it, a block device) leaves a mount as any other.
 *
 * The server needs no notification when a block is freed (DEV_INVAL): freed
 * blocks leave its cache and are not handed out before the transaction that
 * freed them is durable, which includes a flush of the device's page cache.
 * So no dirty page of them is left there.  Clean ones may be, which nobody
 * reads: metadata is written before it is read, and a file that is not mapped
 * has its pages dropped when it is opened (iomap_open_classic()).
 *
 * Locks: layout[], by inode number, before inode->io and the volume lock.
 */
#include "iomap.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/data.h"
#include "fs/mapping.h"
#include "io/device.h"
#include "ops/ops.h"
#include "sys/log.h"

#define LAYOUT_LOCKS	64

enum state {
	IDLE,		/* not offered, or INIT is still to come */
	ASKED,		/* INIT was answered so; CONFIG is to come */
	REFUSED,	/* it did not, or the device was not taken */
	LIVE,
};

struct iomap {
	enum state state;		/* atomic */
	bool offered;
	bool asked;			/* atomic: in the answer to INIT */
	bool cache;			/* the kernel remembers mappings */
	bool atomic_writes;
	uint32_t dev;			/* id */
	uint64_t base;			/* of the volume on the device, bytes */
	struct iomap_limits limits;
	pthread_mutex_t layout[LAYOUT_LOCKS];
	uint64_t classic, flushed;	/* writes past the kernel; atomic */
	/* atomic, for iomap_print() */
	uint64_t files, begins, ends, ioends, upserts, declined, retries;
};

#define GET(var)	__atomic_load_n(&(var), __ATOMIC_ACQUIRE)
#define SET(var, val)	__atomic_store_n(&(var), (val), __ATOMIC_RELEASE)
#define COUNT(var)	__atomic_fetch_add(&(var), 1, __ATOMIC_RELAXED)

bool iomap_possible(const struct server *srv)
{
	const struct fs *fs = srv->fs;

	/* what was recovered in memory the kernel would not find there; neither
	 * the device's pages nor the file's have larger blocks */
	return srv->opt.iomap != IOMAP_OFF && device_is_block(fs->dev) &&
		!fs->shown && !(fs->opt.offset % fs->blocksize) &&
		fs->blocksize <= sysconf(_SC_PAGESIZE);
}

int iomap_new(struct server *srv)
{
	struct device *dev = srv->fs->dev;
	struct iomap *im;
	int i;

	if (!iomap_possible(srv))
		return 0;
	im = calloc(1, sizeof(*im));
	if (!im)
		return -ENOMEM;
	im->cache = !srv->opt.no_iomap_cache;
	/* fs_open() was told the one that a loop device does not take care of */
	im->base = srv->fs->opt.offset;
	for (i = 0; i < LAYOUT_LOCKS; i++)
		pthread_mutex_init(&im->layout[i], NULL);
	srv->iomap = im;
	/* Later somebody might be writing: the kernel drops pages for this. */
	if (srv->iomap_support > 0 &&
	    iomap_dev_blocksize(-1, device_fd(dev), 0, srv->fs->blocksize))
		msg_debug("the device's block size cannot be set");
	return 0;
}

void iomap_free(struct server *srv)
{
	struct iomap *im = srv->iomap;
	int i;

	if (!im)
		return;
	for (i = 0; i < LAYOUT_LOCKS; i++)
		pthread_mutex_destroy(&im->layout[i]);
	free(im);
	srv->iomap = NULL;
}

void iomap_print(const struct server *srv)
{
	struct iomap *im = srv->iomap;

	if (!im || !GET(im->asked))
		return;
	msg_debug("iomap: %llu files mapped, %llu BEGIN, %llu END, %llu IOEND, %llu upserts, %llu by cache, %llu fall-backs",
		  (unsigned long long)GET(im->files),
		  (unsigned long long)GET(im->begins),
		  (unsigned long long)GET(im->ends),
		  (unsigned long long)GET(im->ioends),
		  (unsigned long long)GET(im->upserts),
		  (unsigned long long)GET(im->retries),
		  (unsigned long long)GET(im->declined));
}

/* ---- negotiation ---- */

static void put_u32(void *base, size_t off, uint32_t v)
{
	memcpy((char *)base + off, &v, sizeof(v));
}

void iomap_offered(struct server *srv, const void *init_in, size_t len)
{
	const struct fuse_init_in *in = init_in;

	if (!srv->iomap || srv->iomap_support < 0)
		return;
	srv->iomap->offered = len >= IOM_INIT_IN_FLAGS2 + sizeof(uint32_t) &&
		in->minor >= IOM_MINOR && (in->flags & IOM_INIT_EXT) &&
		(iomap_get_u32(init_in, IOM_INIT_IN_FLAGS2) & IOM_INIT2_IOMAP);
}

void iomap_patch_init(struct server *srv, void *out, size_t len)
{
	struct iomap *im = srv->iomap;

	if (!im || !im->offered ||
	    len < IOM_INIT_OUT_FLAGS2 + sizeof(uint32_t))
		return;
	put_u32(out, IOM_INIT_OUT_MINOR, IOM_MINOR);
	put_u32(out, IOM_INIT_OUT_FLAGS,
		iomap_get_u32(out, IOM_INIT_OUT_FLAGS) | IOM_INIT_EXT);
	put_u32(out, IOM_INIT_OUT_FLAGS2,
		iomap_get_u32(out, IOM_INIT_OUT_FLAGS2) | IOM_INIT2_IOMAP);
	SET(im->state, ASKED);	/* CONFIG may come before the write returns */
	SET(im->asked, true);
}

/* From WAS to TO, by one thread only. */
static bool settle(struct server *srv, enum state was, enum state to)
{
	if (!__atomic_compare_exchange_n(&srv->iomap->state, &was, to, false,
					 __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		return false;
	msg_debug("iomap: %s", to == LIVE ? "the kernel does the I/O" :
		  "refused");
	return true;
}

bool iomap_required(const struct server *srv)
{
	const struct options *o = &srv->opt;

	return o->iomap == IOMAP_REQUIRED || o->lazytime || o->strictatime;
}

/* The kernel has the answer, and says whether it accepts it. */
bool iomap_answered(struct server *srv)
{
	bool asked = iomap_asked(srv);

	if (!asked && (!srv->iomap || !iomap_required(srv)))
		return false;
	if (!asked || iomap_dev_support(wire_fd(srv)) <= 0)
		settle(srv, asked ? ASKED : IDLE, REFUSED);
	wire_wake_main(srv);	/* it looks at the clock from now on */
	return true;
}

bool iomap_other_request(struct server *srv)
{
	enum state state;

	if (!srv->iomap)
		return true;
	state = GET(srv->iomap->state);
	if (state == ASKED && settle(srv, ASKED, REFUSED))
		wire_wake_main(srv);
	return state == IDLE || state == LIVE || !iomap_required(srv);
}

void iomap_give_up(struct server *srv)
{
	settle(srv, ASKED, REFUSED);
}

bool iomap_asked(const struct server *srv)
{
	return srv->iomap && GET(srv->iomap->asked);
}

bool iomap_settled(const struct server *srv)
{
	return srv->iomap && GET(srv->iomap->state) >= REFUSED;
}

bool iomap_live(const struct server *srv)
{
	return srv->iomap && GET(srv->iomap->state) == LIVE;
}

void iomap_nofs(const struct server *srv)
{
	static __thread bool done;

	if (done || !iomap_asked(srv))
		return;
	done = true;
	iomap_dev_nofs(wire_fd(srv));
}

/* ---- CONFIG ---- */

static int take_device(struct server *srv)
{
	struct iomap *im = srv->iomap;
	struct fs *fs = srv->fs;
	int fd = device_fd(fs->dev), support, id, err;

	/* what was written up to here, the kernel may be asked to read */
	err = device_sync(fs->dev);
	if (err)
		return err;
	id = iomap_dev_register(wire_fd(srv), fd);
	if (id < 0)
		return id;
	im->dev = id;
	err = iomap_dev_blocksize(wire_fd(srv), fd, id, fs->blocksize);
	if (err)
		return err;
	iomap_dev_limits(fd, &im->limits);
	support = iomap_dev_support(wire_fd(srv));
	im->atomic_writes =
		support > 0 && (support & IOM_SUPPORT_ATOMIC) &&
		im->limits.atomic_min &&
		im->limits.atomic_min <= fs->blocksize &&
		im->limits.atomic_max >= fs->blocksize;
	return 0;
}

/* The largest size of any file here, bytes. */
static int64_t max_bytes(const struct fs *fs)
{
	uint64_t max = (uint64_t)UINT32_MAX * fs->blocksize;

	if (!ext2fs_has_feature_huge_file(fs->e2->super))
		max = UINT32_MAX / (fs->blocksize / 512) *
		      (uint64_t)fs->blocksize;
	return max;
}

static void fill_config(const struct server *srv,
			const struct iom_config_in *in,
			struct iom_config_out *out)
{
	bool large = srv->fs->inode_size > EXT2_GOOD_OLD_INODE_SIZE;

	*out = (struct iom_config_out){
		.flags = in->flags & (IOM_CONFIG_UUID | IOM_CONFIG_BLOCKSIZE |
				      IOM_CONFIG_TIME | IOM_CONFIG_MAXBYTES),
		.uuid_len = sizeof(out->uuid),
		.blocksize = srv->fs->blocksize,
		.time_gran = large ? 1 : 1000000000,
		.time_min = INT32_MIN,
		.time_max = INT32_MIN + (large ? 1LL << 34 : 1LL << 32) - 1,
		.maxbytes = max_bytes(srv->fs),
	};
	memcpy(out->uuid, srv->uuid, sizeof(out->uuid));
	if (in->maxbytes > 0 && out->maxbytes > in->maxbytes)
		out->maxbytes = in->maxbytes;
}

/*
 * Without the device the connection remains one that could have mapped
 * files, and has none.
 */
void iomap_wire_config(struct request *rq)
{
	struct server *srv = rq->srv;
	struct iom_config_out out;
	int err;

	if (GET(srv->iomap->state) == LIVE) {
		wire_reply(rq, -EINVAL, NULL, 0);
		return;
	}
	fill_config(srv, rq->body, &out);
	/* else it measures mappings by its pages, and takes no smaller ones */
	err = !(out.flags & IOM_CONFIG_BLOCKSIZE) &&
		out.blocksize != sysconf(_SC_PAGESIZE) ? -EOPNOTSUPP :
		take_device(srv);
	if (err)
		msg_debug("iomap: the device was not taken: %s",
			  strerror(-err));
	settle(srv, ASKED, err ? REFUSED : LIVE);
	wire_reply(rq, iomap_live(srv) || !iomap_required(srv) ? 0 : -EIO,
		   &out, IOM_CONFIG_OUT_MIN);
	wire_wake_main(srv);
}

/* ---- which files ---- */

bool iomap_eligible(const struct server *srv, const struct inode *inode)
{
	/* umask= makes up modes, which the kernel would send to be stored */
	return iomap_live(srv) && !srv->opt.umask && mapping_allowed(inode);
}

/*
 * Only mapped files are EXCLUSIVE: of a directory that would have the kernel
 * compute what its children inherit, all but the root's; it is done here for
 * all of them, in one way.
 */
uint32_t iomap_told(struct server *srv, struct inode *inode, bool mapped)
{
	uint32_t flags = 0, iflags;

	if (!iomap_live(srv))
		return 0;
	fs_lock(inode->fs);
	if (mapped && !inode->mapped)
		COUNT(srv->iomap->files);
	inode->mapped = mapped;
	iflags = inode->i.flags;
	fs_unlock(inode->fs);
	if (!mapped)
		return 0;
	flags = IOM_ATTR_EXCLUSIVE | IOM_ATTR_IOMAP;
	if (iflags & EXT2_SYNC_FL)
		flags |= IOM_ATTR_SYNC;
	if (iflags & EXT2_IMMUTABLE_FL)
		flags |= IOM_ATTR_IMMUTABLE;
	if (iflags & EXT2_APPEND_FL)
		flags |= IOM_ATTR_APPEND;
	if (srv->iomap->atomic_writes)
		flags |= IOM_ATTR_ATOMIC;
	return flags;
}

void iomap_statx(const struct server *srv, struct iom_statx *sx)
{
	const struct iomap *im = srv->iomap;
	uint32_t bs = srv->fs->blocksize;

	if (im->limits.offset_align) {
		sx->mask |= IOM_STATX_DIOALIGN;
		sx->dio_mem_align = im->limits.mem_align;
		sx->dio_offset_align = im->limits.offset_align;
	}
	if (im->atomic_writes) {
		sx->mask |= IOM_STATX_WRITE_ATOMIC;
		sx->atomic_unit_min = sx->atomic_unit_max = bs;
		sx->atomic_segments_max = 1;
	}
}

/* ---- the layout of a file ---- */

static pthread_mutex_t *layout_of(struct server *srv, const struct inode *inode)
{
	return &srv->iomap->layout[inode->ino % LAYOUT_LOCKS];
}

void iomap_layout_lock(struct server *srv, const struct inode *inode)
{
	if (srv->iomap)
		pthread_mutex_lock(layout_of(srv, inode));
}

void iomap_layout_unlock(struct server *srv, const struct inode *inode)
{
	if (srv->iomap)
		pthread_mutex_unlock(layout_of(srv, inode));
}

/* mapping_trim()'s: blocks from FROM on are about to be freed. */
static void drop_mappings(void *ctx, struct inode *inode, uint64_t from)
{
	struct server *srv = ctx;
	struct iom_inval inval = {
		.nodeid = nodes_mapped(srv->nodes, inode->ino),
		.attr_ino = inode->ino,
		.read = { .offset = from, .length = IOM_TO_EOF },
		.write = { .offset = from, .length = IOM_TO_EOF },
	};

	if (inval.nodeid)
		wire_notify(srv, IOM_NOTIFY_INVAL, &inval, sizeof(inval));
}

void iomap_trim(struct server *srv, struct inode *inode)
{
	struct iomap *im = srv->iomap;
	int err;

	if (!im)
		return;
	iomap_layout_lock(srv, inode);
	/* without a request the connection is gone */
	err = mapping_trim(inode, im->cache && request_now() ?
			   drop_mappings : NULL, srv);
	iomap_layout_unlock(srv, inode);
	if (err)
		msg_debug("inode %u keeps blocks beyond its end: %s",
			  inode->ino, strerror(-err));
}

void iomap_wrote_classic(struct server *srv)
{
	if (iomap_live(srv))
		COUNT(srv->iomap->classic);
}

/*
 * A file may be mapped now that was written through the device's page cache
 * before: that must be on the device.
 */
static int flush_classic(struct server *srv)
{
	struct iomap *im = srv->iomap;
	uint64_t seen = GET(im->classic);
	int err;

	if (GET(im->flushed) >= seen)
		return 0;
	err = device_sync(srv->fs->dev);
	if (!err)
		SET(im->flushed, seen);
	return err;
}

void iomap_open_classic(struct server *srv, struct inode *inode)
{
	struct fs *fs = srv->fs;
	struct mapping m;
	uint64_t pos = 0, size;

	if (!iomap_live(srv) || !GET(srv->iomap->files))
		return;
	fs_lock(fs);
	size = inode->i.size;
	fs_unlock(fs);
	while (pos < size && !mapping_find(inode, pos, 1, &m)) {
		if (m.state != MAP_HOLE)
			device_drop_cached(fs->dev, m.dev, m.len);
		pos = m.off + m.len;
	}
}

void iomap_wrote(struct server *srv)
{
	device_others_wrote(srv->fs->dev);
}

/* ---- BEGIN ---- */

#define OP_CHANGES	(IOM_OP_WRITE | IOM_OP_WRITEBACK)
/* What the kernel never looks up in its cache, or only once. */
#define OP_UNCACHED	(IOM_OP_REPORT | IOM_OP_SWAPFILE | IOM_OP_ATOMIC)

/* The node's inode, if it is one that the request may be about. */
static int mapped_inode(struct request *rq, uint64_t attr_ino,
			struct inode **out)
{
	int err;

	if (!rq->node.mapped)
		return -EOPNOTSUPP;
	if (attr_ino != rq->node.ino)
		return -EINVAL;
	err = request_inode(rq, out);
	return err;
}

static int find_for_write(struct inode *inode, const struct iom_begin_in *in,
			  struct mapping *m)
{
	struct mapping whole;
	struct caller who;
	int err;

	err = mapping_find(inode, in->pos, in->count, m);
	if (err)
		return err;
	if (m->state != MAP_HOLE && !(in->opflags & IOM_OP_WRITE)) {
		/* with what was allocated ahead: there is more to be written */
		if (!mapping_alloc(inode, in->pos, in->count, 0, &whole))
			*m = whole;
		return 0;
	}
	if ((in->opflags & IOM_OP_OVERWRITE_ONLY) && m->state == MAP_HOLE)
		return -EAGAIN;
	caller_get(&who);
	return mapping_alloc(inode, in->pos, in->count,
			     caller_data_flags(&who), m);
}

static int find_mapping(struct inode *inode, const struct iom_begin_in *in,
			struct mapping *m)
{
	int err;

	if (!in->count || in->pos > INT64_MAX ||
	    in->count > INT64_MAX - in->pos)
		return -EINVAL;
	if ((in->opflags & OP_CHANGES) && !(in->opflags & IOM_OP_REPORT))
		return find_for_write(inode, in, m);
	if (in->opflags & IOM_OP_SWAPFILE) {
		err = mapping_swap_on(inode);
		if (err)
			return err;
	}
	return mapping_find(inode, in->pos, in->count, m);
}

static void fill_map(const struct iomap *im, const struct mapping *m,
		     struct iom_map *map)
{
	bool hole = m->state == MAP_HOLE;

	*map = (struct iom_map){
		.offset = m->off, .length = m->len,
		.addr = hole ? IOM_NULL_ADDR : im->base + m->dev,
		.type = hole ? IOM_HOLE : m->state == MAP_WRITTEN ?
			IOM_MAPPED : IOM_UNWRITTEN,
		.flags = m->dirty ? IOM_F_DIRTY : 0,
		.dev = hole ? 0 : im->dev,
	};
}

/*
 * Has the kernel remember MAP, and look there: only then does it notice when
 * an IOEND changes the mapping under an operation.  It must find something
 * there that it can use, or it would ask again without end.
 */
static void by_cache(struct request *rq, uint32_t opflags, struct iom_map *map)
{
	struct iomap *im = rq->srv->iomap;
	struct iom_upsert up = {
		.nodeid = rq->in->nodeid, .attr_ino = rq->node.ino,
		.read = *map,
		.write = { .offset = map->offset, .length = map->length,
			   .addr = IOM_NULL_ADDR, .type = IOM_NOCACHE },
	};

	if (wire_notify(rq->srv, IOM_NOTIFY_UPSERT, &up, sizeof(up))) {
		COUNT(im->declined);
		return;
	}
	COUNT(im->upserts);
	if (map->type == IOM_HOLE && (opflags & OP_CHANGES))
		return;
	COUNT(im->retries);
	map->type = IOM_RETRY_CACHE;
	map->addr = IOM_NULL_ADDR;
	map->dev = 0;
	map->flags = 0;
}

static int begin(struct request *rq, const struct iom_begin_in *in,
		 struct iom_begin_out *out)
{
	struct iomap *im = rq->srv->iomap;
	struct inode *inode;
	struct mapping m;
	int err;

	err = mapped_inode(rq, in->attr_ino, &inode);
	if (!err)
		err = flush_classic(rq->srv);
	if (err)
		return err;
	iomap_layout_lock(rq->srv, inode);
	err = find_mapping(inode, in, &m);
	if (!err) {
		fill_map(im, &m, &out->read);
		if (im->cache && !(in->opflags & OP_UNCACHED))
			by_cache(rq, in->opflags, &out->read);
		/* only what is remembered may be written to later */
		if (!(in->opflags & OP_CHANGES))
			out->read.flags &= ~(uint16_t)IOM_F_DIRTY;
	}
	iomap_layout_unlock(rq->srv, inode);
	if (err)
		return err;
	if (in->opflags & IOM_OP_ATOMIC)
		out->read.flags |= IOM_F_ATOMIC_BIO;
	out->write = (struct iom_map){
		.offset = out->read.offset, .length = out->read.length,
		.addr = IOM_NULL_ADDR, .type = IOM_PURE_OVERWRITE,
	};
	return 0;
}

void iomap_wire_begin(struct request *rq)
{
	struct iom_begin_out out;
	int err;

	COUNT(rq->srv->iomap->begins);
	err = begin(rq, rq->body, &out);
	wire_reply(rq, err, &out, sizeof(out));
}

/* Sizes move at IOEND, and what was allocated is given back at the end. */
void iomap_wire_end(struct request *rq)
{
	COUNT(rq->srv->iomap->ends);
	wire_reply(rq, 0, NULL, 0);
}

/* ---- IOEND ---- */

static int ioend(struct request *rq, const struct iom_ioend_in *in,
		 uint64_t *size)
{
	uint64_t len = in->error ? 0 : in->written;
	struct inode *inode;
	int err;

	err = mapped_inode(rq, in->attr_ino, &inode);
	if (err)
		return err;
	if (in->flags & IOM_IOEND_SWAPOFF) {
		mapping_swap_off(inode);
		len = 0;
	}
	if (in->flags & IOM_IOEND_SHARED)
		return -EFSCORRUPTED;	/* no block here has two owners */
	iomap_layout_lock(rq->srv, inode);
	if (len) {
		err = mapping_written(inode, in->pos, len,
				      in->flags & IOM_IOEND_UNWRITTEN, size);
	} else {
		fs_lock(inode->fs);
		*size = inode->i.size;
		fs_unlock(inode->fs);
	}
	iomap_layout_unlock(rq->srv, inode);
	return err;
}

/* ENOSYS would end all of these for good: no error that comes here is that. */
void iomap_wire_ioend(struct request *rq)
{
	struct iom_ioend_out out = { 0 };
	int err;

	COUNT(rq->srv->iomap->ioends);
	err = ioend(rq, rq->body, &out.newsize);
	wire_reply(rq, err, &out, sizeof(out));
}
