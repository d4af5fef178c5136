#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Read-only: "ro" opens the source O_RDONLY and not a byte of it changes, whatever is
# read (access times too); so on write-protected images and media, where a writable
# mount falls back to it with a warning.
. "${0%/*}/functions.sh"
requires root ours fuse mke2fs debugfs

warning=": WARNING: source write-protected, mounted read-only."
mkdir tree
echo hello >tree/f
mkdir tree/d
ln -s f tree/s
ln -s /a/very/long/target/that/does/not/fit/into/the/inode/itself/so/it/has/a/block tree/l
dd if=/dev/urandom of=tree/big bs=64k count=20 status=none

# What sets access times, and what is refused.
use() {
	cat "$1"/f "$1"/big >/dev/null && readlink "$1"/s "$1"/l >/dev/null &&
		ls -lR "$1" >/dev/null && stat -f "$1" >/dev/null &&
		getfattr -d "$1/f" >/dev/null 2>&1
	! echo x 2>/dev/null >"$1/f" && ! mkdir "$1/x" 2>/dev/null &&
		! rm -f "$1/f" 2>/dev/null && ! chmod 600 "$1/f" 2>/dev/null &&
		! touch "$1/f" 2>/dev/null && cmp "$1/f" tree/f
}
opened_readonly() {
	local pid fd
	pid=$(server_pid "$1")
	for fd in /proc/"$pid"/fd/*; do
		[ "$(readlink "$fd")" = "$2" ] || continue
		# the access mode is the last octal digit
		grep -q '^flags:.*[04]$' "/proc/$pid/fdinfo/${fd##*/}"
		return
	done
	return 1
}
# check WHAT SOURCE OPTIONS WARNED
check() {
	local what=$1 src=$2 opts=$3 warned=$4
	sha256sum img >sum
	: >server.log
	ok "$what: mounts" mount_ours "$src" mnt "$opts" || return
	if [ "$warned" = yes ]; then
		ok "$what: with the warning" grep -qF "$warning" server.log
	else
		ok "$what: without a warning" test ! -s server.log
	fi
	ok "$what: ro in the mount table" grep -q " $work/mnt fuse.ext4 ro," /proc/mounts
	ok "$what: opened O_RDONLY" opened_readonly mnt "$(realpath "$src")"
	ok "$what: reads, and takes no change" use mnt
	ok "$what: unmounts" umount_ours mnt
	ok "$what: not a byte was written" sha256sum -c sum
}

for mkfs in "-t ext4" "-t ext2 -b 1024" "-t ext3 -I 128"; do
	# shellcheck disable=SC2086
	make_image img 32M $mkfs -d tree
	# Older than their last change: relatime and strictatime would write.
	for f in f big s l d; do
		debugfs -w -R "sif $f atime 20200101" img >/dev/null 2>&1
	done
	check "$mkfs, ro" img ro no
	check "$mkfs, ro,sync" img ro,sync no
done
debugfs -w -R "ssv state 0" img >/dev/null 2>&1
sha256sum img >sum
mount_ours img mnt ro && umount_ours mnt
ok "not clean: not a byte was written" sha256sum -c sum
debugfs -w -R "ssv state 1" img >/dev/null 2>&1

# root may write whatever the mode is, so only the file system can say no
mkdir rofs
if mount -t tmpfs none rofs 2>/dev/null; then
	cp img rofs/img
	mount -o remount,ro rofs
	check "an image on a read-only file system" rofs/img "" yes
	check "an image on a read-only file system, ro" rofs/img ro no
	umount rofs
fi
if chattr +i img 2>/dev/null; then
	check "an immutable image" img "" yes
	chattr -i img
fi

if t_have_loop; then
	loop=$(losetup -r -f --show img) && cleanup losetup -d "$loop"
	check "a read-only loop device" "$loop" "" yes
	check "a read-only loop device, ro" "$loop" ro no
	loop2=$(losetup -f --show img) && cleanup losetup -d "$loop2"
	blockdev --setro "$loop2"
	check "a device made read-only" "$loop2" "" yes
	blockdev --setrw "$loop2"
	check "a device, ro" "$loop2" ro no
else
	skip "devices" "needs loop devices"
fi

# As an ordinary user: the mode of the image counts.
if command -v setpriv fusermount3 >/dev/null; then
	mkdir -p user/mnt
	cp img user/img
	chmod 444 user/img
	chown -R 65534:65534 user
	chown 0:0 user/img
	# a /dev/fuse that anybody may open, in a private /dev
	cat >user.sh <<'S'
# Copies of the mounts of other tests would keep their servers alive.
awk '$3 ~ /^fuse/ { print $2 }' /proc/self/mounts |
	while read -r dir; do umount -l "$dir"; done
mount -t tmpfs none /dev || exit 77
mknod -m 666 /dev/fuse c 10 229 && mknod -m 666 /dev/null c 1 3 &&
	mknod -m 666 /dev/urandom c 1 9 || exit 77
exec setpriv --reuid=65534 --regid=65534 --clear-groups sh -c '
	"$FUSE2FS" "$1/img" "$1/mnt" 2>"$1/err" || exit 77
	cat "$1/mnt/f" >"$1/out"
	touch "$1/mnt/x" 2>/dev/null && echo written >>"$1/out"
	fusermount3 -u "$1/mnt"' sh "$1"
S
	chmod 755 "$work"
	sha256sum user/img >sum
	unshare -m sh user.sh "$work/user" >user.log 2>&1
	if [ $? = 77 ]; then
		skip "an ordinary user, image 0444" "cannot mount: $(tail -1 user/err 2>/dev/null)"
	else
		is "$(cat user/out)" hello "an ordinary user, image 0444: read, not written"
		ok "with the warning" grep -qF "$warning" user/err
		ok "not a byte was written" sha256sum -c sum
	fi
fi
finish
