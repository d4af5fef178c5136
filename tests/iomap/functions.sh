# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# functions.sh - for the tests that play a kernel with iomap: sourced instead of
# tests/functions.sh.

. "${BASH_SOURCE[0]%/*}/../functions.sh"
requires root ours loop mke2fs e2fsck debugfs losetup
IOMAP=$TOOLS/../iomap
export IOMAP_PRELOAD=$IOMAP/preload.so
[ -e "$IOMAP_PRELOAD" ] || t_bail "no $IOMAP_PRELOAD"

# Loop devices that a killed program left.
iomap_loops() {
	losetup -n -O NAME -j "$work/img" | while read -r dev; do losetup -d "$dev"; done
}
cleanup iomap_loops

# iomap_test PROGRAM ARGUMENTS..: runs it in the current folder.
iomap_test() {
	local p=$1
	shift
	echo "# $p $*"
	rm -f server.log
	run_tap "$IOMAP/$p" "$@" || { tail -5 server.log | sed 's/^/# server: /'; }
	iomap_loops
}
