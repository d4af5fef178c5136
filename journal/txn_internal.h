/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * txn_internal.h - what the files of the machinery share.
 *
 *	txn.c		handles; what is in the running group
 *	freed.c		blocks freed: frozen (J4), revoked (J5), doomed
 *	commit.c	a group's way to disk, and waiting for it
 *	ordered.c	that way without a log
 *	log.c		that way through the log: the blocks written there
 *	checkpoint.c	from memory to the blocks' homes; the log's tail
 *	thread.c	set-up, and the thread that does it all in time
 *
 * All of it is protected by the volume lock.  Two things are not: the blocks
 * of groups that were frozen, whose contents nobody changes (txn_write() gives
 * the buffer a new page), and struct log with the list of its groups, which
 * belong to who holds the journal (->busy).
 *
 * The invariants of design.md 4 are kept in one place each, marked by its
 * number.  A build with -DBREAK_Jn breaks that one, for the crash tester to
 * find; nothing else depends on these macros.
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
struct logfile;
struct txn_group;

/* One block of a frozen group, as it is to be on disk. */
struct commit_block {
	uint64_t blk;
	uint8_t *data;		/* buf->data until that is written to again */
	bool copied;		/* buf has a new page; this one is ours */
	struct buf *buf;	/* NULL: home, or no longer to get there */
	struct txn_group *group;
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
	struct range_set revoked;	/* of these, what held metadata (J5) */
	struct buf *doomed;	/* dropped in it, by txn_next: what older
				 * groups have of them counts until this group
				 * is durable */
	uint64_t born_ms;		/* when its first block joined */

	/* of groups that are in the log */
	struct txn_group *next;		/* the one after it */
	uint32_t tid;			/* what the log calls it */
	uint32_t start, len;		/* log blocks */
	size_t left;			/* blocks that are not home */
	uint64_t logged_ms;
};

struct undo;
struct arena_chunk;

/* A handle; there is one at most, so it lives in the journal. */
struct txn {
	struct fs *fs;
	struct txn_group *group;
	uint64_t id;
	enum txn_kind kind;
	unsigned credits;
	unsigned used;			/* blocks made writable */
	unsigned runs;			/* of blocks freed, and revokes */
	struct undo *undo;		/* newest first */
	struct inode *inodes;		/* inode.c's list */
	struct arena_chunk *arena;
};

/* The log, in log blocks. */
struct log {
	struct logfile *lf;
	bool on;			/* commits go through it */
	uint32_t tid;			/* the next transaction's */
	uint32_t head;			/* where that begins */
	uint32_t size;
	uint32_t used;			/* by the groups of the list */
	struct txn_group *oldest, *newest;
	size_t blocks;			/* of them, not home */
	struct commit_block **batch;	/* for sorting them */
	bool moved;			/* the last commit moved the tail to
					 * itself */
	bool failed, noted;		/* to be, is noted in its superblock */
};

struct journal {
	struct fs *fs;
	struct txn_group *running;
	struct txn_group *committing;	/* or NULL */
	struct txn_group *pool;		/* not in use */
	unsigned pooled;
	bool busy;			/* somebody commits or checkpoints */
	bool frozen;			/* journal_freeze() holds it */
	uint64_t durable;		/* all ids up to this one are */
	uint64_t commits_begun, commits_done;
	struct log log;
	struct txn handle;
	bool open;			/* handle is in use */
	uint64_t last_handle;
	uint64_t last_end_ms;		/* when a handle last changed anything */
	size_t soft, hard;		/* dirty blocks: commit soon; wait */
	size_t limit;			/* log blocks a group may need; 0: any */
	void *gather;			/* adjacent blocks on their way out */
	pthread_cond_t done;		/* not busy any more, or aborted */
	pthread_cond_t wake;		/* something for the thread */
	pthread_t thread;
	bool threaded, stop;
	bool asleep;			/* the thread waits for a first change */
};

#define GATHER_BYTES	(256 * 1024)
#define BATCH_BLOCKS	2048

/* txn.c */
void group_link(struct txn_group *g, struct buf *b);
void group_unlink(struct txn_group *g, struct buf *b);
int group_reserve(struct txn_group *g);		/* for one more; -ENOMEM */
struct txn_group *group_new(struct journal *j);		/* NULL: -ENOMEM */
void group_recycle(struct journal *j, struct txn_group *g);
void handle_free(struct txn *t);
uint64_t journal_now_ms(void);

/*
 * freed.c.  _finish: G is durable, or (ERR) never will be.  _clear: at the
 * end, nothing of it counts any more.
 */
int freed_add(struct txn *t, uint64_t blk, uint64_t count, bool meta);
void freed_undo(struct txn *t, uint64_t blk, uint64_t count, bool meta);
void freed_finish(struct journal *j, struct txn_group *g, int err);
void freed_clear(struct txn_group *g);

/*
 * commit.c.  Takes the running group to disk.  Called with the volume lock
 * and no handle open; drops the lock and takes it again.  Waits first if
 * another commit is under way.  -EIO if the volume is aborted, -ENOMEM,
 * -EBUSY if it is frozen.
 */
int journal_commit(struct journal *j);
/* J7: the volume is aborted, which is to be noted in the log.  Volume lock. */
void journal_fail(struct journal *j, int err);
bool group_is_empty(const struct txn_group *g);
/* Waits until nobody holds the journal, and takes it.  Volume lock. */
void journal_hold(struct journal *j);
void journal_release(struct journal *j);

/* ordered.c: the order of sealing; and the group to disk, without a lock. */
int by_stage(const void *va, const void *vb);
int ordered_commit(struct journal *j, struct txn_group *g);

/* log.c, by who holds the journal, without the volume lock. */
uint32_t log_need(const struct journal *j, const struct txn_group *g);
int log_commit(struct journal *j, struct txn_group *g);

/*
 * checkpoint.c, by who holds the journal.  home_write(): N blocks, neighbours
 * in their order, to their places.  _home() writes what is left, in part
 * without the volume lock, which is held; _all() (no lock) makes that durable
 * and empties the log; STOP: for good.  After an error of either the log must
 * stay as it is: journal_fail().
 */
int home_write(struct journal *j, struct commit_block *const *v, size_t n);
size_t home_run(const struct journal *j, struct commit_block *const *v,
		size_t max);
int checkpoint_home(struct journal *j);
int checkpoint_all(struct journal *j, bool stop);
bool checkpoint_needed(const struct journal *j);
uint64_t checkpoint_due_ms(const struct journal *j);
/* The block is home, or a younger copy makes up for it.  Volume lock. */
void logged_done(struct journal *j, struct commit_block *cb);
/* All that is in the log is durable at home: forget it.  Volume lock. */
void logged_drop(struct journal *j);
/* G is in the log and durable.  Volume lock. */
void logged_add(struct journal *j, struct txn_group *g);
int log_set_tail(struct journal *j, uint32_t start, uint32_t tid);
/* Notes in the log's superblock that the volume failed (J7). */
void log_note_failure(struct journal *j);
/* Everything in memory only: at the end, after an abort.  Volume lock. */
void log_forget(struct journal *j);

#endif
