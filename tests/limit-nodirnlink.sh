#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# 65000 links to a directory and no more, without dir_nlink.
. "${0%/*}/functions.sh"
requires root fuse python3 mke2fs e2fsck
make_image img 400M -t ext4 -N 70000 -b 1024 -O ^dir_nlink || exit 99
ok "mount" mount_ours img mnt || finish
python_test limits.py mnt nodirnlink
ok "unmount" umount_ours mnt
ok "e2fsck finds nothing" fsck_clean img
finish
