#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Random writes, mappings, truncates, punches, zeroed, collapsed and inserted
# ranges, copies and O_DIRECT agree with a copy in memory, also through two
# names of the file; after a new mount the file is still that, and e2fsck finds
# nothing.  On volumes with small and large blocks, bigalloc, indirect blocks
# and inline data.
. "${0%/*}/functions.sh"
requires root fuse mke2fs e2fsck
steps=2500
[ -z "${LONG-}" ] || steps=60000

# one NAME BLOCK IOFUZZ-OPTIONS MKFS-ARGUMENTS..
one() {
	local name=$1 block=$2 opts=$3 seed
	shift 3
	make_image img 64M "$@" || { fail "$name: mke2fs"; return; }
	ok "$name: mount" mount_ours img mnt || return
	for seed in ${SEEDS:-1 2}; do
		# shellcheck disable=SC2086
		run_tap "$TOOLS/iofuzz" -s $seed -n $steps -b "$block" $opts \
			-l "mnt/second$seed" -o "copy$seed" "mnt/file$seed"
	done
	ok "$name: small file" "$TOOLS/iofuzz" -s 3 -n $((steps / 3)) -m 9000 -b "$block" \
		$opts -l mnt/second3 -o copy3 mnt/file3
	ok "$name: unmount" umount_ours mnt
	ok "$name: e2fsck" fsck_clean img
	ok "$name: mount again" mount_ours img mnt ro || return
	for seed in ${SEEDS:-1 2} 3; do
		[ -e "copy$seed" ] &&
			ok "$name: file $seed after a new mount" cmp "copy$seed" "mnt/second$seed"
	done
	umount_ours mnt
	rm -f copy*
}

# The kernel's ext4 passes over data that is not written back yet in files
# without extents, and contradicts itself where blocks are below a page.
noseek=
[ "${SERVER-}" != kernel ] || noseek=-S
one ext4 4096 "" -t ext4
one ext4-1k 1024 "$noseek" -t ext4 -b 1024
one ext2-1k 1024 "-F $noseek" -t ext2 -b 1024
one ext3-4k 4096 "-F $noseek" -t ext3 -b 4096
one bigalloc 16384 "" -t ext4 -O bigalloc -C 16384
if [ "${SERVER-}" != kernel ]; then	# Linux 6.18 oopses in truncate
	one inline 4096 "" -t ext4 -O inline_data -I 512
	one ext4-64k 65536 "" -t ext4 -b 65536
fi
finish
