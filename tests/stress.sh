#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Several processes, then threads, do everything at once in the same directories:
# no operation fails but for the race, no file loses what was written, e2fsck finds
# nothing; and the tree is the same after a new mount.
. "${0%/*}/functions.sh"
requires root fuse python3 mke2fs e2fsck
seconds=8
[ -z "${LONG-}" ] || seconds=120
# one WHAT MKFS-ARGUMENTS..
one() {
	local what=$1
	shift
	make_image img 128M "$@" || exit 99
	ok "$what: mount" mount_ours img mnt || return
	mkdir mnt/d
	python_test stress.py mnt/d $seconds 1 4
	python_test stress.py mnt/d $seconds 2 4 threads
	tree_manifest -w mnt >warm
	ok "$what: unmount" umount_ours mnt
	ok "$what: e2fsck" fsck_clean img
	ok "$what: mount again" mount_ours img mnt ro
	tree_manifest -w mnt >cold
	ok "$what: the same tree" diff -u warm cold
	umount_ours mnt
}

one ext4 -t ext4
one small-blocks -t ext4 -b 1024
one ext2 -t ext2
[ "${SERVER-}" = kernel ] || one inline -t ext4 -O inline_data
finish
