/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * iomgr.c - libext2fs reads through our descriptor.
 *
 * A channel is a thin skin over struct device: no cache, no write.  The
 * library opens a channel by name; the name is ignored, because the device
 * that iomgr_for() was given is the one meant, and opening the source twice
 * is forbidden.  Takes no lock; the pending device is the thread's own.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "io/device.h"
#include "io/iomgr.h"

static _Thread_local struct device *pending;

static struct device *dev_of(io_channel ch)
{
	return ch->private_data;
}

static errcode_t iomgr_open(const char *name, int flags, io_channel *out)
{
	io_channel ch;

	(void)flags;
	if (!pending)
		return EXT2_ET_BAD_DEVICE_NAME;
	ch = calloc(1, sizeof(*ch));
	if (!ch)
		return EXT2_ET_NO_MEMORY;
	ch->name = strdup(name ? name : "");
	if (!ch->name) {
		free(ch);
		return EXT2_ET_NO_MEMORY;
	}
	ch->magic = EXT2_ET_MAGIC_IO_CHANNEL;
	ch->manager = iomgr_for(pending);
	ch->block_size = 1024;
	ch->refcount = 1;
	if (device_is_block(pending))
		ch->flags |= CHANNEL_FLAGS_BLOCK_DEVICE;
	ch->private_data = pending;
	pending = NULL;
	*out = ch;
	return 0;
}

static errcode_t iomgr_close(io_channel ch)
{
	if (--ch->refcount > 0)
		return 0;
	free(ch->name);
	free(ch);
	return 0;
}

static errcode_t iomgr_set_blksize(io_channel ch, int blksize)
{
	if (blksize <= 0)
		return EXT2_ET_INVALID_ARGUMENT;
	ch->block_size = blksize;
	return 0;
}

/* COUNT below 0 is a number of bytes. */
static errcode_t iomgr_read_blk64(io_channel ch, unsigned long long block,
				  int count, void *data)
{
	size_t len = count < 0 ? -(size_t)count :
				 (size_t)count * ch->block_size;
	errcode_t ret;
	int err;

	if (block > UINT64_MAX / ch->block_size)
		return EXT2_ET_SHORT_READ;
	if (block * ch->block_size > device_size(dev_of(ch)) ||
	    len > device_size(dev_of(ch)) - block * ch->block_size) {
		ret = EXT2_ET_SHORT_READ;
	} else {
		err = device_read(dev_of(ch), data, len,
				  block * ch->block_size);
		if (!err)
			return 0;
		ret = -err;
	}
	if (ch->read_error)
		return ch->read_error(ch, block, count, data, len, 0, ret);
	return ret;
}

static errcode_t iomgr_read_blk(io_channel ch, unsigned long block, int count,
				void *data)
{
	return iomgr_read_blk64(ch, block, count, data);
}

static errcode_t iomgr_write_blk64(io_channel ch, unsigned long long block,
				   int count, const void *data)
{
	(void)ch, (void)block, (void)count, (void)data;
	return EXT2_ET_RO_FILSYS;
}

static errcode_t iomgr_write_blk(io_channel ch, unsigned long block, int count,
				 const void *data)
{
	return iomgr_write_blk64(ch, block, count, data);
}

static errcode_t iomgr_write_byte(io_channel ch, unsigned long offset,
				  int count, const void *data)
{
	return iomgr_write_blk64(ch, offset, count, data);
}

static errcode_t iomgr_discard(io_channel ch, unsigned long long block,
			       unsigned long long count)
{
	(void)ch, (void)block, (void)count;
	return EXT2_ET_RO_FILSYS;
}

static errcode_t iomgr_flush(io_channel ch)
{
	(void)ch;
	return 0;
}

/* The offset, among others: the device has it already. */
static errcode_t iomgr_set_option(io_channel ch, const char *option,
				  const char *arg)
{
	(void)ch, (void)option, (void)arg;
	return 0;
}

static errcode_t iomgr_readahead(io_channel ch, unsigned long long block,
				 unsigned long long count)
{
	if (block > UINT64_MAX / ch->block_size ||
	    count > UINT64_MAX / ch->block_size)
		return EXT2_ET_INVALID_ARGUMENT;
	device_readahead(dev_of(ch), block * ch->block_size,
			 count * ch->block_size);
	return 0;
}

static errcode_t iomgr_get_stats(io_channel ch, io_stats *out)
{
	static _Thread_local struct struct_io_stats stats;
	struct device_stats st;

	device_get_stats(dev_of(ch), &st);
	stats.num_fields = 2;
	stats.bytes_read = st.bytes_read;
	stats.bytes_written = st.bytes_written;
	*out = &stats;
	return 0;
}

static struct struct_io_manager manager = {
	.magic = EXT2_ET_MAGIC_IO_MANAGER,
	.name = "fuse2fs device",
	.open = iomgr_open,
	.close = iomgr_close,
	.set_blksize = iomgr_set_blksize,
	.read_blk = iomgr_read_blk,
	.write_blk = iomgr_write_blk,
	.flush = iomgr_flush,
	.write_byte = iomgr_write_byte,
	.set_option = iomgr_set_option,
	.get_stats = iomgr_get_stats,
	.read_blk64 = iomgr_read_blk64,
	.write_blk64 = iomgr_write_blk64,
	.discard = iomgr_discard,
	.cache_readahead = iomgr_readahead,
	.zeroout = iomgr_discard,
};

io_manager iomgr_for(struct device *dev)
{
	pending = dev;
	return &manager;
}
