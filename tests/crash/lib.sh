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
# The image, with an external journal both, as record.so and "replay" name them.
crash_images=$img crash_base=$base crash_options=

# The program, started so that what it does to $img is written down.
crash_plain=${FUSE2FS-}
# shellcheck disable=SC2016
printf '#!/bin/sh\nLD_PRELOAD=%s CRASH_LOG=%s CRASH_IMAGE=$crash_images exec "%s" "$@"\n' \
	"$CRASH/record.so" "$crash_log" "$crash_plain" >"$work/recorded"
export crash_images
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
	local row loop=
	row=$(crash_row "$1")
	[ -n "$row" ] || t_bail "no volume $1"
	crash_how='' crash_images=$img crash_base=$base crash_options=
	case $1 in
	nojournal*) crash_how=-w ;;
	external*)
		external_journal "$row" || return
		row="${row%% journal=*} -J device=$loop"
		;;
	esac
	# shellcheck disable=SC2086
	make_image "$img" ${row%% *} -m 0 -E lazy_itable_init=0 ${row#* }
	set -- $?
	[ -z "$loop" ] || losetup -d "$loop"
	[ "$1" = 0 ] || return
	"$CRASH/replay" poison "$img" && cp "$img" "$base" &&
		"$CRASH/replay" new "$crash_log" || return
	[ -z "$loop" ] || cp "$img.journal" "$base.journal"
}

# A journal in a file of its own, as a row's last word has it, and on $loop, as mke2fs
# wants it.
external_journal() {
	local size=${1##* journal=} bs
	bs=$(sed -n 's/.* -b \([0-9]*\).*/\1/p' <<<"$1")
	make_image "$img.journal" "$size" -O journal_dev -b "$bs" &&
		loop=$(losetup -f --show "$img.journal") || return
	crash_images=$img:$img.journal crash_base=$base:$base.journal
	crash_options=journal_path=$img.journal
}

# crash_mount [OPTIONS]: mounts $img on mnt, recorded.
crash_mount() {
	local i
	if [ "${SERVER-}" != kernel ]; then
		FUSE2FS=$work/recorded mount_ours "$img" mnt \
			"$crash_options${crash_options:+${1:+,}}${1-}"
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

# crash_fsck: e2fsck finds nothing in $img.
crash_fsck() {
	if [ "$crash_images" = "$img" ]; then
		fsck_clean "$img"
	else
		e2fsck -fn -j "$img.journal" "$img"
	fi
}

# crash_load SEED PROFILE STEPS: on mnt.
crash_load() {
	timeout -k 5 120 "$CRASH/load" "$1" "$2" "$3" "$work/mnt" "$crash_log"
}

# crash_check WHAT OPTIONS..: crash states of the log are judged; their number is added
# to $states.
crash_check() {
	local what=$1 n
	shift
	ok "$what: crash states" crash_replay "$@"
	sed -n '/ states (/s/^/# /p' "$work/states"
	n=$(sed -n 's/^\([0-9]*\) states (.*/\1/p' "$work/states")
	states=$((${states:-0} + ${n:-0}))
}

crash_replay() {
	local status
	# shellcheck disable=SC2086
	"$CRASH/replay" -d "$crash_dir" -j 2 -p "$crash_plain" -r "$CRASH/record.so" \
		$crash_how "$@" ${CRASH_OPTIONS-} check "$crash_base" "$crash_log" \
		>"$work/states" 2>&1
	status=$?
	cat "$work/states"
	return $status
}
