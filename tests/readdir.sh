#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Directories are read whole, with types, and positions in them stay valid while
# entries come and go; linear and hashed ones.
. "${0%/*}/functions.sh"
requires root fuse python3 mke2fs e2fsck
simple_test readdirs.py 64M -t ext4 -b 1024
simple_test readdirs.py 64M -t ext4 -b 4096
make_image img 64M -t ext4 -O ^dir_index,^filetype || exit 99
ok "mount, without dir_index and filetype" mount_ours img mnt || finish
python_test readdirs.py mnt notypes
ok "unmount" umount_ours mnt
ok "e2fsck finds nothing" fsck_clean img
simple_test readdirs.py 64M -t ext4 -O inline_data
finish
