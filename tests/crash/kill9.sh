#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The real server, killed under load: the next mount recovers, everything that was
# fsynced is there, and e2fsck finds nothing.  20 times; LONG=1: 200 times.  Every
# other time it is killed at any instant; else just when it wants to write, since
# these instants are few.
. "${0%/*}/lib.sh"
requires root ours fuse mke2fs e2fsck

rows=(ext4-4k ext4-1k nocsum-4k ext3-1k orphan-4k bigalloc)
profiles=(mixed names data log reuse orphans)
rounds=20
[ -z "${LONG-}" ] || rounds=200

mount_once() {
	if [ $(($1 % 2)) = 0 ]; then
		mount_ours "$img" mnt
	else
		export CRASH_FAULT=write:$((12 + ($1 * 53) % 400)):kill
		crash_mount
		set -- $?
		unset CRASH_FAULT
		return "$1"
	fi
}

killed() {
	local pid load status
	"$CRASH/load" "$1" "$2" 100000 "$work/mnt" "$crash_log" >load.out &
	load=$!
	pid=$(server_pid mnt)
	if [ $(($1 % 2)) = 0 ]; then
		sleep "0.$(printf %03d $((20 + ($1 * 37) % 300)))"
		kill -KILL "$pid"
	fi
	wait "$load"
	status=$?
	wait "$pid" 2>/dev/null
	# Somebody may still be inside.
	umount -l mnt
	# 0: it was faster
	[ $status = 3 ] || [ $status = 0 ] || { cat load.out; return 1; }
}

for ((i = 1; i <= rounds; i++)); do
	row=${rows[i % ${#rows[@]}]}
	profile=${profiles[(i / 3) % ${#profiles[@]}]}
	crash_image "$row" || t_bail "no image"
	ok "$i: $row: mount" mount_once $i || continue
	ok "$i: $profile: killed" killed $i "$profile"
	ok "$i: mount again" mount_ours "$img" mnt || continue
	ok "$i: unmount" umount_ours mnt
	ok "$i: e2fsck finds nothing" fsck_clean "$img"
	ok "$i: what was promised is there" "$CRASH/replay" oracle "$crash_log" "$img"
done
finish
