/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire_internal.h - what wire.c and loop.c share, and nobody else sees.
 */
#ifndef OPS_WIRE_INTERNAL_H
#define OPS_WIRE_INTERNAL_H

#include <pthread.h>

#include <sys/uio.h>

#include "ops/iomap_proto.h"
#include "ops/ops.h"
#include "ops/wire.h"

/* Large enough for a request that is rewritten: a header, the fixed part, a
 * token, and a symlink's target. */
#define SCRATCH_SIZE	(64 * 1024)
#define WIRE_THREADS	64

struct worker {
	pthread_t thread;
	struct server *srv;
	bool late;			/* the thread of wire_defer() */
	struct request rq;
	void *scratch;
	void *buffer;			/* wire_buffer() */
	size_t buffer_size;
};

/* A request that was deferred. */
struct late {
	struct late *next;
	size_t len;
	char msg[];
};

struct wire {
	int fd;			/* our own, so that fuse_unmount() may close its */
	int event_fd;
	uint32_t offered;	/* INIT flags of the kernel */
	uint32_t want;		/* INIT flags for the reply */
	bool stop;
	uint64_t destroy;	/* DESTROY's unique, held back; 0: none.  Atomic */
	unsigned threads, running;

	pthread_mutex_t late_lock;	/* for the three below */
	pthread_cond_t late_cond;
	struct late *late, **late_end;
	bool late_stop;
	struct worker late_worker;
	struct worker workers[WIRE_THREADS];
};

/*
 * What one thread did before its reply is seen by the thread that takes the
 * request that follows: by way of the kernel, of which the thread sanitizer
 * does not know.
 */
#ifdef __SANITIZE_THREAD__
extern unsigned wire_order;
#define ORDER_REPLY()	__atomic_fetch_add(&wire_order, 1, __ATOMIC_RELEASE)
#define ORDER_RECEIVE()	__atomic_load_n(&wire_order, __ATOMIC_ACQUIRE)
#else
#define ORDER_REPLY()	((void)0)
#define ORDER_RECEIVE()	((void)0)
#endif

/* dispatch.c: takes one request through, as the thread of WK. */
void wire_serve(struct worker *wk, const struct fuse_buf *buf);
/* Makes RQ the request of this thread; NULL at its end. */
void wire_enter(struct request *rq);
/* OFF -1: attributes only; else pages from there to the end, too, dirty ones
 * being written: other threads must be there to take them. */
void wire_notify_inval(struct server *srv, uint64_t nodeid, int64_t off);
/* nodes_forget(), and the end of what was kept for the node. */
uint64_t wire_forget_node(struct request *rq, uint64_t nodeid, uint64_t count);
/*
 * attr.c: makes the answer to GETATTR that is in IOV one to STATX, which is
 * kept in SX.
 */
void attr_statx(struct request *rq, struct fuse_out_header *out,
		struct iovec *iov, struct iom_statx_out *sx);
/* libfuse's ways in and out. */
extern const struct fuse_custom_io wire_io;

#endif
