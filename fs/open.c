/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * open.c - opening and closing a volume.
 *
 * Knows the order in which the parts are set up and taken down, and where
 * recovery comes in.  The policy for features is feature.c's, the state of
 * the volume super.c's.  libext2fs opens and checks the superblock and the
 * descriptors, and never writes.
 *
 * fs_open() and fs_close() take the volume lock where they call functions
 * that need it; nobody else knows FS then.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "fs/alloc.h"
#include "fs/feature.h"
#include "fs/freeze.h"
#include "fs/fs.h"
#include "fs/group.h"
#include "fs/inode.h"
#include "fs/mmp.h"
#include "fs/orphan.h"
#include "fs/path.h"
#include "fs/source.h"
#include "fs/super.h"
#include "io/cache.h"
#include "io/device.h"
#include "io/iomgr.h"
#include "journal/fastcommit.h"
#include "journal/logfile.h"
#include "journal/recover.h"
#include "journal/txn.h"
#include "sys/log.h"

#define SUPER_OFFSET	1024
#define SUPER_SIZE	1024
#define NAME_ENTRIES	(128 * 1024)
#define MIN_CACHE	(1024 * 1024)
#define MAX_CACHE	(32 * 1024 * 1024)

/* The policy needs no more than the raw superblock.  0 also when that cannot
 * be read or is none: the library will say what is wrong. */
static int check_features(struct fs *fs, struct ext2_super_block *sb)
{
	int err;

	_Static_assert(sizeof(*sb) == SUPER_SIZE, "size of the superblock");
	err = device_read(fs->dev, sb, sizeof(*sb), SUPER_OFFSET);
	if (err || le16toh(sb->s_magic) != EXT2_SUPER_MAGIC) {
		memset(sb, 0, sizeof(*sb));
		return 0;
	}
	return feature_check(sb, &fs->opt, &fs->rdonly);
}

/*
 * What is on the source, may it be written, and by us?  Whoever had it before
 * MMP let us in may have changed it: so the second look.
 */
static int check_source(struct fs *fs)
{
	struct ext2_super_block sb;
	int err;

	err = check_features(fs, &sb);
	if (!err && !fs->rdonly) {
		err = mmp_open(fs, &sb);
		if (!err && fs->mmp)
			err = check_features(fs, &sb);
	}
	return err;
}

static int open_library(struct fs *fs)
{
	errcode_t ret;

	initialize_ext2_error_table();
	ret = ext2fs_open2(fs->opt.source, NULL,
			   EXT2_FLAG_64BITS | EXT2_FLAG_SKIP_MMP, 0, 0,
			   iomgr_for(fs->dev), &fs->e2);
	if (!ret)
		return 0;
	fs->e2 = NULL;
	msg_err("%s.", error_message(ret));
	msg_err("Please run e2fsck -fy %s.", fs->opt.source);
	return fs_errno(ret);
}

static int bad_geometry(struct fs *fs, const char *what)
{
	msg_err("Bad geometry: %s.", what);
	msg_err("Please run e2fsck -fy %s.", fs->opt.source);
	return -EFSCORRUPTED;
}

static int set_geometry(struct fs *fs)
{
	struct ext2_super_block *sb = fs->e2->super;

	fs->blocksize = fs->e2->blocksize;
	fs->blockbits = EXT2_BLOCK_SIZE_BITS(sb);
	fs->clusterbits = fs->e2->cluster_ratio_bits;
	fs->cluster_ratio = 1U << fs->clusterbits;
	fs->inode_size = EXT2_INODE_SIZE(sb);
	fs->group_count = fs->e2->group_desc_count;
	fs->blocks_count = ext2fs_blocks_count(sb);
	fs->first_data_block = sb->s_first_data_block;
	fs->csum_seed = fs->e2->csum_seed;
	fs->csum = ext2fs_has_feature_metadata_csum(sb);

	if (fs->blocks_count <= fs->first_data_block)
		return bad_geometry(fs, "no blocks");
	if (fs->blocks_count > UINT64_MAX >> (fs->blockbits + 1))
		return bad_geometry(fs, "too many blocks");
	if (!sb->s_blocks_per_group || !sb->s_inodes_per_group ||
	    sb->s_inodes_per_group > fs->blocksize * 8 ||
	    sb->s_blocks_per_group >> fs->clusterbits > fs->blocksize * 8)
		return bad_geometry(fs, "a group exceeds its bitmaps");
	if ((uint64_t)fs->group_count * sb->s_inodes_per_group !=
	    sb->s_inodes_count)
		return bad_geometry(fs, "number of inodes");
	if (EXT2_FIRST_INO(sb) < EXT2_GOOD_OLD_FIRST_INO ||
	    EXT2_FIRST_INO(sb) > sb->s_inodes_count)
		return bad_geometry(fs, "first inode");
	if (fs->blocks_count << fs->blockbits > device_size(fs->dev)) {
		msg_err("The filesystem is larger than its source.");
		if (!fs->rdonly)
			return bad_geometry(fs, "number of blocks");
	}
	return 0;
}

static size_t cache_bytes(const struct fs *fs)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
	uint64_t bytes = MAX_CACHE;

	if (fs->opt.cache_size)
		return fs->opt.cache_size;
	if (pages > 0 && size > 0 && (uint64_t)pages * size / 20 < bytes)
		bytes = (uint64_t)pages * size / 20;
	return bytes < MIN_CACHE ? MIN_CACHE : bytes;
}

static int set_errors(struct fs *fs)
{
	fs->errors = fs->opt.errors;
	if (fs->errors != FS_ERRORS_DEFAULT)
		return 0;
	switch (fs->e2->super->s_errors) {
	case EXT2_ERRORS_RO:
		fs->errors = FS_ERRORS_RO;
		break;
	case EXT2_ERRORS_PANIC:
		fs->errors = FS_ERRORS_PANIC;
		break;
	default:
		fs->errors = FS_ERRORS_CONTINUE;
	}
	return 0;
}

/* Everything that lives in memory. */
static int open_parts(struct fs *fs)
{
	int err;

	err = cache_new(fs, fs->dev, fs->blocksize, cache_bytes(fs),
			&fs->cache);
	if (err)
		return err;
	err = cache_get(fs->cache, SUPER_OFFSET / fs->blocksize, &super_type,
			0, 0, &fs->super_buf);
	if (err)
		return err;
	err = journal_open(fs);
	if (err)
		return err;
	fs->groups = groups_new(fs);
	fs->inodes = inode_table_new(fs);
	fs->names = name_cache_new(fs, NAME_ENTRIES);
	if (!fs->groups || !fs->inodes || !fs->names)
		return -ENOMEM;
	if (getrandom(&fs->next_generation, sizeof(fs->next_generation),
		      GRND_NONBLOCK) != sizeof(fs->next_generation))
		fs->next_generation = time(NULL);
	return 0;
}

static int check_root(struct fs *fs)
{
	struct inode *root;
	int err;

	err = inode_get(fs, EXT2_ROOT_INO, &root);
	if (err) {
		msg_err("Cannot read the root inode: %s.", strerror(-err));
		return err;
	}
	if (!S_ISDIR(root->i.mode))
		err = fs_corrupt(fs, EXT2_ROOT_INO, 0,
				 "the root is not a directory");
	inode_put(root);
	return err;
}

/* Why must the volume not be written?  NULL: it may.  What has to be replayed
 * was, but e2fsck would replay a log even if no bit said so. */
static const char *journal_trouble(int err, const struct logfile *lf)
{
	switch (err) {
	case 0:
		break;
	case -ENODEV:
		return "its journal device was not found";
	case -EBUSY:
		return "its journal device is in use";
	case -EOPNOTSUPP:
		return "the journal is of an unknown kind";
	case -EFSCORRUPTED:
	case -EFSBADCRC:
		return "the journal is damaged";
	default:
		return "the journal cannot be used";
	}
	if (!lf)
		return NULL;
	if (lf->backup)
		return "the journal's inode is damaged";
	if (lf->super.start)
		return "the journal needs recovery";
	if (lf->super.error)
		return "the journal has an error on record";
	return NULL;
}

static void check_journal(struct fs *fs)
{
	struct logfile *lf = NULL;
	const char *why;
	int err;

	if (fs->rdonly)
		return;
	err = logfile_open(fs, true, &lf);
	why = journal_trouble(err, lf);
	if (!why && lf)
		journal_attach(fs, lf);
	else
		logfile_close(lf);
	if (!why)
		return;
	msg_warn("Mounting read-only: %s; running e2fsck is recommended.", why);
	fs->rdonly = true;
}

/* Blocks that hold no files, as the kernel subtracts them in statfs. */
static void set_overhead(struct fs *fs)
{
	struct ext2_super_block *sb = fs->e2->super;
	struct inode *journal;

	if (sb->s_overhead_clusters &&
	    sb->s_overhead_clusters <= fs->blocks_count >> fs->clusterbits) {
		fs->overhead = (uint64_t)sb->s_overhead_clusters
			       << fs->clusterbits;
		return;
	}
	fs->overhead = groups_overhead(fs);
	if (ext2fs_has_feature_journal(sb) && sb->s_journal_inum &&
	    !inode_get_any(fs, sb->s_journal_inum, &journal)) {
		fs->overhead += journal->i.size >> fs->blockbits;
		inode_put(journal);
	}
	if (fs->overhead > fs->blocks_count)
		fs->overhead = fs->blocks_count;
}

/* All that knows what is on the volume. */
static void close_parts(struct fs *fs)
{
	if (fs->names)
		name_cache_free(fs->names);
	fs->names = NULL;
	orphan_close(fs);
	fs->orphans = NULL;
	if (fs->inodes)
		inode_table_free(fs->inodes);
	fs->inodes = NULL;
	if (fs->journal)
		journal_close(fs);
	fs->journal = NULL;
	if (fs->groups)
		groups_free(fs->groups);
	fs->groups = NULL;
	cache_put(fs->super_buf);
	fs->super_buf = NULL;
	if (fs->cache)
		cache_free(fs->cache);
	fs->cache = NULL;
	if (fs->e2) {
		fs->e2->flags &= ~(EXT2_FLAG_DIRTY | EXT2_FLAG_CHANGED |
				   EXT2_FLAG_IB_DIRTY | EXT2_FLAG_BB_DIRTY |
				   EXT2_FLAG_RW);
		ext2fs_free(fs->e2);
	}
	fs->e2 = NULL;
}

static void fs_free(struct fs *fs)
{
	close_parts(fs);
	mmp_close(fs);
	if (fs->dev)
		device_close(fs->dev);
	if (fs->log_dev)
		device_close(fs->log_dev);
	pthread_mutex_destroy(&fs->lock);
	free(fs);
}

/* From a superblock that was accepted to all that is in memory.  Lock held. */
static int open_base(struct fs *fs)
{
	int err;

	err = open_library(fs);
	if (!err)
		err = set_geometry(fs);
	if (!err)
		err = set_errors(fs);
	if (!err)
		err = open_parts(fs);
	return err ? err : groups_check(fs);
}

/* Lock held, and dropped in between. */
static void drop_parts(struct fs *fs)
{
	fs_unlock(fs);
	close_parts(fs);
	fs_lock(fs);
}

/*
 * What is on the volume has changed; with R it is what recovery shows, to
 * stay if it is not to be written: the log's superblock has a say in that.
 * Lock held, and dropped in between.
 */
static int reopen(struct fs *fs, struct recovery *r)
{
	struct ext2_super_block sb;
	int err;

	drop_parts(fs);
	err = check_features(fs, &sb);
	if (!err && r && fs->rdonly)
		err = recover_keep(r);
	return err ? err : open_base(fs);
}

/*
 * Work on what is shown of the recovered volume; all of it stays in memory.
 * Called, and returns, with the lock held.
 */
static int finish_shown(struct fs *fs, const struct fastcommit *fc)
{
	bool rdonly = fs->rdonly;
	int err;

	fs->rdonly = false;
	err = orphan_open(fs);
	fs_unlock(fs);
	if (!err && fc)
		err = fastcommit_replay(fs, fc);
	if (!err && rdonly)
		err = orphan_recover(fs);
	if (!err)
		err = txn_sync(fs, 0);
	fs_lock(fs);
	fs->rdonly = rdonly;
	return err;
}

static int recover_shown(struct fs *fs, struct recovery *r)
{
	int err;

	err = recover_show(r);
	if (!err)
		err = reopen(fs, r);
	if (!err)
		err = finish_shown(fs, recover_fast(r));
	fs->shown = !err && fs->rdonly;
	return err;
}

/* Replays the journal, into memory if the volume is not to be written.  Lock
 * held. */
static int recover(struct fs *fs)
{
	struct recovery *r;
	int err;

	if (!ext2fs_has_feature_journal_needs_recovery(fs->e2->super) ||
	    fs->opt.norecovery)
		return 0;
	err = recover_begin(fs, &r);
	if (err)
		return err;
	if (fs->rdonly || recover_fast(r))
		err = recover_shown(fs, r);
	/* what they hold is of the overlay, which goes: also if it failed */
	drop_parts(fs);
	if (!err && !fs->rdonly)
		err = recover_write(r);
	recover_free(r);
	return err ? err : reopen(fs, NULL);
}

static int open_volume(struct fs *fs)
{
	int err;

	err = source_open(fs);
	if (!err)
		err = check_source(fs);
	if (err)
		return err;

	fs_lock(fs);
	err = open_base(fs);
	if (!err)
		err = recover(fs);
	if (!err)
		err = check_root(fs);
	if (!err) {
		check_journal(fs);
		set_overhead(fs);
		super_warn(fs);
		if (fs->rdonly)		/* never to be written */
			super_set_counts(fs, fs_super(fs));
		err = orphan_open(fs);
	}
	fs_unlock(fs);
	return err;
}

int fs_open(const struct fs_options *opt, struct fs **out)
{
	struct fs *fs;
	int err;

	fs = calloc(1, sizeof(*fs));
	if (!fs)
		return -ENOMEM;
	fs->opt = *opt;
	fs->rdonly = opt->ro;
	pthread_mutex_init(&fs->lock, NULL);

	err = open_volume(fs);
	if (!err && fs->rdonly) {
		mmp_close(fs);
		source_share(fs);
	} else if (!err) {
		err = super_mount(fs);
		if (!err)
			err = orphan_recover(fs);
		if (!err && fs->panicked)
			err = -EFSCORRUPTED;
		mmp_stop(fs);		/* fs_start() goes on with it */
	}
	if (err) {
		fs_free(fs);
		return err;
	}
	*out = fs;
	return 0;
}

int fs_start(struct fs *fs)
{
	int err = mmp_start(fs);

	return err ? err : journal_start(fs);
}

static int unmount(struct fs *fs)
{
	int err;

	err = fs_error_flush(fs);
	if (fs_writable(fs))
		orphan_finish(fs);
	/* all but the superblock first: clean must be the last thing said */
	if (!err)
		err = txn_sync(fs, 0);
	if (!err)
		err = journal_log_end(fs);
	if (!err && (fs_writable(fs) || journal_has_log(fs)))
		err = super_unmount(fs);
	fs->mounted = false;
	if (err)
		msg_err("while closing fs: %s", strerror(-err));
	return err;
}

int fs_close(struct fs *fs)
{
	int err = 0;

	if (fs->frozen)
		fs_thaw(fs);
	journal_stop(fs);
	if (fs->mounted && !fs->aborted)
		err = unmount(fs);
	else if (fs->mounted)
		err = -EIO;
	if (!err && fs->panicked)
		err = -EFSCORRUPTED;
	fs_free(fs);
	return err;
}

bool fs_retry_nospc(struct fs *fs, int err, unsigned *tries)
{
	bool pending;
	uint64_t id;

	if (err != -ENOSPC || (*tries)++ >= 2)
		return false;
	fs_lock(fs);
	pending = txn_frozen_total(fs) || inodes_frozen(fs);
	id = txn_running(fs);
	fs_unlock(fs);
	if (!pending || txn_sync(fs, 0))
		return false;
	fs_lock(fs);
	/* if that is running still, all before it was durable already */
	inodes_thaw(fs, id < txn_running(fs) ? id : id - 1);
	fs_unlock(fs);
	return true;
}
