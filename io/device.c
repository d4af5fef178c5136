/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * device.c - the block device or image.
 *
 * Knows the one descriptor, the offset into it and what was written since the
 * last flush; knows nothing of file systems.  open64, pread64 and pwrite64
 * are called by exactly these names, whatever the compiler flags say, because
 * container runtimes interpose on them; hence the #undefs, and no mmap, no
 * second open and nothing that takes an offset in another way on a source
 * named by its descriptor.
 *
 * Locks: sync_lock serialises flushes; direct_lock is taken with O_DIRECT
 * only, exclusive for writes smaller than a sector; overlay_lock is taken
 * while there is an overlay.  All are innermost, overlay_lock outside the
 * others.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif
#undef _FILE_OFFSET_BITS
#undef _TIME_BITS
#undef _FORTIFY_SOURCE
#ifndef _LARGEFILE64_SOURCE
#define _LARGEFILE64_SOURCE 1
#endif

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <linux/falloc.h>
#include <linux/fs.h>

#include "io/device.h"
#include "io/overlay.h"

#define CHUNK		(256 * 1024)	/* bounce and zero buffers */
#define DIRECT_ALIGN	4096		/* where the kernel does not tell */
#define DROP		(2 * 1024 * 1024)	/* the largest page */

struct device {
	int fd;
	bool block, readonly;
	_Atomic bool stopped;		/* no more writes, whatever readonly */
	bool by_fd;			/* named /proc/self/fd/N or alike */
	uint64_t offset, size;
	unsigned align;			/* O_DIRECT: of everything; else 0 */
	pthread_rwlock_t direct_lock;
	struct overlay *_Atomic overlay;	/* NULL: the device as it is */
	pthread_rwlock_t overlay_lock;

	/*
	 * written counts completed writes, synced is the value it had before
	 * the last successful flush: different means that a flush is needed.
	 */
	_Atomic uint64_t written, synced;
	pthread_mutex_t sync_lock;
	_Atomic int sync_err;		/* sticky, -errno */

	device_fault_fn fault;
	void *fault_ctx;
	_Atomic uint64_t reads, writes, syncs, bytes_read, bytes_written;
};

static uint8_t zeros[CHUNK] __attribute__((aligned(4096)));

/* A daemon gives away descriptors 0 to 2: the device must not be there. */
static int fill_standard_fds(void)
{
	int fd;

	do {
		fd = open64("/dev/null", O_RDWR | O_CLOEXEC);
		if (fd < 0)
			return -errno;
	} while (fd <= 2);
	close(fd);
	return 0;
}

static bool named_by_fd(const char *path)
{
	if (!strncmp(path, "/dev/fd/", 8) || !strcmp(path, "/dev/stdin"))
		return true;
	return !strncmp(path, "/proc/", 6) && strstr(path, "/fd/");
}

static int raw_size(int fd, bool *block, uint64_t *size)
{
	struct stat64 st;

	if (fstat64(fd, &st))
		return -errno;
	if (S_ISREG(st.st_mode)) {
		*block = false;
		*size = st.st_size;
		return 0;
	}
	if (!S_ISBLK(st.st_mode))
		return -EINVAL;
	*block = true;
	if (ioctl(fd, BLKGETSIZE64, size))
		return -errno;
	return 0;
}

/* What O_DIRECT wants addresses, offsets and lengths to be multiples of. */
static unsigned direct_align(int fd, bool block)
{
	int ssz;

	if (block && !ioctl(fd, BLKSSZGET, &ssz) && ssz >= 512)
		return ssz;
#ifdef STATX_DIOALIGN
	struct statx stx;
	unsigned align;

	if (!statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) &&
	    (stx.stx_mask & STATX_DIOALIGN) && stx.stx_dio_offset_align) {
		align = stx.stx_dio_offset_align;
		if (stx.stx_dio_mem_align > align)
			align = stx.stx_dio_mem_align;
		if (align <= DIRECT_ALIGN && !(align & (align - 1)))
			return align;
	}
#endif
	return DIRECT_ALIGN;
}

static int device_setup(struct device *dev, unsigned flags, uint64_t offset,
			uint64_t limit)
{
	uint64_t raw;
	int err, ro = 0;

	err = raw_size(dev->fd, &dev->block, &raw);
	if (err)
		return err;
	if (dev->block && !dev->readonly &&
	    !ioctl(dev->fd, BLKROGET, &ro) && ro)
		return -EACCES;
	if (offset > raw)
		return -EINVAL;
	dev->offset = offset;
	dev->size = raw - offset;
	if (limit && limit < dev->size)
		dev->size = limit;

	if (!(flags & DEVICE_DIRECT))
		return 0;
	dev->align = direct_align(dev->fd, dev->block);
	if (raw % dev->align) {
		/* writing the last sector whole would make the image grow */
		if (fcntl(dev->fd, F_SETFL, dev->readonly ? O_RDONLY : O_RDWR))
			return -errno;
		dev->align = 0;
	}
	return 0;
}

int device_open(const char *path, unsigned flags, uint64_t offset,
		uint64_t limit, struct device **out)
{
	struct device *dev;
	int mode, err;

	dev = calloc(1, sizeof(*dev));
	if (!dev)
		return -ENOMEM;
	pthread_mutex_init(&dev->sync_lock, NULL);
	pthread_rwlock_init(&dev->direct_lock, NULL);
	pthread_rwlock_init(&dev->overlay_lock, NULL);
	dev->fd = -1;
	dev->readonly = flags & DEVICE_RDONLY;
	dev->by_fd = named_by_fd(path);

	err = fill_standard_fds();
	if (err)
		goto fail;
	mode = O_CLOEXEC | (dev->readonly ? O_RDONLY : O_RDWR);
	if (flags & DEVICE_EXCL)
		mode |= O_EXCL;
	if (flags & DEVICE_DIRECT)
		mode |= O_DIRECT;
	do {
		dev->fd = open64(path, mode);
	} while (dev->fd < 0 && errno == EINTR);
	if (dev->fd < 0) {
		err = -errno;
		goto fail;
	}
	err = device_setup(dev, flags, offset, limit);
	if (err)
		goto fail;
	*out = dev;
	return 0;
fail:
	device_close(dev);
	return err;
}

void device_close(struct device *dev)
{
	if (!dev)
		return;
	if (dev->fd >= 0)
		close(dev->fd);
	overlay_free(dev->overlay);
	pthread_rwlock_destroy(&dev->overlay_lock);
	pthread_rwlock_destroy(&dev->direct_lock);
	pthread_mutex_destroy(&dev->sync_lock);
	free(dev);
}

/* Faults asked for by a test, and the bounds. */
static int check_access(struct device *dev, enum device_op op, uint64_t off,
			uint64_t len)
{
	int err;

	if (dev->fault) {
		err = dev->fault(dev->fault_ctx, op, off, len);
		if (err)
			return err;
	}
	if (op == DEVICE_SYNC)
		return 0;
	if (op != DEVICE_READ &&
	    ((dev->readonly && !dev->overlay) || dev->stopped))
		return -EROFS;
	if (off > dev->size || len > dev->size - off)
		return -EIO;
	return 0;
}

/* Bytes read at raw position POS: LEN, fewer at the end, or -errno. */
static ssize_t read_some(struct device *dev, uint8_t *p, size_t len,
			 uint64_t pos)
{
	size_t got = 0;

	while (got < len) {
		ssize_t n = pread64(dev->fd, p + got, len - got, pos + got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		dev->reads++;
		if (n == 0)
			break;
		dev->bytes_read += n;
		got += n;
		/* O_DIRECT: what follows a short read is the end of file */
		if (dev->align && n % dev->align)
			break;
	}
	return got;
}

static int write_all(struct device *dev, const uint8_t *p, size_t len,
		     uint64_t pos)
{
	while (len) {
		ssize_t n = pwrite64(dev->fd, p, len, pos);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		dev->writes++;
		dev->bytes_written += n;
		p += n;
		len -= n;
		pos += n;
	}
	return 0;
}

static bool is_aligned(const struct device *dev, const void *buf, size_t len,
		       uint64_t pos)
{
	return !(((uintptr_t)buf | len | pos) & (dev->align - 1));
}

/*
 * O_DIRECT with something unaligned: by way of an aligned buffer.  Writing
 * reads the sectors at both edges first.  BUF is only read when WRITING.
 */
static int bounce(struct device *dev, uint8_t *buf, size_t len, uint64_t pos,
		  bool writing)
{
	uint64_t mask = dev->align - 1;
	uint8_t *page;
	int err = 0;

	if (posix_memalign((void **)&page, 4096, CHUNK))
		return -ENOMEM;
	while (len && !err) {
		uint64_t start = pos & ~mask;
		size_t skip = pos - start;
		size_t part = len < CHUNK - skip ? len : CHUNK - skip;
		size_t whole = (skip + part + mask) & ~mask;
		ssize_t n = whole;

		if (!writing || skip || part != whole)
			n = read_some(dev, page, whole, start);
		if (n < 0) {
			err = n;
		} else if ((size_t)n < skip + part) {
			err = -EIO;
		} else if (writing) {
			memcpy(page + skip, buf, part);
			err = write_all(dev, page, whole, start);
		} else {
			memcpy(buf, page + skip, part);
		}
		buf += part;
		pos += part;
		len -= part;
	}
	free(page);
	return err;
}

int device_read_raw(struct device *dev, void *buf, size_t len, uint64_t off)
{
	uint64_t pos = dev->offset + off;
	ssize_t n;

	if (dev->align && !is_aligned(dev, buf, len, pos))
		return bounce(dev, buf, len, pos, false);
	n = read_some(dev, buf, len, pos);
	if (n < 0)
		return n;
	return (size_t)n == len ? 0 : -EIO;
}

int device_read(struct device *dev, void *buf, size_t len, uint64_t off)
{
	int err;

	err = check_access(dev, DEVICE_READ, off, len);
	if (!err)
		err = device_read_raw(dev, buf, len, off);
	if (err || !dev->overlay)
		return err;
	pthread_rwlock_rdlock(&dev->overlay_lock);
	if (dev->overlay)
		err = overlay_patch(dev->overlay, buf, len, off);
	pthread_rwlock_unlock(&dev->overlay_lock);
	return err;
}

static int write_direct(struct device *dev, const void *buf, size_t len,
			uint64_t pos)
{
	int err;

	if (is_aligned(dev, buf, len, pos)) {
		pthread_rwlock_rdlock(&dev->direct_lock);
		err = write_all(dev, buf, len, pos);
	} else {
		/* nobody may change the rest of a sector meanwhile */
		pthread_rwlock_wrlock(&dev->direct_lock);
		err = bounce(dev, (uint8_t *)buf, len, pos, true);
	}
	pthread_rwlock_unlock(&dev->direct_lock);
	return err;
}

/* Past the overlay. */
static int write_raw(struct device *dev, const void *buf, size_t len,
		     uint64_t off)
{
	uint64_t pos = dev->offset + off;
	int err;

	if (dev->align)
		err = write_direct(dev, buf, len, pos);
	else
		err = write_all(dev, buf, len, pos);
	/*
	 * Only now: a flush that began before this write was complete must
	 * not count as having covered it.  Also after an error, which may
	 * have come after a part.
	 */
	dev->written++;
	return err;
}

int device_write(struct device *dev, const void *buf, size_t len, uint64_t off)
{
	int err;

	err = check_access(dev, DEVICE_WRITE, off, len);
	if (err)
		return err;
	if (!dev->overlay)
		return write_raw(dev, buf, len, off);
	pthread_rwlock_wrlock(&dev->overlay_lock);
	err = overlay_write(dev->overlay, dev, buf, len, off);
	pthread_rwlock_unlock(&dev->overlay_lock);
	return err;
}

int device_overlay(struct device *dev, unsigned blocksize, struct device *from,
		   uint32_t escape_be)
{
	struct overlay *o = overlay_new(blocksize, from, escape_be);

	if (!o)
		return -ENOMEM;
	assert(!dev->overlay);
	dev->overlay = o;
	return 0;
}

int device_redirect(struct device *dev, uint64_t blk, uint64_t off,
		    bool escaped)
{
	int err;

	pthread_rwlock_wrlock(&dev->overlay_lock);
	err = overlay_redirect(dev->overlay, blk, off, escaped);
	pthread_rwlock_unlock(&dev->overlay_lock);
	return err;
}

const void *device_overlay_page(struct device *dev, uint64_t *blk)
{
	struct overlay *o = dev->overlay;
	size_t i;

	for (i = overlay_find(o, *blk); i < o->count; i++) {
		if (!o->blocks[i].paged)
			continue;
		*blk = o->blocks[i].blk;
		return o->blocks[i].page;
	}
	return NULL;
}

void device_overlay_end(struct device *dev)
{
	struct overlay *o;

	pthread_rwlock_wrlock(&dev->overlay_lock);
	o = dev->overlay;
	dev->overlay = NULL;
	pthread_rwlock_unlock(&dev->overlay_lock);
	overlay_free(o);
}

void device_others_wrote(struct device *dev)
{
	dev->written++;
}

int device_sync(struct device *dev)
{
	uint64_t wanted = dev->written, covered;
	int err;

	if (!dev->sync_err && dev->synced >= wanted)
		return 0;

	pthread_mutex_lock(&dev->sync_lock);
	err = dev->sync_err;
	/* another thread's flush may have covered us while we waited */
	if (err || dev->synced >= wanted)
		goto out;
	covered = dev->written;
	err = check_access(dev, DEVICE_SYNC, 0, 0);
	if (!err) {
		dev->syncs++;
		while (fdatasync(dev->fd)) {
			if (errno == EINTR)
				continue;
			err = -errno;
			break;
		}
	}
	/*
	 * The kernel reports a lost write once and forgets it: only we can
	 * remember that memory and disk differ.
	 */
	if (err)
		dev->sync_err = err;
	else
		dev->synced = covered;
out:
	pthread_mutex_unlock(&dev->sync_lock);
	return err;
}

void device_drop_cached(struct device *dev, uint64_t off, uint64_t len)
{
	uint64_t pos = dev->offset + off, start = pos & ~(uint64_t)(DROP - 1);

	/* pages, large ones too, that are only partly inside would stay */
	posix_fadvise64(dev->fd, start, ((pos + len - start) | (DROP - 1)) + 1,
			POSIX_FADV_DONTNEED);
}

int device_write_through(struct device *dev, const void *buf, size_t len,
			 uint64_t off)
{
	int err = dev->readonly ? -EROFS :
		  check_access(dev, DEVICE_WRITE, off, len);

	/* never the overlay's: other hosts shall see it */
	if (!err)
		err = write_raw(dev, buf, len, off);
	if (err)
		return err;
	if (!dev->by_fd &&
	    !sync_file_range(dev->fd, dev->offset + off, len,
			     SYNC_FILE_RANGE_WAIT_BEFORE |
			     SYNC_FILE_RANGE_WRITE |
			     SYNC_FILE_RANGE_WAIT_AFTER))
		return 0;
	if (dev->by_fd || errno == ESPIPE || errno == EINVAL ||
	    errno == ENOSYS)
		return device_sync(dev);
	/* this may have been the one report of anybody's lost write */
	err = -errno;
	pthread_mutex_lock(&dev->sync_lock);
	if (!dev->sync_err)
		dev->sync_err = err;
	pthread_mutex_unlock(&dev->sync_lock);
	return err;
}

void device_stop_writing(struct device *dev)
{
	dev->stopped = true;
}

int device_zero(struct device *dev, uint64_t off, uint64_t len)
{
	int err = 0;

	while (len && !err) {
		size_t part = len < CHUNK ? len : CHUNK;

		err = device_write(dev, zeros, part, off);
		off += part;
		len -= part;
	}
	return err;
}

int device_discard(struct device *dev, uint64_t off, uint64_t len)
{
	uint64_t range[2] = { dev->offset + off, len };
	int err;

	err = check_access(dev, DEVICE_DISCARD, off, len);
	if (err)
		return err;
	if (!len)
		return 0;
	if (dev->overlay)
		return -EOPNOTSUPP;
	if (dev->block) {
		if (ioctl(dev->fd, BLKDISCARD, range))
			err = -errno;
	} else if (dev->by_fd) {
		/* a runtime may have its own idea of offset 0 */
		return -EOPNOTSUPP;
	} else if (fallocate64(dev->fd,
			       FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       range[0], range[1])) {
		err = -errno;
	}
	if (err == -ENOTTY || err == -ENOSYS)
		err = -EOPNOTSUPP;
	if (!err)
		dev->written++;
	return err;
}

void device_readahead(struct device *dev, uint64_t off, uint64_t len)
{
	if (dev->align || dev->by_fd || off >= dev->size)
		return;
	if (len > dev->size - off)
		len = dev->size - off;
	posix_fadvise64(dev->fd, dev->offset + off, len, POSIX_FADV_WILLNEED);
}

uint64_t device_size(const struct device *dev)
{
	return dev->size;
}

bool device_is_block(const struct device *dev)
{
	return dev->block;
}

bool device_is_readonly(const struct device *dev)
{
	return dev->readonly;
}

int device_fd(const struct device *dev)
{
	return dev->fd;
}

void device_set_fault(struct device *dev, device_fault_fn fn, void *ctx)
{
	dev->fault = fn;
	dev->fault_ctx = ctx;
}

void device_get_stats(struct device *dev, struct device_stats *st)
{
	st->reads = dev->reads;
	st->writes = dev->writes;
	st->syncs = dev->syncs;
	st->bytes_read = dev->bytes_read;
	st->bytes_written = dev->bytes_written;
}
