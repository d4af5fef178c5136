#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Crash states of mapped files, whose data the kernel, here the model of one
# (tests/iomap), writes beside the server: replaying the journal makes a volume of it
# in which e2fsck finds nothing, every file is as its last fsync promised, and no file
# shows what a block held before it was the file's.
#
# usage: mapped.sh [VOLUME SEED OPS THREADS STATES [MOUNT-OPTIONS]]
#
#	LONG=1			20,000 states instead of 250
#	CRASH_OPTIONS=..	more options for "replay check"
. "${0%/*}/lib.sh"
requires root ours fuse loop mke2fs e2fsck losetup
IOMAP=${TOOLS%/tools}/iomap
[ -x "$IOMAP/client" ] || t_bail "no $IOMAP/client: make build-tests"

# Loop devices that a killed client left.
drop_loops() {
	losetup -n -O NAME -j "$img" | while read -r dev; do losetup -d "$dev"; done
}
cleanup drop_loops

# The server is below both preloaded libraries, and opens a loop device; the client
# writes to the image itself.  Both are recorded, and the client's lines are marks.
mapped_load() {
	: >fsynced
	IOMAP_PRELOAD=$IOMAP/preload.so:$CRASH/record.so LD_PRELOAD=$CRASH/record.so \
		CRASH_LOG=$crash_log CRASH_IMAGE=$img CRASH_MARKS=$work/fsynced \
		timeout -k 5 200 "$IOMAP/client" -i "$img" -s "$1" -n "$2" -t "$3" -p 1 \
		-m 200000 -l fsynced ${4:+-o "$4"}
}

states=0
# one VOLUME SEED OPS THREADS STATES [MOUNT-OPTIONS]
one() {
	local what="$*"
	crash_image "$1" || t_bail "no image"
	ok "$what: the workload" mapped_load "$2" "$3" "$4" "${6-}" || {
		drop_loops
		return
	}
	ok "$what: every byte of the image is in the log" \
		"$CRASH/replay" same "$base" "$crash_log" "$img"
	ok "$what: e2fsck finds nothing" fsck_clean "$img"
	ok "$what: all is there" "$CRASH/replay" -m oracle "$crash_log" "$img"
	crash_check "$what" -m -n "$5" -s "$2" -k 4 -o 4
}

if [ $# -ge 5 ]; then
	one "$@"
	finish
fi
if [ -n "${LONG-}" ]; then
	for ((seed = 100; states < 20000 && seed < 200; seed++)); do
		one mapped-4k $seed 300 $((seed % 3 + 1)) 500
		one mapped-1k $seed 200 $((seed % 4 + 1)) 500
		one mapped-4k $((seed + 100)) 300 2 500 noiomap_cache
	done
	ok "at least 20,000 states: $states" test $states -ge 20000
	finish
fi
one mapped-4k 1 150 1 100
one mapped-1k 2 100 3 100
# The tester is tested.
one mapped-4k 3 400 2 50
not_ok "flushes that do nothing are found" crash_replay -m -x flush -n 400 -s 1
ok "at least 150 states: $states" test $states -ge 150
finish
