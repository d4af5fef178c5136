/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * device.h - the block device or image: one descriptor, an offset, a size.
 *
 * The source is opened once, by open64(), and read and written by pread64()
 * and pwrite64() called by those names (container runtimes interpose on
 * them).  Offsets are bytes from the start of the file system.  All calls
 * may be made from any thread, with or without the volume lock.
 */
#ifndef IO_DEVICE_H
#define IO_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct device;

enum device_op { DEVICE_READ, DEVICE_WRITE, DEVICE_SYNC, DEVICE_DISCARD };

/*
 * Fault injection: called before each access.  Returns 0 to let it happen or
 * -errno to make it fail.  For tests only.
 */
typedef int (*device_fault_fn)(void *ctx, enum device_op op, uint64_t off,
			       size_t len);

struct device_stats {
	uint64_t reads, writes, syncs;		/* system calls made */
	uint64_t bytes_read, bytes_written;
};

#define DEVICE_RDONLY	1
#define DEVICE_EXCL	2	/* O_EXCL, effective on block devices */
#define DEVICE_DIRECT	4

/*
 * Opens PATH.  OFFSET and LIMIT (0: to the end) are bytes.  -errno of open64,
 * -EINVAL if it is neither a regular file nor a block device (or OFFSET is
 * beyond the end), -EACCES for writing on a read-only block device.
 */
int device_open(const char *path, unsigned flags, uint64_t offset,
		uint64_t limit, struct device **out);
void device_close(struct device *dev);

/* All of LEN bytes or -errno (a short transfer is -EIO). */
int device_read(struct device *dev, void *buf, size_t len, uint64_t off);
int device_write(struct device *dev, const void *buf, size_t len, uint64_t off);

/* Makes everything written so far durable; no system call if nothing was. */
int device_sync(struct device *dev);
/*
 * Somebody else has written to the device, and past its page cache (the
 * kernel, with iomap): the next device_sync() makes that durable as well.
 */
void device_others_wrote(struct device *dev);

/*
 * For a block that another host may write as well (MMP): the next read there
 * comes from the device and not from this host's memory (best effort), and a
 * write that has reached the device when it returns; it does not make anything
 * else durable, nor wait for it.
 */
void device_drop_cached(struct device *dev, uint64_t off, uint64_t len);
int device_write_through(struct device *dev, const void *buf, size_t len,
			 uint64_t off);

/*
 * The overlay: from device_overlay() on what is written stays in memory, is
 * seen by every read, and the device is not written; until
 * device_overlay_end() forgets it.  To be begun and ended while no other
 * thread writes, and by the one who does.
 *
 * device_redirect(): block BLK of BLOCKSIZE bytes is what stands at OFF of
 * FROM (the journal), its first 4 bytes being ESCAPE_BE where ESCAPED.
 * device_overlay_page(): the first block written from *BLK on, or NULL.
 */
int device_overlay(struct device *dev, unsigned blocksize, struct device *from,
		   uint32_t escape_be);
int device_redirect(struct device *dev, uint64_t blk, uint64_t off,
		    bool escaped);
const void *device_overlay_page(struct device *dev, uint64_t *blk);
void device_overlay_end(struct device *dev);

/* Every write from now on fails: the device belongs to somebody else. */
void device_stop_writing(struct device *dev);

/* Writes LEN zero bytes at OFF. */
int device_zero(struct device *dev, uint64_t off, uint64_t len);

/* Discards (FITRIM); -EOPNOTSUPP where the source cannot, or must not. */
int device_discard(struct device *dev, uint64_t off, uint64_t len);

/* Asks the kernel to read ahead; best effort. */
void device_readahead(struct device *dev, uint64_t off, uint64_t len);

uint64_t device_size(const struct device *dev);		/* bytes */
bool device_is_block(const struct device *dev);
bool device_is_readonly(const struct device *dev);
int device_fd(const struct device *dev);

void device_set_fault(struct device *dev, device_fault_fn fn, void *ctx);
void device_get_stats(struct device *dev, struct device_stats *st);

#endif
