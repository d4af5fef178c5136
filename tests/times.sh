#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Times: nanoseconds and far dates on inodes of 256 bytes, seconds on those of
# 128; what touches them; after a new mount they are the same.
. "${0%/*}/functions.sh"
requires root fuse python3 mke2fs e2fsck
simple_test times.py 64M -t ext4
make_image img 64M -t ext2 -I 128 || exit 99
ok "mount, 128-byte inodes" mount_ours img mnt || finish
python_test times.py mnt 128
stat -c "%n %x %y %z" mnt/* >before
ok "unmount" umount_ours mnt
ok "mount again" mount_ours img mnt ro
stat -c "%n %x %y %z" mnt/* >after
ok "the same after a new mount" diff before after
umount_ours mnt
finish
