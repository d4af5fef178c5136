/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire.c - the receive loop, and every request and reply as it passes.
 *
 * Knows the FUSE messages (linux/fuse.h) and libfuse's session; which inode a
 * nodeid is (nodes.c), and that libfuse names inodes by tokens.  What a
 * request means to a file is for the handlers in name.c, dir.c, attr.c and
 * xattr.c, and for the operations.
 *
 * N threads do the same: receive, look, answer or hand to libfuse, whose
 * reply comes back through hook_writev() in the same thread.
 *
 * Locks: none of its own; nodes.c's inside.
 */
#include "ops/ops.h"
#include "ops/wire.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "fs/inode.h"
#include "journal/txn.h"
#include "sys/log.h"

/* Large enough for a request that is rewritten: a header, the fixed part, a
 * token, and a symlink's target. */
#define SCRATCH_SIZE	(64 * 1024)
#define TOKEN_SIZE	20		/* "/" and 16 digits, terminated */
#define WIRE_THREADS	64
#define KICK_SIGNAL	SIGUSR1

struct worker {
	pthread_t thread;
	struct server *srv;
	struct request rq;
	void *scratch;
	void *buffer;			/* wire_buffer() */
	size_t buffer_size;
};

struct wire {
	int fd;			/* our own, so that fuse_unmount() may close its */
	int event_fd;
	uint32_t offered;	/* INIT flags of the kernel */
	uint32_t want;		/* INIT flags for the reply */
	bool stop;
	unsigned threads, running;
	struct worker workers[WIRE_THREADS];
};

static __thread struct request *current;

struct request *request_now(void)
{
	return current;
}

uint32_t wire_offered(const struct server *srv)
{
	return srv->wire->offered;
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

	if (writev(rq->srv->wire->fd, iov, err || !len ? 1 : 2) >= 0)
		return 0;
	if (errno != ENOENT && errno != ENODEV)
		msg_debug("writing a reply: %s", strerror(errno));
	return -errno;
}

void wire_drop_attr(struct request *rq)
{
	struct fuse_notify_inval_inode_out inval = {
		.ino = rq->in->nodeid, .off = -1,
	};
	struct fuse_out_header out = {
		.len = sizeof(out) + sizeof(inval),
		.error = FUSE_NOTIFY_INVAL_INODE,
	};
	struct iovec iov[2] = {
		{ .iov_base = &out, .iov_len = sizeof(out) },
		{ .iov_base = &inval, .iov_len = sizeof(inval) },
	};

	if (writev(rq->srv->wire->fd, iov, 2) < 0)
		msg_debug("writing a notification: %s", strerror(errno));
}

static void patch_init(struct wire *w, struct iovec *iov)
{
	struct fuse_init_out *init = iov->iov_base;

	if (iov->iov_len < offsetof(struct fuse_init_out, flags) + 4)
		return;
	init->flags |= w->want & w->offered;
	msg_debug("INIT: offered %08x, replied %08x, max_write %u",
		  w->offered, init->flags, init->max_write);
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

/* Where libfuse's replies come out. */
static ssize_t hook_writev(int fd, struct iovec *iov, int count, void *userdata)
{
	struct request *rq = current;
	struct fuse_out_header *out = iov[0].iov_base;
	uint64_t nodeid = 0;
	ssize_t done;
	int err;

	(void)userdata;
	if (!rq || !rq->in || out->unique != rq->in->unique)
		return writev(rq ? rq->srv->wire->fd : fd, iov, count);

	if (is_entry_reply(rq, iov, count)) {
		struct fuse_entry_out *entry = iov[1].iov_base;

		nodeid = entry->nodeid;
		nodes_count(rq->srv->nodes, rq->entry, nodeid);
		if (rq->capture) {
			rq->captured_out = *entry;
			rq->captured = true;
		}
	}
	if (rq->capture)
		return out->len;
	if (rq->opcode == FUSE_INIT && !out->error && count > 1)
		patch_init(rq->srv->wire, &iov[1]);
	if (rq->opcode == FUSE_IOCTL && rq->reply_max && count == 3 &&
	    iov[2].iov_len > rq->reply_max) {
		out->len -= iov[2].iov_len - rq->reply_max;
		iov[2].iov_len = rq->reply_max;
	}

	done = writev(rq->srv->wire->fd, iov, count);
	err = errno;
	/* Only for this error will libfuse take back its count, too. */
	if (done < 0 && err == ENOENT && nodeid)
		nodes_uncount(rq->srv->nodes, nodeid);
	if (done >= 0 && rq->opcode == FUSE_INIT && !out->error &&
	    rq->srv->on_live)
		rq->srv->on_live(rq->srv);
	errno = err;
	return done;
}

static ssize_t hook_read(int fd, void *buf, size_t len, void *userdata)
{
	struct request *rq = current;
	ssize_t n;

	(void)userdata;
	n = read(rq ? rq->srv->wire->fd : fd, buf, len);
	if (n)
		return n;
	errno = ENODEV;		/* a socket whose other end was closed */
	return -1;
}

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

/* The node's own count first, then libfuse's: see nodes.c. */
void wire_uncount(struct request *rq, uint64_t nodeid)
{
	struct fuse_forget_in forget = {
		.nlookup = nodes_forget(rq->srv->nodes, nodeid, 1),
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

/* ---- requests that need only a look ---- */

static void wire_init(struct request *rq)
{
	const struct fuse_init_in *init = rq->body;

	if (rq->body_len >= offsetof(struct fuse_init_in, flags) + 4)
		rq->srv->wire->offered = init->flags;
	wire_pass(rq);
}

static void wire_forget(struct request *rq)
{
	struct fuse_forget_in *forget = rq->body;

	forget->nlookup = nodes_forget(rq->srv->nodes, rq->in->nodeid,
				       forget->nlookup);
	if (forget->nlookup)
		wire_pass(rq);
}

static void wire_batch_forget(struct request *rq)
{
	struct fuse_batch_forget_in *batch = rq->body;
	struct fuse_forget_one *one = (void *)(batch + 1);
	size_t max = (rq->body_len - sizeof(*batch)) / sizeof(*one);
	uint32_t i, kept = 0;

	if (batch->count > max)
		batch->count = max;
	for (i = 0; i < batch->count; i++) {
		uint64_t n = nodes_forget(rq->srv->nodes, one[i].nodeid,
					  one[i].nlookup);

		if (!n)
			continue;
		one[kept].nodeid = one[i].nodeid;
		one[kept++].nlookup = n;
	}
	batch->count = kept;
	if (kept)
		wire_pass(rq);
}

/* No operation waits for anything, so none is worth interrupting: the kernel
 * stops asking after this answer. */
static void wire_interrupt(struct request *rq)
{
	wire_reply(rq, -ENOSYS, NULL, 0);
}

static void wire_write(struct request *rq)
{
	const struct fuse_write_in *in = rq->body;

	rq->write_flags = in->write_flags;
	if (in->size > rq->body_len - sizeof(*in))
		wire_reply(rq, -EINVAL, NULL, 0);
	else
		wire_pass(rq);
}

static void wire_open_file(struct request *rq)
{
	const struct fuse_open_in *in = rq->body;

	rq->open_flags = in->open_flags;
	wire_pass(rq);
}

static void wire_ioctl(struct request *rq)
{
	const struct fuse_ioctl_in *in = rq->body;

	rq->in_size = in->in_size;
	rq->out_size = in->out_size;
	/* libfuse ends the process over two different sizes. */
	if (in->in_size > rq->body_len - sizeof(*in) ||
	    (in->in_size && in->out_size && in->in_size != in->out_size))
		wire_reply(rq, -EINVAL, NULL, 0);
	else
		wire_pass(rq);
}

static void wire_copy(struct request *rq)
{
	const struct fuse_copy_file_range_in *in = rq->body;

	if (nodes_find(rq->srv->nodes, in->nodeid_out, &rq->node2))
		wire_pass(rq);
	else
		wire_reply(rq, -ESTALE, NULL, 0);
}

static void wire_syncfs(struct request *rq)
{
	wire_reply(rq, txn_sync(rq->srv->fs, 0), NULL, 0);
}

/* ---- dispatch ---- */

#define NO_NODE		1	/* the nodeid means nothing, or need not be known */
#define NO_REPLY	2

static const struct wire_op {
	void (*handle)(struct request *rq);
	uint16_t body;		/* least length of the body, bytes */
	uint8_t flags;
} wire_ops[] = {
	[FUSE_INIT] = { wire_init, 8, NO_NODE },
	[FUSE_DESTROY] = { wire_pass, 0, NO_NODE },
	[FUSE_STATFS] = { wire_pass, 0, 0 },
	[FUSE_INTERRUPT] = { wire_interrupt, sizeof(struct fuse_interrupt_in),
			     NO_NODE },
	[FUSE_FORGET] = { wire_forget, sizeof(struct fuse_forget_in),
			  NO_NODE | NO_REPLY },
	[FUSE_BATCH_FORGET] = { wire_batch_forget,
				sizeof(struct fuse_batch_forget_in),
				NO_NODE | NO_REPLY },
	[FUSE_LOOKUP] = { name_wire_lookup, 1, 0 },
	[FUSE_MKNOD] = { name_wire_make, sizeof(struct fuse_mknod_in), 0 },
	[FUSE_MKDIR] = { name_wire_make, sizeof(struct fuse_mkdir_in), 0 },
	[FUSE_SYMLINK] = { name_wire_make, 2, 0 },
	[FUSE_CREATE] = { name_wire_make, sizeof(struct fuse_create_in), 0 },
	[FUSE_LINK] = { name_wire_link, sizeof(struct fuse_link_in), 0 },
	[FUSE_UNLINK] = { name_wire_remove, 1, 0 },
	[FUSE_RMDIR] = { name_wire_remove, 1, 0 },
	[FUSE_RENAME] = { name_wire_rename, sizeof(struct fuse_rename_in), 0 },
	[FUSE_RENAME2] = { name_wire_rename, sizeof(struct fuse_rename2_in), 0 },
	[FUSE_SETATTR] = { attr_wire_setattr, sizeof(struct fuse_setattr_in), 0 },
	[FUSE_READDIR] = { dir_wire_readdir, sizeof(struct fuse_read_in), 0 },
	[FUSE_READDIRPLUS] = { dir_wire_readdir, sizeof(struct fuse_read_in), 0 },
	[FUSE_SETXATTR] = { xattr_wire_setxattr, FUSE_COMPAT_SETXATTR_IN_SIZE, 0 },
	[FUSE_GETXATTR] = { wire_pass, sizeof(struct fuse_getxattr_in), 0 },
	[FUSE_LISTXATTR] = { wire_pass, sizeof(struct fuse_getxattr_in), 0 },
	[FUSE_REMOVEXATTR] = { wire_pass, 1, 0 },
	[FUSE_GETATTR] = { wire_pass, sizeof(struct fuse_getattr_in), 0 },
	[FUSE_OPEN] = { wire_open_file, sizeof(struct fuse_open_in), 0 },
	[FUSE_OPENDIR] = { wire_open_file, sizeof(struct fuse_open_in), 0 },
	[FUSE_READ] = { wire_pass, sizeof(struct fuse_read_in), 0 },
	[FUSE_WRITE] = { wire_write, sizeof(struct fuse_write_in), 0 },
	[FUSE_RELEASE] = { wire_pass, sizeof(struct fuse_release_in), 0 },
	[FUSE_RELEASEDIR] = { wire_pass, sizeof(struct fuse_release_in), 0 },
	[FUSE_FSYNC] = { wire_pass, sizeof(struct fuse_fsync_in), 0 },
	[FUSE_FSYNCDIR] = { wire_pass, sizeof(struct fuse_fsync_in), 0 },
	[FUSE_FLUSH] = { wire_pass, sizeof(struct fuse_flush_in), 0 },
	[FUSE_ACCESS] = { wire_pass, sizeof(struct fuse_access_in), 0 },
	[FUSE_BMAP] = { wire_pass, sizeof(struct fuse_bmap_in), 0 },
	[FUSE_IOCTL] = { wire_ioctl, sizeof(struct fuse_ioctl_in), 0 },
	[FUSE_FALLOCATE] = { wire_pass, sizeof(struct fuse_fallocate_in), 0 },
	[FUSE_LSEEK] = { wire_pass, sizeof(struct fuse_lseek_in), 0 },
	[FUSE_COPY_FILE_RANGE] = { wire_copy,
				   sizeof(struct fuse_copy_file_range_in), 0 },
	[FUSE_SYNCFS] = { wire_syncfs, 0, 0 },
	[FUSE_READLINK] = { wire_pass, 0, 0 },
};

/* -o allow_root: libfuse refuses others only in what reaches it. */
static bool refused(const struct request *rq)
{
	if (!rq->srv->opt.allow_root || !rq->in->uid ||
	    rq->in->uid == getuid())
		return false;
	switch (rq->opcode) {
	case FUSE_INIT:
	case FUSE_READ:
	case FUSE_WRITE:
	case FUSE_FSYNC:
	case FUSE_RELEASE:
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:
	case FUSE_FSYNCDIR:
	case FUSE_RELEASEDIR:
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		return false;
	}
	return true;
}

static void dispatch(struct request *rq)
{
	const struct wire_op *op = NULL;

	if (rq->opcode < sizeof(wire_ops) / sizeof(wire_ops[0]) &&
	    wire_ops[rq->opcode].handle)
		op = &wire_ops[rq->opcode];
	if (!op) {
		wire_reply(rq, -ENOSYS, NULL, 0);
		return;
	}
	if (rq->body_len < op->body) {
		if (!(op->flags & NO_REPLY))
			wire_reply(rq, -EINVAL, NULL, 0);
		return;
	}
	if (refused(rq)) {
		wire_reply(rq, -EACCES, NULL, 0);
		return;
	}
	/* libfuse ends the process over a nodeid that it does not know. */
	if (!(op->flags & NO_NODE) &&
	    !nodes_find(rq->srv->nodes, rq->in->nodeid, &rq->node)) {
		msg_debug("request %u for unknown node %llu", rq->opcode,
			  (unsigned long long)rq->in->nodeid);
		wire_reply(rq, -ESTALE, NULL, 0);
		return;
	}
	op->handle(rq);
}

/* Takes one request through. */
static void serve(struct worker *wk, const struct fuse_buf *buf)
{
	struct request *rq = &wk->rq;
	struct fs *fs = wk->srv->fs;

	if (buf->size < sizeof(*rq->in) || !buf->mem)
		return;
	memset(rq, 0, offsetof(struct request, captured_out));
	rq->srv = wk->srv;
	rq->in = buf->mem;
	rq->opcode = rq->in->opcode;
	if (rq->in->len != buf->size) {
		wire_reply(rq, -EINVAL, NULL, 0);
		return;
	}
	rq->body = (void *)(rq->in + 1);
	rq->body_len = buf->size - sizeof(*rq->in);
	dispatch(rq);

	if (rq->self || rq->inode) {
		fs_lock(fs);
		if (rq->self)
			inode_put(rq->self);
		if (rq->inode)
			inode_put(rq->inode);
		fs_unlock(fs);
	}
	if (rq->entry)
		nodes_unpin(wk->srv->nodes, rq->entry);
}

/* ---- threads ---- */

static void *worker_main(void *arg)
{
	struct worker *wk = arg;
	struct wire *w = wk->srv->wire;
	struct fuse_session *se = wk->srv->se;
	struct fuse_buf buf = { .mem = NULL };
	uint64_t one = 1;
	int res;

	wk->rq.worker = wk;
	wk->rq.srv = wk->srv;
	current = &wk->rq;
	while (!fuse_session_exited(se) &&
	       !__atomic_load_n(&w->stop, __ATOMIC_RELAXED)) {
		res = fuse_session_receive_buf(se, &buf);
		if (res == -EINTR)
			continue;
		if (res == -EAGAIN) {
			struct pollfd pfd = { .fd = w->fd, .events = POLLIN };

			poll(&pfd, 1, -1);
			continue;
		}
		if (res <= 0)
			break;
		serve(wk, &buf);
	}
	current = NULL;
	free(buf.mem);
	free(wk->buffer);
	free(wk->scratch);
	__atomic_sub_fetch(&w->running, 1, __ATOMIC_ACQ_REL);
	if (write(w->event_fd, &one, sizeof(one)) < 0)
		msg_debug("eventfd: %s", strerror(errno));
	return NULL;
}

static void kicked(int sig)
{
	(void)sig;	/* only there to interrupt read(2) */
}

int wire_open(struct server *srv)
{
	static const struct fuse_custom_io io = {
		.writev = hook_writev,
		.read = hook_read,
	};
	struct sigaction sa = { .sa_handler = kicked };
	int fd = fuse_session_fd(srv->se), err;
	struct wire *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	w->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->fd < 0 || w->event_fd < 0) {
		err = -errno;
	} else {
		err = fuse_session_custom_io(srv->se, &io, fd);
		if (err > 0)
			err = -EINVAL;
	}
	if (err) {
		if (w->fd >= 0)
			close(w->fd);
		if (w->event_fd >= 0)
			close(w->event_fd);
		free(w);
		return err;
	}
	sigemptyset(&sa.sa_mask);
	sigaction(KICK_SIGNAL, &sa, NULL);
	srv->wire = w;
	return 0;
}

int wire_event_fd(const struct server *srv)
{
	return srv->wire->event_fd;
}

int wire_start(struct server *srv, unsigned threads)
{
	struct wire *w = srv->wire;
	int err;

	if (threads > WIRE_THREADS)
		threads = WIRE_THREADS;
	for (w->threads = 0; w->threads < threads; w->threads++) {
		struct worker *wk = &w->workers[w->threads];

		wk->srv = srv;
		wk->scratch = malloc(SCRATCH_SIZE);
		if (!wk->scratch)
			return w->threads ? 0 : -ENOMEM;
		__atomic_add_fetch(&w->running, 1, __ATOMIC_ACQ_REL);
		err = pthread_create(&wk->thread, NULL, worker_main, wk);
		if (err) {
			__atomic_sub_fetch(&w->running, 1, __ATOMIC_ACQ_REL);
			free(wk->scratch);
			return w->threads ? 0 : -err;
		}
	}
	return 0;
}

/* True once all threads have left. */
static bool wait_threads(struct wire *w, int timeout_ms)
{
	struct pollfd pfd = { .fd = w->event_fd, .events = POLLIN };
	uint64_t n;

	while (__atomic_load_n(&w->running, __ATOMIC_ACQUIRE)) {
		if (poll(&pfd, 1, timeout_ms) <= 0)
			return !__atomic_load_n(&w->running, __ATOMIC_ACQUIRE);
		if (read(w->event_fd, &n, sizeof(n)) < 0 && errno != EAGAIN)
			return false;
	}
	return true;
}

void wire_stop(struct server *srv, unsigned grace_ms)
{
	struct wire *w = srv->wire;
	unsigned i;

	if (!wait_threads(w, grace_ms)) {
		__atomic_store_n(&w->stop, true, __ATOMIC_RELAXED);
		fuse_session_exit(srv->se);
		/* A signal before the read(2) it should end is lost. */
		do {
			for (i = 0; i < w->threads; i++)
				pthread_kill(w->workers[i].thread, KICK_SIGNAL);
		} while (!wait_threads(w, 10));
	}
	for (i = 0; i < w->threads; i++)
		pthread_join(w->workers[i].thread, NULL);
	w->threads = 0;
}

void wire_close(struct server *srv)
{
	struct wire *w = srv->wire;

	if (!w)
		return;
	close(w->fd);
	close(w->event_fd);
	free(w);
	srv->wire = NULL;
}
