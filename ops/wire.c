/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire.c - replies as they go, and requests as they are handed to libfuse.
 *
 * Knows the FUSE messages (linux/fuse.h) and libfuse's session, and that
 * libfuse names inodes by tokens (nodes.c).  libfuse's replies come out
 * through hook_writev(), in the thread that handed it the request.
 *
 * Locks: none of its own; nodes.c's inside.
 */
#include "ops/wire_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "iomap.h"
#include "sys/log.h"

#define TOKEN_SIZE	20		/* "/" and 16 digits, terminated */

/* fuse_attr.flags of an entry, by its place: headers differ in the name. */
#define ENTRY_FLAGS	124
_Static_assert(offsetof(struct fuse_entry_out, attr) == 40 &&
	       sizeof(struct fuse_attr) == 88, "fuse_entry_out");

static __thread struct request *current;

#ifdef __SANITIZE_THREAD__
unsigned wire_order;
#endif

void wire_enter(struct request *rq)
{
	current = rq;
}

struct request *request_now(void)
{
	return current;
}

uint32_t wire_offered(const struct server *srv)
{
	return srv->wire->offered;
}

int wire_fd(const struct server *srv)
{
	return srv->wire->fd;
}

void wire_want(struct server *srv, uint32_t flags)
{
	srv->wire->want |= flags;
}

/* ---- replies ---- */

int wire_reply(struct request *rq, int err, const void *data, size_t len)
{
	struct fuse_out_header out = {
		.len = sizeof(out) + (err ? 0 : len),
		.error = err,
		.unique = rq->in->unique,
	};
	struct iovec iov[2] = {
		{ .iov_base = &out, .iov_len = sizeof(out) },
		{ .iov_base = (void *)data, .iov_len = len },
	};

	ORDER_REPLY();
	if (writev(rq->srv->wire->fd, iov, err || !len ? 1 : 2) >= 0)
		return 0;
	if (errno != ENOENT && errno != ENODEV)
		msg_debug("writing a reply: %s", strerror(errno));
	return -errno;
}

int wire_notify(struct server *srv, int code, const void *data, size_t len)
{
	struct fuse_out_header out = {
		.len = sizeof(out) + len, .error = code,
	};
	struct iovec iov[2] = {
		{ .iov_base = &out, .iov_len = sizeof(out) },
		{ .iov_base = (void *)data, .iov_len = len },
	};
	int err;

	ORDER_REPLY();
	if (writev(srv->wire->fd, iov, 2) >= 0)
		return 0;
	err = -errno;
	msg_debug("writing a notification: %s", strerror(-err));
	return err;
}

void wire_notify_inval(struct server *srv, uint64_t nodeid, int64_t off)
{
	struct fuse_notify_inval_inode_out inval = {
		.ino = nodeid, .off = off,
	};

	wire_notify(srv, FUSE_NOTIFY_INVAL_INODE, &inval, sizeof(inval));
}

void wire_drop_attr(struct request *rq, uint64_t nodeid)
{
	wire_notify_inval(rq->srv, nodeid, -1);
}

static void patch_init(struct server *srv, struct iovec *iov)
{
	struct fuse_init_out *init = iov->iov_base;
	struct wire *w = srv->wire;

	if (iov->iov_len < offsetof(struct fuse_init_out, flags) + 4)
		return;
	init->flags |= w->want & w->offered;
	iomap_patch_init(srv, init, iov->iov_len);
	msg_debug("INIT: offered %08x, replied %08x, max_write %u, minor %u, flags2 replied %08x, %s",
		  w->offered, init->flags, init->max_write, init->minor,
		  iov->iov_len > IOM_INIT_OUT_FLAGS2 + sizeof(uint32_t) ?
		  iomap_get_u32(init, IOM_INIT_OUT_FLAGS2) : 0,
		  iomap_asked(srv) ? "iomap" : "no iomap");
}

/* One more lookup of rq->entry: what the reply says of it.  The nodeid. */
static uint64_t count_entry(struct request *rq, struct fuse_entry_out *entry)
{
	bool mapped = nodes_count(rq->srv->nodes, rq->entry, entry->nodeid);
	uint32_t flags = iomap_told(rq->srv, rq->inode, mapped);

	memcpy((char *)entry + ENTRY_FLAGS, &flags, sizeof(flags));
	if (rq->capture) {
		rq->captured_out = *entry;
		rq->captured = true;
	}
	return entry->nodeid;
}

/* Is this the answer that gives the kernel one lookup of rq->entry? */
static bool is_entry_reply(const struct request *rq,
			   const struct iovec *iov, int count)
{
	const struct fuse_out_header *out = iov[0].iov_base;
	const struct fuse_entry_out *entry;

	if (!rq->entry || out->error || count < 2 ||
	    iov[1].iov_len < sizeof(*entry))
		return false;
	entry = iov[1].iov_base;
	return entry->nodeid != 0 && entry->nodeid != NODE_ROOT_ID;
}

static void init_answered(struct server *srv)
{
	if (!iomap_answered(srv) && srv->on_live)
		srv->on_live(srv);
}

/* Where libfuse's replies come out. */
static ssize_t hook_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	struct request *rq = current;
	struct fuse_out_header *out = iov[0].iov_base;
	struct iom_statx_out statx;
	uint64_t nodeid = 0;
	ssize_t done;
	void *kept;
	int err;

	(void)userdata;
	if (!rq || !rq->in || out->unique != rq->in->unique)
		return writev(rq ? rq->srv->wire->fd : fd, iov, count);

	if (is_entry_reply(rq, iov, count))
		nodeid = count_entry(rq, iov[1].iov_base);
	if (rq->capture)
		return out->len;
	if (rq->opcode == FUSE_INIT && !out->error && count > 1)
		patch_init(rq->srv, &iov[1]);
	if (rq->opcode == IOM_STATX && !out->error && count == 2)
		attr_statx(rq, out, &iov[1], &statx);
	if (rq->opcode == FUSE_IOCTL && rq->reply_max && count == 3 &&
	    iov[2].iov_len > rq->reply_max) {
		out->len -= iov[2].iov_len - rq->reply_max;
		iov[2].iov_len = rq->reply_max;
	}

	ORDER_REPLY();
	done = writev(rq->srv->wire->fd, iov, count);
	err = errno;
	/* Only for this error will libfuse take back its count, too. */
	if (done < 0 && err == ENOENT && nodeid) {
		nodes_uncount(rq->srv->nodes, nodeid, &kept);
		handle_drop(rq->srv, kept);
	}
	if (done >= 0 && rq->opcode == FUSE_INIT && !out->error)
		init_answered(rq->srv);
	errno = err;
	return done;
}

static ssize_t hook_read(int fd, void *buf, size_t len, void *userdata)
{
	struct request *rq = current;
	ssize_t n;

	(void)userdata;
	n = read(rq ? rq->srv->wire->fd : fd, buf, len);
	ORDER_RECEIVE();
	if (n)
		return n;
	errno = ENODEV;		/* a socket whose other end was closed */
	return -1;
}

const struct fuse_custom_io wire_io = {
	.writev = hook_writev,
	.read = hook_read,
};

/* ---- handing on to libfuse ---- */

static void process(struct request *rq, void *mem, size_t len)
{
	struct fuse_buf buf = { .size = len, .mem = mem, .fd = -1 };

	fuse_session_process_buf(rq->srv->se, &buf);
}

void wire_pass(struct request *rq)
{
	process(rq, (void *)rq->in, rq->in->len);
}

/* A copy of the request's header in the scratch buffer. */
static struct fuse_in_header *scratch_header(struct request *rq,
					     uint32_t opcode, uint64_t nodeid,
					     size_t body_len)
{
	struct fuse_in_header *h = rq->worker->scratch;

	*h = *rq->in;
	h->opcode = opcode;
	h->nodeid = nodeid;
	h->len = sizeof(*h) + body_len;
	return h;
}

void wire_pass_body(struct request *rq, uint32_t opcode, const void *body,
		    size_t len)
{
	struct fuse_in_header *h;

	if (sizeof(*h) + len > SCRATCH_SIZE) {
		wire_reply(rq, -E2BIG, NULL, 0);
		return;
	}
	h = scratch_header(rq, opcode, rq->in->nodeid, len);
	memcpy(h + 1, body, len);
	process(rq, h, h->len);
}

static size_t token_name(struct request *rq, char name[TOKEN_SIZE])
{
	struct node_ref ref;

	nodes_ref(rq->srv->nodes, rq->entry, &ref);
	return snprintf(name, TOKEN_SIZE, "/%llx",
			(unsigned long long)ref.token) + 1;
}

void wire_pass_entry(struct request *rq, uint32_t opcode, uint64_t nodeid,
		     const void *head, size_t head_len, const char *tail)
{
	size_t tail_len = tail ? strlen(tail) + 1 : 0;
	struct fuse_in_header *h;
	char name[TOKEN_SIZE], *p;
	size_t name_len, len;

	name_len = token_name(rq, name);
	len = head_len + name_len + tail_len;
	if (sizeof(*h) + len > SCRATCH_SIZE) {
		wire_reply(rq, -ENAMETOOLONG, NULL, 0);
		return;
	}
	h = scratch_header(rq, opcode, nodeid, len);
	p = (char *)(h + 1);
	if (head_len)
		memcpy(p, head, head_len);
	memcpy(p + head_len, name, name_len);
	if (tail_len)
		memcpy(p + head_len + name_len, tail, tail_len);
	process(rq, h, h->len);
}

void wire_pass_root(struct request *rq)
{
	struct fuse_in_header *h;

	h = scratch_header(rq, FUSE_LOOKUP, NODE_ROOT_ID, 2);
	memcpy(h + 1, ".", 2);
	process(rq, h, h->len);
}

bool wire_capture_lookup(struct request *rq)
{
	rq->capture = true;
	rq->captured = false;
	wire_pass_entry(rq, FUSE_LOOKUP, NODE_ROOT_ID, NULL, 0, NULL);
	rq->capture = false;
	return rq->captured;
}

/* nodes_forget(), and the end of what was kept for the node. */
uint64_t wire_forget_node(struct request *rq, uint64_t nodeid, uint64_t count)
{
	void *kept;

	count = nodes_forget(rq->srv->nodes, nodeid, count, &kept);
	handle_drop(rq->srv, kept);
	return count;
}

/* The node's own count first, then libfuse's: see nodes.c. */
void wire_uncount(struct request *rq, uint64_t nodeid)
{
	struct fuse_forget_in forget = {
		.nlookup = wire_forget_node(rq, nodeid, 1),
	};
	struct fuse_in_header *h;

	if (!forget.nlookup)
		return;
	h = scratch_header(rq, FUSE_FORGET, nodeid, sizeof(forget));
	memcpy(h + 1, &forget, sizeof(forget));
	process(rq, h, h->len);
}

/* ---- what handlers use ---- */

int request_inode_of(struct request *rq, const struct node_ref *ref,
		     struct inode **out)
{
	struct fs *fs = rq->srv->fs;
	int err;

	if (!ref->ino || ref->stale)
		return -ESTALE;
	fs_lock(fs);
	err = inode_get(fs, ref->ino, out);
	if (!err && ref->ino != NODE_ROOT_INO &&
	    (*out)->i.generation != ref->gen) {
		inode_put(*out);
		err = -ESTALE;
	}
	if (!err && rq->srv->iomap)
		(*out)->mapped = ref->mapped;
	fs_unlock(fs);
	if (err)
		*out = NULL;
	return err;
}

int request_inode(struct request *rq, struct inode **out)
{
	int err = 0;

	if (!rq->self)
		err = request_inode_of(rq, &rq->node, &rq->self);
	*out = rq->self;
	return err;
}

int request_pin(struct request *rq)
{
	struct inode *inode = rq->inode;
	int err;

	fs_lock(inode->fs);
	err = inode->deleted ? -ESTALE :
	      nodes_pin(rq->srv->nodes, inode->ino, inode->i.generation,
			&rq->entry);
	if (!err && rq->srv->iomap)
		nodes_offer(rq->srv->nodes, rq->entry,
			    iomap_eligible(rq->srv, inode));
	fs_unlock(inode->fs);
	return err;
}

const char *request_name(const struct request *rq, size_t *pos)
{
	const char *name = (const char *)rq->body + *pos;
	size_t max = *pos < rq->body_len ? rq->body_len - *pos : 0;
	size_t len = strnlen(name, max);

	if (!len || len == max || memchr(name, '/', len))
		return NULL;
	*pos += len + 1;
	return name;
}

void *wire_buffer(struct request *rq, size_t size)
{
	struct worker *wk = rq->worker;

	if (size > wk->buffer_size) {
		free(wk->buffer);
		wk->buffer = malloc(size);
		wk->buffer_size = wk->buffer ? size : 0;
	}
	return wk->buffer;
}
