#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A new inode takes group, setgid, flags and project from its directory.
. "${0%/*}/functions.sh"
requires root fuse python3 mke2fs e2fsck
simple_test inherit.py 64M -t ext4
# Only where there are project ids; the kernel needs quota support for them.
make_image img 64M -t ext4 -O project -I 256 || exit 99
if [ "${SERVER-}" = kernel ] && ! mount_kernel img mnt >/dev/null; then
	skip "project ids" "the kernel cannot"
	finish
fi
[ "${SERVER-}" = kernel ] || ok "mount with project ids" mount_ours img mnt || finish
python_test inherit.py mnt project
ok "unmount" umount_ours mnt
ok "e2fsck finds nothing" fsck_clean img
finish
