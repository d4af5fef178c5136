#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# More than 65000 subdirectories, with dir_nlink.
. "${0%/*}/functions.sh"
requires root fuse python3 mke2fs e2fsck
make_image img 400M -t ext4 -N 70000 -b 1024 || exit 99
ok "mount" mount_ours img mnt || finish
python_test limits.py mnt subdirs
ok "unmount" umount_ours mnt
ok "e2fsck finds nothing" fsck_clean img
finish
