#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# offset=: a file system inside a bigger file or device, also beyond 2 and 4 GiB;
# nothing around it changes.
. "${0%/*}/functions.sh"
requires root ours fuse mke2fs e2fsck python3 debugfs
size=$((48 * 1024 * 1024))

around() { { head -c 4096 disk; tail -c +$((offset + size + 1)) disk; } | sha256sum; }
for offset in 512 1048576 2684358656 5368713216; do
	rm -f disk
	make_image img $size -t ext4 -b 1024 || exit 99
	truncate -s "$offset" disk
	[ "$offset" -lt 4096 ] || dd if=/dev/urandom of=disk bs=4096 count=1 conv=notrunc status=none
	dd if=img of=disk bs=64K seek="$offset" oflag=seek_bytes conv=notrunc,sparse status=none
	truncate -s $((offset + size)) disk
	head -c 65536 /dev/urandom >>disk
	[ "$offset" -lt 4096 ] || before=$(around)
	ok "offset=$offset" mount_ours disk mnt "offset=$offset" || continue
	ok "writing" sh -c 'dd if=/dev/urandom of=fill bs=1M count=20 2>/dev/null && cp fill mnt/ && sync -f mnt/fill'
	ok "until it is full" sh -c '! { cp fill mnt/2 && cp fill mnt/3 && sync -f mnt/3; }'
	is "$(stat -fc %s:%b mnt | cut -d: -f1)" 1024 "statfs is of the part"
	ok "unmount" umount_ours mnt
	[ "$offset" -lt 4096 ] || is "$(around)" "$before" "nothing around it changed, also when it is full"
	dd if=disk of=part bs=64K skip="$offset" iflag=skip_bytes count=$((size / 65536)) status=none
	ok "e2fsck finds nothing" fsck_clean part
	ok "what was written is in it" sh -c 'debugfs -R "dump fill out" part 2>/dev/null; cmp fill out'
	ok "ro" mount_ours disk mnt "ro,offset=$offset"
	ok "ro: the same" cmp mnt/fill fill
	ok "unmount" umount_ours mnt
done
for o in 4096 99999999999 -1 1k x ""; do
	not_ok "offset=$o is refused" timeout 40 "$FUSE2FS" -f disk mnt -o "offset=$o"
done
finish
