#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# mkdir, mknod, create, link, symlink, unlink, rmdir and rename do what POSIX
# says, fail with the errno that ext4 gives, and leave a volume without fault.
. "${0%/*}/functions.sh"
requires root fuse python3 mke2fs e2fsck
simple_test names.py 64M -t ext4
simple_test names.py 64M -t ext2 -b 1024
finish
