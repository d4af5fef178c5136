/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * copy.c - copying between files without a detour through the caller.
 *
 * Built from the other calls of data.h (seek, read, write, punch), each of
 * which takes its locks itself: this file takes none, so two copies in
 * opposite directions cannot wait for each other.  As with read(2) and
 * write(2), changes made meanwhile may be seen in part.
 */
#include <linux/falloc.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "dataio.h"

#define COPY_CHUNK	(1024 * 1024)

/* Data bytes in one call, so that it ends; the caller goes on. */
#define COPY_MAX	(256ULL * 1024 * 1024)

/*
 * Makes LEN bytes at OFF read as zeros, with a hole where that can be: what
 * lies inside the file is punched, beyond its end only the size grows.
 */
static int copy_hole(struct inode *out, uint64_t off, uint64_t len,
		     unsigned flags)
{
	uint64_t size = data_size(out), end = off + len, n;
	int err;

	if (off < size) {
		n = end < size ? len : size - off;
		err = data_fallocate(out, FALLOC_FL_PUNCH_HOLE |
				     FALLOC_FL_KEEP_SIZE, off, n, flags);
		if (err)
			return err;
	}
	return end > size ? data_grow(out, end, flags) : 0;
}

static int copy_data(struct inode *in, uint64_t off_in, struct inode *out,
		     uint64_t off_out, uint8_t *buf, size_t len, unsigned flags,
		     size_t *done)
{
	ssize_t n, w;

	*done = 0;
	n = data_read(in, buf, len, off_in);
	if (n <= 0)
		return n;
	w = data_write(out, buf, n, off_out, flags);
	if (w < 0)
		return w;
	*done = w;
	return 0;
}

/*
 * One step from POS of LEN: a chunk of data or a hole.  *DONE bytes, of which
 * *MOVED had to be read and written.
 */
static int copy_step(struct inode *in, uint64_t off_in, struct inode *out,
		     uint64_t off_out, uint8_t *buf, size_t len, unsigned flags,
		     size_t *done, size_t *moved)
{
	int64_t data, hole;
	int err;

	*done = *moved = 0;
	data = data_seek(in, off_in, SEEK_DATA);
	if (data == -ENXIO)
		data = off_in + len;
	if (data < 0)
		return data;
	if ((uint64_t)data > off_in) {
		if ((uint64_t)data - off_in < len)
			len = data - off_in;
		err = copy_hole(out, off_out, len, flags);
		*done = err ? 0 : len;
		return err;
	}
	hole = data_seek(in, off_in, SEEK_HOLE);
	if (hole >= 0 && (uint64_t)hole - off_in < len)
		len = hole - off_in;
	if (len > COPY_CHUNK)
		len = COPY_CHUNK;
	err = copy_data(in, off_in, out, off_out, buf, len, flags, done);
	*moved = *done;
	return err;
}

static int copy_check(struct inode *in, uint64_t off_in, struct inode *out,
		      uint64_t off_out, size_t *len, unsigned flags)
{
	struct fs *fs = out->fs;
	uint64_t size, max;
	int err;

	if (in->fs != fs)
		return -EINVAL;
	fs_lock(fs);
	/* the kernel, which has the data, copies by itself then */
	err = in->mapped || out->mapped ? -EOPNOTSUPP :
		data_may_change(out, flags);
	if (!err && !S_ISREG(in->i.mode))
		err = S_ISDIR(in->i.mode) ? -EISDIR : -EINVAL;
	size = in->i.size;
	max = data_max_size(out);
	fs_unlock(fs);
	if (err)
		return err;
	if (*len > (size_t)INT64_MAX)
		*len = INT64_MAX;
	if (off_in >= size)
		*len = 0;
	else if (*len > size - off_in)
		*len = size - off_in;
	if (!*len)
		return 0;
	if (off_out >= max)
		return -EFBIG;
	if (*len > max - off_out)
		*len = max - off_out;
	if (in == out && off_in < off_out + *len && off_out < off_in + *len)
		return -EINVAL;
	return 0;
}

ssize_t data_copy(struct inode *in, uint64_t off_in, struct inode *out,
		  uint64_t off_out, size_t len, unsigned flags)
{
	unsigned step_flags = flags & ~DATA_SYNC;
	size_t pos = 0, done = 0, moved, total = 0;
	uint8_t *buf;
	int err;

	err = copy_check(in, off_in, out, off_out, &len, flags);
	if (err || !len)
		return err;
	buf = malloc(len < COPY_CHUNK ? len : COPY_CHUNK);
	if (!buf)
		return -ENOMEM;
	while (!err && pos < len && total < COPY_MAX) {
		err = copy_step(in, off_in + pos, out, off_out + pos, buf,
				len - pos, step_flags, &done, &moved);
		if (err || !done)
			break;
		pos += done;
		total += moved;
	}
	free(buf);
	if (!pos)
		return err;
	err = data_finish(out, flags, 0);
	return err ? err : (ssize_t)pos;
}
