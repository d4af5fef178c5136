#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Two names of a file are one file, with mappings, O_APPEND, truncate, rename
# and unlink of either name in between.
. "${0%/*}/functions.sh"
requires root fuse python3 mke2fs e2fsck
simple_test twonames.py 64M -t ext4
simple_test twonames.py 64M -t ext2 -b 1024
finish
