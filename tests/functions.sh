# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# functions.sh - what every shell test sources first.
#
# A test is a bash script that says at its top what must hold, asks for what
# it needs with "requires", and reports with "ok" in TAP.  Sourcing this file
# starts the script again as a child with a time limit, in a private folder
# ($work, also the current folder); the parent waits, and then takes down
# whatever the child left: servers (by their process ids), mounts, files.
# That also works when the child hangs or is killed.
#
# Variables:	FUSE2FS		the program under test
#		SERVER=kernel	mount_ours mounts with the kernel's ext4: so a
#				test is itself tested
#		LONG=1		tests may take minutes
#		KEEP=1		keep the private folder
#		TEST_TIMEOUT	seconds (default 300; LONG: 3600)

if [ -z "${T_WORK-}" ]; then
	here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
	top=${abs_top_builddir:-}
	for d in $top "$PWD" "$here/.." "$here/../build"; do
		[ -x "$d/fuse2fs" ] && : "${FUSE2FS:=$d/fuse2fs}"
		[ -x "$d/tests/tools/iofuzz" ] && : "${TOOLS:=$d/tests/tools}"
	done
	export FUSE2FS TOOLS T_SRC=$here
	T_WORK=$(mktemp -d "${TMPDIR:-/tmp}/fuse2fs-test.XXXXXX") || exit 99
	export T_WORK
	chmod 755 "$T_WORK"
	# Ordinary users cannot reach a build below /root.
	if [ "$(id -u)" = 0 ] && [ -x "${FUSE2FS-}" ] &&
	   ! setpriv --reuid 65534 --regid 65534 --clear-groups test -x "$FUSE2FS"; then
		mkdir -m 755 "$T_WORK/.bin"
		cp "$FUSE2FS" "$T_WORK/.bin/fuse2fs"
		[ ! -x "${FUSE2FS%/*}/umount.fuse.ext4" ] ||
			cp "${FUSE2FS%/*}/umount.fuse.ext4" "$T_WORK/.bin/"
		FUSE2FS=$T_WORK/.bin/fuse2fs
	fi

	t_takedown() {
		local pid dir try
		trap '' INT TERM HUP
		# A dead server frees whoever waits for it.
		while read -r pid dir; do
			# Only if the pid is still that server.
			if grep -qzF "$T_WORK" "/proc/$pid/cmdline" 2>/dev/null; then
				[ "${1-}" = quiet ] || t_lines "$T_WORK/server.log"
				kill -KILL "$pid" 2>/dev/null
			fi
		done 2>/dev/null <"$T_WORK/.pids"
		for try in 1 2 3; do
			awk -v w="$T_WORK/" 'index($5, w) == 1 { print $5 }' \
				/proc/self/mountinfo | sort -r |
			while read -r dir; do
				umount "$dir" 2>/dev/null || umount -l "$dir" 2>/dev/null ||
				fusermount3 -uz "$dir" 2>/dev/null
			done
		done
		[ -n "${KEEP-}" ] || rm -rf --one-file-system "$T_WORK"
	}
	t_lines() { [ -s "$1" ] && tail -40 "$1" | sed 's/^/# server: /'; }

	[ -n "${LONG-}" ] && : "${TEST_TIMEOUT:=3600}"
	trap 'kill -TERM "$t_child" 2>/dev/null; t_takedown; exit 143' INT TERM HUP
	timeout -k 20 "${TEST_TIMEOUT:-300}" bash "$0" "$@" &
	t_child=$!
	wait "$t_child"
	t_status=$?
	[ $t_status = 124 ] && echo "Bail out! no end after ${TEST_TIMEOUT:-300} seconds"
	[ $t_status = 137 ] && echo "Bail out! killed"
	t_takedown
	exit $t_status
fi

set -u
work=$T_WORK
TOOLS=${TOOLS-}
T_COUNT=0
T_BAD=0
T_CLEANUP=()
# Programs that preload something (stdbuf) may do so to a sanitized server.
export ASAN_OPTIONS=verify_asan_link_order=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}
export LSAN_OPTIONS=suppressions=$T_SRC/lsan.supp:print_suppressions=0
export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=$T_SRC/tools LC_ALL=C.UTF-8
unset POSIXLY_CORRECT
cd "$work" || exit 99
umask 022

# Runs "$@" at the end of the test, whatever the end is; last in, first out.
cleanup() {
	T_CLEANUP+=("$(printf '%q ' "$@")")
}

t_exit() {
	local status=$? i
	for ((i = ${#T_CLEANUP[@]} - 1; i >= 0; i--)); do
		eval "${T_CLEANUP[i]}" >&2
	done
	t_umount_all
	if [ $status = 0 ] && [ -z "${T_DONE-}" ]; then
		echo "Bail out! the test ended before its end"
		status=99
	fi
	exit $status
}
trap t_exit EXIT
trap 'exit 143' INT TERM HUP

t_umount_all() {
	local dir
	awk -v w="$work/" 'index($5, w) == 1 { print $5 }' /proc/self/mountinfo |
		sort -r | while read -r dir; do umount "$dir" >&2; done
}

# The whole test is skipped.
skip_all() {
	echo "1..0 # SKIP $*"
	T_DONE=1
	exit 0
}

t_bail() {
	echo "Bail out! $*"
	T_DONE=1
	exit 99
}

# requires WORD..: a program, or one of: root fuse loop user ours
requires() {
	local w
	for w; do
		case $w in
		root)	[ "$(id -u)" = 0 ] || skip_all "needs root" ;;
		fuse)	[ "${SERVER-}" = kernel ] && continue
				[ -c /dev/fuse ] || skip_all "needs /dev/fuse"
				[ -x "${FUSE2FS-}" ] || t_bail "no program fuse2fs" ;;
		loop)	t_have_loop || skip_all "needs loop devices and the kernel's ext4" ;;
		ours)	[ "${SERVER-}" != kernel ] || skip_all "not about the kernel" ;;
		user)	[ "$(id -u)" = 0 ] && id nobody >/dev/null 2>&1 ||
				skip_all "needs root and the user nobody" ;;
		*)	command -v "$w" >/dev/null || skip_all "needs $w" ;;
		esac
	done
}

t_have_loop() {
	if [ -z "${T_LOOP-}" ]; then
		T_LOOP=no
		if [ "$(id -u)" = 0 ] && [ -e /dev/loop-control ]; then
			mkdir -p "$work/.loop"
			rm -f "$work/.loop.img"
			mke2fs -Fq -t ext4 "$work/.loop.img" 2M >/dev/null 2>&1 &&
			mount -t ext4 -o loop,ro "$work/.loop.img" "$work/.loop" 2>/dev/null &&
			umount "$work/.loop" && T_LOOP=yes
			rm -f "$work/.loop.img"
		fi
	fi
	[ $T_LOOP = yes ]
}

# ok WHAT COMMAND..: runs it; one TAP line.  Returns the command's status.
ok() {
	local what=$1
	shift
	if "$@" >"$work/.ok.out" 2>&1; then
		pass "$what"
	else
		fail "$what" "$*"
		return 1
	fi
}

# The other way round.
not_ok() {
	local what=$1
	shift
	if "$@" >"$work/.ok.out" 2>&1; then
		fail "$what" "no failure of: $*"
		return 1
	fi
	pass "$what"
}

pass() {
	T_COUNT=$((T_COUNT + 1))
	echo "ok - $1"
}

fail() {
	T_COUNT=$((T_COUNT + 1))
	T_BAD=$((T_BAD + 1))
	echo "not ok - $1"
	shift
	[ $# = 0 ] || printf '# %s\n' "$@"
	[ ! -s "$work/.ok.out" ] || head -60 "$work/.ok.out" | sed 's/^/#   /'
	: >"$work/.ok.out"
}

skip() {
	T_COUNT=$((T_COUNT + 1))
	echo "ok - $1 # SKIP ${2-}"
}

# is GOT WANT WHAT
is() {
	: >"$work/.ok.out"
	if [ "$1" = "$2" ]; then
		pass "$3"
	else
		fail "$3" "got:  $1" "want: $2"
		return 1
	fi
}

# Runs a program that speaks TAP itself and adds its lines to ours.
run_tap() {
	local status
	"$@" >"$work/.tap.out" 2>"$work/.tap.err"
	status=$?
	grep -v '^1\.\.[0-9]*$' "$work/.tap.out"
	sed 's/^/# stderr: /' "$work/.tap.err" | tail -60
	T_COUNT=$((T_COUNT + $(grep -cE '^(not )?ok\b' "$work/.tap.out")))
	T_BAD=$((T_BAD + $(grep -cE '^not ok\b' "$work/.tap.out")))
	: >"$work/.ok.out"
	if [ $status != 0 ] && ! grep -q '^not ok' "$work/.tap.out"; then
		fail "$(basename "$1") $(basename "${2-}") ended with status $status"
	fi
	return $status
}

# The end of every test.
finish() {
	echo "1..$T_COUNT"
	T_DONE=1
	# Automake's driver counts the lines, and a bad status as one more.
	[ $T_BAD = 0 ] || [ -n "${abs_top_builddir-}" ]
	exit $?
}

# make_image IMAGE SIZE MKFS-ARGUMENTS..
make_image() {
	local img=$1 size=$2
	shift 2
	rm -f "$img"
	truncate -s "$size" "$img" || return 1
	mke2fs -FFq "$@" "$img" >"$work/.mke2fs" 2>&1 || {
		sed 's/^/# mke2fs: /' "$work/.mke2fs"
		return 1
	}
}

is_mounted() {
	awk -v d="$(realpath "$1")" '$5 == d { f = 1 } END { exit !f }' \
		/proc/self/mountinfo
}

# mount_ours IMAGE DIR [OPTIONS]: by the program under test, in the foreground
# so that its exit status can be seen; returns when it is mounted.
mount_ours() {
	local img=$1 dir opts=${3-} pid i
	mkdir -p "$2"
	dir=$(realpath "$2")
	img=$(realpath "$img")
	if [ "${SERVER-}" = kernel ]; then
		mount_kernel "$img" "$dir" "$opts"
		return
	fi
	"$FUSE2FS" -f -o "allow_other${opts:+,$opts}" "$img" "$dir" \
		>>"$work/server.log" 2>&1 &
	pid=$!
	echo "$pid $dir" >>"$work/.pids"
	for ((i = 0; i < 3000; i++)); do
		if is_mounted "$dir"; then
			# In the mount table before INIT is answered; this waits.
			stat "$dir/." >/dev/null 2>&1
			return 0
		fi
		kill -0 $pid 2>/dev/null || break
		sleep 0.01
	done
	sed 's/^/# server: /' "$work/server.log"
	return 1
}

# Does it take no change?
is_readonly() {
	! touch "$1/.writable" 2>/dev/null || { rm -f "$1/.writable"; false; }
}

server_pid() {
	awk -v d="$(realpath "$1")" '$2 == d { p = $1 } END { print p }' "$work/.pids"
}

# umount_ours DIR: and waits for the end of the server, whose status it
# returns.
umount_ours() {
	local dir pid status i
	dir=$(realpath "$1")
	for ((i = 0; i < 50; i++)); do
		umount "$dir" 2>"$work/.umount" && break
		sleep 0.1
	done
	is_mounted "$dir" && { sed 's/^/# /' "$work/.umount"; return 1; }
	[ "${SERVER-}" = kernel ] && return 0
	pid=$(server_pid "$dir")
	wait "$pid"
	status=$?
	[ $status = 0 ] || sed 's/^/# server: /' "$work/server.log" | tail -60
	return $status
}

# mount_kernel IMAGE DIR [OPTIONS]: status 77 where that cannot be.
mount_kernel() {
	mkdir -p "$2"
	t_have_loop || return 77
	local i src back
	for i in 1 2 3; do
		mount -t ext4 -o "loop${3:+,$3}" "$1" "$2" 2>"$work/.mount" || break
		# With several suites at once it was somebody else's image, once.
		src=$(findmnt -nro SOURCE "$(realpath "$2")")
		back=$(cat "/sys/block/${src#/dev/}/loop/backing_file" 2>/dev/null)
		case $back in
		"" | *"$(realpath "$1")") return 0 ;;
		esac
		echo "# $src has $back, not $1"
		umount "$2"
	done
	sed 's/^/# /' "$work/.mount"
	return 77
}

# e2fsck finds nothing to say.
fsck_clean() {
	local img=$1 status
	e2fsck -fn "$img" >"$work/.fsck" 2>&1
	status=$?
	if [ $status != 0 ]; then
		echo "e2fsck: exit status $status"
		head -50 "$work/.fsck"
		return 1
	fi
}

# The tree below DIR as sorted text, to be compared with diff.
tree_manifest() {
	python3 "$T_SRC/tools/manifest.py" "$@"
}

# python_test FILE MOUNT [ARGS]: a test body in tests/tools.
python_test() {
	local f=$1
	shift
	run_tap python3 "$T_SRC/tools/$f" "$@"
}

# The usual frame: an image, our mount, a Python body, unmount, e2fsck.
# simple_test FILE SIZE MKFS-ARGUMENTS..
simple_test() {
	local f=$1 size=$2
	shift 2
	make_image img "$size" "$@" || exit 99
	ok "mount" mount_ours img mnt || finish
	python_test "$f" "$work/mnt"
	ok "unmount, and the server ends well" umount_ours mnt
	ok "e2fsck finds nothing" fsck_clean img
}

# Rows of the table of volumes that were asked for: all, or the names in "$@".
table_rows() {
	local name rest
	grep -v '^#' "$T_SRC/mkfs-table" | while read -r name rest; do
		case $name in
		"") continue ;;
		long-*) [ -n "${LONG-}" ] || continue ;;
		esac
		if [ $# = 0 ] || [[ " $* " == *" $name "* ]]; then
			echo "$name $rest"
		fi
	done
}

# make_row IMAGE SIZE MKFS-ARGUMENTS..: as make_image, and understands
# "tune=ARGUMENT" for what only tune2fs can set.
make_row() {
	local img=$1 size=$2 a args=() tune=()
	shift 2
	for a; do
		case $a in
		tune=*) tune+=("${a#tune=}") ;;
		*) args+=("$a") ;;
		esac
	done
	make_image "$img" "$size" "${args[@]}" || return 1
	[ ${#tune[@]} = 0 ] || tune2fs "${tune[@]}" "$img" >/dev/null 2>&1
}

# What debugfs makes of the volume, for those that the kernel cannot mount.
debugfs_tree() {
	local img=$1 dir=$2
	rm -rf "$dir"
	mkdir "$dir"
	debugfs -R "rdump / $dir" "$img" >"$work/.rdump" 2>&1
	# Times of directories change while it fills them, and a link's time or
	# a special file it does not make at all: see manifest.py -b.
}
