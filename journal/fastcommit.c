/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fastcommit.c - reading fast commits.
 *
 * Knows their layout, which unlike the log's is little-endian: notes (tag,
 * length, value) that do not cross blocks; a head before the first, a tail
 * with a checksum after each commit.  What they mean is fcreplay.c's.  Takes no
 * lock.
 *
 * All up to the last good tail counts.  What is behind it was cut short by
 * the crash, or is older: there is no error in that.
 */
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/fs.h"
#include "journal/fastcommit.h"
#include "journal/logfile.h"
#include "sys/log.h"

#define UNWRITTEN	32768		/* an extent's length beyond it */

struct tlv {
	uint16_t tag, len;
};

struct reader {
	struct logfile *lf;
	struct fastcommit *fc;
	uint32_t tid;
	uint32_t crc;
	bool begun;			/* the head was there */
	bool strange;			/* a note that we cannot follow */
	size_t good;			/* notes up to the last good tail */
};

enum { GO_ON, NEXT_BLOCK, THE_END };		/* or -errno */

static uint32_t get32(const uint8_t *p)
{
	uint32_t le;

	memcpy(&le, p, sizeof(le));
	return le32toh(le);
}

static int add_note(struct fastcommit *fc, const struct fc_note *n)
{
	if (fc->count == fc->room) {
		size_t room = fc->room ? 2 * fc->room : 64;
		struct fc_note *p = realloc(fc->notes, room * sizeof(*p));

		if (!p)
			return -ENOMEM;
		fc->notes = p;
		fc->room = room;
	}
	fc->notes[fc->count++] = *n;
	return 0;
}

/* ---- values: true if they can be followed ---- */

static bool read_add(struct fc_note *n, const uint8_t *p, size_t len)
{
	struct ext3_extent e;
	uint32_t count;

	if (len != 4 + sizeof(e))
		return false;
	n->ino = get32(p);
	memcpy(&e, p + 4, sizeof(e));
	n->lblk = le32toh(e.ee_block);
	count = le16toh(e.ee_len);
	n->unwritten = count > UNWRITTEN;
	n->count = n->unwritten ? count - UNWRITTEN : count;
	n->pblk = le32toh(e.ee_start) |
		  (uint64_t)le16toh(e.ee_start_hi) << 32;
	return n->count && n->lblk <= UINT32_MAX - n->count;
}

static bool read_del(struct fc_note *n, const uint8_t *p, size_t len)
{
	if (len != 12)
		return false;
	n->ino = get32(p);
	n->lblk = get32(p + 4);
	n->count = get32(p + 8);
	if (n->lblk > UINT32_MAX - n->count)	/* to the end */
		n->count = UINT32_MAX - n->lblk;
	return true;
}

static bool read_name(struct fc_note *n, const uint8_t *p, size_t len)
{
	if (len < 9 || len > 8 + EXT2_NAME_LEN)
		return false;
	n->parent = get32(p);
	n->ino = get32(p + 4);
	n->data = p + 8;
	n->len = len - 8;
	return !memchr(n->data, '/', n->len) && !memchr(n->data, 0, n->len);
}

static bool read_inode(const struct reader *r, struct fc_note *n,
		       const uint8_t *p, size_t len)
{
	if (len < 4 + EXT2_GOOD_OLD_INODE_SIZE ||
	    len > 4 + r->lf->fs->inode_size)
		return false;
	n->ino = get32(p);
	n->data = p + 4;
	n->len = len - 4;
	return true;
}

static int read_note(struct reader *r, enum fc_tag tag, const uint8_t *p,
		     size_t len)
{
	struct fc_note n = { .tag = tag };
	bool good = false;

	switch (tag) {
	case FC_ADD_RANGE:
		good = read_add(&n, p, len);
		break;
	case FC_DEL_RANGE:
		good = read_del(&n, p, len);
		break;
	case FC_CREAT:
	case FC_LINK:
	case FC_UNLINK:
		good = read_name(&n, p, len);
		break;
	case FC_INODE:
		good = read_inode(r, &n, p, len);
		break;
	default:
		break;
	}
	if (!good) {
		r->strange = true;
		return GO_ON;
	}
	return add_note(r->fc, &n);
}

/* ---- the frame ---- */

static int read_head(struct reader *r, const uint8_t *p, size_t len)
{
	if (len < 8 || get32(p + 4) != r->tid)
		return THE_END;
	if (get32(p))
		r->strange = true;
	r->begun = true;
	return GO_ON;
}

static int read_tail(struct reader *r, const uint8_t *p, size_t len)
{
	if (len < 8 || get32(p) != r->tid)
		return THE_END;
	r->crc = ext2fs_crc32c_le(r->crc, p, 4);
	if (get32(p + 4) != r->crc)
		return THE_END;
	if (r->strange) {
		msg_err("The journal has fast commits of an unknown kind.");
		return -EFSCORRUPTED;
	}
	r->good = r->fc->count;
	r->crc = 0;
	return NEXT_BLOCK;
}

/* The note at P, of which LEFT bytes are in the block; *USED of them. */
static int read_tlv(struct reader *r, const uint8_t *p, size_t left,
		    size_t *used)
{
	struct tlv t;
	int ret = GO_ON;

	memcpy(&t, p, sizeof(t));
	t.tag = le16toh(t.tag);
	t.len = le16toh(t.len);
	/* no tag: never written.  To go on would load all of the area. */
	if (!t.tag || t.len > left - sizeof(t) ||
	    (!r->begun && t.tag != FC_HEAD))
		return THE_END;
	*used = sizeof(t) + t.len;
	r->crc = ext2fs_crc32c_le(r->crc, p,
				  t.tag == FC_TAIL ? sizeof(t) : *used);
	p += sizeof(t);
	switch (t.tag) {
	case FC_HEAD:
		return read_head(r, p, t.len);
	case FC_TAIL:
		return read_tail(r, p, t.len);
	case FC_PAD:
		return NEXT_BLOCK;
	default:
		ret = read_note(r, t.tag, p, t.len);
	}
	return ret;
}

static int read_block(struct reader *r, const uint8_t *block)
{
	size_t at = 0, used = 0;
	int ret = GO_ON;

	while (ret == GO_ON && at + sizeof(struct tlv) <= r->lf->blocksize) {
		ret = read_tlv(r, block + at, r->lf->blocksize - at, &used);
		at += used;
	}
	return ret;
}

/* One more block of the area. */
static int load_block(struct reader *r)
{
	struct fastcommit *fc = r->fc;
	uint8_t **p, *block;
	int err;

	p = realloc(fc->blocks, (fc->block_count + 1) * sizeof(*p));
	if (!p)
		return -ENOMEM;
	fc->blocks = p;
	block = malloc(r->lf->blocksize);
	if (!block)
		return -ENOMEM;
	p[fc->block_count] = block;
	err = logfile_read(r->lf, r->lf->fast_first + fc->block_count, 1,
			   block);
	fc->block_count++;
	return err ? err : read_block(r, block);
}

int fastcommit_load(struct logfile *lf, uint32_t tid, struct fastcommit **out)
{
	struct reader r = { .lf = lf, .tid = tid };
	uint32_t i;
	int ret = 0;

	*out = NULL;
	if (!lf->fast_count)
		return 0;
	r.fc = calloc(1, sizeof(*r.fc));
	if (!r.fc)
		return -ENOMEM;
	for (i = 0; i < lf->fast_count && ret >= 0 && ret != THE_END; i++)
		ret = load_block(&r);
	r.fc->count = r.good;
	if (ret < 0 || !r.good) {
		fastcommit_free(r.fc);
		return ret < 0 ? ret : 0;
	}
	*out = r.fc;
	return 0;
}

void fastcommit_free(struct fastcommit *fc)
{
	if (!fc)
		return;
	while (fc->block_count)
		free(fc->blocks[--fc->block_count]);
	free(fc->blocks);
	free(fc->notes);
	free(fc);
}
