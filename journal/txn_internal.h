/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * txn_internal.h - what txn.c and commit.c share.
 *
 * All of it is protected by the volume lock, but for the blocks of the
 * committing group, which its committer reads without (nobody changes them:
 * txn_write() gives the buffer a new page).
 */
#ifndef JOURNAL_TXN_INTERNAL_H
#define JOURNAL_TXN_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "journal/range.h"
#include "journal/txn.h"

struct fs;

/* One block of the committing group, as it will be on disk. */
struct commit_block {
	uint64_t blk;
	uint8_t *data;		/* buf->data until that is written to again */
	bool copied;		/* buf has a new page; this one is ours */
	struct buf *buf;	/* from here on it does not change */
	int rank;
	bool newborn;		/* nothing durable points there */
};

/* Many handles that become durable together. */
struct txn_group {
	uint64_t id;
	struct buf *bufs;	/* dirty, not sorted, by txn_next */
	size_t count;
	struct commit_block *blocks;	/* room for COUNT at any time, so that
					 * a commit needs no memory */
	size_t room;
	struct range_set frozen;	/* freed in it: not to be reused (J4) */
	uint64_t born_ms;		/* when its first block joined */
};

struct undo;
struct arena_chunk;

/* A handle; there is one at most, so it lives in the journal. */
struct txn {
	struct fs *fs;
	struct txn_group *group;
	uint64_t id;
	enum txn_kind kind;
	unsigned used;			/* blocks made writable */
	unsigned runs;			/* of blocks freed */
	struct undo *undo;		/* newest first */
	struct inode *inodes;		/* inode.c's list */
	struct arena_chunk *arena;
};

struct journal {
	struct fs *fs;
	struct txn_group groups[2];
	struct txn_group *running;	/* one of them */
	struct txn_group *committing;	/* the other, or NULL */
	uint64_t durable;		/* all ids up to this one are */
	uint64_t commits_begun, commits_done;
	struct txn handle;
	bool open;			/* handle is in use */
	uint64_t last_handle;
	uint64_t last_end_ms;		/* when a handle last changed anything */
	size_t soft, hard;		/* dirty blocks: commit soon; wait */
	void *gather;			/* adjacent blocks on their way out */
	pthread_cond_t done;		/* a commit ended, or the volume did */
	pthread_cond_t wake;		/* something for the thread */
	pthread_t thread;
	bool threaded, stop;
	bool asleep;			/* the thread waits for a first change */
};

#define GATHER_BYTES	(256 * 1024)

/* txn.c */
void group_link(struct txn_group *g, struct buf *b);
void group_unlink(struct txn_group *g, struct buf *b);
void handle_free(struct txn *t);
uint64_t journal_now_ms(void);

/*
 * commit.c.  Takes the running group to disk.  Called with the volume lock
 * and no handle open; drops the lock and takes it again.  Waits first if
 * another commit is under way.  -EIO if the volume is aborted.
 */
int journal_commit(struct journal *j);

#endif
