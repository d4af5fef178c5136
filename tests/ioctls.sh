#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The ioctls of ext4 that a file system without a device can have; e2fsck and
# dumpe2fs agree with what they did.
. "${0%/*}/functions.sh"
requires root fuse python3 mke2fs e2fsck lsattr chattr fstrim dumpe2fs
uuid=12345678-9abc-def0-1234-56789abcdef0
make_image img 64M -t ext4 -L first -U $uuid || exit 99
ok "mount" mount_ours img mnt || finish
python_test ioctls.py mnt $uuid
ok "unmount" umount_ours mnt
ok "e2fsck finds nothing" fsck_clean img
is "$(dumpe2fs -h img 2>/dev/null | sed -n "s/^Filesystem volume name: *//p")" third "dumpe2fs: the label"
finish
