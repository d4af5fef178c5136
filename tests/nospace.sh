#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A volume without free blocks, and one without free inodes: what needs some fails
# with ENOSPC and leaves nothing behind; the reserve is for root.
. "${0%/*}/functions.sh"
requires root fuse python3 mke2fs e2fsck
# one WHAT SIZE MKFS-ARGUMENTS..
one() {
	local what=$1 size=$2
	shift 2
	make_image img "$size" "$@" || exit 99
	ok "$what: mount" mount_ours img mnt || return
	python_test nospace.py mnt "$what"
	ok "$what: unmount" umount_ours mnt
	ok "$what: e2fsck finds nothing" fsck_clean img
}

one blocks 32M -t ext4 -m 0 -O ^has_journal
one blocks 32M -t ext2 -b 1024 -m 0
one blocks 48M -t ext4 -m 0 -O bigalloc,^has_journal -C 16384
one inodes 32M -t ext4 -N 600
one inodes 32M -t ext2 -b 1024 -N 600
one reserve 64M -t ext4 -m 10
finish
