#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Random operations on mapped files by one thread and by several, beside write-back
# in any order; then what a killed server leaves.
. "${0%/*}/iomap/functions.sh"
seeds=2
[ -z "${LONG-}" ] || seeds=40
for ((s = 1; s <= seeds; s++)); do
	iomap_test client -s $s -n 600
	iomap_test client -s $((s + 1000)) -t 4 -n 300 -M "-t ext4 -b 1024"
	iomap_test client -s $((s + 2000)) -t 3 -n 300 -o noiomap_cache
	iomap_test client -s $((s + 3000)) -t 4 -n 300 -F -M "-t ext4 -O bigalloc -C 32768"
done

# Killed at some point: what was fsynced is there, and nothing is broken.
for ((s = 1; s <= seeds * 3; s++)); do
	iomap_test client -s $s -t 2 -n 10000 -p 1 -k $((s * s * 37 + 20)) -l fsynced
	e2fsck -fy img >fsck.out 2>&1
	ok "killed, seed $s: e2fsck is content after recovery" fsck_clean img
	ok "mount" mount_kernel img kernel ro || break
	ok "what was fsynced is there" "$IOMAP/client" -c fsynced kernel
	umount kernel
done
finish
