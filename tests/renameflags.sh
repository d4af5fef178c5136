#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# rename with NOREPLACE, EXCHANGE and WHITEOUT.
. "${0%/*}/functions.sh"
requires root fuse python3 mke2fs e2fsck
simple_test renameflags.py 64M -t ext4
finish
