#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# copy_file_range copies data and holes, and fails as it should.
. "${0%/*}/functions.sh"
requires root fuse python3 mke2fs e2fsck
simple_test copyrange.py 64M -t ext4
finish
