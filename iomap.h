/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * iomap.h - files whose I/O the kernel does by itself.
 *
 * The kernel is told which files these are when it first sees them, asks
 * where their blocks are (BEGIN), and tells what it has written (IOEND).
 * doc/IOMAP.md describes it; ops/iomap_proto.h has the numbers.
 */
#ifndef IOMAP_H
#define IOMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "ops/iomap_proto.h"

struct inode;
struct iomap;
struct request;
struct server;

/* ---- iomap_dev.c: the ioctls of /dev/fuse, and the device ---- */

/* What direct I/O on the device wants and can; all 0: not known. */
struct iomap_limits {
	uint32_t mem_align, offset_align;	/* bytes */
	uint32_t atomic_min, atomic_max;	/* of untorn writes; 0: none */
};

/*
 * IOM_SUPPORT_*: what the kernel would let us do on the FUSE descriptor FD,
 * or, with FD -1, on a mount that we make.  -errno if it does not know the
 * question.
 */
int iomap_dev_support(int fd);
/* Registers the block device DEV; its id (> 0) or -errno. */
int iomap_dev_register(int fuse_fd, int dev);
/*
 * The device's own cache shall have blocks of SIZE bytes, so that reading a
 * block of metadata reads no neighbour.  ID 0: by the device alone.
 */
int iomap_dev_blocksize(int fuse_fd, int dev, uint32_t id, uint32_t size);
/* This thread's allocations shall not wait for this mount; best effort. */
void iomap_dev_nofs(int fuse_fd);
void iomap_dev_limits(int dev, struct iomap_limits *l);

/* ---- iomap.c: the connection ---- */

/*
 * Could the kernel do I/O on this volume's device?  It has to be a block
 * device, on which the volume's blocks do not lie across others: the server
 * writes through pages of the device, and they must hold nothing else.
 */
bool iomap_possible(const struct server *srv);
/*
 * With the volume open, and before there are threads.  SRV->iomap stays NULL
 * where there can be none.  -ENOMEM.
 */
int iomap_new(struct server *srv);
void iomap_free(struct server *srv);
/* One line about what was done, for the log. */
void iomap_print(const struct server *srv);

/* Fields of INIT's bodies, which old headers cut short (iomap_proto.h). */
static inline uint32_t iomap_get_u32(const void *base, size_t off)
{
	uint32_t v;

	memcpy(&v, (const char *)base + off, sizeof(v));
	return v;
}

/* INIT: what the kernel offers; what is answered; the answer was taken, and
 * the main thread will be told the rest (else false). */
void iomap_offered(struct server *srv, const void *init_in, size_t len);
void iomap_patch_init(struct server *srv, void *init_out, size_t len);
bool iomap_answered(struct server *srv);
/* A request that is not CONFIG, so there will be none any more.  False if
 * nothing shall be served then. */
bool iomap_other_request(struct server *srv);
/* Nothing is to be served without it. */
bool iomap_required(const struct server *srv);
/* Nothing came for long.  Main thread. */
void iomap_give_up(struct server *srv);

/* The answer to INIT asked for it (any thread). */
bool iomap_asked(const struct server *srv);
/* It is decided; iomap_live() says how. */
bool iomap_settled(const struct server *srv);
/* The kernel does I/O by itself here. */
bool iomap_live(const struct server *srv);

/*
 * May the kernel do INODE's I/O?  For nodes_offer().  Volume lock held.
 */
bool iomap_eligible(const struct server *srv, const struct inode *inode);
/* The kernel is told so: INODE is mapped from now on, or not.  Returns the
 * flags for its fuse_attr. */
uint32_t iomap_told(struct server *srv, struct inode *inode, bool mapped);

/* The same for every thread that serves requests, the first time. */
void iomap_nofs(const struct server *srv);

/*
 * Held while the blocks of INODE change, and while the kernel is given a
 * mapping to remember: so it never remembers one that is over.  Before
 * inode->io.
 */
void iomap_layout_lock(struct server *srv, const struct inode *inode);
void iomap_layout_unlock(struct server *srv, const struct inode *inode);

/* The last writer of a mapped inode has left. */
void iomap_trim(struct server *srv, struct inode *inode);

/*
 * Files that are not mapped go through the device's page cache.  One was
 * written there; one is opened, or about to be written to without, that may
 * have been mapped before.
 */
void iomap_wrote_classic(struct server *srv);
void iomap_open_classic(struct server *srv, struct inode *inode);

/*
 * The kernel may have written by itself, without an IOEND: the sync that
 * follows has to flush the device, also if the server has written nothing.
 */
void iomap_wrote(struct server *srv);

/* What STATX says of a mapped inode's I/O. */
void iomap_statx(const struct server *srv, struct iom_statx *sx);

/* Handlers of requests (ops/dispatch.c). */
void iomap_wire_config(struct request *rq);
void iomap_wire_begin(struct request *rq);
void iomap_wire_end(struct request *rq);
void iomap_wire_ioend(struct request *rq);

#endif
