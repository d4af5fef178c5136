#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Writes, truncates and chowns take setuid, setgid and capabilities.
. "${0%/*}/functions.sh"
requires root fuse python3 mke2fs e2fsck
simple_test killpriv.py 64M -t ext4
finish
