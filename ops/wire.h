/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire.h - requests as they come from the kernel, replies as they go.
 *
 * Every request is seen here before libfuse sees it.  A handler may answer it
 * (wire_reply), hand it on as it is (wire_pass), or hand on another one in
 * its place (wire_pass_entry).  libfuse calls the operations in the same
 * thread, so they find the request by request_now().
 */
#ifndef OPS_WIRE_H
#define OPS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/fuse.h>

#include "ops/nodes.h"

struct inode;
struct server;
struct wire;

struct request {
	struct server *srv;
	const struct fuse_in_header *in;
	void *body;			/* what follows the header */
	size_t body_len;
	uint32_t opcode;		/* as the kernel sent it */
	struct node_ref node;		/* of in->nodeid */
	struct node_ref node2;		/* RENAME: of the new directory */

	const char *name, *name2;	/* real names, terminated */
	uint32_t umask;
	uint32_t write_flags;		/* FUSE_WRITE_* */
	uint32_t open_flags;		/* FUSE_OPEN_* */
	uint32_t setxattr_flags;	/* FUSE_SETXATTR_* */
	uint32_t in_size, out_size;	/* of an ioctl's data, bytes */
	uint32_t reply_max;		/* of it, bytes to send; 0: out_size */

	/* References that go with the request. */
	struct inode *self;		/* node's inode, once it was needed */
	struct inode *inode;		/* what the entry reply will describe */
	struct node *entry;		/* ... and its node, pinned */

	/* An entry reply is wanted here, not sent. */
	bool late;			/* wire_defer() */
	bool capture, captured;
	struct fuse_entry_out captured_out;
	struct worker *worker;
};

/* The request that this thread is working on; NULL outside of any. */
struct request *request_now(void);

/*
 * The inode of the request's node, kept for the rest of the request.
 * -ESTALE if it is gone.
 */
int request_inode(struct request *rq, struct inode **out);
/* The same for another node; the caller puts it. */
int request_inode_of(struct request *rq, const struct node_ref *ref,
		     struct inode **out);

/*
 * Pins the node of rq->inode as rq->entry.  -ENOMEM; -ESTALE if the inode was
 * deleted since it was found: its number may be another's by now.
 */
int request_pin(struct request *rq);

/*
 * A terminated file name at *POS of the body; *POS moves past it.  NULL if
 * there is none, or if it is empty or holds a slash.
 */
const char *request_name(const struct request *rq, size_t *pos);

/* Answers: ERR is 0 or -errno.  Returns 0 or -errno (-ENOENT: the kernel does
 * not wait for it any more). */
int wire_reply(struct request *rq, int err, const void *data, size_t len);

/*
 * Has the kernel ask for the node's attributes again.  Attributes only: this
 * waits for nothing, so it may be done while a request is answered.
 */
void wire_drop_attr(struct request *rq, uint64_t nodeid);

/* A message that answers nothing: 0 or what the kernel thinks of it. */
int wire_notify(struct server *srv, int code, const void *data, size_t len);

/* To libfuse, unchanged. */
void wire_pass(struct request *rq);
/* To libfuse with another body (and opcode). */
void wire_pass_body(struct request *rq, uint32_t opcode, const void *body,
		    size_t len);
/*
 * To libfuse, naming rq->entry by its token: HEAD is what stands before the
 * name, TAIL what follows it.
 */
void wire_pass_entry(struct request *rq, uint32_t opcode, uint64_t nodeid,
		     const void *head, size_t head_len, const char *tail);
/* A LOOKUP that finds the root directory. */
void wire_pass_root(struct request *rq);
/* A LOOKUP of rq->entry whose answer is kept in rq->captured_out. */
bool wire_capture_lookup(struct request *rq);
/* Takes back a lookup that was counted, but not delivered. */
void wire_uncount(struct request *rq, uint64_t nodeid);

/* A buffer of at least SIZE bytes that belongs to the thread.  NULL: ENOMEM. */
void *wire_buffer(struct request *rq, size_t size);

/*
 * Hands the request to a thread of its own (late.c), for what must wait for
 * other requests.  It comes to its handler again, with rq->late set, after
 * the kernel has written the node's dirty pages.
 */
void wire_defer(struct request *rq);

/* Handlers, by file: the first look at a request. */
void name_wire_lookup(struct request *rq);
void name_wire_make(struct request *rq);	/* mknod mkdir symlink create */
void name_wire_link(struct request *rq);
void name_wire_remove(struct request *rq);
void name_wire_rename(struct request *rq);
void attr_wire_setattr(struct request *rq);
void attr_wire_statx(struct request *rq);
void file_wire_lseek(struct request *rq);
void file_wire_release(struct request *rq);
void dir_wire_readdir(struct request *rq);
void xattr_wire_setxattr(struct request *rq);

/*
 * The machinery.  wire_open() takes over the mounted session's descriptor;
 * wire_start() makes THREADS threads; wire_event_fd() becomes readable when
 * there is something for the main thread to see: wire_ended(), as one of them
 * has left and the others should, too, or what wire_wake_main() was called
 * for.  wire_stop() waits up to GRACE_MS for them to leave by themselves, then
 * makes them.
 */
int wire_open(struct server *srv);
int wire_start(struct server *srv, unsigned threads);
int wire_event_fd(const struct server *srv);
bool wire_ended(const struct server *srv);
void wire_stop(struct server *srv, unsigned grace_ms);
void wire_wake_main(struct server *srv);
/*
 * DESTROY, where it is to be the last thing that is answered: _hold keeps it,
 * and the threads end when no file is open (wire_may_end(), to be called
 * after each close); _answer, once the device is closed.
 */
void wire_hold_destroy(struct request *rq);
bool wire_destroying(const struct server *srv);
void wire_may_end(struct server *srv);
void wire_answer_destroy(struct server *srv);
/* Ends the connection: the threads are gone. */
void wire_hang_up(struct server *srv);
void wire_close(struct server *srv);
/* The descriptor. */
int wire_fd(const struct server *srv);

/* Called by ops.c in the init operation: what the kernel offers to do. */
uint32_t wire_offered(const struct server *srv);
/* INIT flags (bits 0..31) that the reply shall have whatever libfuse thinks. */
void wire_want(struct server *srv, uint32_t flags);

#endif
