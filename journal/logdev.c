/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * logdev.c - a journal on a device of its own.
 *
 * Knows the superblock of such a device, which is a volume's with the feature
 * journal_dev, and where a device of a known UUID or number may be found.
 * The volume's offset is not the journal's.  Takes no lock of ours.
 */
#include <endian.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "fs/fs.h"
#include "io/device.h"
#include "journal/logdev.h"
#include "sys/log.h"

#define SUPER_OFFSET	1024

uint64_t logdev_super(unsigned blocksize)
{
	return (SUPER_OFFSET / blocksize + 1) * (uint64_t)blocksize;
}

static bool csum_is_right(struct ext2_super_block *sb)
{
	if (!(le32toh(sb->s_feature_ro_compat) &
	      EXT4_FEATURE_RO_COMPAT_METADATA_CSUM))
		return true;
	return le32toh(sb->s_checksum) ==
	       ext2fs_crc32c_le(~0U, (uint8_t *)sb,
				offsetof(struct ext2_super_block, s_checksum));
}

/* 0; -ENODEV: DEV is something else, not this volume's journal. */
static int check_device(const struct fs *fs, struct device *dev,
			uint64_t *blocks)
{
	const struct ext2_super_block *own = fs->e2->super;
	struct ext2_super_block sb;

	if (device_read(dev, &sb, sizeof(sb), SUPER_OFFSET) ||
	    le16toh(sb.s_magic) != EXT2_SUPER_MAGIC ||
	    !(le32toh(sb.s_feature_incompat) &
	      EXT3_FEATURE_INCOMPAT_JOURNAL_DEV) ||
	    memcmp(sb.s_uuid, own->s_journal_uuid, sizeof(sb.s_uuid)))
		return -ENODEV;
	*blocks = le32toh(sb.s_blocks_count);
	if (!csum_is_right(&sb) ||
	    le32toh(sb.s_log_block_size) > 6 ||
	    1024U << le32toh(sb.s_log_block_size) != fs->blocksize ||
	    !*blocks || *blocks > device_size(dev) >> fs->blockbits) {
		msg_err("The journal's device is damaged.");
		return -EFSCORRUPTED;
	}
	return 0;
}

static int lock_device(struct device *dev, bool writable)
{
	if (device_is_block(dev))
		return 0;		/* opened with O_EXCL */
	if (flock(device_fd(dev), (writable ? LOCK_EX : LOCK_SH) | LOCK_NB) &&
	    errno == EWOULDBLOCK)
		return -EBUSY;
	return 0;
}

/* 0, -ENODEV: look elsewhere; others after a message. */
static int try_path(struct fs *fs, const char *path, bool writable,
		    struct device **out, uint64_t *blocks)
{
	unsigned flags = DEVICE_EXCL | (writable ? 0 : DEVICE_RDONLY);
	struct device *dev = NULL;
	int err;

	if (fs->opt.directio)
		flags |= DEVICE_DIRECT;
	err = device_open(path, flags, 0, 0, &dev);
	if (!err)
		err = lock_device(dev, writable);
	if (err == -EBUSY || err == -EACCES || err == -EPERM || err == -EROFS)
		msg_err("%s (the journal): %s", path, strerror(-err));
	else if (err)
		err = -ENODEV;
	else
		err = check_device(fs, dev, blocks);
	if (err)
		device_close(dev);
	else
		*out = dev;
	return err;
}

static int by_uuid(struct fs *fs, bool writable, struct device **out,
		   uint64_t *blocks)
{
	const uint8_t *u = fs->e2->super->s_journal_uuid;
	char path[80];

	snprintf(path, sizeof(path), "/dev/disk/by-uuid/%02x%02x%02x%02x-"
		 "%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		 u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9],
		 u[10], u[11], u[12], u[13], u[14], u[15]);
	return try_path(fs, path, writable, out, blocks);
}

/* N is an old or a new kind of dev_t. */
static int by_number(struct fs *fs, uint32_t n, bool writable,
		     struct device **out, uint64_t *blocks)
{
	unsigned maj = (n & 0xfff00) >> 8;
	unsigned min = (n & 0xff) | (n >> 12 & 0xfff00);
	char link[64], target[PATH_MAX], path[PATH_MAX], *name;
	ssize_t len;

	snprintf(link, sizeof(link), "/sys/dev/block/%u:%u", maj, min);
	len = readlink(link, target, sizeof(target) - 1);
	if (len <= 0)
		return -ENODEV;
	target[len] = 0;
	name = strrchr(target, '/');
	if (!name)
		return -ENODEV;
	snprintf(path, sizeof(path), "/dev%.255s", name);
	return try_path(fs, path, writable, out, blocks);
}

int logdev_open(struct fs *fs, bool writable, struct device **out,
		uint64_t *blocks)
{
	int err;

	if (fs->opt.journal_path) {
		err = try_path(fs, fs->opt.journal_path, writable, out,
			       blocks);
	} else if (fs->opt.journal_dev) {
		err = by_number(fs, fs->opt.journal_dev, writable, out,
				blocks);
	} else {
		err = by_uuid(fs, writable, out, blocks);
		if (err == -ENODEV)
			err = by_number(fs, fs->e2->super->s_journal_dev,
					writable, out, blocks);
	}
	if (err == -ENODEV)
		msg_err("The journal's device was not found: journal_path= says where it is.");
	return err;
}
