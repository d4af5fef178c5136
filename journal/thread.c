/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * thread.c - the machinery set up and taken down, the log taken into use, and
 * the thread that commits and checkpoints in time.
 *
 * Knows when; commit.c and checkpoint.c know how.  The volume lock is taken
 * here.
 */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/fs.h"
#include "io/cache.h"
#include "io/device.h"
#include "journal/logfile.h"
#include "journal/txn_internal.h"
#include "sys/log.h"

#define INTERVAL_MS	5000		/* commit=, by default */
#define QUIET_MS	1000		/* nothing changed for so long: commit */
#define SOFT_BLOCKS	4096
#define LOG_PART	4		/* of the log, for one transaction */

/* --- the log in use --- */

void journal_attach(struct fs *fs, struct logfile *lf)
{
	fs->journal->log.lf = lf;
}

bool journal_has_log(const struct fs *fs)
{
	return fs->journal && fs->journal->log.lf;
}

bool journal_owns(const struct fs *fs, uint64_t blk, uint64_t count)
{
	return journal_has_log(fs) &&
	       logfile_owns(fs->journal->log.lf, blk, count);
}

/*
 * The features as the kernel would set them, of a log that is empty.  No
 * fast commits: e2fsck 1.47.0 loses its way in a log that wraps where their
 * area begins, and the kernel sets the bit again when it mounts.
 */
static void set_features(struct fs *fs, struct logfile *lf)
{
	struct jbd_super *js = &lf->super;
	uint32_t incompat = be32toh(js->incompat);

	js->h.type = htobe32(JBD_SUPER_V2);
	incompat &= ~(JBD_INCOMPAT_ASYNC | JBD_INCOMPAT_CSUM_V2 |
		      JBD_INCOMPAT_CSUM_V3 | JBD_INCOMPAT_FAST);
	incompat |= JBD_INCOMPAT_REVOKE;
	if (ext2fs_has_feature_64bit(fs->e2->super))
		incompat |= JBD_INCOMPAT_64BIT;
	if (fs->csum)
		incompat |= JBD_INCOMPAT_CSUM_V3;
	js->incompat = htobe32(incompat);
	js->compat &= ~htobe32(JBD_COMPAT_CHECKSUM);
	js->checksum_type = fs->csum ? JBD_CSUM_CRC32C : 0;
	logfile_decode(lf);
}

int journal_log_begin(struct fs *fs)
{
	struct journal *j = fs->journal;
	struct log *log = &j->log;
	int err;

	if (!log->lf)
		return 0;
	assert(!log->on && group_is_empty(j->running));
	if (!log->batch)
		log->batch = calloc(BATCH_BLOCKS, sizeof(*log->batch));
	if (!log->batch)
		return -ENOMEM;
	set_features(fs, log->lf);
	log->tid = be32toh(log->lf->super.sequence);
	log->head = log->lf->first;
	log->size = log->lf->end - log->lf->first;
	err = log_set_tail(j, log->head, log->tid);
	if (!err)
		err = logfile_sync(log->lf);
	if (err)
		return err;
	fs_lock(fs);
	log->on = true;
	j->limit = log->size / LOG_PART;
	fs_unlock(fs);
	return 0;
}

int journal_log_end(struct fs *fs)
{
	struct journal *j = fs->journal;
	int err;

	if (!j->log.on)
		return 0;
	err = txn_sync(fs, 0);
	if (err)
		return err;
	fs_lock(fs);
	journal_hold(j);
	assert(group_is_empty(j->running));
	fs_unlock(fs);
	err = checkpoint_all(j, true);
	fs_lock(fs);
	if (err) {
		journal_fail(j, err);
	} else {
		j->log.on = false;
		j->limit = 0;
	}
	journal_release(j);
	fs_unlock(fs);
	return err;
}

int journal_freeze(struct fs *fs)
{
	struct journal *j = fs->journal;
	int err = txn_sync(fs, 0);

	if (err)
		return err;
	fs_lock(fs);
	journal_hold(j);
	j->frozen = true;
	err = fs->aborted ? -EIO : 0;
	fs_unlock(fs);
	if (err || !j->log.on)
		return err;
	err = checkpoint_all(j, true);
	if (err) {	/* or the thaw would forget what is not home (J6) */
		fs_lock(fs);
		journal_fail(j, err);
		fs_unlock(fs);
	}
	return err;
}

int journal_thaw(struct fs *fs)
{
	struct journal *j = fs->journal;
	int err = 0;

	if (!j->frozen)
		return 0;
	if (j->log.on && !fs->aborted) {
		err = log_set_tail(j, j->log.head, j->log.tid);
		if (!err)
			err = logfile_sync(j->log.lf);
	}
	fs_lock(fs);
	if (err)
		journal_fail(j, err);
	j->frozen = false;
	journal_release(j);
	fs_unlock(fs);
	return err;
}

/* By age, or as nothing else is to be done.  Volume lock. */
static void checkpoint(struct journal *j)
{
	int err;

	journal_hold(j);
	if (j->fs->aborted || !j->log.oldest) {
		journal_release(j);
		return;
	}
	fs_unlock(j->fs);
	err = checkpoint_all(j, false);
	fs_lock(j->fs);
	if (err)
		journal_fail(j, err);
	journal_release(j);
}

/* --- the thread --- */

/* When the running group is to be committed, by age or because it is quiet. */
static uint64_t due_ms(const struct journal *j)
{
	uint64_t interval = j->fs->opt.commit_interval * 1000ULL;
	uint64_t aged, quiet;

	if (!interval)
		interval = INTERVAL_MS;
	aged = j->running->born_ms + interval;
	quiet = j->last_end_ms + (interval < QUIET_MS ? interval : QUIET_MS);
	if (group_is_empty(j->running))
		return UINT64_MAX;
	if (j->running->count >= j->soft)
		return 0;
	return aged < quiet ? aged : quiet;
}

static void sleep_until(struct journal *j, uint64_t ms)
{
	struct timespec ts = {
		.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000,
	};

	pthread_cond_timedwait(&j->wake, &j->fs->lock, &ts);
}

void journal_wake(struct fs *fs)
{
	if (fs->journal && fs->journal->threaded)
		pthread_cond_signal(&fs->journal->wake);
}

/* What there is to be told, in superblocks.  true: there was something. */
static bool tell_errors(struct journal *j, uint32_t *tried)
{
	uint32_t errors = j->fs->error_log.pending;

	if (j->fs->aborted && j->log.failed && !j->log.noted) {
		journal_hold(j);
		fs_unlock(j->fs);
		log_note_failure(j);
		fs_lock(j->fs);
		j->log.noted = true;
		journal_release(j);
		return true;
	}
	if (!errors)
		*tried = 0;
	if (errors == *tried || j->fs->aborted)
		return false;
	*tried = errors;
	fs_unlock(j->fs);
	fs_error_flush(j->fs);
	fs_lock(j->fs);
	return true;
}

static void *commit_thread(void *arg)
{
	struct journal *j = arg;
	uint32_t tried = 0;

	fs_lock(j->fs);
	while (!j->stop) {
		uint64_t commit, home, now = journal_now_ms();

		if (tell_errors(j, &tried))
			continue;
		if (j->busy) {		/* what is under way is in no list */
			pthread_cond_wait(&j->done, &j->fs->lock);
			continue;
		}
		commit = due_ms(j);
		home = checkpoint_due_ms(j);
		if ((commit == UINT64_MAX && home == UINT64_MAX) ||
		    j->fs->aborted) {
			j->asleep = true;
			pthread_cond_wait(&j->wake, &j->fs->lock);
			j->asleep = false;
		} else if (now >= commit) {
			/* for want of memory: later */
			if (journal_commit(j) && !j->fs->aborted)
				sleep_until(j, now + QUIET_MS);
		} else if (now >= home) {
			checkpoint(j);
		} else {
			j->asleep = commit == UINT64_MAX;
			sleep_until(j, commit < home ? commit : home);
			j->asleep = false;
		}
	}
	fs_unlock(j->fs);
	return NULL;
}

/* --- set-up --- */

int journal_open(struct fs *fs)
{
	struct journal *j = calloc(1, sizeof(*j));
	pthread_condattr_t attr;

	if (!j)
		return -ENOMEM;
	if (posix_memalign(&j->gather, 4096, GATHER_BYTES)) {
		free(j);
		return -ENOMEM;
	}
	j->fs = fs;
	j->running = group_new(j);
	if (!j->running) {
		free(j->gather);
		free(j);
		return -ENOMEM;
	}
	j->running->id = 1;
	j->soft = cache_limit(fs->cache) / 2;
	if (j->soft > SOFT_BLOCKS)
		j->soft = SOFT_BLOCKS;
	j->hard = 2 * j->soft;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&j->done, NULL);
	pthread_cond_init(&j->wake, &attr);
	pthread_condattr_destroy(&attr);
	fs->journal = j;
	return 0;
}

int journal_start(struct fs *fs)
{
	struct journal *j = fs->journal;
	sigset_t all, old;
	int err;

	if (fs->rdonly || j->threaded)
		return 0;
	/* signals are for the threads that know what to do with them */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	j->stop = false;
	err = pthread_create(&j->thread, NULL, commit_thread, j);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		return -err;
	fs_lock(fs);
	j->threaded = true;
	fs_unlock(fs);
	return 0;
}

void journal_stop(struct fs *fs)
{
	struct journal *j = fs->journal;

	if (!j || !j->threaded)
		return;
	fs_lock(fs);
	j->stop = true;
	j->threaded = false;
	pthread_cond_signal(&j->wake);
	fs_unlock(fs);
	pthread_join(j->thread, NULL);
}

static void free_groups(struct journal *j)
{
	struct txn_group *g;
	struct buf *b;

	while ((b = j->running->bufs)) {
		group_unlink(j->running, b);
		cache_settle(b);
	}
	freed_clear(j->running);
	log_forget(j);
	free(j->running->blocks);
	free(j->running);
	while ((g = j->pool)) {
		j->pool = g->next;
		free(g->blocks);
		free(g);
	}
}

void journal_close(struct fs *fs)
{
	struct journal *j = fs->journal;

	if (!j)
		return;
	journal_stop(fs);
	txn_sync(fs, 0);
	log_note_failure(j);
	fs_lock(fs);
	free_groups(j);
	handle_free(&j->handle);
	fs->journal = NULL;
	fs_unlock(fs);
	pthread_cond_destroy(&j->done);
	pthread_cond_destroy(&j->wake);
	logfile_close(j->log.lf);
	free(j->log.batch);
	free(j->gather);
	free(j);
}
