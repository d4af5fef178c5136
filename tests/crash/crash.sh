#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Whatever is on the disk after a crash at any instant, replaying the journal makes
# a volume of it in which e2fsck finds nothing, and in which everything is that was
# fsynced.  Thousands of crash states of recorded, seeded workloads; see replay.c.
#
# usage: crash.sh [VOLUME PROFILE SEED STEPS STATES]
#
#	LONG=1			at least 50,000 states instead of 2,000
#	SERVER=kernel		the kernel's ext4 is crashed
#	CRASH_OPTIONS=..	more options for "replay check"
. "${0%/*}/lib.sh"
requires root fuse mke2fs e2fsck
[ "${SERVER-}" != kernel ] || requires loop

states=0
# one VOLUME PROFILE SEED STEPS STATES
one() {
	case $1 in
	external*) t_have_loop || { skip "$1: no loop devices"; return; } ;;
	esac
	local what="$1 $2 $3 $4 $5" kernel=$kernel ours=$ours
	crash_image "$1" || t_bail "no image"
	[ -z "$crash_how" ] || kernel=0 ours=0
	[ -z "$crash_options" ] || kernel=0
	ok "$what: mount" crash_mount || return
	ok "$what: the workload" crash_load "$3" "$2" "$4" || {
		crash_umount
		return
	}
	ok "$what: unmount" crash_umount || return
	ok "$what: every byte of the image is in the log" \
		"$CRASH/replay" same "$crash_base" "$crash_log" "$crash_images"
	ok "$what: e2fsck finds nothing" crash_fsck
	# shellcheck disable=SC2086
	ok "$what: all is there" "$CRASH/replay" $crash_how oracle "$crash_log" "$img"
	crash_check "$what" -n "$5" -s "$3" -k "$kernel" -o "$ours"
}

# Some states are recovered by the kernel's mount and by ours as well.
kernel=8 ours=4
[ -z "${LONG-}" ] || kernel=20 ours=12
t_have_loop || kernel=0
[ "${SERVER-}" != kernel ] || ours=0

if [ $# = 5 ]; then
	one "$@"
	finish
fi
if [ -n "${LONG-}" ]; then
	seed=100
	while :; do
		for row in $(crash_rows); do
			while read -r profile steps; do
				seed=$((seed + 1))
				one "$row" "$profile" $seed "$steps" 600
			done <<-END
				names 400
				log 120
				replace 60
				data 200
				reuse 20
				dirs 60
				orphans 120
				full 40
				mixed 250
			END
		done
		[ $states -lt 50000 ] || break
	done
	ok "at least 50,000 states: $states" test $states -ge 50000
	finish
fi
while read -r row profile seed steps; do
	one "$row" "$profile" "$seed" "$steps" 200
done <<END
ext4-4k   mixed   1 150
ext4-1k   mixed   2 150
ext4-1k   names   3 300
nocsum-4k data    4 100
nocsum-1k reuse   5 15
ext3-4k   orphans 6 80
ext3-1k   reuse   7 15
orphan-4k orphans 8 80
orphan-1k mixed   9 120
bigalloc  mixed  10 120
inline    names  11 200
groups    full   12 25
ext4-4k   dirs   13 40
ext4-1k   log    14 80
ext4-4k   replace 15 40
nojournal-4k mixed 16 60
external-4k mixed 17 100
external-1k names 18 150
END
ok "at least 2,000 states: $states" test $states -ge 2000
finish
