#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Each write and each flush of a workload fails once: EIO, ENOSPC, and a short
# write.  The server neither dies nor hangs; what was fsynced before is there after
# recovery, and a short write harms nobody.  A sample of them; LONG=1: each one.
. "${0%/*}/lib.sh"
requires root ours fuse mke2fs e2fsck

# with_fault FAULT: the workload with it
with_fault() {
	local status
	cp "$base" "$img" && "$CRASH/replay" new "$crash_log" || return
	export CRASH_FAULT=$1
	crash_mount
	status=$?
	unset CRASH_FAULT
	# A write that fails during the mount may end it.
	[ $status = 0 ] || { dead_well "$1"; return; }
	crash_load 2 "$profile" "$steps" >load.out
	status=$?
	cat load.out
	case $1:$status in
	*:short:0) ;;
	*:short:*) echo "a short write was not a small matter"; return 1 ;;
	*:0 | *:3) ;;
	*) return 1 ;;
	esac
	kill -0 "$(server_pid mnt)" || { echo "the server is gone"; return 1; }
	timeout -k 1 30 umount mnt || return
	wait "$(server_pid mnt)"
	[ $? -lt 128 ] || { tail -5 "$work/server.log"; return 1; }
	recovered "$1"
}

# With an error on record e2fsck does not look at the orphans of the replayed
# journal, and finds them in its passes.
recovered() {
	local error=
	[ "${1##*:}" = short ] || error=-e
	# shellcheck disable=SC2086
	"$CRASH/replay" $error recover "$crash_log" "$img"
}

dead_well() {
	wait "$(server_pid mnt)"
	[ $? -lt 128 ] && recovered "$1"
}

# some COUNT WANTED: numbers from 1 to COUNT
some() {
	local i step=$(($1 / $2 + 1))
	[ -z "${LONG-}" ] || step=1
	for ((i = 1; i <= $1; i += step)); do echo $i; done
}

for row in ext4-4k ext3-1k; do
	profile=mixed steps=30
	crash_image $row || t_bail "no image"
	ok "$row: mount" crash_mount || continue
	ok "$row: the workload" crash_load 2 $profile $steps
	ok "$row: unmount" crash_umount
	read -r writes barriers <<<"$("$CRASH/replay" count "$crash_log")"
	echo "# $writes writes, $barriers flushes"
	for n in $(some "$writes" 14); do
		for how in EIO ENOSPC short; do
			ok "$row: write $n: $how" with_fault write:$n:$how
		done
	done
	for n in $(some "$barriers" 12); do
		ok "$row: flush $n: EIO" with_fault barrier:$n:EIO
	done
done
finish
