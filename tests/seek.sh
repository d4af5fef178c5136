#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# SEEK_DATA and SEEK_HOLE tell of holes, and never pass over data.
. "${0%/*}/functions.sh"
requires root fuse python3 mke2fs e2fsck
simple_test seek.py 64M -t ext4
finish
