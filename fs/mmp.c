/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * mmp.c - multiple mount protection.
 *
 * Knows the MMP block and the protocol: who wants the volume and finds it
 * not clean waits long enough to see its owner count, then writes a number of
 * its own, waits as long again, and has the volume if the number is still
 * there.  The owner counts on at every interval, but only if the block is as
 * it left it; if not, another host has taken the volume, and everything stops
 * here: nothing more is written.  The block never goes through the cache.
 *
 * The lock is for the thread's condition variable and is held across nothing
 * else; the thread takes the volume lock only to stop the volume.
 */
#include <endian.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "fs/fs.h"
#include "fs/mmp.h"
#include "io/device.h"
#include "journal/txn.h"
#include "sys/log.h"

#define MAX_INTERVAL	300		/* seconds between two updates */
#define CHECK_FACTOR	2		/* an owner may be late by so much */

unsigned mmp_second_ms = 1000;

struct mmp {
	struct fs *fs;
	uint64_t off;			/* bytes: where the block is */
	unsigned size;			/* of the block */
	bool csum;
	uint32_t csum_seed;
	unsigned interval;		/* seconds between updates */
	unsigned check;			/* seconds after which others may act */
	uint16_t found_check;		/* before us */
	uint8_t *block;			/* as we wrote it last */
	uint8_t *seen;			/* as it was read last */
	int64_t updated;		/* ms: when it was last known as ours */
	bool lost;			/* somebody else has the volume */

	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t thread;
	bool threaded, stop;
};

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000LL + ts.tv_nsec / 1000000;
}

static struct mmp_struct *seen_of(const struct mmp *m)
{
	return (struct mmp_struct *)m->seen;
}

static struct mmp_struct *mine_of(const struct mmp *m)
{
	return (struct mmp_struct *)m->block;
}

static uint32_t checksum(const struct mmp *m, const struct mmp_struct *b)
{
	return ext2fs_crc32c_le(m->csum_seed, (const uint8_t *)b,
				offsetof(struct mmp_struct, mmp_checksum));
}

/* --- the block --- */

static int read_block(struct mmp *m)
{
	const struct mmp_struct *b = seen_of(m);
	int err;

	device_drop_cached(m->fs->dev, m->off, m->size);
	err = device_read(m->fs->dev, m->seen, m->size, m->off);
	if (err)
		return err;
	if (le32toh(b->mmp_magic) != EXT4_MMP_MAGIC ||
	    (m->csum && le32toh(b->mmp_checksum) != checksum(m, b)))
		return -EFSCORRUPTED;
	return 0;
}

/* Writes our block with the sequence number SEQ. */
static int write_block(struct mmp *m, uint32_t seq)
{
	struct mmp_struct *b = mine_of(m);
	const char *name = strrchr(m->fs->opt.source, '/');
	int err;

	name = name ? name + 1 : m->fs->opt.source;
	b->mmp_seq = htole32(seq);
	b->mmp_time = htole64(time(NULL));
	memset(b->mmp_nodename, 0, sizeof(b->mmp_nodename));
	gethostname((char *)b->mmp_nodename, sizeof(b->mmp_nodename) - 1);
	memset(b->mmp_bdevname, 0, sizeof(b->mmp_bdevname));
	strncpy((char *)b->mmp_bdevname, name, sizeof(b->mmp_bdevname) - 1);
	b->mmp_check_interval = htole16(m->check);
	if (m->csum)
		b->mmp_checksum = htole32(checksum(m, b));
	err = device_write_through(m->fs->dev, b, m->size, m->off);
	if (!err)
		m->updated = now_ms();
	return err;
}

static uint32_t random_seq(void)
{
	uint32_t seq = 0;

	do {
		if (getrandom(&seq, sizeof(seq), GRND_NONBLOCK) != sizeof(seq))
			seq = now_ms() ^ (uint32_t)getpid() << 16;
	} while (!seq || seq > EXT4_MMP_SEQ_MAX);
	return seq;
}

/* --- the way in --- */

static unsigned wait_seconds(const struct mmp *m)
{
	unsigned check = m->interval, found = m->found_check;

	if (check < EXT4_MMP_MIN_CHECK_INTERVAL)
		check = EXT4_MMP_MIN_CHECK_INTERVAL;
	if (found > check)
		check = found;
	return 2 * check + 1 < check + 60 ? 2 * check + 1 : check + 60;
}

static void wait_for(unsigned seconds)
{
	uint64_t ms = (uint64_t)seconds * mmp_second_ms;
	struct timespec ts = {
		.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000,
	};

	while (nanosleep(&ts, &ts) && errno == EINTR)
		;
}

static void tell_owner(const char *what, const struct mmp_struct *b)
{
	char node[sizeof(b->mmp_nodename) + 1] = "";
	char dev[sizeof(b->mmp_bdevname) + 1] = "";
	char *p;

	memcpy(node, b->mmp_nodename, sizeof(b->mmp_nodename));
	memcpy(dev, b->mmp_bdevname, sizeof(b->mmp_bdevname));
	for (p = node; *p; p++)
		*p = *p < ' ' || *p > '~' ? '?' : *p;
	for (p = dev; *p; p++)
		*p = *p < ' ' || *p > '~' ? '?' : *p;
	msg_err("MMP: %s (last updated by node %s, device %s).", what, node,
		dev);
}

static int block_error(int err)
{
	msg_err("MMP: the block cannot be used: %s.", strerror(-err));
	msg_err("Please run e2fsck -fy.");
	return err;
}

/* Reads the block after a wait: has anybody changed it? */
static int expect(struct mmp *m, uint32_t seq)
{
	int err;

	wait_for(wait_seconds(m));
	err = read_block(m);
	if (err)
		return block_error(err);
	if (le32toh(seen_of(m)->mmp_seq) == seq) {
		m->updated = now_ms();
		return 0;
	}
	tell_owner("the filesystem is in use by another host", seen_of(m));
	return -EBUSY;
}

/* The start protocol; the block is ours afterwards. */
static int take(struct mmp *m)
{
	uint32_t seq;
	int err;

	err = read_block(m);
	if (err)
		return block_error(err);
	m->found_check = le16toh(seen_of(m)->mmp_check_interval);
	if (m->found_check > MAX_INTERVAL)
		m->found_check = MAX_INTERVAL;
	seq = le32toh(seen_of(m)->mmp_seq);
	if (seq == EXT4_MMP_SEQ_FSCK) {
		tell_owner("e2fsck is running on the filesystem", seen_of(m));
		return -EBUSY;
	}
	if (seq > EXT4_MMP_SEQ_MAX && seq != EXT4_MMP_SEQ_CLEAN) {
		tell_owner("unknown sequence number", seen_of(m));
		return -EBUSY;
	}
	if (wait_seconds(m) > 30)
		msg_warn("MMP: please wait %u seconds.", wait_seconds(m));
	if (seq != EXT4_MMP_SEQ_CLEAN) {
		err = expect(m, seq);
		if (err)
			return err;
	}
	memcpy(m->block, m->seen, m->size);
	seq = random_seq();
	err = write_block(m, seq);
	if (err)
		return block_error(err);
	return expect(m, seq);
}

static int set_up(struct mmp *m, const struct ext2_super_block *sb)
{
	uint64_t blk = le64toh(sb->s_mmp_block);
	unsigned log = le32toh(sb->s_log_block_size);

	if (log > EXT2_MAX_BLOCK_LOG_SIZE - EXT2_MIN_BLOCK_LOG_SIZE)
		return block_error(-EFSCORRUPTED);
	m->size = EXT2_MIN_BLOCK_SIZE << log;
	if (blk <= le32toh(sb->s_first_data_block) ||
	    blk >= device_size(m->fs->dev) / m->size)
		return block_error(-EFSCORRUPTED);
	m->off = blk * m->size;

	m->interval = le16toh(sb->s_mmp_update_interval);
	if (!m->interval)
		m->interval = EXT4_MMP_UPDATE_INTERVAL;
	if (m->interval > MAX_INTERVAL)
		m->interval = MAX_INTERVAL;
	m->check = CHECK_FACTOR * m->interval;
	if (m->check < EXT4_MMP_MIN_CHECK_INTERVAL)
		m->check = EXT4_MMP_MIN_CHECK_INTERVAL;
	if (m->check > MAX_INTERVAL)
		m->check = MAX_INTERVAL;

	m->csum = sb->s_feature_ro_compat &
		  htole32(EXT4_FEATURE_RO_COMPAT_METADATA_CSUM);
	if (sb->s_feature_incompat &
	    htole32(EXT4_FEATURE_INCOMPAT_CSUM_SEED))
		m->csum_seed = le32toh(sb->s_checksum_seed);
	else
		m->csum_seed = ext2fs_crc32c_le(~0U, sb->s_uuid,
						sizeof(sb->s_uuid));
	if (posix_memalign((void **)&m->block, 4096, m->size) ||
	    posix_memalign((void **)&m->seen, 4096, m->size))
		return -ENOMEM;
	return 0;
}

static void mmp_free(struct mmp *m)
{
	pthread_cond_destroy(&m->wake);
	pthread_mutex_destroy(&m->lock);
	free(m->block);
	free(m->seen);
	free(m);
}

int mmp_open(struct fs *fs, const struct ext2_super_block *sb)
{
	pthread_condattr_t attr;
	struct mmp *m;
	int err;

	if (!(sb->s_feature_incompat & htole32(EXT4_FEATURE_INCOMPAT_MMP)))
		return 0;
	m = calloc(1, sizeof(*m));
	if (!m)
		return -ENOMEM;
	m->fs = fs;
	pthread_mutex_init(&m->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&m->wake, &attr);
	pthread_condattr_destroy(&attr);

	err = set_up(m, sb);
	if (!err)
		err = take(m);
	if (err) {
		mmp_free(m);
		return err;
	}
	/* nothing that was read while another may have had it */
	device_drop_cached(fs->dev, 0, m->off + m->size);
	fs->mmp = m;
	return mmp_start(fs);
}

/* --- the thread --- */

/* Somebody else writes: what we still have in memory would destroy it. */
static void lose(struct mmp *m, const char *why)
{
	struct fs *fs = m->fs;

	m->lost = true;
	device_stop_writing(fs->dev);
	tell_owner(why, seen_of(m));
	fs_lock(fs);
	txn_abort_volume(fs, -EBUSY);
	fs_unlock(fs);
}

/* Counts on; false when the volume is lost. */
static bool update(struct mmp *m)
{
	uint32_t seq = le32toh(mine_of(m)->mmp_seq);
	int64_t late;
	int err;

	err = read_block(m);
	if (!err && memcmp(m->seen, m->block, sizeof(struct mmp_struct))) {
		lose(m, "another host has taken the filesystem");
		return false;
	}
	if (!err)
		err = write_block(m, seq == EXT4_MMP_SEQ_MAX ? 1 : seq + 1);
	if (!err)
		return true;
	late = now_ms() - m->updated;
	if (err != -EFSCORRUPTED && late < (int64_t)m->check * mmp_second_ms)
		return true;		/* there is time to try again */
	msg_err("MMP: %s.", strerror(-err));
	lose(m, "cannot keep the filesystem");
	return false;
}

static void *mmp_thread(void *arg)
{
	struct mmp *m = arg;
	uint64_t ms = (uint64_t)m->interval * mmp_second_ms;
	struct timespec ts;
	int64_t next;
	bool ours = true;

	pthread_mutex_lock(&m->lock);
	while (!m->stop && ours) {
		next = now_ms() + ms;
		ts.tv_sec = next / 1000;
		ts.tv_nsec = next % 1000 * 1000000;
		while (!m->stop && now_ms() < next)
			pthread_cond_timedwait(&m->wake, &m->lock, &ts);
		if (m->stop)
			break;
		pthread_mutex_unlock(&m->lock);
		ours = update(m);
		pthread_mutex_lock(&m->lock);
	}
	pthread_mutex_unlock(&m->lock);
	return NULL;
}

int mmp_resume(struct fs *fs)
{
	struct mmp *m = fs->mmp;

	/* nobody has counted meanwhile: it may look abandoned */
	if (m && !m->threaded && !m->lost && !update(m))
		return -EBUSY;
	return mmp_start(fs);
}

int mmp_start(struct fs *fs)
{
	struct mmp *m = fs->mmp;
	sigset_t all, old;
	int err;

	if (!m || m->threaded || m->lost)
		return 0;
	m->stop = false;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&m->thread, NULL, mmp_thread, m);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err)
		return -err;
	m->threaded = true;
	return 0;
}

void mmp_stop(struct fs *fs)
{
	struct mmp *m = fs->mmp;

	if (!m || !m->threaded)
		return;
	pthread_mutex_lock(&m->lock);
	m->stop = true;
	pthread_cond_signal(&m->wake);
	pthread_mutex_unlock(&m->lock);
	pthread_join(m->thread, NULL);
	m->threaded = false;
}

/* --- the way out --- */

static int give_back(struct mmp *m)
{
	int err;

	err = read_block(m);
	if (!err && memcmp(m->seen, m->block, sizeof(struct mmp_struct))) {
		tell_owner("another host has taken the filesystem",
			   seen_of(m));
		return 0;
	}
	if (m->found_check)
		m->check = m->found_check;
	if (!err)
		err = write_block(m, EXT4_MMP_SEQ_CLEAN);
	return err ? err : device_sync(m->fs->dev);
}

void mmp_close(struct fs *fs)
{
	struct mmp *m = fs->mmp;
	int err;

	if (!m)
		return;
	mmp_stop(fs);
	if (!m->lost) {
		err = give_back(m);
		if (err)
			msg_err("MMP: %s", strerror(-err));
	}
	fs->mmp = NULL;
	mmp_free(m);
}
