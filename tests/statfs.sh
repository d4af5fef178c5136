#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# statfs tells what the kernel tells of the same volume, empty and with files.
. "${0%/*}/functions.sh"
requires root fuse python3 mke2fs e2fsck
one() {
	local what=$1
	shift
	make_image img 200M "$@" || exit 99
	mount_kernel img mnt || { skip "$what" "the kernel cannot mount it"; return; }
	mkdir mnt/d
	head -c 5000000 /dev/urandom >mnt/d/f
	umount mnt
	mount_kernel img mnt ro
	stat -f -c "blocks %b free %f avail %a files %c ffree %d bsize %s frsize %S namelen %l" mnt >kernel
	umount mnt
	ok "$what: mount" mount_ours img mnt ro || return
	stat -f -c "blocks %b free %f avail %a files %c ffree %d bsize %s frsize %S namelen %l" mnt >ours
	ok "$what: statfs" diff kernel ours
	ok "$what: unmount" umount_ours mnt
}

one ext4 -t ext4
one "ext4 -b 1024" -t ext4 -b 1024
one ext2 -t ext2
one ext3 -t ext3 -b 1024
one bigalloc -t ext4 -O bigalloc -C 16384
one meta_bg -t ext4 -O meta_bg,^resize_inode
one sparse_super2 -t ext4 -O sparse_super2
one "no flex_bg" -t ext4 -b 1024 -O ^flex_bg,^sparse_super,^resize_inode
one "no journal, reserve 20" -t ext4 -O ^has_journal -m 20
one orphan_file -t ext4 -O orphan_file
one inline_data -t ext4 -O inline_data

# It follows what is done.
make_image img 64M -t ext4
ok "mount" mount_ours img mnt
a=$(stat -f -c %f mnt) i=$(stat -f -c %d mnt)
head -c $((1000 * $(stat -f -c %S mnt))) /dev/zero >mnt/f
sync -f mnt/f
b=$(stat -f -c %f mnt)
ok "1000 blocks less" test $((a - b)) -ge 1000 -a $((a - b)) -le 1005
is "$((i - $(stat -f -c %d mnt)))" 1 "one inode less"
rm mnt/f
sync -f mnt
ok "and back" test $((a - $(stat -f -c %f mnt))) -le 1
is "$(stat -f -c %d mnt)" "$i" "and back (inodes)"
umount_ours mnt
[ "${SERVER-}" = kernel ] && finish
ok "mount -o minixdf" mount_ours img mnt ro,minixdf
is "$(($(stat -f -c %b mnt) * $(stat -f -c %S mnt)))" $((64 << 20)) "minixdf: all blocks"
umount_ours mnt
finish
