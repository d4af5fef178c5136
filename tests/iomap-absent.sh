#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A kernel that offers no iomap is sent none of it: neither bits nor minor
# version in the answer to INIT, no notification, no loop device; what was
# asked for with it is refused, and everything else works.
. "${0%/*}/functions.sh"
requires root ours fuse loop losetup mke2fs e2fsck
case $(cat /sys/module/fuse/parameters/enable_iomap 2>/dev/null) in
Y | 1) skip_all "this kernel has iomap" ;;
esac

make_image img 32M -t ext4 || exit 99
mkdir mnt
refused() {
	timeout 30 "$FUSE2FS" "$work/img" "$work/mnt" -o "$2" >log 2>&1 </dev/null
	[ $? = 32 ] && grep -qF "$1" log && ! is_mounted mnt || { cat log; return 1; }
}
has() { grep -qE "$1" log || { grep -E 'INIT|iomap' log; return 1; }; }
has_not() { ! grep -E "$1" log; }

# A device is what iomap takes, so there it is only the kernel's offer that is missing.
dev=$(losetup -f --show img) || exit 99
trap 'losetup -d "$dev" 2>/dev/null' EXIT
try() {
	local source=$1 words=$2 what="${1##*/} -o ${2:-nothing}" pid i
	: >log
	"$FUSE2FS" -f "$source" "$work/mnt" -o "fuse2fs_debug${words:+,$words}" >>log 2>&1 </dev/null &
	pid=$!
	echo "$pid $work/mnt" >>.pids
	for ((i = 0; i < 1000; i++)); do
		is_mounted mnt && stat mnt/. >/dev/null 2>&1 && break
		kill -0 $pid 2>/dev/null || break
		sleep 0.01
	done
	ok "$what: a file is written and read" sh -c 'seq 10000 >mnt/f && seq 10000 | cmp - mnt/f'
	[ "$source" = "$dev" ] || ok "$what: no loop device" sh -c '! losetup -j img | grep .'
	ok "$what: unmount" umount_ours mnt
	ok "$what: the answer to INIT has no iomap" has 'INIT: .*no iomap$'
	ok "$what: ... no bit of flags2" has 'INIT: .*flags2 replied 00000000'
	ok "$what: ... and not its minor" has_not 'INIT: .*minor 99'
	ok "$what: nothing is said of it" has_not 'iomap: '
}

for words in "" iomap iomap=default iomap=0 iomap_cache noiomap_cache nolazytime,nostrictatime; do
	try "$dev" "$words"
done
losetup -d "$dev"
for ((i = 0; i < 500; i++)); do
	[ -n "$(losetup -j img)" ] || break
	sleep 0.02
done
try "$work/img" ""
ok "iomap=1 is refused" refused "Could not enable iomap." iomap=1
ok "so is lazytime" refused "Some mount options require iomap." lazytime
ok "and strictatime" refused "Some mount options require iomap." strictatime,iomap=0
ok "but not if taken back" sh -c '"$FUSE2FS" img mnt -o lazytime,strictatime,nolazytime,nostrictatime && stat mnt/f >/dev/null'
umount_ours mnt
ok "e2fsck finds nothing" fsck_clean img
finish
