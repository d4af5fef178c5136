#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Each of the journal's invariants is broken once (-DBREAK_Jn, doc/HACKING.md), and is
# then found by a unit test or by the crash tester; as it is, by none of them.  One line
# for each, with all that find it.  By hand, or "make check-breaks": a few minutes.
#
# usage: breaks.sh [NUMBER..]
: "${TEST_TIMEOUT:=3600}"
export TEST_TIMEOUT
. "${0%/*}/../functions.sh"
requires root fuse mke2fs e2fsck
build=$work/build
TOP=$(cd "$T_SRC/.." && pwd)

# What should find it: unit tests, and crash.sh's arguments.
finders() {
	local n
	case $1 in
	none) for n in 1 2 3 4 5 6 7 8 9 10; do finders $n; done | sort -u ;;
	1) echo ext4-4k mixed 1 150 300; echo ext4-1k names 3 300 300 ;;
	2) echo ext4-1k mixed 2 150 600; echo ext4-4k dirs 13 60 600 ;;
	3) echo external-4k data 4 100 400; echo ext4-4k data 4 150 400 ;;
	4) echo nocsum-4k data 4 200 400; echo nocsum-1k reuse 5 20 400 ;;
	5) echo log; echo nocsum-1k reuse 5 20 400 ;;
	6) echo ext4-1k log 14 120 400; echo ext4-1k mixed 2 250 400 ;;
	7) echo txn; echo iofault ;;
	8) echo ext4-4k mixed 1 150 300 ;;
	9) echo txn ;;
	10) echo ext4-1k log 14 120 400; echo ext4-4k mixed 1 250 600 ;;
	esac
}

# compile [BREAK]: what is broken is compiled anew, and again the next time.
compile() {
	local f
	for f in $broken; do
		find "$build" -name "*$f.o" -delete
	done
	broken=
	if [ -n "${1-}" ]; then
		broken=$(cd "$TOP" && grep -rlw --include='*.c' "$1" fs journal io |
			sed 's|.*/\(.*\)\.c$|\1|')
		[ -n "$broken" ] || { echo "# nothing knows $1"; return 1; }
		for f in $broken; do
			find "$build" -name "*$f.o" -delete
		done
	fi
	(cd "$build" && unset MAKEFLAGS MFLAGS && make -j2 CPPFLAGS="${1:+-D$1}" \
		fuse2fs tests/crash/load tests/crash/passthru \
		tests/crash/replay tests/crash/record.so \
		tests/unit/txn tests/unit/log tests/unit/iofault) >"$work/make" 2>&1 ||
		{ tail -5 "$work/make" | sed 's/^/# /'; return 1; }
}

# try FINDER..: what it says, if it finds something.
try() {
	if [ $# = 1 ]; then
		(cd "$build" && timeout 100 "tests/unit/$1") >"$work/out" 2>&1
	else
		# a test of its own
		env -u T_WORK FUSE2FS="$build/fuse2fs" TOOLS="$build/tests/tools" \
			abs_top_builddir="$build" TEST_TIMEOUT=100 \
			bash "$T_SRC/crash/crash.sh" "$@" >"$work/out" 2>&1
		! grep -q '^not ok' "$work/out"
	fi
	case $?:$# in
	0:*) return 1 ;;
	esac
	{ grep -m1 -E '^# [0-9]+ states .*: [1-9][0-9]* failures' "$work/out" ||
		grep -m1 '^not ok' "$work/out" || tail -1 "$work/out"; } |
		sed 's/^# //; s/ (.*: /, /'
}

# find NUMBER: all that find it, in a line; false if there is nothing.
find_it() {
	local how what found=
	while read -r how; do
		# shellcheck disable=SC2086
		what=$(try $how </dev/null) || continue
		[ "${how#* }" = "$how" ] && how=unit/$how
		found+="${found:+; }$how: $what"
	done < <(finders "$1")
	echo "$found"
	[ -n "$found" ]
}

# shellcheck disable=SC2015
mkdir "$build" && (cd "$build" && "$TOP/configure" -q CFLAGS='-O1 -g') >"$work/make" 2>&1 ||
	t_bail "configure"
broken=
compile || t_bail "it cannot be compiled"
if found=$(find_it none); then
	fail "nothing is found as it is" "$found"
else
	pass "nothing is found as it is"
fi
[ $# -gt 0 ] || set -- 1 2 3 4 5 6 7 8 9 10
for n; do
	if ! compile "BREAK_J$n"; then
		fail "J$n: cannot be compiled without it"
	elif found=$(find_it "$n"); then
		pass "J$n: found by $found"
	else
		fail "J$n: not found"
	fi
done
finish
