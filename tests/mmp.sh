#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Multiple mount protection against real others: while the server has a volume, the
# kernel, e2fsck and another server (by way of a loop device, where neither flock nor
# O_EXCL can tell) are kept out, and it is kept out by the kernel.  What the others
# think of the block is asked of dumpe2fs and debugfs.  The waits are the protocol's.
. "${0%/*}/functions.sh"
requires root ours fuse mke2fs e2fsck debugfs dumpe2fs

seq_of() {
	debugfs -R dump_mmp img 2>/dev/null | sed -n 's/^sequence: *//p'
}
now() { date +%s; }

make_image img 32M -t ext4 -O mmp,^has_journal -E mmp_update_interval=1
is "$(seq_of)" ff4d4d50 "clean at first"
start=$(now)
ok "mounts" mount_ours img mnt
took=$(($(now) - start))
ok "after eleven seconds ($took)" test $took -ge 11
ok "takes changes" sh -c 'echo hello >mnt/f'
a=$(seq_of)
# All of them at once, as each has to wait.
(dumpe2fs -m img >dump.out 2>&1; echo $? >dump.status) &
(e2fsck -p img >fsck.out 2>&1; echo $? >fsck.status) &
others=2
if t_have_loop; then
	others=4
	loop1=$(losetup -f --show img) && cleanup losetup -d "$loop1"
	loop2=$(losetup -f --show img) && cleanup losetup -d "$loop2"
	mkdir kernel second
	(mount -t ext4 "$loop1" kernel >kernel.out 2>&1; echo $? >kernel.status) &
	(timeout 60 "$FUSE2FS" -f "$loop2" second >second.out 2>&1; echo $? >second.status) &
fi
for ((i = 0; i < 600; i++)); do
	[ "$(ls ./*.status 2>/dev/null | wc -l)" = $others ] && break
	sleep 0.1
done
ok "it counts on" test "$(seq_of)" != "$a"
ok "the checksum is right" sh -c 'debugfs -R dump_mmp img 2>&1 | grep -q "^sequence"'
not_ok "dumpe2fs -m: it is in use" sh -c 'exit $(cat dump.status)'
not_ok "e2fsck -p keeps out" sh -c 'exit $(cat fsck.status)'
if [ $others = 4 ]; then
	not_ok "the kernel keeps out" sh -c 'exit $(cat kernel.status)'
	is "$(cat second.status)" 32 "another server keeps out"
	ok "and says why" grep -q "MMP: the filesystem is in use by another host (last updated by node" second.out
fi
ok "the mount works on" sh -c 'cp mnt/f mnt/g && cmp mnt/f mnt/g'
ok "unmounts" umount_ours mnt
is "$(seq_of)" ff4d4d50 "clean at the end"
ok "e2fsck finds nothing" fsck_clean img

if [ $others = 4 ]; then
	ok "the kernel may have it now" mount -t ext4 "$loop1" kernel
	timeout 60 "$FUSE2FS" -f "$loop2" second >second.out 2>&1
	is $? 32 "then we keep out"
	ok "and say why" grep -q "MMP: the filesystem is in use by another host" second.out
	ok "the kernel's mount works on" cmp kernel/f kernel/g
	umount kernel
	is "$(seq_of)" ff4d4d50 "clean after the kernel"
fi
sha256sum img >sum
ok "ro: mounts at once" mount_ours img mnt ro
is "$(cat mnt/g)" hello "ro: reads"
umount_ours mnt
ok "ro: not a byte was written" sha256sum -c sum
finish
