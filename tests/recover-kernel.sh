#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Journals that the kernel left behind: its image is copied while it is
# mounted and in use, which is what a power cut would leave.  Copies are
# recovered by the kernel, by e2fsck, by us, and by us with ro, and must hold
# the same tree; e2fsck must find nothing in ours; ro must not write a byte.
. "$(dirname "$0")/functions.sh"
requires root fuse loop ours python3 e2fsck losetup

M() { tree_manifest -w "$1"; }

# The tree that the kernel, or a server, makes of image $1; options $2.
tree_kernel() {
	mount_kernel "$1" "$work/mnt" "$2" && M mnt && umount mnt
}
tree_ours() {
	mount_ours "$1" mnt "$2" && M mnt && umount_ours mnt
}

# dirty MKFS MOUNT-OPTIONS: "dirty" is an image that was in use.
dirty() {
	# shellcheck disable=SC2086
	make_image img 96M $1 || return 1
	mkdir -p mnt
	mount -t ext4 -o "loop${2:+,$2}" img mnt 2>"$work/.mount" || return 77
	python3 "$T_SRC/tools/dirty.py" mnt "${3:--}" cp --sparse=always img dirty ||
		{ umount mnt; return 1; }
	[ ! -f jdev ] || cp --sparse=always jdev jdirty
	umount mnt
}

needs_recovery() { dumpe2fs -h "$1" 2>/dev/null | grep -q needs_recovery; }
fsck_twice() {
	e2fsck -fy "$@" >.fsck1 2>&1
	[ $? -le 1 ]
}

# The kernel's replay of fast commits forgets links of directories.
without_dir_links() { sed -i 's/^\(.* dir .*\) nlink=[0-9]*$/\1/' "$@"; }

# judge NAME WHO: of "dirty".  WHO is "kernel" where e2fsck 1.47.0 makes an
# unusable or wrong volume of fast commits.
judge() {
	local name=$1
	ok "$name: is dirty" needs_recovery dirty || return
	cp --sparse=always dirty k
	cp --sparse=always dirty e
	cp --sparse=always dirty r
	cp --sparse=always dirty o
	ok "$name: the kernel recovers it" eval 'tree_kernel k "" >k.tree'
	if [ -z "$2" ]; then
		ok "$name: e2fsck recovers it" fsck_twice e
		tree_kernel e ro >e.tree
	fi
	sha256sum r >r.sum
	: >server.log
	ok "$name: ro" eval 'tree_ours r ro >r.tree'
	ok "$name: ro: says so" grep -q ": Recovering journal.$" server.log
	ok "$name: ro: not a byte was written" sha256sum -c r.sum
	: >server.log
	ok "$name: rw" eval 'tree_ours o "" >o.tree'
	ok "$name: rw: says so" grep -q ": Recovering journal.$" server.log
	not_ok "$name: the old warning is not there" grep -q "support using" server.log
	ok "$name: e2fsck finds nothing" fsck_clean o
	not_ok "$name: no recovery needed" needs_recovery o
	ok "$name: a tree" test "$(wc -l <k.tree)" -gt 50
	if [ -z "$2" ]; then
		ok "$name: e2fsck's is the kernel's" diff k.tree e.tree
	else
		without_dir_links k.tree r.tree o.tree
	fi
	ok "$name: ours, ro, is the kernel's" diff k.tree r.tree
	ok "$name: ours, rw, is the kernel's" diff k.tree o.tree
}

while IFS='|' read -r name mkfs opts how who; do
	# shellcheck disable=SC2086
	dirty "$mkfs" "$opts" "$how"
	case $? in
	0) judge "$name" "$who" ;;
	77) skip "$name" "the kernel does not mount it" ;;
	*) fail "$name: cannot be made" ;;
	esac
done <<'ROWS'
1k|-t ext4 -b 1024||
4k|-t ext4 -b 4096||
no metadata_csum|-t ext4 -b 4096 -O ^metadata_csum,^64bit||
ext3|-t ext3 -b 1024||
csum v1|-t ext4 -b 4096 -O ^metadata_csum|journal_checksum|
async|-t ext4 -b 4096|data=writeback,journal_checksum,journal_async_commit|
async, no metadata_csum|-t ext4 -b 1024 -O ^metadata_csum|data=writeback,journal_checksum,journal_async_commit|
data=journal|-t ext4 -b 1024|data=journal|
small log that wraps|-t ext4 -b 1024 -J size=1||many
orphans|-t ext4 -b 4096||open
orphan file|-t ext4 -b 4096 -O orphan_file||open
fast commit, 1k|-t ext4 -b 1024 -O fast_commit||
fast commit, 4k|-t ext4 -b 4096 -O fast_commit||
fast commit, many|-t ext4 -b 4096 -O fast_commit||many
fast commit, orphans|-t ext4 -b 4096 -O fast_commit||open|kernel
fast commit, inline|-t ext4 -b 4096 -O fast_commit,inline_data -I 256||small|kernel
bigalloc|-t ext4 -b 4096 -O bigalloc -C 16384||
ROWS

# --- somewhere inside another file; write-protected ---

dirty "-t ext4 -b 4096" ""
{ truncate -s 1M whole && cat dirty >>whole && truncate -s +1M whole; }
sha256sum whole >whole.sum
tree_kernel dirty "" >k.tree
ok "offset, ro" eval 'tree_ours whole offset=1m,ro >r.tree'
ok "offset, ro: the same" diff k.tree r.tree
ok "offset, ro: not a byte was written" sha256sum -c whole.sum
ok "offset" eval 'tree_ours whole offset=1m >o.tree'
ok "offset: the same" diff k.tree o.tree
dd if=whole of=o bs=1M skip=1 count=96 status=none
ok "offset: e2fsck finds nothing" fsck_clean o
ok "offset: nothing before it" cmp -n 1048576 whole /dev/zero
ok "offset: nothing behind it" sh -c 'tail -c 1048576 whole | cmp -n 1048576 - /dev/zero'

dirty "-t ext4 -b 4096 -O fast_commit" ""
cp --sparse=always dirty k
tree_kernel k "" >k.tree
sha256sum dirty >sum
loop=$(losetup -r -f --show dirty)
cleanup losetup -d "$loop"
: >server.log
ok "write-protected" eval 'tree_ours "$loop" "" >o.tree'
ok "write-protected: says so" grep -q "source write-protected, mounted read-only" server.log
ok "write-protected: the same" diff k.tree o.tree
ok "write-protected: not a byte was written" sha256sum -c sum

# --- on a device of its own ---

external() {
	local bs=$1 jloop
	truncate -s 16M jdev
	jloop=$(losetup -f --show jdev) || return
	mke2fs -FFq -O journal_dev -b "$bs" "$jloop" >/dev/null 2>&1
	dirty "-t ext4 -b $bs -J device=$jloop" ""
	losetup -d "$jloop"
	ok "external, $bs: is dirty" needs_recovery dirty || return
	cp --sparse=always dirty r
	cp jdirty jk
	jloop=$(losetup -f --show jk)
	cp --sparse=always dirty k
	tree_kernel k "journal_path=$jloop" >k.tree
	losetup -d "$jloop"
	sha256sum r jdirty >sum
	not_ok "external, $bs: not without it" mount_ours r mnt
	ok "external, $bs: ro" eval "tree_ours r ro,journal_path=$work/jdirty >r.tree"
	ok "external, $bs: ro: the same" diff k.tree r.tree
	ok "external, $bs: ro: not a byte was written" sha256sum -c sum
	ok "external, $bs: rw" eval "tree_ours r journal_path=$work/jdirty >o.tree"
	ok "external, $bs: rw: the same" diff k.tree o.tree
	ok "external, $bs: e2fsck finds nothing" e2fsck -fn -j "$work/jdirty" r
	rm -f jdev
}
external 4096
external 1024
finish
