#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# /dev/fd/N as the mount point: the mount was made by somebody else.
. "${0%/*}/private.sh"
requires root ours fuse mke2fs e2fsck python3
mkdir mnt
chmod 755 "$work"
make_image img 32M -t ext3 || exit 99
python_test fdmounttest.py "$work/img" "$work/mnt"
finish
