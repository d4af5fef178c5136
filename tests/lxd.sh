#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# LXD's interception of mount(2): the source is a block device, and the call's flags
# come as words of -o.
. "${0%/*}/private.sh"
requires root ours fuse mke2fs e2fsck python3 losetup
mkdir mnt
make_image img 32M -t ext4 || exit 99
loop=$(losetup -f --show img) || skip_all "no loop device"
cleanup losetup -d "$loop"
m=$work/mnt

mount_with() {
	timeout 30 "$FUSE2FS" "$loop" "$m" -o "$1" >out 2>err </dev/null
}
gone() {
	umount "$m"
	for ((i = 0; i < 300; i++)); do
		[ -z "$(servers_of "$m")" ] && return 0
		sleep 0.01
	done
	return 1
}
for words in allow_other ro,nosuid,nodev,noexec,noatime nosuid,nodev,relatime sync dirsync nodiratime \
	async,atime,diratime norelatime nostrictatime,nomand silent mand noatime,data=ordered rw,suid,dev,exec; do
	if ok "-o $words" mount_with "$words"; then
		is "$(cat out err)" "" "$words: silent"
		is "$(awk -v d="$m" '$2 == d { print $1, $3 }' /proc/mounts)" "$loop fuse.ext4" "$words: in the mount table"
		if [[ $words == ro* ]]; then
			not_ok "$words: no change" touch mnt/x
		else
			ok "$words: it works" sh -c 'echo x >mnt/f && rm mnt/f'
		fi
		ok "$words: unmount" gone
	else
		sed 's/^/# /' err
	fi
done
mount_with allow_other
not_ok "the device is taken: a second server is refused" timeout 40 "$FUSE2FS" "$loop" "$work" -o ro
not_ok "the device is taken: the kernel's ext4 is refused" mount -t ext4 "$loop" "$m"
gone
blockdev --setro "$loop"
mount_with allow_other
is $? 0 "a device that is write-protected"
ok "the warning" grep -q 'WARNING: source write-protected, mounted read-only.' err
not_ok "takes no change" touch mnt/x
gone
blockdev --setrw "$loop"
ok "e2fsck finds nothing" fsck_clean img
finish
