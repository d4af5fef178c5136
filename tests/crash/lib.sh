# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# lib.sh - what the crash tests share: a folder in memory, an image that is
# recorded, a workload on it.  Their programs are in $CRASH (log.h, record.c,
# load.c, replay.c and passthru.c say what each does).
. "$(dirname "${BASH_SOURCE[0]}")/../functions.sh"

CRASH=${TOOLS%/tools}/crash
for crash_tool in load replay passthru record.so; do
	[ -e "$CRASH/$crash_tool" ] || t_bail "no $CRASH/$crash_tool: make build-tests"
done

# States are made by the thousand: in memory, where that is possible.
crash_dir=$work
if [ "$(stat -f -c %T /dev/shm 2>/dev/null)" = tmpfs ] && [ -w /dev/shm ]; then
	crash_dir=$(mktemp -d "/dev/shm/fuse2fs-crash.XXXXXX") || t_bail "no folder"
	chmod 755 "$crash_dir"
	if [ -n "${KEEP-}" ]; then
		echo "# kept: $crash_dir"
	else
		cleanup rm -rf "$crash_dir"
	fi
fi
img=$crash_dir/img base=$crash_dir/base crash_log=$crash_dir/log

# The program, started so that what it does to $img is written down.
crash_plain=${FUSE2FS-}
printf '#!/bin/sh\nLD_PRELOAD=%s CRASH_LOG=%s CRASH_IMAGE=%s exec "%s" "$@"\n' \
	"$CRASH/record.so" "$crash_log" "$img" "$crash_plain" >"$work/recorded"
chmod 755 "$work/recorded"

# crash_row NAME: the row of the table, without its name.
crash_row() {
	sed -n "s/^$1[[:space:]][[:space:]]*//p" "$T_SRC/crash/table"
}

crash_rows() {
	sed -n 's/^\([a-z0-9-]\{1,\}\)[[:space:]].*/\1/p' "$T_SRC/crash/table"
}

# crash_image ROW: a new $img, a copy of it in $base, an empty log; $crash_how is
# what "replay" must be told of it.
crash_image() {
	local row
	row=$(crash_row "$1")
	[ -n "$row" ] || t_bail "no volume $1"
	crash_how=
	case $1 in
	nojournal*) crash_how=-w ;;
	esac
	# shellcheck disable=SC2086
	make_image "$img" ${row%% *} -m 0 -E lazy_itable_init=0 ${row#* } || return
	"$CRASH/replay" poison "$img" && cp "$img" "$base" &&
		"$CRASH/replay" new "$crash_log"
}

# crash_mount [OPTIONS]: mounts $img on mnt, recorded.
crash_mount() {
	local i
	if [ "${SERVER-}" != kernel ]; then
		FUSE2FS=$work/recorded mount_ours "$img" mnt "$@"
		return
	fi
	mkdir -p below mnt
	LD_PRELOAD=$CRASH/record.so CRASH_LOG=$crash_log CRASH_IMAGE=$img \
		"$CRASH/passthru" "$img" "$work/below" 2>>"$work/server.log" &
	crash_pid=$!
	echo "$crash_pid $work/below" >>"$work/.pids"
	for ((i = 0; i < 500; i++)); do
		[ ! -e below/image ] || break
		sleep 0.01
	done
	mount_kernel "$work/below/image" mnt "$@"
}

crash_umount() {
	if [ "${SERVER-}" != kernel ]; then
		umount_ours mnt
		return
	fi
	umount mnt && umount below && wait "$crash_pid"
}

# crash_load SEED PROFILE STEPS: on mnt.
crash_load() {
	timeout -k 5 120 "$CRASH/load" "$1" "$2" "$3" "$work/mnt" "$crash_log"
}
