#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What is durable when a call returns is there after a kill -9 just then: with sync,
# dirsync, O_SYNC, chattr +S and +D, after fsync and fdatasync by any handle; with and
# without a journal.  By itself a change gets there within commit= seconds, and a copy
# of the mounted image then has it.  Whatever ends the server else leaves a clean volume.
. "${0%/*}/functions.sh"
requires root ours fuse python3 mke2fs e2fsck dumpe2fs

rows=(
	"4k|-t ext4 -b 4096"
	"1k, small journal|-t ext4 -b 1024 -J size=1"
	"ext3|-t ext3 -b 4096"
	"inline|-t ext4 -b 1024 -I 256 -O inline_data"
	"no journal|-t ext4 -b 4096 -O ^has_journal"
	"ext2|-t ext2 -b 1024"
)
# Only what stands still for a second gets to the disk by itself.
never=commit=100000

change() { python3 "$T_SRC/tools/durable.py" "$@"; }
needs_recovery() { dumpe2fs -h "$1" 2>/dev/null | grep -q '^Filesystem features:.* needs_recovery'; }
is_marked_clean() { dumpe2fs -h "$1" 2>/dev/null | grep -q '^Filesystem state: *clean$'; }

has_journal() { ! [[ $mkfs = *^has_journal* || $mkfs = *ext2* ]]; }

killed() {
	local pid
	pid=$(server_pid mnt)
	kill -KILL "$pid"
	wait "$pid" 2>/dev/null
	umount -l mnt
}

# The journal is replayed; without one e2fsck repairs.
fsck_repairs() {
	e2fsck -fy "$1" >.fsck 2>&1
	[ $? -le 1 ] || { cat .fsck; return 1; }
	fsck_clean "$1"
}

# durable NAME CASE OP OPTIONS: the changes of CASE and a kill; recovered by e2fsck
# (and shown by the kernel), and by us.
durable() {
	local what="$1: $2: $3" case=$2 op=$3
	# shellcheck disable=SC2086
	make_image img 24M $mkfs || t_bail "no image"
	ok "$what: mount" mount_ours img mnt "$never${4:+,$4}" || return
	ok "$what" change do "$case" "$op" mnt
	killed
	cp --sparse=always img copy
	ok "$what: e2fsck" fsck_repairs copy
	if mount_kernel copy kmnt ro; then
		run_tap python3 "$T_SRC/tools/durable.py" check "$case" "$op" kmnt
		umount kmnt
	fi
	has_journal || return
	ok "$what: is to be recovered" needs_recovery img
	: >server.log
	ok "$what: by us" mount_ours img mnt || return
	ok "$what: it says so" grep -q ": Recovering journal\.$" server.log
	run_tap python3 "$T_SRC/tools/durable.py" check "$case" "$op" mnt
	ok "$what: unmount" umount_ours mnt
	ok "$what: e2fsck finds nothing" fsck_clean img
}

# lost OP: what tells that the above proves something.  Not at the first try perhaps,
# where the machine stood still for a second.
lost() {
	local i status
	for i in 1 2 3 4 5 6 7 8 9 10; do
		make_image img 24M -t ext4 && mount_ours img mnt $never &&
			change do plain "$1" mnt || return
		killed
		fsck_repairs img && mount_ours img mnt ro || return
		change lost plain "$1" mnt
		status=$?
		umount_ours mnt
		[ $status != 0 ] || return 0
	done
	return 1
}

for row in "${rows[@]}"; do
	IFS='|' read -r name mkfs <<<"$row"
	for case in sync dirsync fd fsync; do
		# Each by itself, as what comes behind one makes it durable, too.
		if [ "$name" = 4k ] || [ -n "${LONG-}" ]; then
			change list $case
		else
			echo all
		fi >ops
		while read -r op; do
			durable "$name" $case "$op" "$(sed -n '/^sync$\|^dirsync$/p' <<<$case)" </dev/null
		done <ops
	done
done
for op in create rename write truncate chmod setxattr; do
	ok "where nothing is done for it, it is lost: $op" lost $op
done

# --- commit= ---

# in_copy: does what a crash would leave now have the file?
in_copy() {
	cp --sparse=always img copy
	needs_recovery copy || { echo "not marked for recovery"; return 1; }
	e2fsck -fy copy >.fsck 2>&1
	[ $? -le 1 ] || { cat .fsck; return 1; }
	[ "$(debugfs -R 'cat dir/idle' copy 2>/dev/null)" = data ]
}
# A busy machine takes its time.
comes() {
	local i
	for ((i = 0; i < 240; i++)); do
		in_copy && return
		sleep 0.5
	done
	return 1
}
for words in commit=1 ""; do
	what=${words:-"commit= not given"}
	make_image img 32M -t ext4 || t_bail "no image"
	ok "$what: mount" mount_ours img mnt "$words" || continue
	mkdir mnt/dir && echo data >mnt/dir/idle
	ok "$what: a copy of the idle image has it" comes
	ok "$what: e2fsck finds nothing in the copy" fsck_clean copy
	cp --sparse=always img copy
	ok "$what: we mount a copy" mount_ours copy other || continue
	is "$(cat other/dir/idle)" data "$what: the file is there"
	ok "$what: unmount" umount_ours other
	ok "$what: e2fsck finds nothing in that" fsck_clean copy
	killed
	ok "$what: killed, mount again" mount_ours img mnt
	is "$(cat mnt/dir/idle)" data "$what: the file is there"
	ok "$what: unmount" umount_ours mnt
	ok "$what: e2fsck finds nothing" fsck_clean img
done

# --- signals ---

ended() {
	local pid
	pid=$(server_pid mnt)
	case $1 in
	umount) umount_ours mnt ;;
	*) kill "-$1" "$pid" && wait "$pid" && ! is_mounted mnt ;;
	esac
}
for row in "${rows[@]}"; do
	IFS='|' read -r name mkfs <<<"$row"
	for how in TERM INT HUP umount; do
		# shellcheck disable=SC2086
		make_image img 32M $mkfs || t_bail "no image"
		: >server.log
		ok "$name: $how: mount" mount_ours img mnt $never || continue
		ok "$name: $how: changes" change do plain all mnt
		if has_journal; then
			ok "$name: $how: marked for recovery" needs_recovery img
		else
			not_ok "$name: $how: not marked clean" is_marked_clean img
		fi
		ok "$name: $how: it ends well" ended $how
		not_ok "$name: $how: nothing is left to recover" needs_recovery img
		ok "$name: $how: marked clean" is_marked_clean img
		ok "$name: $how: e2fsck finds nothing" fsck_clean img
		ok "$name: $how: nothing was said" test ! -s server.log
		ok "$name: $how: mount again" mount_ours img mnt ro || continue
		run_tap python3 "$T_SRC/tools/durable.py" check plain all mnt
		umount_ours mnt
	done
done
not_ok "no word of an unused journal in the program" grep -q "support using the journal" "$FUSE2FS"
finish
