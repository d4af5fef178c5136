#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Lookups and forgets are counted right: when the kernel has dropped all that it
# knew (thousands of files, names and folders, some of them long gone), the
# server knows no node any more.
. "${0%/*}/functions.sh"
requires root ours fuse mke2fs e2fsck
[ -w /proc/sys/vm/drop_caches ] || skip_all "cannot drop the kernel's caches"

# The kernel forgets in its own time.
forget() {
	local i
	for i in 1 2 3; do
		echo 2 >/proc/sys/vm/drop_caches
		sleep 0.3
	done
}

make_image img 64M -t ext4
ok "mount" mount_ours img mnt fuse2fs_debug || finish
mkdir mnt/a mnt/b
for ((i = 0; i < 1000; i++)); do
	: >mnt/a/$i
	ln mnt/a/$i mnt/b/$i
done
forget
ls -lR mnt >/dev/null
stat mnt/a/* mnt/b/* mnt/none >/dev/null 2>&1
for ((i = 0; i < 1000; i += 2)); do
	mv mnt/a/$i mnt/b/moved$i
	rm mnt/b/$i
done
exec 9<mnt/a/1
rm mnt/a/1 mnt/b/1
forget
ls -lR mnt >/dev/null
exec 9<&-
rm -r mnt/a
ls -lR mnt >/dev/null
forget
ok "unmount" umount_ours mnt
is "$(grep -o 'nodes: .* left' server.log)" "nodes: 0 left" "the server knows none"
ok "e2fsck finds nothing" fsck_clean img
finish
