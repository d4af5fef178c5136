/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * trim.c - FITRIM: discards free runs.
 *
 * A run is reserved while the device works on it, so that nobody allocates it
 * and the volume lock need not be held.  Blocks freed in a transaction that
 * is not durable are left alone: a crash may bring their file back.
 *
 * block_trim() takes the volume lock itself.
 */
#include "fs/alloc.h"
#include "fs/group.h"
#include "io/cache.h"
#include "io/device.h"
#include "journal/txn.h"

#define PIECE	(1024u * 1024 * 1024)	/* bytes in one discard */

/*
 * Reserves the next free run of at least MINLEN blocks in *POS..END-1 of
 * group G; moves *POS behind it.  *LEN 0: there is none.
 */
static int next_run(struct fs *fs, uint32_t g, uint64_t *pos, uint64_t end,
		    uint64_t minlen, uint64_t *blk, uint64_t *len)
{
	uint64_t first = group_first_block(fs, g), from, n, skip;
	uint32_t s, e, clusters = group_clusters(fs, g);
	uint64_t max = PIECE >> fs->blockbits;
	const uint8_t *bits;
	struct buf *b;
	int err;

	*len = 0;
	if (fs->groups->g[g].bad_blocks)
		return 0;
	err = bitmap_peek(fs, g, BITMAP_BLOCKS, &b, &bits);
	if (err)
		return err == -ENOMEM ? err : 0;
	while (*pos < end) {
		s = bit_next_zero(bits, (*pos - first) >> fs->clusterbits,
				  clusters);
		e = bit_next_set(bits, s, clusters);
		from = first + ((uint64_t)s << fs->clusterbits);
		if (from < *pos)
			from = *pos;
		n = first + ((uint64_t)e << fs->clusterbits);
		n = n < end ? n : end;
		if (from >= n)
			break;
		skip = 0;
		n = blocks_usable(fs, from, n - from < max ? n - from : max,
				  &skip);
		*pos = from + (n ? n : skip ? skip : 1);
		if (n && n >= minlen) {
			*blk = from;
			*len = n;
			break;
		}
	}
	cache_put(b);
	return *len ? resv_add(fs->groups, *blk, *len) : 0;
}

static int trim_group(struct fs *fs, uint32_t g, uint64_t start, uint64_t end,
		      uint64_t minlen, uint64_t *done)
{
	uint64_t pos = group_first_block(fs, g), blk, len;
	uint64_t group_end = pos + fs->groups->blocks_per_group;
	int err;

	if (pos < start)
		pos = start;
	if (group_end < end)
		end = group_end;
	for (;;) {
		err = next_run(fs, g, &pos, end, minlen, &blk, &len);
		if (err || !len)
			return err;
		fs_unlock(fs);
		err = device_discard(fs->dev, blk << fs->blockbits,
				     len << fs->blockbits);
		fs_lock(fs);
		block_unreserve(fs, blk, len);
		if (err)
			return err;
		*done += len;
	}
}

int block_trim(struct fs *fs, uint64_t start, uint64_t end, uint64_t minlen,
	       uint64_t *done)
{
	uint32_t g, last;
	int err = 0;

	*done = 0;
	if (start < fs->first_data_block)
		start = fs->first_data_block;
	if (end > fs->blocks_count)
		end = fs->blocks_count;
	if (start >= end)
		return 0;
	fs_lock(fs);
	last = group_of_block(fs, end - 1);
	for (g = group_of_block(fs, start); !err && g <= last; g++) {
		if (!fs_writable(fs))
			err = -EROFS;
		else if (fs->groups->g[g].free_clusters)
			err = trim_group(fs, g, start, end, minlen, done);
	}
	fs_unlock(fs);
	return err;
}
