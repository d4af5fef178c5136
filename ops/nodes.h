/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * nodes.h - what the kernel holds: one node per ext4 inode.
 *
 * libfuse's path API makes one node per (parent, name).  It is shown one flat
 * directory of tokens instead: every inode that the kernel knows has a token,
 * a number that is never used again, and its path is "//<token>".  So there
 * is exactly one libfuse nodeid per inode, whatever its names are, and an
 * inode that has lost all of its names keeps its path.
 *
 * Any thread may call these; the lock inside is the innermost of all.
 */
#ifndef OPS_NODES_H
#define OPS_NODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NODE_ROOT_ID	1	/* nodeid of the root directory */
#define NODE_ROOT_INO	2	/* its inode number */

struct nodes;
struct node;

/* A node's identity, copied out. */
struct node_ref {
	uint64_t nodeid;	/* libfuse's number, 0: none yet */
	uint64_t token;		/* 0: the root */
	uint32_t ino, gen;	/* ino 0: not bound to an inode */
	bool stale;		/* its inode was freed */
	bool mapped;		/* the kernel does its I/O (iomap.c) */
};

struct nodes *nodes_new(void);		/* NULL: out of memory */
void nodes_free(struct nodes *ns);

/*
 * The node of an inode, made if need be, pinned: it stays until
 * nodes_unpin(), even at zero counts.  -ENOMEM.
 */
int nodes_pin(struct nodes *ns, uint32_t ino, uint32_t gen, struct node **out);
/* A node for an inode that does not exist yet, pinned.  -ENOMEM. */
int nodes_pin_fresh(struct nodes *ns, struct node **out);
/* The inode of a fresh node. */
void nodes_bind(struct nodes *ns, struct node *n, uint32_t ino, uint32_t gen);
void nodes_unpin(struct nodes *ns, struct node *n);
/*
 * Might the kernel do this file's I/O by itself?  What was said last counts
 * when the kernel gets its first lookup, and is kept until the last is gone,
 * as the kernel asks only once.  N is pinned.
 */
void nodes_offer(struct nodes *ns, struct node *n, bool mappable);

/*
 * An entry reply names N: NODEID is libfuse's number for it, and the kernel
 * will hold one lookup more.  To be called before the reply is written;
 * nodes_uncount() takes it back where the kernel did not want the reply.
 * Returns what the reply is to say of nodes_offer().
 */
bool nodes_count(struct nodes *ns, struct node *n, uint64_t nodeid);
void nodes_uncount(struct nodes *ns, uint64_t nodeid, void **kept);

/*
 * The kernel drops COUNT lookups of NODEID.  Returns how many libfuse may be
 * told of: never more than were counted, 0 if the node is not known.
 */
uint64_t nodes_forget(struct nodes *ns, uint64_t nodeid, uint64_t count,
		      void **kept);

/*
 * Ties KEPT to the node of INO for as long as the kernel holds it: it comes
 * back in nodes_forget()'s *KEPT (else NULL) with the last lookup.  False if
 * the kernel does not hold the inode, or something is tied to it already.
 */
bool nodes_keep(struct nodes *ns, uint32_t ino, void *kept);

/* False if there is no such node. */
bool nodes_find(struct nodes *ns, uint64_t nodeid, struct node_ref *ref);
void nodes_ref(struct nodes *ns, struct node *n, struct node_ref *ref);

/* The node of INO, if the kernel was told that it does its I/O; else 0. */
uint64_t nodes_mapped(struct nodes *ns, uint32_t ino);

/* The number INO was freed: whoever gets it next is another inode. */
void nodes_detach(struct nodes *ns, uint32_t ino);
/* The generation of INO was set (ioctl). */
void nodes_regenerate(struct nodes *ns, uint32_t ino, uint32_t gen);

/* How many there are, the root not counted; pinned ones included. */
size_t nodes_left(struct nodes *ns);

#endif
