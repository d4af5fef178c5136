#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Every mode of fallocate changes size, contents and space as it should.
. "${0%/*}/functions.sh"
requires root fuse python3 mke2fs e2fsck
simple_test falloc.py 64M -t ext4
make_image img 64M -t ext3 -b 1024
ok "mount ext3" mount_ours img mnt
python_test falloc.py mnt noextents
ok "unmount" umount_ours mnt
ok "e2fsck finds nothing" fsck_clean img
finish
