#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A container runtime's way to an image inside a bigger file: a preloaded library
# that shifts open64, __open64_2, pread64 and pwrite64, and nothing else.
. "${0%/*}/private.sh"
requires root ours fuse mke2fs e2fsck python3 cc debugfs
cc -shared -fPIC -O1 -Wall -o shim.so "$T_SRC/tools/offsetshim.c" -ldl || t_bail "cannot compile the shim"
if nm -D "$FUSE2FS" 2>/dev/null | grep -q __asan; then
	skip_all "a sanitizer's own interposition is in the way"
fi
mkdir mnt
for offset in 32768 2684358656; do
	for t in ext3 ext4; do
		rm -f file
		make_image img 64M -t $t || exit 99
		cp --sparse=always img file.part
		truncate -s "$offset" file
		dd if=file.part of=file bs=4096 seek="${offset}" oflag=seek_bytes conv=notrunc,sparse status=none
		truncate -s $((offset + 64 * 1024 * 1024 + 65536)) file
		dd if=/dev/urandom of=file bs=4096 count=4 conv=notrunc status=none
		dd if=/dev/urandom of=file bs=4096 count=16 seek=$((offset + 64 * 1024 * 1024)) oflag=seek_bytes conv=notrunc status=none
		cmp_around() { { head -c 32768 file; tail -c 65536 file; } | sha256sum; }
		before=$(cmp_around)
		python_test shimtest.py "$work/file" "$work/mnt" "$offset" "$work/shim.so"
		is "$(cmp_around)" "$before" "$t at $offset: nothing around it changed"
		dd if=file of=part bs=64K skip="$offset" iflag=skip_bytes count=1024 conv=sparse status=none
		truncate -s 64M part
		ok "$t at $offset: e2fsck finds nothing" fsck_clean part
		is "$(debugfs -R 'cat d/f' part 2>/dev/null)" "hello" "$t at $offset: what was written is in it"
	done
done
finish
