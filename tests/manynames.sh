#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A directory of 100,000 names: made, listed, looked up, renamed, half removed; the
# kernel can use its index.
. "${0%/*}/functions.sh"
requires root fuse python3 mke2fs e2fsck
make_image img 200M -t ext4 -b 1024 -N 110000 || exit 99
ok "mount" mount_ours img mnt || finish
python_test limits.py mnt many
ls mnt/m | sort >ours
ok "unmount" umount_ours mnt
ok "e2fsck finds nothing" fsck_clean img
if mount_kernel img mnt; then
	ls mnt/m | sort >kernel
	ok "the kernel lists the same" cmp ours kernel
	ok "the kernel finds them by the index" stat mnt/m/name-2 mnt/m/name-99998
	ok "the kernel adds and removes" sh -c "touch mnt/m/by-the-kernel && rm mnt/m/name-2"
	umount mnt
	ok "e2fsck after the kernel" fsck_clean img
fi
finish
