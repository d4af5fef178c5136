#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A file without a name that is still open is fully usable, has no hidden name,
# and its space comes back.
. "${0%/*}/functions.sh"
requires root fuse python3 mke2fs e2fsck
simple_test unlinked.py 64M -t ext4
simple_test unlinked.py 64M -t ext2
simple_test unlinked.py 64M -t ext4 -O orphan_file
finish
