#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Offsets and sizes at their limits, with and without extents.
. "${0%/*}/functions.sh"
requires root fuse python3 mke2fs e2fsck
for row in "offsets -t ext4" "offsets -t ext4 -b 1024" "offsets-indirect -t ext3 -b 4096" \
	"offsets-indirect -t ext2 -b 1024"; do
	read -r what mkfs <<<"$row"
	# shellcheck disable=SC2086
	make_image img 64M $mkfs || exit 99
	ok "$mkfs: mount" mount_ours img mnt || continue
	python_test limits.py mnt "$what"
	ok "$mkfs: unmount" umount_ours mnt
	ok "$mkfs: e2fsck finds nothing" fsck_clean img
done
finish
