#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# ACLs are stored, inherited, in step with the mode, and obeyed.
. "${0%/*}/functions.sh"
requires root fuse python3 mke2fs e2fsck setfacl getfacl
simple_test acl.py 64M -t ext4
simple_test acl.py 64M -t ext3 -b 1024 -I 128
finish
