#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# On every kind of volume of mkfs-table: a rich tree that was written by us is
# the same tree to us after a new mount, to e2fsck it is without fault, and to
# the kernel (to debugfs, where the kernel cannot mount) it is the same tree.
#
# roundtrip-ours.sh [NAME..] tests these rows only.
. "${0%/*}/functions.sh"
requires root fuse python3 mke2fs debugfs e2fsck

one_row() {
	local name=$1 size=$2 treeopts=$3 what
	shift 3
	rm -f img
	[ "$treeopts" = - ] && treeopts=
	make_row img "$size" "$@" || { fail "$name: mke2fs"; return; }
	if [ "${SERVER-}" = kernel ] && ! mount_kernel img mnt >/dev/null; then
		skip "$name" "the kernel cannot mount it"
		return
	elif [ "${SERVER-}" = kernel ]; then
		umount mnt
	fi
	ok "$name: mount" mount_ours img mnt || return
	if is_readonly mnt; then
		umount_ours mnt
		skip "$name" "served read-only"
		return
	fi
	# shellcheck disable=SC2086
	ok "$name: write the tree" python3 "$T_SRC/tools/mktree.py" mnt ${treeopts//,/ }
	tree_manifest -w mnt >warm
	ok "$name: unmount" umount_ours mnt
	ok "$name: e2fsck" fsck_clean img || cp "$work/.fsck" "$work/fsck-$name"
	ok "$name: mount again" mount_ours img mnt ro || return
	tree_manifest mnt >cold
	tree_manifest -w mnt >cold-w
	tree_manifest -b mnt >cold-b
	ok "$name: unmount again" umount_ours mnt
	ok "$name: we read what we wrote" diff -u warm cold-w
	if mount_kernel img mnt ro >/dev/null; then
		tree_manifest mnt >kernel
		umount mnt
		ok "$name: the kernel reads what we wrote" diff -u cold kernel
	else
		debugfs_tree img dump
		tree_manifest -b dump | grep -v ' dir ' >dump.txt
		ok "$name: debugfs reads what we wrote" \
			diff -u <(grep -v ' dir ' cold-b) dump.txt
		rm -rf dump
	fi
}

while read -r -a row; do
	one_row "${row[@]}" </dev/null
	mountpoint -q mnt && umount -l mnt
done < <(table_rows "$@")
finish
