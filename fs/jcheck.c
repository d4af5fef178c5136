/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * jcheck.c - is the journal clean?
 *
 * The volume's superblock says so by the bit needs_recovery; this looks at
 * the journal itself, which e2fsck may replay even without that bit: writing
 * the volume while there is something left to replay would be undone in
 * parts.  Reads the journal's superblock only, big-endian as it is, from
 * inode s_journal_inum or from a device of its own, found by its UUID or by
 * the device number on record.  Needs the volume lock; takes none.
 */
#include <endian.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/fs.h"
#include "fs/inode.h"
#include "fs/jcheck.h"
#include "fs/map.h"
#include "io/device.h"

#define JOURNAL_MAGIC	0xC03B3998U
#define JOURNAL_V1	3	/* block types */
#define JOURNAL_V2	4
#define SUPER_OFFSET	1024

/* The first 1024 bytes of a journal; big-endian. */
struct journal_super {
	uint32_t magic, type, serial;
	uint32_t blocksize, maxlen, first;
	uint32_t sequence, start, error;
	uint32_t rest[247];
};

static const char *check_super(const struct fs *fs,
			       const struct journal_super *js)
{
	uint32_t type = be32toh(js->type);

	_Static_assert(sizeof(*js) == 1024, "size of the journal's superblock");
	if (be32toh(js->magic) != JOURNAL_MAGIC ||
	    (type != JOURNAL_V1 && type != JOURNAL_V2) ||
	    be32toh(js->blocksize) != fs->blocksize)
		return "the journal is damaged";
	if (js->start)
		return "the journal needs recovery";
	if (js->error)
		return "the journal has an error on record";
	return NULL;
}

static const char *check_inode(struct fs *fs, uint32_t ino)
{
	struct journal_super js;
	struct inode *inode;
	struct map m;
	int err;

	err = inode_get_any(fs, ino, &inode);
	if (err)
		return "the journal's inode is damaged";
	err = map_lookup(inode, 0, 1, &m);
	inode_put(inode);
	if (err || m.state != MAP_WRITTEN)
		return "the journal's inode is damaged";
	if (device_read(fs->dev, &js, sizeof(js), m.pblk << fs->blockbits))
		return "the journal cannot be read";
	return check_super(fs, &js);
}

/* Is DEV the journal's device?  Then *OFF is where the journal begins. */
static bool is_journal(const struct fs *fs, struct device *dev, uint64_t *off)
{
	const struct ext2_super_block *own = fs->e2->super;
	struct ext2_super_block sb;

	if (device_read(dev, &sb, sizeof(sb), SUPER_OFFSET) ||
	    le16toh(sb.s_magic) != EXT2_SUPER_MAGIC ||
	    !(le32toh(sb.s_feature_incompat) &
	      EXT3_FEATURE_INCOMPAT_JOURNAL_DEV) ||
	    memcmp(sb.s_uuid, own->s_journal_uuid, sizeof(sb.s_uuid)))
		return false;
	*off = (SUPER_OFFSET / fs->blocksize + 1) * (uint64_t)fs->blocksize;
	return true;
}

static struct device *try_device(const struct fs *fs, const char *path,
				 uint64_t *off)
{
	struct device *dev;

	if (device_open(path, DEVICE_RDONLY, 0, 0, &dev))
		return NULL;
	if (is_journal(fs, dev, off))
		return dev;
	device_close(dev);
	return NULL;
}

static struct device *by_uuid(const struct fs *fs, uint64_t *off)
{
	const uint8_t *u = fs->e2->super->s_journal_uuid;
	char path[80];

	snprintf(path, sizeof(path), "/dev/disk/by-uuid/%02x%02x%02x%02x-"
		 "%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		 u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9],
		 u[10], u[11], u[12], u[13], u[14], u[15]);
	return try_device(fs, path, off);
}

/* The number is an old or a new kind of dev_t. */
static struct device *by_number(const struct fs *fs, uint64_t *off)
{
	uint32_t n = fs->e2->super->s_journal_dev;
	unsigned maj = (n & 0xfff00) >> 8;
	unsigned min = (n & 0xff) | (n >> 12 & 0xfff00);
	char link[64], target[PATH_MAX], path[PATH_MAX], *name;
	ssize_t len;

	snprintf(link, sizeof(link), "/sys/dev/block/%u:%u", maj, min);
	len = readlink(link, target, sizeof(target) - 1);
	if (len <= 0)
		return NULL;
	target[len] = 0;
	name = strrchr(target, '/');
	if (!name)
		return NULL;
	snprintf(path, sizeof(path), "/dev%.255s", name);
	return try_device(fs, path, off);
}

static const char *check_device(struct fs *fs)
{
	struct journal_super js;
	struct device *dev;
	uint64_t off;
	int err;

	if (fs->opt.journal_path) {
		dev = try_device(fs, fs->opt.journal_path, &off);
	} else {
		dev = by_uuid(fs, &off);
		if (!dev)
			dev = by_number(fs, &off);
	}
	if (!dev)
		return "its journal device was not found";
	err = device_read(dev, &js, sizeof(js), off);
	device_close(dev);
	return err ? "the journal cannot be read" : check_super(fs, &js);
}

const char *journal_check(struct fs *fs)
{
	struct ext2_super_block *sb = fs->e2->super;

	if (!ext2fs_has_feature_journal(sb))
		return NULL;
	if (sb->s_journal_inum)
		return check_inode(fs, sb->s_journal_inum);
	return check_device(fs);
}
