#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Extended attributes: namespaces, flags, limits, lists, in the inode, in a block
# (shared by several inodes) and in inodes of their own.
. "${0%/*}/functions.sh"
requires root fuse python3 mke2fs e2fsck
# xattr_test WHAT ARG MKFS-ARGUMENTS..
xattr_test() {
	local what=$1 arg=$2
	shift 2
	make_image img 64M "$@" || exit 99
	ok "$what: mount" mount_ours img mnt || return
	python_test xattr.py mnt "$arg"
	ok "$what: unmount" umount_ours mnt
	ok "$what: e2fsck finds nothing" fsck_clean img
}

xattr_test ext4 - -t ext4
xattr_test "128-byte inodes" - -t ext2 -b 1024 -I 128
xattr_test ea_inode ea -t ext4 -O ea_inode
xattr_test inline_data - -t ext4 -O inline_data
xattr_test "no ext_attr" none -t ext4 -O ^ext_attr
finish
