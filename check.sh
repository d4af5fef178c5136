#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# usage: ./check.sh [plain|sanitizers]
#
# Installs what the tests need, builds in build-check/, runs all tests; then the
# same in build-asan/ with the address and undefined-behaviour sanitizers, and the
# parallel ones in build-tsan/ with the thread sanitizer.  The last line is
# "N passed, N failed, N skipped"; the exit status is 1 if anything failed.
# Without root (and without sudo) the tests that mount are skipped.
set -u

here=$(cd "$(dirname "$0")" && pwd)
cd "$here" || exit 1
which=${1-all}
case $which in
all | plain | sanitizers) ;;
*) sed -n '4,10s/^# \{0,1\}//p' "$0"; exit 2 ;;
esac

die() {
	echo "check.sh: $*" >&2
	exit 1
}

sudo=
if [ "$(id -u)" != 0 ] && command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
	sudo=sudo
fi

packages() {
	local p missing=()
	command -v dpkg-query >/dev/null || return 0
	for p; do
		dpkg-query -W -f '${Status}' "$p" 2>/dev/null |
			grep -q 'ok installed' || missing+=("$p")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	[ "$(id -u)" = 0 ] || [ -n "$sudo" ] || die "these packages are needed: ${missing[*]}"
	echo "Installing ${missing[*]}" >&2
	$sudo apt-get -qq update >&2 || true
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
		install "${missing[@]}" >/dev/null || die "apt-get failed"
}

# suite DIR CONFIGURE-ARGUMENTS..: builds and runs the tests ($tests, or all);
# counts into $passed, $failed, $skipped.
passed=0 failed=0 skipped=0 tests=
suite() {
	local dir=$1 log status trs results bad
	shift
	mkdir -p "$dir"
	log=$PWD/$dir/check.log
	: >"$log"
	echo "== $dir: build"
	if [ ! -e "$dir/Makefile" ]; then
		(cd "$dir" && ../configure -q "$@") >>"$log" 2>&1 ||
			{ cat "$log"; die "configure failed"; }
	fi
	make -s -C "$dir" -j"$(nproc)" >>"$log" 2>&1 &&
		make -s -C "$dir" -j"$(nproc)" build-tests >>"$log" 2>&1 ||
		{ tail -60 "$log"; die "make failed"; }
	echo "== $dir: tests"
	find "$dir/tests" -name '*.trs' -exec $sudo rm -f {} +
	status=0
	$sudo env ${LONG:+LONG="$LONG"} \
		make -s -C "$dir" -j"$(jobs_at_once)" check ${tests:+TESTS="$tests"} \
		>>"$log" 2>&1 || status=1
	[ -z "$sudo" ] || $sudo chown -R "$(id -u):$(id -g)" "$dir"
	results=$(find "$dir/tests" -name '*.trs' -exec grep -h '^:test-result:' {} +)
	passed=$((passed + $(grep -cE ': (PASS|XFAIL)' <<<"$results")))
	skipped=$((skipped + $(grep -c ': SKIP' <<<"$results")))
	bad=$(grep -cE ': (FAIL|XPASS|ERROR)' <<<"$results")
	[ "$bad" != 0 ] || [ $status = 0 ] || bad=1
	failed=$((failed + bad))
	if [ "$bad" != 0 ]; then
		for trs in $(grep -lE '^:test-result: (FAIL|XPASS|ERROR)' \
			     $(find "$dir/tests" -name '*.trs')); do
			echo "-- ${trs%.trs}"
			grep -E '^:test-result: (FAIL|XPASS|ERROR)' "$trs"
			grep -A12 -E '^(not ok|Bail out|.*ERROR: )' "${trs%.trs}.log" | head -60
		done
		[ -n "$results" ] || tail -40 "$log"
	fi
}

# Two by two: more does not pay, since each test has a server of its own.
jobs_at_once() {
	local n
	n=$(nproc)
	echo $((n > 4 ? 4 : n < 2 ? 2 : n))
}

packages autoconf automake make gcc libc6-dev pkg-config libfuse3-dev libext2fs-dev \
	comerr-dev fuse3 e2fsprogs attr acl sqlite3 rsync git python3 tar util-linux
export PATH=$PATH:/usr/sbin:/sbin
./bootstrap >/tmp/fuse2fs-bootstrap.$$ 2>&1 ||
	{ cat /tmp/fuse2fs-bootstrap.$$; rm -f /tmp/fuse2fs-bootstrap.$$; die "bootstrap failed"; }
rm -f /tmp/fuse2fs-bootstrap.$$
# The builds here are in folders of their own; automake wants no other one in
# the source folder then.
[ ! -e config.status ] || make -s distclean
[ -c /dev/fuse ] || $sudo modprobe fuse 2>/dev/null || true

if [ $which != sanitizers ]; then
	suite build-check --enable-werror
fi
if [ $which != plain ]; then
	suite build-asan --enable-asan --enable-ubsan CFLAGS='-O1 -g'
	tests="tests/stress.sh tests/twonames.sh" suite build-tsan --enable-tsan CFLAGS='-O1 -g'
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
