#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Several writers at once, and the server is killed (SIGKILL) at a random moment, every
# other time just when it wants to write; again and again on the same volumes.  What an fsync had promised is there afterwards, whoever
# recovers (e2fsck and the kernel a copy, we the volume); e2fsck's replay leaves nothing to
# be repaired, and neither does ours.  20 times; LONG=1: 200 times.
#
#	ROUNDS=N	how often
#	SEED=N		of the load and of the moments
#	KEEP=1		keeps what crashed: crashed.ROUND
#	SERVER=kernel	the kernel's ext4, on a loop device below which the server is killed
. "${0%/*}/lib.sh"
[ -z "${LONG-}" ] || : "${ROUNDS:=200}"
: "${ROUNDS:=20}" "${SEED:=1}"
requires root fuse mke2fs e2fsck
RANDOM=$SEED

variants=(
	"4k 64M -t ext4 -b 4096"
	"1k 48M -t ext4 -b 1024"
	"small-journal 48M -t ext4 -b 1024 -J size=1"
	"ext3 48M -t ext3 -b 1024 -J size=4"
	"orphan-file 64M -t ext4 -b 4096 -O orphan_file,metadata_csum,64bit -J size=4"
	"no-csum 48M -t ext4 -b 4096 -O ^metadata_csum,^64bit -J size=4"
)

# start [HOW]: mounts it, recorded; with HOW the recorder makes a write special.
start() {
	"$CRASH/replay" new "$crash_log" || return
	export CRASH_FAULT=${1-}
	[ -n "$CRASH_FAULT" ] || unset CRASH_FAULT
	crash_mount || { unset CRASH_FAULT; return 1; }
	unset CRASH_FAULT
	[ "${SERVER-}" = kernel ] || crash_pid=$(server_pid mnt)
}

is_dead() {
	kill -0 "$1" 2>/dev/null || return 0
	[ "$(cut -d' ' -f3 "/proc/$1/stat")" = Z ]
}

# Until it is dead; a server that hardly writes dies like the others.
wait_for_death() {
	local i
	for ((i = 0; i < 800; i++)); do
		is_dead "$1" && return
		sleep 0.01
	done
	echo "# it did not come to write $special"
}

# crash LOADER: the server dies, and what it leaves behind goes, also while somebody is at
# work in it.  Not so the kernel's mount: the loader ends first.
crash() {
	local i
	[ -z "$special" ] || wait_for_death "$crash_pid"
	kill -KILL "$crash_pid" 2>/dev/null
	wait "$crash_pid" 2>/dev/null
	if [ "${SERVER-}" = kernel ]; then
		wait "$1"
		umount mnt
		umount below
	elif [ $((RANDOM % 2)) = 0 ] && command -v fusermount3 >/dev/null; then
		fusermount3 -uz mnt
	else
		umount -l mnt
	fi
	for ((i = 0; i < 200; i++)); do
		is_mounted mnt || return 0
		sleep 0.01
	done
	echo "still mounted"
	return 1
}

# judge IMAGE: the journal's replay and the orphans are all that e2fsck has to do.  It says
# what else it does in other lines than these.  (The superblock's counters, not those of the
# groups, are summed up again at each mount.)
judge() {
	local status
	e2fsck -fy -E no_optimize_extents "$1" >replayed 2>&1
	status=$?
	if [ $status -gt 1 ] || grep -vE "$recovering" replayed; then
		echo "e2fsck: status $status; its lines above are more than recovery"
		return 1
	fi
	fsck_clean "$1"
}
recovering='^$|^e2fsck |^Pass [1-5]: |: recovering journal$|^(Clearing|Truncating) orphaned inode |'
recovering+='^Free (blocks|inodes) count wrong \([0-9]|^(Fix|Clear)\? yes$|'
recovering+='^Orphan file \(inode [0-9]+\) block [0-9]+ is not clean\.$|'
recovering+='^Feature orphan_present is set but orphan file is clean\.$|'
recovering+='FILE SYSTEM WAS MODIFIED|[0-9] files \(.*non-contiguous'

# By the kernel, which has nothing to recover any more.
check_kernel() {
	local status
	mount_kernel "$1" kmnt ro || return
	"$CRASH/promise" check kmnt promises
	status=$?
	umount kmnt
	return $status
}

# A mount by the kernel is the third who recovers.
recover_kernel() {
	mount_kernel "$1" kmnt || return
	"$CRASH/promise" check kmnt promises
	local status=$?
	umount kmnt && fsck_clean "$1" && return $status
}

# The load runs until the server is dead: status 3.
load() {
	"$CRASH/promise" load $((SEED * 1000 + $1)) 4 0 mnt promises >load.out 2>&1
	echo $? >load.status
}

one_round() {
	local n=$1 what="round $1, $2" bad=$T_BAD size=$3 loader fsyncs copy=$crash_dir/copy special
	shift 3
	rm -f promises.* "$copy"* load.status
	if [ ! -e "$crash_dir/img.$variant" ]; then
		make_image "$crash_dir/img.$variant" "$size" "$@" || exit 99
	fi
	ln -f "$crash_dir/img.$variant" "$img"
	special=
	if [ $((n % 2)) = 0 ]; then
		special=$((200 + RANDOM % 12000))
		[ "${SERVER-}" != kernel ] || special=$((100 + RANDOM % 2000))
	fi
	start ${special:+write:$special:kill} >start.out 2>&1 || { fail "$what: mount" "$(cat start.out)"; return 1; }
	load "$n" &
	loader=$!
	[ -n "$special" ] || sleep "$((RANDOM % 2)).$((RANDOM % 8 + 1))"
	ok "$what: killed" crash $loader
	wait $loader
	fsyncs=$(grep -o '[0-9]* fsyncs' load.out | awk '{ n += $1 } END { print n + 0 }')
	is "$(cat load.status)" 3 "$what: the load saw its end, after $fsyncs fsyncs" ||
		sed 's/^/# /' load.out
	cp --sparse=always "$img" "$copy"
	[ -z "${KEEP-}" ] || cp --sparse=always "$img" "$crash_dir/crashed.$n"
	if [ $((n % 3)) = 0 ] && t_have_loop; then
		cp --sparse=always "$img" "$copy.kernel"
		ok "$what: recovered by the kernel" recover_kernel "$copy.kernel"
	fi
	ok "$what: e2fsck replays, and repairs nothing" judge "$copy"
	! t_have_loop || ok "$what: what it left keeps the promises" check_kernel "$copy"
	ok "$what: mount again" start || return 1
	ok "$what: what we recovered keeps the promises" "$CRASH/promise" check mnt promises
	ok "$what: all can be removed" rm -rf mnt/all mnt/[0-9]*
	ok "$what: unmount" crash_umount
	ok "$what: e2fsck finds nothing" fsck_clean "$img"
	[ $T_BAD = "$bad" ]
}

for ((n = 1; n <= ROUNDS; n++)); do
	variant=$(((n - 1) % ${#variants[@]}))
	# What is damaged is not used again.
	# shellcheck disable=SC2086
	one_round $n ${variants[variant]} || rm -f "$crash_dir/img.$variant"
done
finish
