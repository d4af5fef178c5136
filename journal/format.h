/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * format.h - the journal on disk (jbd2).  All of it is big-endian, but for
 * fast commits, which are little-endian.
 *
 * Log blocks are numbered from the beginning of the journal (inode or
 * device); block 0 is the superblock.
 */
#ifndef JOURNAL_FORMAT_H
#define JOURNAL_FORMAT_H

#include <stdint.h>

#define JBD_MAGIC		0xC03B3998U
#define JBD_MIN_BLOCKS		1024

enum jbd_block_type {
	JBD_DESCRIPTOR = 1,
	JBD_COMMIT = 2,
	JBD_SUPER_V1 = 3,
	JBD_SUPER_V2 = 4,
	JBD_REVOKE = 5,
};

/* s_feature_compat */
#define JBD_COMPAT_CHECKSUM	0x00000001U
/* s_feature_incompat */
#define JBD_INCOMPAT_REVOKE	0x00000001U
#define JBD_INCOMPAT_64BIT	0x00000002U
#define JBD_INCOMPAT_ASYNC	0x00000004U
#define JBD_INCOMPAT_CSUM_V2	0x00000008U
#define JBD_INCOMPAT_CSUM_V3	0x00000010U
#define JBD_INCOMPAT_FAST	0x00000020U
#define JBD_INCOMPAT_KNOWN	0x0000003fU

enum jbd_csum_type { JBD_CSUM_CRC32 = 1, JBD_CSUM_CRC32C = 4 };

/* Tag flags */
#define JBD_TAG_ESCAPE		1	/* the block began with the magic number */
#define JBD_TAG_SAME_UUID	2	/* no UUID follows the tag */
#define JBD_TAG_DELETED		4
#define JBD_TAG_LAST		8

#define JBD_FAST_BLOCKS_DEFAULT	256

struct jbd_header {
	uint32_t magic, type, sequence;
};

/* The journal's superblock.  A version 1 superblock ends before compat. */
struct jbd_super {
	struct jbd_header h;
	uint32_t blocksize;
	uint32_t maxlen;		/* blocks in the journal */
	uint32_t first;			/* first block of the log */
	uint32_t sequence;		/* first transaction to be found */
	uint32_t start;			/* its block; 0: nothing to replay */
	uint32_t error;
	uint32_t compat, incompat, ro_compat;
	uint8_t uuid[16];
	uint32_t nr_users;
	uint32_t dynsuper;
	uint32_t max_transaction, max_trans_data;
	uint8_t checksum_type;
	uint8_t pad1[3];
	uint32_t fast_blocks;
	uint32_t head;
	uint32_t pad2[40];
	uint32_t checksum;
	uint8_t users[16 * 48];
};

_Static_assert(sizeof(struct jbd_super) == 1024, "journal superblock");

/* Tags of a descriptor block.  v3 is for CSUM_V3; the others use the old one:
 * 8 bytes, 4 more (blocknr_high) with 64BIT, 2 more with CSUM_V2. */
struct jbd_tag3 {
	uint32_t blocknr, flags, blocknr_high, checksum;
};

struct jbd_tag {
	uint32_t blocknr;
	uint16_t checksum, flags;
	uint32_t blocknr_high;
};

struct jbd_revoke {
	struct jbd_header h;
	uint32_t count;			/* bytes used in the block */
};

struct jbd_commit {
	struct jbd_header h;
	uint8_t chksum_type, chksum_size;
	uint8_t pad[2];
	uint32_t chksum[8];
	uint64_t sec;
	uint32_t nsec;
} __attribute__((packed));

/* The last four bytes of descriptor and revoke blocks, with CSUM_V2/V3. */
struct jbd_tail {
	uint32_t checksum;
};

#endif
