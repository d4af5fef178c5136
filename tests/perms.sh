#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Who may do what: as in-kernel ext4 decides.
. "${0%/*}/functions.sh"
requires root fuse python3 mke2fs e2fsck
simple_test perms.py 64M -t ext4
finish
