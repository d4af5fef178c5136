/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * inode_disk.c - the inode's layout on disk: decoding, checks, encoding,
 * checksum.
 *
 * Knows struct ext2_inode_large; nobody else does.  Bytes that it does not
 * know (above all the in-inode xattrs after 128 + extra_isize) stay as they
 * are in inode->body.  Needs the volume lock, takes none.
 */
#include <endian.h>
#include <stddef.h>
#include <string.h>

#include "fs/inode_disk.h"
#include "fs/fs.h"

#define GOOD_OLD	EXT2_GOOD_OLD_INODE_SIZE

/* Is FIELD inside the part of the inode that extra_isize covers? */
#define HAS(extra, field) \
	((size_t)(extra) + GOOD_OLD >= offsetof(struct ext2_inode_large, field) + \
	 sizeof(((struct ext2_inode_large *)0)->field))

static struct ext2_inode_large *raw_of(struct inode *inode)
{
	return (struct ext2_inode_large *)inode->body;
}

uint32_t inode_csum_seed(const struct fs *fs, uint32_t ino, uint32_t gen)
{
	uint32_t le = htole32(ino), crc;

	crc = ext2fs_crc32c_le(fs->csum_seed, (uint8_t *)&le, sizeof(le));
	le = htole32(gen);
	return ext2fs_crc32c_le(crc, (uint8_t *)&le, sizeof(le));
}

static uint16_t raw_extra(struct inode *inode)
{
	if (inode->fs->inode_size <= GOOD_OLD)
		return 0;
	return le16toh(raw_of(inode)->i_extra_isize);
}

/* Over the body, whose checksum fields are taken as zero and stay so. */
static uint32_t body_csum(struct inode *inode)
{
	struct ext2_inode_large *raw = raw_of(inode);
	uint32_t seed = inode_csum_seed(inode->fs, inode->ino,
					le32toh(raw->i_generation));

	raw->i_checksum_lo = 0;
	if (HAS(raw_extra(inode), i_checksum_hi))
		raw->i_checksum_hi = 0;
	return ext2fs_crc32c_le(seed, inode->body, inode->fs->inode_size);
}

static void csum_set(struct inode *inode)
{
	struct ext2_inode_large *raw = raw_of(inode);
	uint32_t crc;

	if (!inode->fs->csum)
		return;
	crc = body_csum(inode);
	raw->i_checksum_lo = htole16(crc & 0xffff);
	if (HAS(raw_extra(inode), i_checksum_hi))
		raw->i_checksum_hi = htole16(crc >> 16);
}

static bool csum_good(struct inode *inode)
{
	struct ext2_inode_large *raw = raw_of(inode);
	bool wide = HAS(raw_extra(inode), i_checksum_hi);
	uint16_t lo, hi = 0;
	uint32_t crc;

	if (!inode->fs->csum)
		return true;
	lo = raw->i_checksum_lo;
	if (wide)
		hi = raw->i_checksum_hi;
	crc = body_csum(inode);
	raw->i_checksum_lo = lo;
	if (!wide)
		return le16toh(lo) == (crc & 0xffff);
	raw->i_checksum_hi = hi;
	return (le16toh(lo) | (uint32_t)le16toh(hi) << 16) == crc;
}

static struct timespec get_time(uint32_t lo, bool has_extra, uint32_t extra)
{
	struct timespec ts = { .tv_sec = (int32_t)le32toh(lo) };

	if (has_extra) {
		extra = le32toh(extra);
		ts.tv_sec += (int64_t)(extra & EXT4_EPOCH_MASK) << 32;
		ts.tv_nsec = extra >> EXT4_EPOCH_BITS;
		if (ts.tv_nsec > 999999999)
			ts.tv_nsec = 0;
	}
	return ts;
}

static void put_time(struct timespec ts, uint32_t *lo, uint32_t *extra)
{
	int64_t max = extra ? (1LL << 34) - (1LL << 31) - 1 : INT32_MAX;
	int64_t sec = ts.tv_sec;
	uint32_t nsec = ts.tv_nsec, epoch;

	if (sec < INT32_MIN || sec > max) {
		sec = sec < 0 ? INT32_MIN : max;
		nsec = 0;
	}
	*lo = htole32((uint32_t)sec);
	if (extra) {
		epoch = (uint64_t)(sec - (int32_t)sec) >> 32 & EXT4_EPOCH_MASK;
		*extra = htole32(nsec << EXT4_EPOCH_BITS | epoch);
	}
}

static void decode_times(struct inode *inode)
{
	struct ext2_inode_large *raw = raw_of(inode);
	struct inode_core *c = &inode->i;
	unsigned x = c->extra_isize;	/* 0 in inodes of 128 bytes */

	c->atime = get_time(raw->i_atime, HAS(x, i_atime_extra),
			    HAS(x, i_atime_extra) ? raw->i_atime_extra : 0);
	c->mtime = get_time(raw->i_mtime, HAS(x, i_mtime_extra),
			    HAS(x, i_mtime_extra) ? raw->i_mtime_extra : 0);
	c->ctime = get_time(raw->i_ctime, HAS(x, i_ctime_extra),
			    HAS(x, i_ctime_extra) ? raw->i_ctime_extra : 0);
	memset(&c->crtime, 0, sizeof(c->crtime));
	if (HAS(x, i_crtime))
		c->crtime = get_time(raw->i_crtime, HAS(x, i_crtime_extra),
			    HAS(x, i_crtime_extra) ? raw->i_crtime_extra : 0);
}

static void encode_times(struct inode *inode)
{
	struct ext2_inode_large *raw = raw_of(inode);
	struct inode_core *c = &inode->i;
	unsigned x = c->extra_isize;	/* 0 in inodes of 128 bytes */

	put_time(c->atime, &raw->i_atime,
		 HAS(x, i_atime_extra) ? &raw->i_atime_extra : NULL);
	put_time(c->mtime, &raw->i_mtime,
		 HAS(x, i_mtime_extra) ? &raw->i_mtime_extra : NULL);
	put_time(c->ctime, &raw->i_ctime,
		 HAS(x, i_ctime_extra) ? &raw->i_ctime_extra : NULL);
	if (HAS(x, i_crtime))
		put_time(c->crtime, &raw->i_crtime,
			 HAS(x, i_crtime_extra) ? &raw->i_crtime_extra : NULL);
}

static bool size_is_wide(const struct inode *inode)
{
	if (S_ISREG(inode->i.mode))
		return true;
	return S_ISDIR(inode->i.mode) &&
	       ext2fs_has_feature_largedir(inode->fs->e2->super);
}

static void decode_sizes(struct inode *inode)
{
	struct ext2_super_block *sb = inode->fs->e2->super;
	struct ext2_inode_large *raw = raw_of(inode);
	struct inode_core *c = &inode->i;

	c->size = le32toh(raw->i_size);
	if (size_is_wide(inode))
		c->size |= (uint64_t)le32toh(raw->i_size_high) << 32;
	c->blocks = le32toh(raw->i_blocks);
	if (ext2fs_has_feature_huge_file(sb))
		c->blocks |= (uint64_t)le16toh(raw->osd2.linux2.l_i_blocks_hi)
			     << 32;
	if (!ext2fs_has_feature_huge_file(sb) ||
	    !(c->flags & EXT4_HUGE_FILE_FL))
		c->blocks >>= inode->fs->blockbits - 9;
	c->file_acl = le32toh(raw->i_file_acl);
	if (ext2fs_has_feature_64bit(sb))
		c->file_acl |= (uint64_t)
			le16toh(raw->osd2.linux2.l_i_file_acl_high) << 32;
}

static void encode_sizes(struct inode *inode)
{
	struct ext2_super_block *sb = inode->fs->e2->super;
	struct ext2_inode_large *raw = raw_of(inode);
	struct inode_core *c = &inode->i;
	uint64_t blocks = c->blocks << (inode->fs->blockbits - 9);

	raw->i_size = htole32((uint32_t)c->size);
	if (size_is_wide(inode))
		raw->i_size_high = htole32(c->size >> 32);
	if (ext2fs_has_feature_huge_file(sb)) {
		c->flags &= ~EXT4_HUGE_FILE_FL;
		if (blocks >> 48) {
			c->flags |= EXT4_HUGE_FILE_FL;
			blocks = c->blocks;
		}
		raw->osd2.linux2.l_i_blocks_hi = htole16(blocks >> 32);
	}
	raw->i_blocks = htole32((uint32_t)blocks);
	raw->i_file_acl = htole32((uint32_t)c->file_acl);
	if (ext2fs_has_feature_64bit(sb))
		raw->osd2.linux2.l_i_file_acl_high = htole16(c->file_acl >> 32);
}

static void decode_fields(struct inode *inode)
{
	struct ext2_inode_large *raw = raw_of(inode);
	struct inode_core *c = &inode->i;

	c->mode = le16toh(raw->i_mode);
	c->uid = le16toh(raw->i_uid) |
		 (uint32_t)le16toh(raw->osd2.linux2.l_i_uid_high) << 16;
	c->gid = le16toh(raw->i_gid) |
		 (uint32_t)le16toh(raw->osd2.linux2.l_i_gid_high) << 16;
	c->links = le16toh(raw->i_links_count);
	c->flags = le32toh(raw->i_flags);
	c->generation = le32toh(raw->i_generation);
	c->dtime = le32toh(raw->i_dtime);
	c->extra_isize = raw_extra(inode);
	c->version = le32toh(raw->osd1.linux1.l_i_version);
	c->projid = 0;
	if (HAS(c->extra_isize, i_version_hi))
		c->version |= (uint64_t)le32toh(raw->i_version_hi) << 32;
	if (HAS(c->extra_isize, i_projid))
		c->projid = le32toh(raw->i_projid);
	memcpy(c->block, raw->i_block, sizeof(c->block));
	decode_sizes(inode);
	decode_times(inode);
}

static bool type_valid(uint16_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG:
	case S_IFDIR:
	case S_IFLNK:
	case S_IFCHR:
	case S_IFBLK:
	case S_IFIFO:
	case S_IFSOCK:
		return true;
	}
	return false;
}

/* What must hold whatever kind of map the inode has. */
static int check_fields(struct inode *inode)
{
	struct fs *fs = inode->fs;
	const struct inode_core *c = &inode->i;

	if (!type_valid(c->mode) && inode->ino >= EXT2_FIRST_INO(fs->e2->super))
		return fs_corrupt(fs, inode->ino, 0, "bad file type %06o",
				  c->mode);
	if ((int64_t)c->size < 0)
		return fs_corrupt(fs, inode->ino, 0, "bad size %llu",
				  (unsigned long long)c->size);
	if (c->flags & EXT4_INLINE_DATA_FL) {
		if (!ext2fs_has_feature_inline_data(fs->e2->super) ||
		    c->flags & EXT4_EXTENTS_FL)
			return fs_corrupt(fs, inode->ino, 0,
					  "bad inline data flag");
	}
	if (c->file_acl && c->links && !fs_block_valid(fs, c->file_acl, 1))
		return fs_corrupt(fs, inode->ino, c->file_acl,
				  "bad extended attribute block");
	return 0;
}

static bool extra_is_good(struct inode *inode)
{
	unsigned extra = raw_extra(inode);

	return extra + GOOD_OLD <= inode->fs->inode_size && extra % 4 == 0;
}

int inode_decode_body(struct inode *inode)
{
	if (!extra_is_good(inode))
		return fs_corrupt(inode->fs, inode->ino, 0, "bad extra size %u",
				  raw_extra(inode));
	decode_fields(inode);
	return check_fields(inode);
}

int inode_decode(struct inode *inode)
{
	struct fs *fs = inode->fs;
	struct ext2_inode_large *raw = raw_of(inode);

	if (!raw->i_mode && !raw->i_links_count &&
	    inode->ino >= EXT2_FIRST_INO(fs->e2->super))
		return -ESTALE;
	if (extra_is_good(inode) && !csum_good(inode))
		return fs_fail(fs, -EFSBADCRC, inode->ino, 0,
			       "wrong inode checksum");
	return inode_decode_body(inode);
}

void inode_encode(struct inode *inode)
{
	struct ext2_inode_large *raw = raw_of(inode);
	struct inode_core *c = &inode->i;

	raw->i_mode = htole16(c->mode);
	raw->i_uid = htole16(c->uid & 0xffff);
	raw->osd2.linux2.l_i_uid_high = htole16(c->uid >> 16);
	raw->i_gid = htole16(c->gid & 0xffff);
	raw->osd2.linux2.l_i_gid_high = htole16(c->gid >> 16);
	raw->i_links_count = htole16(c->links);
	raw->i_generation = htole32(c->generation);
	raw->i_dtime = htole32(c->dtime);
	raw->osd1.linux1.l_i_version = htole32((uint32_t)c->version);
	memcpy(raw->i_block, c->block, sizeof(c->block));
	encode_sizes(inode);		/* may change the flags */
	raw->i_flags = htole32(c->flags);
	if (inode->fs->inode_size > GOOD_OLD)
		raw->i_extra_isize = htole16(c->extra_isize);
	if (HAS(c->extra_isize, i_version_hi))
		raw->i_version_hi = htole32(c->version >> 32);
	if (HAS(c->extra_isize, i_projid))
		raw->i_projid = htole32(c->projid);
	encode_times(inode);
	csum_set(inode);
}
