/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * memio.c - libext2fs on an image in memory: an io_manager of a few lines reads it
 * without a system call.
 *
 * One image at a time.  No locks.
 */
#include "memio.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static struct { uint8_t *mem; uint64_t size; } image;

static struct struct_io_manager mem_manager;

static errcode_t mem_open(const char *name, int flags, io_channel *out)
{
	io_channel ch = calloc(1, sizeof(*ch));

	(void)flags;
	ch->magic = EXT2_ET_MAGIC_IO_CHANNEL;
	ch->manager = &mem_manager;
	ch->name = strdup(name);
	ch->block_size = 1024;
	ch->refcount = 1;
	*out = ch;
	return 0;
}

static errcode_t mem_close(io_channel ch)
{
	if (--ch->refcount)
		return 0;
	free(ch->name);
	free(ch);
	return 0;
}

static errcode_t mem_blksize(io_channel ch, int size)
{
	ch->block_size = size;
	return 0;
}

static errcode_t mem_read64(io_channel ch, unsigned long long blk, int count,
			    void *data)
{
	uint64_t off = blk * ch->block_size;
	uint64_t len = count < 0 ? (uint64_t)-(int64_t)count :
		       (uint64_t)count * ch->block_size;

	if (off > image.size || len > image.size - off)
		return EXT2_ET_SHORT_READ;
	memcpy(data, image.mem + off, len);
	return 0;
}

static errcode_t mem_read(io_channel ch, unsigned long blk, int count,
			  void *data)
{
	return mem_read64(ch, blk, count, data);
}

static errcode_t mem_write64(io_channel ch, unsigned long long blk, int count,
			     const void *data)
{
	(void)ch; (void)blk; (void)count; (void)data;
	return EXT2_ET_RO_FILSYS;
}

static errcode_t mem_write(io_channel ch, unsigned long blk, int count,
			   const void *data)
{
	return mem_write64(ch, blk, count, data);
}

static errcode_t mem_flush(io_channel ch)
{
	(void)ch;
	return 0;
}

static struct struct_io_manager mem_manager = {
	.magic = EXT2_ET_MAGIC_IO_MANAGER, .name = "memory",
	.open = mem_open, .close = mem_close, .set_blksize = mem_blksize,
	.read_blk = mem_read, .write_blk = mem_write, .flush = mem_flush,
	.read_blk64 = mem_read64, .write_blk64 = mem_write64,
};

errcode_t memio_open(void *mem, uint64_t size, ext2_filsys *fs)
{
	image.mem = mem;
	image.size = size;
	return ext2fs_open("image", EXT2_FLAG_64BITS, 0, 0, &mem_manager, fs);
}
