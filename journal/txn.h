/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * txn.h - transactions: what one operation changes, all of it or nothing.
 *
 * A handle (struct txn) is one operation (design.md 4, J1).  It joins the
 * running transaction group, which a commit takes to disk as a whole.  The
 * volume lock is held from txn_begin() to txn_end()/txn_abort(), so there is
 * never more than one open handle on a volume.
 *
 * J9: a handle keeps pre-images of the blocks and of the memory that it
 * changes; txn_abort() puts all of them back.
 */
#ifndef JOURNAL_TXN_H
#define JOURNAL_TXN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct fs;
struct inode;
struct logfile;
struct txn;

/* One row each in the table of credits (worst case in blocks), txn.c. */
enum txn_kind {
	TXN_ATTR,	/* an inode's own fields */
	TXN_XATTR,
	TXN_CREATE,	/* create, mkdir, mknod, symlink */
	TXN_LINK,
	TXN_UNLINK,	/* unlink, rmdir, and the deletion of a small file */
	TXN_RENAME,
	TXN_WRITE,	/* allocation, conversion and size of one write */
	TXN_TRUNCATE,	/* one piece of a truncate, punch, shift or deletion */
	TXN_ORPHAN,
	TXN_SUPER,
	TXN_ERROR,	/* the superblock, also after errors=remount-ro */
	TXN_KINDS
};

/*
 * Set-up and teardown of the machinery (fs->journal).  Without a log blocks
 * go straight to their places, in an order that costs little (ordered.c).
 */
int journal_open(struct fs *fs);
/*
 * The log, found and empty (recovered): from now on the machinery's, which
 * closes it.  Before anything is written.
 */
void journal_attach(struct fs *fs, struct logfile *lf);
/* Is any of COUNT blocks of the volume from BLK the log's? */
bool journal_owns(const struct fs *fs, uint64_t blk, uint64_t count);
/*
 * Commits go through the log from now on, or no longer (all is home then, and
 * the log is empty).  0 where there is no log.  Without the volume lock, and
 * the superblock says needs_recovery, durably, from before log_begin() until
 * after log_end() (J8).
 */
int journal_log_begin(struct fs *fs);
int journal_log_end(struct fs *fs);

/*
 * Everything at home, the log empty, and nobody commits until the thaw: what
 * handles change in between stays in memory.  The thaw is also for a freeze
 * that failed.  Without the volume lock.
 */
int journal_freeze(struct fs *fs);
int journal_thaw(struct fs *fs);

bool journal_has_log(const struct fs *fs);
/* Starts and stops the commit timer thread (after daemonizing). */
int journal_start(struct fs *fs);
void journal_stop(struct fs *fs);
/* Makes the thread look whether there are errors to be recorded (err.c).
 * Volume lock. */
void journal_wake(struct fs *fs);
void journal_close(struct fs *fs);

/*
 * Opens a handle.  Needs the volume lock; may drop and retake it to wait for
 * space, so nothing read before the call may be trusted after it except
 * counted references.  -EROFS when the volume is read-only or aborted; -EBUSY
 * (frozen), -ENOMEM when there is no room and none can be made.
 */
int txn_begin(struct fs *fs, enum txn_kind kind, struct txn **out);

/*
 * Makes B writable: saves its pre-image in the handle and joins it to the
 * running transaction.  To be called before B->data is changed; B->data may
 * move.  -ENOMEM.
 */
int txn_write(struct txn *t, struct buf *b);

/* Saves LEN bytes at MEM, which txn_abort() puts back.  -ENOMEM. */
int txn_save(struct txn *t, void *mem, size_t len);

/*
 * Blocks freed by this handle.  They are not handed out again before the
 * transaction is durable (J4; txn_frozen()), and leave the cache when
 * the handle ends.  META: they held metadata (J5: a revoke record).
 */
int txn_freed(struct txn *t, uint64_t blk, uint64_t count, bool meta);

/* The open handle, or NULL: for who is called in any context (err.c). */
struct txn *txn_current(struct fs *fs);

struct fs *txn_fs(struct txn *t);
uint64_t txn_id(struct txn *t);		/* of the transaction group joined */
uint64_t txn_handle_id(struct txn *t);	/* of this handle; never 0 or reused */

/*
 * The head of inode.c's list of inodes that the handle changed (chained by
 * inode->dirty_next); NULL at the begin, taken apart by inode_flush_handle().
 */
struct inode **txn_inode_list(struct txn *t);

/* Credits left, in blocks: long operations stop and begin again at few. */
unsigned txn_room(const struct txn *t);

void txn_end(struct txn *t);
void txn_abort(struct txn *t);
/* txn_abort() if ERR, else txn_end(); returns ERR. */
int txn_stop(struct txn *t, int err);

/*
 * Are any of COUNT blocks from BLK freed, but not durably yet?  Returns how
 * many blocks from BLK are free of such (0: BLK itself is frozen; then *SKIP
 * is the length of the frozen run).  Needs the volume lock.
 */
uint64_t txn_frozen(struct fs *fs, uint64_t blk, uint64_t count, uint64_t *skip);
/* Frozen blocks in all: what a commit would make available again. */
uint64_t txn_frozen_total(struct fs *fs);

/* Is the transaction ID durable, as far as it changed anything?  Lock held. */
bool txn_is_durable(struct fs *fs, uint64_t id);

/* The id that the next change will be part of. */
uint64_t txn_running(struct fs *fs);

/*
 * Returns when the transaction ID, and all before it, are durable (and all
 * file data written so far).  Must be called without the volume lock.  ID 0:
 * everything.  -EIO if the volume was aborted.
 */
int txn_sync(struct fs *fs, uint64_t id);

/* The volume takes no more writes (J7); called with the volume lock. */
void txn_abort_volume(struct fs *fs, int err);

#endif
