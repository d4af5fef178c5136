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

# Writing into blocks that were allocated ahead, beyond the end, where there is
# no block left to split their extent.
ahead() {
	make_image img 8M -t ext4 -m 0 -O ^has_journal || exit 99
	ok "ahead: mount" mount_ours img mnt || return
	head -c 300000 /dev/urandom >mnt/f
	ok "ahead: the volume is not large enough" \
		sh -c "! fallocate -n -l 1G mnt/f 2>/dev/null"
	cp mnt/f want
	head -c 23000 /dev/urandom >piece
	dd if=piece of=want bs=1000 seek=1200 conv=notrunc status=none
	ok "ahead: a write there works" \
		dd if=piece of=mnt/f bs=1000 seek=1200 conv=notrunc,fsync status=none
	ok "ahead: and is read" cmp want mnt/f
	ok "ahead: unmount" umount_ours mnt
	ok "ahead: e2fsck finds nothing" fsck_clean img
}
ahead
finish
