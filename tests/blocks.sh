#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# st_blocks covers what was written, so that nobody takes data for a hole.
. "${0%/*}/functions.sh"
requires root fuse python3 mke2fs e2fsck tar
simple_test blocks.py 64M -t ext4
if [ "${SERVER-}" != kernel ]; then
	simple_test blocks.py 64M -t ext4 -O inline_data
fi
finish
