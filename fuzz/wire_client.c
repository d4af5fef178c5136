/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire_client.c - the kernel's end: sends, receives, and checks what the
 * kernel would check.
 *
 * Every request is answered once (FORGET never), with a length and an error
 * that the kernel takes; replies that name inodes and handles are kept.  It
 * is one thread; what is wrong ends in wire_fail().
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz/wire.h"
#include "ops/iomap_proto.h"

#define PENDING		512
#define REPLY_SECONDS	20

struct client client;

/* A request that is not answered yet. */
static struct pending {
	uint64_t unique, nodeid, max, pos, count;
	uint32_t opcode;
	bool must;		/* it has to be */
	bool dir;
} pending[PENDING];
static unsigned pending_count;
static uint64_t unique;

static struct {
	struct fuse_out_header h;
	union {
		uint8_t data[4 << 20];
		struct fuse_entry_out entry;
		struct fuse_open_out open;
		struct fuse_init_out init;
		struct iom_begin_out begin;
		struct iom_config_out config;
	};
} reply;

void client_start(int sock)
{
	memset(&client, 0, sizeof(client));
	client.sock = sock;
	client.depth = 1;
	client.nodes[0] = (struct client_node){
		.id = 1, .ino = 2, .lookups = 1, .mode = S_IFDIR,
	};
	client.node_count = 1;
	pending_count = 0;
	unique = 0;
}

struct client_node *client_node(uint64_t id)
{
	unsigned i;

	for (i = 0; i < client.node_count; i++) {
		if (client.nodes[i].id == id)
			return &client.nodes[i];
	}
	return NULL;
}

static void add_node(const struct fuse_entry_out *e)
{
	struct client_node *n;

	if (!e->nodeid)
		return;
	if (e->nodeid == 1) {
		if (e->attr.ino != 2)
			wire_fail("nodeid 1 is inode %llu",
				  (unsigned long long)e->attr.ino);
		return;
	}
	n = client_node(e->nodeid);
	if (!n) {
		if (client.node_count == CLIENT_NODES)
			wire_fail("too many nodes for this program");
		n = &client.nodes[client.node_count++];
		*n = (struct client_node){ .id = e->nodeid };
	}
	if (!n->lookups) {
		n->ino = e->attr.ino;
		n->mode = e->attr.mode;
		n->flags = e->attr.flags;
	} else if (n->ino != e->attr.ino ||
		   ((n->mode ^ e->attr.mode) & S_IFMT)) {
		wire_fail("node %llu was inode %llu, mode %o, and is %llu, %o",
			  (unsigned long long)n->id,
			  (unsigned long long)n->ino, n->mode,
			  (unsigned long long)e->attr.ino, e->attr.mode);
	}
	n->lookups++;
	if (!S_ISREG(n->mode) && (e->attr.flags & IOM_ATTR_IOMAP))
		wire_fail("a mapped inode that is no file");
	if ((e->attr.flags & IOM_ATTR_IOMAP) &&
	    (!client.iomap || !(e->attr.flags & IOM_ATTR_EXCLUSIVE)))
		wire_fail("attribute flags %x", e->attr.flags);
}

static void add_handle(const struct pending *p, uint64_t nodeid, uint64_t fh)
{
	struct client_handle *h = &client.handles[client.handle_count];

	if (client.handle_count == CLIENT_HANDLES)
		wire_fail("too many handles for this program");
	*h = (struct client_handle){ .fh = fh, .nodeid = nodeid, .dir = p->dir };
	client.handle_count++;
}

/* ---- replies ---- */

static void entries(const struct pending *p, size_t len)
{
	size_t pos, head, size;
	struct fuse_dirent *d;

	head = p->opcode == FUSE_READDIRPLUS ? sizeof(struct fuse_entry_out) : 0;
	for (pos = 0; pos < len; pos += size) {
		d = (void *)(reply.data + pos + head);
		if (len - pos < head + FUSE_NAME_OFFSET)
			wire_fail("half a directory record");
		size = FUSE_DIRENT_ALIGN(head + FUSE_NAME_OFFSET + d->namelen);
		if (size > len - pos || !d->namelen || d->namelen > 1024 ||
		    memchr(d->name, '/', d->namelen))
			wire_fail("a directory record of %u", d->namelen);
		if (head)
			add_node((void *)(reply.data + pos));
	}
}

static void check_map(const struct pending *p, const struct iom_map *m,
		      bool write)
{
	uint64_t bs = client.block_size;
	const char *bad = NULL;

	switch (m->type) {
	case IOM_HOLE: case IOM_DELALLOC: case IOM_INLINE:
		if (m->dev || m->addr != IOM_NULL_ADDR)
			bad = "has a place";
		break;
	case IOM_MAPPED: case IOM_UNWRITTEN:
		if (!m->dev || m->dev > server_dev.opened)
			bad = "device";
		else if (m->addr > client.image_size ||
			 m->length > client.image_size - m->addr)
			bad = "beyond the device";
		break;
	case IOM_PURE_OVERWRITE:
		if (!write)
			bad = "type";
		break;
	case IOM_RETRY_CACHE:
		break;
	default:
		bad = "type";
	}
	if (m->flags & ~IOM_F_SERVER)
		bad = "flags";
	if (m->type != IOM_RETRY_CACHE &&
	    (!m->length || m->offset % bs || m->length % bs ||
	     m->offset + m->length < m->offset ||
	     m->offset > INT64_MAX))
		bad = "range";
	if (p->pos < m->offset || p->pos - m->offset >= m->length)
		bad = "coverage";
	if (bad)
		wire_fail("mapping: %s (%s, for %llu: %llu+%llu at %llu, type %u, flags %x, dev %u)",
			  bad, write ? "write" : "read",
			  (unsigned long long)p->pos,
			  (unsigned long long)m->offset,
			  (unsigned long long)m->length,
			  (unsigned long long)m->addr, m->type, m->flags,
			  m->dev);
}

static void begun(const struct pending *p)
{
	const struct client_node *n = client_node(p->nodeid);

	check_map(p, &reply.begin.read, false);
	check_map(p, &reply.begin.write, true);
	if (!n)
		return;
	client.io = (struct client_io){
		.nodeid = n->id, .ino = n->ino, .pos = p->pos,
		.len = reply.begin.read.offset + reply.begin.read.length - p->pos,
	};
	if (client.io.len > p->count)
		client.io.len = p->count;
}

static void configured(size_t len)
{
	const struct iom_config_out *c = &reply.config;
	uint32_t bs = c->blocksize;

	if (len < IOM_CONFIG_OUT_MIN || len > IOM_CONFIG_OUT_MAX)
		wire_fail("CONFIG of %zu bytes", len);
	if (c->flags & ~0x7full || c->uuid_len > 16 || c->pad[0] || c->pad[1] ||
	    c->pad[2])
		wire_fail("CONFIG flags %llx", (unsigned long long)c->flags);
	if (!(c->flags & IOM_CONFIG_BLOCKSIZE))
		return;
	if (bs < 1024 || bs > 65536 || bs & (bs - 1))
		wire_fail("CONFIG block size %u", bs);
	client.block_size = bs;
}

static void inited(size_t len)
{
	const uint8_t *p = reply.data;
	uint32_t minor, flags, flags2;

	if (len < 64)
		return;
	client.inited = true;
	memcpy(&minor, p + IOM_INIT_OUT_MINOR, 4);
	memcpy(&flags, p + IOM_INIT_OUT_FLAGS, 4);
	memcpy(&flags2, p + IOM_INIT_OUT_FLAGS2, 4);
	if ((flags & IOM_INIT_EXT) && (flags2 & IOM_INIT2_IOMAP)) {
		if (!client.offered || minor != IOM_MINOR)
			wire_fail("iomap without an offer, minor %u", minor);
		client.iomap = true;
	}
}

/* Length that the reply to P has to have; -1: up to p->max. */
static long wanted(const struct pending *p)
{
	switch (p->opcode) {
	case FUSE_LOOKUP: case FUSE_MKNOD: case FUSE_MKDIR:
	case FUSE_SYMLINK: case FUSE_LINK:
		return sizeof(struct fuse_entry_out);
	case FUSE_CREATE:
		return sizeof(struct fuse_entry_out) +
		       sizeof(struct fuse_open_out);
	case FUSE_GETATTR: case FUSE_SETATTR:
		return sizeof(struct fuse_attr_out);
	case FUSE_OPEN: case FUSE_OPENDIR:
		return sizeof(struct fuse_open_out);
	case FUSE_WRITE: case FUSE_COPY_FILE_RANGE:
		return sizeof(struct fuse_write_out);
	case FUSE_STATFS:
		return sizeof(struct fuse_statfs_out);
	case FUSE_GETXATTR: case FUSE_LISTXATTR:
		return p->max ? -1 : (long)sizeof(struct fuse_getxattr_out);
	case FUSE_BMAP: case FUSE_LSEEK:
		return 8;
	case IOM_STATX:
		return sizeof(struct iom_statx_out);
	case IOM_BEGIN:
		return sizeof(struct iom_begin_out);
	case IOM_IOEND:
		return sizeof(struct iom_ioend_out);
	case FUSE_INIT: case IOM_CONFIG: case FUSE_READ: case FUSE_READDIR:
	case FUSE_READDIRPLUS: case FUSE_READLINK: case FUSE_IOCTL:
		return -1;
	}
	return 0;
}

static void succeeded(const struct pending *p, size_t len)
{
	long want = wanted(p);

	if (want >= 0 ? len != (size_t)want : len > p->max)
		wire_fail("opcode %u: a reply of %zu bytes, wanted %ld, at most %llu",
			  p->opcode, len, want, (unsigned long long)p->max);
	switch (p->opcode) {
	case FUSE_INIT:
		inited(len);
		break;
	case FUSE_CREATE:
		add_node(&reply.entry);
		add_handle(p, reply.entry.nodeid,
			   ((struct fuse_open_out *)(&reply.entry + 1))->fh);
		break;
	case FUSE_LOOKUP: case FUSE_MKNOD: case FUSE_MKDIR:
	case FUSE_SYMLINK: case FUSE_LINK:
		add_node(&reply.entry);
		break;
	case FUSE_OPEN: case FUSE_OPENDIR:
		add_handle(p, p->nodeid, reply.open.fh);
		break;
	case FUSE_READDIR: case FUSE_READDIRPLUS:
		entries(p, len);
		break;
	case FUSE_WRITE: case FUSE_COPY_FILE_RANGE:
		if (((struct fuse_write_out *)reply.data)->size > p->max)
			wire_fail("more was written than there was");
		break;
	case IOM_CONFIG:
		configured(len);
		break;
	case IOM_BEGIN:
		begun(p);
		break;
	case IOM_SHUTDOWN:
		client.shutdown = true;
		break;
	}
}

static void take(size_t n)
{
	bool refused = reply.h.len & WIRE_REFUSED;
	struct pending p;
	unsigned i;

	reply.h.len &= ~WIRE_REFUSED;
	if (n < sizeof(reply.h) || reply.h.len != n)
		wire_fail("a message of %zu bytes that says %u", n, reply.h.len);
	if (!reply.h.unique) {
		wire_say("  notification %d\n", reply.h.error);
		return;
	}
	for (i = 0; i < pending_count && pending[i].unique != reply.h.unique; i++)
		;
	if (i == pending_count)
		wire_fail("a reply to %llu, which does not wait for any",
			  (unsigned long long)reply.h.unique);
	p = pending[i];
	pending[i] = pending[--pending_count];
	wire_say("  %llu (opcode %u): %d, %zu bytes%s\n",
		 (unsigned long long)p.unique, p.opcode, reply.h.error,
		 n - sizeof(reply.h), refused ? ", refused" : "");
	if (reply.h.error > 0 || reply.h.error <= -512 ||
	    (reply.h.error && n != sizeof(reply.h)))
		wire_fail("opcode %u: error %d in a reply of %zu bytes",
			  p.opcode, reply.h.error, n);
	if (p.opcode == IOM_IOEND && reply.h.error == -ENOSYS && client.iomap)
		wire_fail("IOEND answered with ENOSYS");
	if (!refused && !reply.h.error)
		succeeded(&p, n - sizeof(reply.h));
}

static const struct pending *late(void)
{
	unsigned i;

	for (i = 0; i < pending_count - 1 && !pending[i].must; i++)
		;
	return &pending[i];
}

static unsigned waiting(void)
{
	unsigned i, n = 0;

	for (i = 0; i < pending_count; i++)
		n += pending[i].must;
	return n;
}

/* Receives until no more than LEFT wait that must be answered. */
static void collect(unsigned left)
{
	struct pollfd pfd = { .fd = client.sock, .events = POLLIN };
	ssize_t n;

	while (waiting() > left || poll(&pfd, 1, 0) > 0) {
		if (poll(&pfd, 1, REPLY_SECONDS * 1000) <= 0)
			wire_fail("no reply to opcode %u, unique %llu",
				  late()->opcode,
				  (unsigned long long)late()->unique);
		n = recv(client.sock, &reply, sizeof(reply), 0);
		if (n <= 0) {
			if (!waiting() || n == 0)
				break;
			wire_fail("recv: %s", strerror(errno));
		}
		take(n);
	}
	if (waiting() > left)
		wire_fail("the server left with opcode %u unanswered",
			  late()->opcode);
}

void client_collect(void)
{
	collect(0);
}

/* ---- requests ---- */

static bool has_reply(const struct msg *m)
{
	return m->opcode != FUSE_FORGET && m->opcode != FUSE_BATCH_FORGET;
}

static void push(const struct msg *m)
{
	struct pending *p = &pending[pending_count];

	if (pending_count == PENDING)
		wire_fail("too many requests for this program");
	pending_count++;
	*p = (struct pending){
		.unique = unique, .nodeid = m->nodeid, .opcode = m->opcode,
		.max = m->max, .pos = m->pos, .count = m->count, .dir = m->dir,
		.must = has_reply(m) && m->opcode != FUSE_INTERRUPT &&
			m->opcode != FUSE_DESTROY,
	};
}

/* What the kernel never sends while others are under way. */
static bool alone(uint32_t opcode)
{
	return opcode == FUSE_RELEASE || opcode == FUSE_RELEASEDIR ||
	       opcode == FUSE_DESTROY || opcode == FUSE_FORGET ||
	       opcode == FUSE_BATCH_FORGET || opcode == FUSE_INIT ||
	       opcode == IOM_CONFIG || opcode == IOM_FREEZE ||
	       opcode == IOM_UNFREEZE;
}

void client_send(const struct msg *m)
{
	static uint8_t buf[sizeof(struct fuse_in_header) + WIRE_MSG_MAX];
	struct fuse_in_header h = {
		.len = sizeof(h) + m->len + m->lie, .opcode = m->opcode,
		.unique = unique += 2, .nodeid = m->nodeid, .pid = getpid(),
		.uid = m->uid, .gid = m->gid,
	};

	if (alone(m->opcode))
		collect(0);
	memcpy(buf, &h, sizeof(h));
	memcpy(buf + sizeof(h), m->body, m->len);
	wire_say("%llu: opcode %u, node %llu, %zu bytes%s\n",
		 (unsigned long long)unique, m->opcode,
		 (unsigned long long)m->nodeid, m->len,
		 m->lie ? ", of which it lies" : "");
	if (m->refuse)
		server_refuse(unique);
	push(m);
	if (send(client.sock, buf, sizeof(h) + m->len, MSG_NOSIGNAL) < 0)
		wire_fail("send: %s", strerror(errno));
	collect(alone(m->opcode) ? 0 : client.depth - 1);
}

/* ---- the end ---- */

static void release(const struct client_handle *h)
{
	static struct msg m;
	struct fuse_release_in in = { .fh = h->fh };

	m.opcode = h->dir ? FUSE_RELEASEDIR : FUSE_RELEASE;
	m.nodeid = h->nodeid;
	m.len = sizeof(in);
	memcpy(m.body, &in, sizeof(in));
	client_send(&m);
}

static void forget(const struct client_node *n)
{
	static struct msg m;
	struct fuse_forget_in in = { .nlookup = n->lookups };

	m.opcode = FUSE_FORGET;
	m.nodeid = n->id;
	m.len = sizeof(in);
	memcpy(m.body, &in, sizeof(in));
	client_send(&m);
}

void client_release(uint64_t nodeid, bool dirs)
{
	struct client_handle h;
	unsigned i;

	collect(0);
	for (i = 0; i < client.handle_count; ) {
		h = client.handles[i];
		if ((nodeid && h.nodeid != nodeid) || (dirs && !h.dir)) {
			i++;
			continue;
		}
		client.handles[i] = client.handles[--client.handle_count];
		release(&h);
	}
}

void client_release_all(void)
{
	static struct msg m;
	unsigned i;

	collect(0);
	while (client.handle_count)
		release(&client.handles[--client.handle_count]);
	for (i = 1; i < client.node_count && !client.destroyed; i++) {
		if (client.nodes[i].lookups)
			forget(&client.nodes[i]);
	}
	m = (struct msg){ .opcode = FUSE_DESTROY };
	if (!client.destroyed)
		client_send(&m);
	for (i = 0; i < pending_count; i++)
		pending[i].must |= pending[i].opcode == FUSE_DESTROY;
	collect(0);
}

void client_end(void)
{
	struct pollfd pfd = { .fd = client.sock, .events = POLLIN };

	while (poll(&pfd, 1, 0) > 0) {
		ssize_t n = recv(client.sock, &reply, sizeof(reply), 0);

		if (n <= 0)
			break;
		take(n);
	}
}
