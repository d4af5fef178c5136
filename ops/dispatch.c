/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * dispatch.c - every request as it comes: is it sound, and whose is it?
 *
 * One row per opcode: who looks at it first, and how long its body must be.
 * Most need no more than a look here and go on to libfuse; those that mean
 * something to names, attributes or directories have their handlers there.
 *
 * Locks: the volume lock, to put the inodes that a request held; freeze_lock,
 * outermost, around a freeze and around a thaw.
 */
#include "ops/wire_internal.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fs/freeze.h"
#include "io/device.h"
#include "iomap.h"
#include "journal/txn.h"
#include "sys/log.h"

static void wire_init(struct request *rq)
{
	const struct fuse_init_in *init = rq->body;

	if (rq->body_len >= offsetof(struct fuse_init_in, flags) + 4) {
		rq->srv->wire->offered = init->flags;
		iomap_offered(rq->srv, init, rq->body_len);
	}
	wire_pass(rq);
}

static void wire_forget(struct request *rq)
{
	struct fuse_forget_in *forget = rq->body;

	forget->nlookup = wire_forget_node(rq, rq->in->nodeid, forget->nlookup);
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
		uint64_t n = wire_forget_node(rq, one[i].nodeid, one[i].nlookup);

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
	struct fs *fs = rq->srv->fs;

	if (iomap_live(rq->srv))
		iomap_wrote(rq->srv);
	wire_reply(rq, fs_is_frozen(fs) ? device_sync(fs->dev) :
		   txn_sync(fs, 0), NULL, 0);
}

/* With iomap, umount(2) returns with the answer: the device is free then. */
static void wire_destroy(struct request *rq)
{
	if (iomap_asked(rq->srv))
		wire_hold_destroy(rq);
	else
		wire_pass(rq);
}

/* One after the other: a thaw must not start what a freeze is stopping. */
static pthread_mutex_t freeze_lock = PTHREAD_MUTEX_INITIALIZER;

/* The kernel lets nobody change anything until it thaws. */
static void wire_freeze(struct request *rq)
{
	const struct iom_freeze_in *in = rq->body;
	struct server *srv = rq->srv;
	int err;

	pthread_mutex_lock(&freeze_lock);
	err = fs_freeze_begin(srv->fs);
	if (!err) {
		handles_trim_all(srv);
		err = fs_freeze(srv->fs, in->unlinked);
		if (err)
			fs_thaw(srv->fs);
	}
	pthread_mutex_unlock(&freeze_lock);
	wire_reply(rq, err, NULL, 0);
}

static void wire_unfreeze(struct request *rq)
{
	struct fs *fs = rq->srv->fs;
	int err;

	pthread_mutex_lock(&freeze_lock);
	err = fs_is_frozen(fs) ? fs_thaw(fs) : 0;
	pthread_mutex_unlock(&freeze_lock);
	wire_reply(rq, err, NULL, 0);
}

/* The device is gone. */
static void wire_shutdown(struct request *rq)
{
	struct fs *fs = rq->srv->fs;

	fs_lock(fs);
	txn_abort_volume(fs, -EIO);
	fs_unlock(fs);
	wire_reply(rq, 0, NULL, 0);
}

#define NO_NODE		1	/* the nodeid means nothing, or need not be known */
#define NO_REPLY	2
#define IOMAP		4	/* there is none without iomap */

static const struct wire_op {
	void (*handle)(struct request *rq);
	uint16_t body;		/* least length of the body, bytes */
	uint8_t flags;
} wire_ops[] = {
	[FUSE_INIT] = { wire_init, 8, NO_NODE },
	[FUSE_DESTROY] = { wire_destroy, 0, NO_NODE },
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
	[FUSE_RELEASE] = { file_wire_release, sizeof(struct fuse_release_in),
			   NO_NODE },
	[FUSE_RELEASEDIR] = { file_wire_release, sizeof(struct fuse_release_in),
			      NO_NODE },
	[FUSE_FSYNC] = { wire_pass, sizeof(struct fuse_fsync_in), 0 },
	[FUSE_FSYNCDIR] = { wire_pass, sizeof(struct fuse_fsync_in), 0 },
	[FUSE_FLUSH] = { wire_pass, sizeof(struct fuse_flush_in), 0 },
	[FUSE_ACCESS] = { wire_pass, sizeof(struct fuse_access_in), 0 },
	[FUSE_BMAP] = { wire_pass, sizeof(struct fuse_bmap_in), 0 },
	[FUSE_IOCTL] = { wire_ioctl, sizeof(struct fuse_ioctl_in), 0 },
	[FUSE_FALLOCATE] = { wire_pass, sizeof(struct fuse_fallocate_in), 0 },
	[FUSE_LSEEK] = { file_wire_lseek, sizeof(struct fuse_lseek_in), 0 },
	[FUSE_COPY_FILE_RANGE] = { wire_copy,
				   sizeof(struct fuse_copy_file_range_in), 0 },
	[FUSE_SYNCFS] = { wire_syncfs, 0, 0 },
	[FUSE_READLINK] = { wire_pass, 0, 0 },
	[IOM_STATX] = { attr_wire_statx, sizeof(struct iom_statx_in), 0 },
};

static const struct wire_op iomap_ops[] = {
	[IOM_FREEZE - IOM_OPCODE_FIRST] = {
		wire_freeze, sizeof(struct iom_freeze_in), NO_NODE | IOMAP },
	[IOM_UNFREEZE - IOM_OPCODE_FIRST] = { wire_unfreeze, 0, NO_NODE | IOMAP },
	[IOM_SHUTDOWN - IOM_OPCODE_FIRST] = { wire_shutdown, 0, NO_NODE | IOMAP },
	[IOM_CONFIG - IOM_OPCODE_FIRST] = {
		iomap_wire_config, sizeof(struct iom_config_in), NO_NODE | IOMAP },
	[IOM_IOEND - IOM_OPCODE_FIRST] = {
		iomap_wire_ioend, sizeof(struct iom_ioend_in), IOMAP },
	[IOM_BEGIN - IOM_OPCODE_FIRST] = {
		iomap_wire_begin, sizeof(struct iom_begin_in), IOMAP },
	[IOM_END - IOM_OPCODE_FIRST] = {
		iomap_wire_end, sizeof(struct iom_end_in), IOMAP },
};

#define COUNT_OF(a)	(sizeof(a) / sizeof((a)[0]))

/* NULL for what does not exist here. */
static const struct wire_op *find_op(const struct request *rq)
{
	const struct wire_op *op = NULL;
	uint32_t n = rq->opcode;

	if (n < COUNT_OF(wire_ops))
		op = &wire_ops[n];
	else if (n - IOM_OPCODE_FIRST < COUNT_OF(iomap_ops))
		op = &iomap_ops[n - IOM_OPCODE_FIRST];
	if (!op || !op->handle ||
	    ((op->flags & IOMAP) && !iomap_asked(rq->srv)))
		return NULL;
	return op;
}

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
	case IOM_FREEZE ... IOM_END:
		return false;
	}
	return true;
}

static void dispatch(struct request *rq)
{
	const struct wire_op *op = find_op(rq);

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

static uint64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* -o timing: a line for each request. */
static void dispatch_timed(struct request *rq)
{
	uint64_t start = clock_ns(), waited = fs_lock_waited;
	unsigned long long unique = rq->in->unique, node = rq->in->nodeid;
	uint64_t ns;

	dispatch(rq);
	ns = clock_ns() - start;
	waited = fs_lock_waited - waited;
	msg_log("timing: opcode %u, unique %llu, node %llu: ran %llu.%03u us, waited %llu.%03u us for the lock",
		rq->opcode, unique, node,
		(unsigned long long)ns / 1000, (unsigned)(ns % 1000),
		(unsigned long long)waited / 1000, (unsigned)(waited % 1000));
}

void wire_serve(struct worker *wk, const struct fuse_buf *buf)
{
	struct request *rq = &wk->rq;
	struct fs *fs = wk->srv->fs;

	if (buf->size < sizeof(*rq->in) || !buf->mem)
		return;
	memset(rq, 0, offsetof(struct request, captured_out));
	rq->srv = wk->srv;
	rq->late = wk->late;
	rq->in = buf->mem;
	rq->opcode = rq->in->opcode;
	if (rq->in->len != buf->size) {
		wire_reply(rq, -EINVAL, NULL, 0);
		return;
	}
	rq->body = (void *)(rq->in + 1);
	rq->body_len = buf->size - sizeof(*rq->in);
	iomap_nofs(wk->srv);
	if (rq->opcode != IOM_CONFIG && rq->opcode != FUSE_INTERRUPT &&
	    !iomap_other_request(wk->srv)) {
		wire_reply(rq, -ENODEV, NULL, 0);
		return;
	}
	if (wk->srv->opt.timing)
		dispatch_timed(rq);
	else
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
