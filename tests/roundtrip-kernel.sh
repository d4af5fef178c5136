#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# On every kind of volume of mkfs-table that the kernel can mount: a rich tree
# that was written by the kernel is the same tree to us; we change it in many
# ways, then e2fsck finds no fault and the kernel reads what we meant; and then
# the kernel goes on writing, and still there is no fault.
#
# roundtrip-kernel.sh [NAME..] tests these rows only.
. "${0%/*}/functions.sh"
requires root fuse loop python3 mke2fs e2fsck

one_row() {
	local name=$1 size=$2 treeopts=$3
	shift 3
	rm -f img
	[ "$treeopts" = - ] && treeopts=
	treeopts=${treeopts//,/ }
	make_row img "$size" "$@" || { fail "$name: mke2fs"; return; }
	if [ "${SERVER-}" = kernel ] && [[ $name == *inline* || $name == *rev0 ]]; then
		# Linux 6.18 oopses when an inline file is extended by truncate,
		# and leaves types in "." and ".." without filetype.
		skip "$name" "not safe for the kernel"
		return
	fi
	mount_kernel img mnt >/dev/null || {
		skip "$name" "the kernel cannot mount it"
		return
	}
	# shellcheck disable=SC2086
	python3 "$T_SRC/tools/mktree.py" mnt $treeopts || {
		fail "$name: the kernel's tree"; umount mnt; return; }
	umount mnt
	mount_kernel img mnt ro
	tree_manifest mnt >kernel
	umount mnt
	ok "$name: mount" mount_ours img mnt || return
	tree_manifest mnt >ours
	ok "$name: we read what the kernel wrote" diff -u kernel ours
	if is_readonly mnt; then
		umount_ours mnt
		skip "$name: change it" "served read-only"
		return
	fi
	# shellcheck disable=SC2086
	ok "$name: change it" python3 "$T_SRC/tools/modtree.py" mnt $treeopts
	tree_manifest -w mnt >warm
	ok "$name: unmount" umount_ours mnt
	ok "$name: e2fsck" fsck_clean img || cp "$work/.fsck" "$work/fsck-$name"
	ok "$name: the kernel mounts it" mount_kernel img mnt || return
	tree_manifest -w mnt >changed
	ok "$name: the kernel reads what we changed" diff -u warm changed
	ok "$name: the kernel goes on" kernel_goes_on
	umount mnt
	ok "$name: e2fsck after the kernel" fsck_clean img
}

# Adds to and takes from every directory, appends to files, removes much.
kernel_goes_on() {
	local i
	for i in crowd subdirs names links; do
		# Without filetype Linux 6.18 leaves types in "." and ".." that
		# e2fsck complains of.
		dumpe2fs -h img 2>/dev/null | grep -q "^Filesystem features:.*filetype" || continue
		mkdir "mnt/$i/kernel" && echo k >"mnt/$i/kernel/k" || return 1
	done
	for ((i = 0; i < 200; i++)); do
		: >"mnt/crowd/kernel-file-number-$i" || return 1
	done
	rm -f mnt/crowd/new-1* && rm -rf mnt/deep mnt/sizes mnt/sparse
}

while read -r -a row; do
	one_row "${row[@]}" </dev/null
	mountpoint -q mnt && umount -l mnt
done < <(table_rows "$@")
finish
