#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# 65000 links to a file, and no more.
. "${0%/*}/functions.sh"
requires root fuse python3 mke2fs e2fsck
make_image img 100M -t ext4 || exit 99
ok "mount" mount_ours img mnt || finish
python_test limits.py mnt links
ok "unmount" umount_ours mnt
ok "e2fsck finds nothing" fsck_clean img
finish
