/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * model.h - a model of the kernel's side of FUSE with iomap.
 *
 * Starts the program under test on one end of a socket pair, negotiates, and
 * does what the kernel does: page cache, write-back, direct I/O, zeroing and
 * mapping caches, with the device read and written by the model itself (in
 * the image file, as the kernel's file I/O goes past the page cache of the
 * block device).  Every reply is held against the rules of the protocol; what
 * breaks one is a violation, counted and printed.
 *
 * One model at a time in a process.  Any number of threads may use it.  Locks,
 * outermost first: inode->io (the kernel's inode lock; write-back does not
 * take it), then model.lock for all that is in memory, which is not held while
 * a request is on its way.
 */
#ifndef TESTS_IOMAP_MODEL_H
#define TESTS_IOMAP_MODEL_H

#include <linux/fuse.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ops/iomap_proto.h"
#include "preload.h"

#define PAGE		4096u
#define MAX_CALLS	256
#define MAX_FILE_BLOCKS	(1u << 19)	/* whose owner is watched */

struct inode;

/* ---- how it is started ---- */

struct model_opt {
	const char *program;		/* NULL: $FUSE2FS */
	const char *source;		/* what the program is given */
	const char *image;		/* the file behind it */
	const char *mount_opts;		/* -o, or NULL */
	const char *preload;		/* the library, NULL: $IOMAP_PRELOAD */
	const char *log;		/* the server's messages; NULL: stderr */
	bool plain;			/* a kernel without iomap */
	bool short_init;		/* INIT without flags2 */
	bool no_init_ext;
	bool no_config;			/* accept, but never configure */
	bool no_root;			/* ... and ask for nothing else */
	uint32_t minor;			/* 0: 99 */
	int support_errno;		/* of the probe; 0: fine */
	int open_errno;			/* of the registration */
	int blocksize_errno;
	int nofs_errno;
};

/* ---- requests ---- */

struct call {
	bool used, done;
	uint64_t unique;
	uint64_t order;			/* of the answer among all */
	int error;			/* 0 or -errno */
	void *out;
	size_t max, len;
};

struct stats {
	uint64_t requests, begins, ends, ioends, upserts, invals, dev_invals;
	uint64_t hits, retries, reads, writes;
};

struct model {
	struct model_opt opt;
	pthread_mutex_t lock;
	pthread_cond_t cond;		/* anything changed */
	int sock, ctl;
	pid_t server;
	pthread_t reader, controller;
	bool dead;			/* the server is gone */
	int status;			/* its exit status */
	uint64_t unique, answers;
	struct call calls[MAX_CALLS];

	/* negotiated */
	struct fuse_init_out init;
	size_t init_len;
	struct iom_config_out config;
	bool iomap;			/* the connection uses it */
	uint32_t block_size;
	uint64_t max_bytes;
	uint32_t dev;			/* registered id, or 0 */
	uint64_t rdev, dev_size;
	bool config_sent;
	uint32_t dev_block_size;	/* of the device's own cache */
	unsigned marked;		/* threads that called SET_NOFS */

	/* the device, as data goes */
	int image;
	uint64_t image_offset;
	struct table *table;

	struct inode **inodes;
	unsigned inode_count;
	struct inode *root;

	/* tests */
	unsigned violations;
	bool strict;			/* one thing at a time */
	bool no_write;			/* the server must not allocate */
	int upsert_errno;		/* what an upsert gets */
	unsigned upsert_errors;		/* ... one in so many; 0: all */
	uint64_t rng;
	int io_errno;			/* what device writes get */
	bool past_cache;		/* reports come from the server */
	unsigned batch;			/* pages written back at once; 0: 64 */
	struct stats stats;
};

extern struct model M;

/*
 * Starts the program and negotiates.  0 when it serves; -errno of CONFIG's or
 * INIT's failure.  MODEL_GONE: the program ended instead (M.status).
 */
#define MODEL_GONE	(-10000)
int model_start(const struct model_opt *opt);
/* Ends as umount does: write-back, SYNCFS, DESTROY.  The program's status. */
int model_unmount(void);
/* kill -9: nothing of what is in memory comes to the image. */
void model_kill(void);
/* Waits for the program's end. */
int model_wait(void);

/* Prints and counts. */
__attribute__((format(printf, 1, 2))) void violation(const char *fmt, ...);
__attribute__((format(printf, 1, 2))) void note(const char *fmt, ...);

/*
 * Sends A then B as one request's body; waits.  Returns the reply's error;
 * OUT gets up to MAX bytes, *LEN says how many came.  -ENOTCONN: no server.
 */
int call(uint32_t opcode, uint64_t nodeid, const void *a, size_t a_len,
	 const void *b, size_t b_len, void *out, size_t max, size_t *len);
/* The same in two halves. */
struct call *call_send(uint32_t opcode, uint64_t nodeid, const void *a,
		       size_t a_len, const void *b, size_t b_len, void *out,
		       size_t max);
int call_wait(struct call *c, size_t *len);
/* Sends and expects no answer. */
void call_forget(uint64_t nodeid, uint64_t n);

uint64_t model_random(void);

/* ---- the device (device.c) ---- */

/* Answers the preloaded library until the program ends. */
void *device_control(void *arg);
/* Of the block device's own page cache: what its user has set. */
uint32_t device_block_size(void);
/* Has the server a descriptor of the device? */
bool device_in_use(void);

/* ---- inodes (names.c) ---- */

struct page {
	uint64_t index;
	uint8_t uptodate, dirty;	/* a bit for each block */
	bool busy, writeback;
	uint8_t data[PAGE];
};

/* Cached mappings of a direction, sorted. */
struct fork {
	struct iom_map *maps;
	unsigned count, room;
	bool exists;
};

struct inode {
	uint64_t nodeid, ino, generation;
	uint32_t flags, mode, nlink;
	bool mapped;			/* EXCLUSIVE and IOMAP and regular */
	bool evicted;
	uint64_t size, disk_size;
	uint64_t lookups;
	unsigned opens;
	pthread_rwlock_t io;
	struct page **pages;
	unsigned page_count, page_room;
	struct fork read, write;
	uint64_t cookie;		/* changes with the caches */
	uint64_t layout;		/* changes with truncate, punch... */
	bool layout_busy;
	uint32_t *own;			/* file block -> device block + 1 */
	uint64_t own_room;
	int wb_error;
	unsigned in_writeback;		/* threads */
	bool times_dirty, swap;
	int64_t atime, mtime, ctime;
	uint32_t atimensec, mtimensec, ctimensec;
};

struct file {
	struct inode *inode;
	uint64_t fh;
	uint32_t flags, open_flags;
};

int name_lookup(struct inode *dir, const char *name, struct inode **out);
int name_create(struct inode *dir, const char *name, uint32_t mode,
		struct file *file);
int name_mknod(struct inode *dir, const char *name, uint32_t mode,
	       struct inode **out);
int name_mkdir(struct inode *dir, const char *name, struct inode **out);
int name_symlink(struct inode *dir, const char *name, const char *target,
		 struct inode **out);
int name_link(struct inode *inode, struct inode *dir, const char *name);
/* INODE is what the name leads to; NULL if the model does not know it. */
int name_unlink(struct inode *dir, const char *name, struct inode *inode);
int name_rmdir(struct inode *dir, const char *name);
int name_rename(struct inode *dir, const char *name, struct inode *to,
		const char *new_name, struct inode *replaced);
/* All entries, as READDIRPLUS gives them; returns how many, or -errno. */
int name_list(struct inode *dir, char names[][256], unsigned max);
int file_open(struct inode *inode, uint32_t flags, struct file *file);
int file_close(struct file *file);
/* Writes back and forgets; the pointer is dead if nobody has it open. */
int inode_evict(struct inode *inode);
struct inode *inode_by_nodeid(uint64_t nodeid);
int inode_getattr(struct inode *inode, struct fuse_attr *attr);

/* ---- mappings (mapping.c) ---- */

struct seen_map {
	struct iom_map map;
	uint64_t cookie;		/* 0: valid for ever */
	uint64_t layout;
};

/* The mapping that an operation uses, from the cache or by BEGIN. */
int map_begin(struct inode *inode, uint32_t opflags, uint64_t pos,
	      uint64_t count, struct seen_map *out);
/* Is it still good?  model.lock held. */
bool map_valid(const struct inode *inode, const struct seen_map *m);
int map_ioend(struct inode *inode, uint32_t flags, int error, uint64_t pos,
	      uint64_t written, const struct iom_map *map);
/* Rules of one mapping from the server. */
int map_check(const struct iom_map *map, bool write, bool upsert);
/* Cached mappings of a range are dropped.  model.lock held. */
void map_drop(struct inode *inode, uint64_t pos, uint64_t len);
/* What INODE has cached does not contradict TRUTH, sorted, without holes. */
void map_check_cache(const struct inode *inode, const struct iom_map *truth,
		     unsigned n);
int map_notify(const void *msg, size_t len);
/* Blocks LEN at POS of a file are at MAP's address. */
void map_own(struct inode *inode, const struct iom_map *map, uint64_t pos,
	     uint64_t len, uint64_t layout);
/* Nobody owns what the file has from block FIRST to before END. */
void map_disown(struct inode *inode, uint64_t first, uint64_t end);

/* ---- data (pages.c, direct.c, fileops.c) ---- */

ssize_t file_read(struct inode *inode, uint64_t pos, void *buf, size_t len);
ssize_t file_write(struct inode *inode, uint64_t pos, const void *buf, size_t len);
ssize_t direct_read(struct inode *inode, uint64_t pos, void *buf, size_t len);
/* OPFLAGS: 0, IOM_OP_ATOMIC, IOM_OP_OVERWRITE_ONLY. */
ssize_t direct_write(struct inode *inode, uint64_t pos, const void *buf,
		     size_t len, uint32_t opflags);
int mmap_store(struct inode *inode, uint64_t pos, const void *buf, size_t len);
/* Writes the dirty pages that touch the range, in any order. */
int pages_writeback(struct inode *inode, uint64_t pos, uint64_t len);
/* Waits for them, and drops pages from POS on (a page that begins before is
 * kept); dirty ones too. */
void pages_drop(struct inode *inode, uint64_t pos, uint64_t len);
/* Zeroes a range as the kernel does: only where there is something. */
int pages_zero(struct inode *inode, uint64_t pos, uint64_t len);
/* Zeroes what the page of POS has from POS on. */
void pages_zero_tail(struct inode *inode, uint64_t pos);
unsigned pages_dirty(const struct inode *inode);

int file_truncate(struct inode *inode, uint64_t size, const struct file *file);
int file_fallocate(struct file *file, int mode, uint64_t pos, uint64_t len);
int file_fsync(struct file *file, bool data_only);
int file_times(struct inode *inode, int64_t sec, uint32_t nsec);
/* The kernel pushes times that it has changed. */
int file_push_times(struct inode *inode);
/* FIEMAP: up to MAX mappings without holes; the number, or -errno. */
int file_fiemap(struct inode *inode, struct iom_map *maps, unsigned max);
int64_t file_seek(struct inode *inode, uint64_t pos, bool data);
int file_swapon(struct inode *inode);
int file_swapoff(struct inode *inode, int error);
int file_chmod(struct inode *inode, uint32_t mode);
int fs_syncfs(void);
int fs_freeze(void);
int fs_thaw(void);
void model_image_io(bool write, uint64_t addr, void *buf, size_t len);

static inline uint64_t round_down(uint64_t n, uint64_t unit)
{
	return n - n % unit;
}

static inline uint64_t round_up(uint64_t n, uint64_t unit)
{
	return round_down(n + unit - 1, unit);
}

static inline uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static inline uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

#endif
