#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# How programs start and stop the server: in the background, by descriptor, at an
# offset; what mount table, output and exit status say; what is refused, and that
# read-only writes nothing.
. "${0%/*}/functions.sh"
requires root ours fuse mke2fs e2fsck debugfs python3

mkdir mnt
# start ARGUMENTS..: in the background, as users do
start() {
	timeout 60 "$FUSE2FS" "$@" >out 2>err </dev/null
	status=$?
	# Its process, so that it is ended if the test is.
	local p
	for p in /proc/[0-9]*; do
		[ "$(readlink "$p/exe" 2>/dev/null)" = "$(realpath "$FUSE2FS")" ] &&
			grep -qzF "$work/" "$p/cmdline" 2>/dev/null && { pid=${p#/proc/}
			echo "$pid $work/mnt" >>.pids; }
	done
	return $status
}
ended() {
	local i
	for ((i = 0; i < 500; i++)); do
		[ -d "/proc/$pid" ] || return 0
		sleep 0.01
	done
	return 1
}

img=$work/img
make_image img 16M -t ext4 -L cli
start "$img" "$work/mnt"
is $status 0 "mounts, and the parent ends with 0"
ok "it is mounted when the parent ends" is_mounted mnt
ok "and works" sh -c 'echo x >mnt/f && cat mnt/f'
is "$(cat out)" "" "nothing on standard output"
is "$(awk -v d="$work/mnt" '$2 == d { print $1, $3 }' /proc/mounts)" "$img fuse.ext4" "source and type in /proc/mounts"
umount mnt
ok "it ends after unmount" ended
ok "e2fsck finds nothing" fsck_clean img

start "$img" "$work/mnt" -o ro,lockfile="$work/lock"
is $status 0 "-o ro"
ok "ro is in /proc/mounts" grep -q " $work/mnt fuse.ext4 ro," /proc/mounts
ok "the lock file is there" test -e lock
not_ok "nothing can be written" touch mnt/x
is "$(cat mnt/f)" x "it is read"
umount mnt
ended
ok "the lock file is gone" test ! -e lock
sha256sum img >sum
start "$img" "$work/mnt" -o ro
find mnt >/dev/null
cat mnt/f >/dev/null
umount mnt
ended
ok "ro: not a byte of the image changed" sha256sum -c sum

exec 7<>img
start /proc/self/fd/7 "$work/mnt" -o allow_other,fakeroot
is $status 0 "the image as /proc/self/fd/7"
is "$(cat mnt/f)" x "and it is that image"
umount mnt
exec 7<&-
sleep 0.3

truncate -s 3M disk
cat img >>disk
start "$work/disk" "$work/mnt" -o offset=3145728
is $status 0 "-o offset"
is "$(cat mnt/f)" x "and it is that volume"
echo changed >mnt/f
umount mnt
ended
tail -c +3145729 disk >part
ok "offset: e2fsck finds nothing in it" fsck_clean part
is "$(debugfs -R 'cat f' part 2>/dev/null)" changed "offset: the change is in it"
ok "offset: nothing before it changed" cmp -n 3145728 disk /dev/zero

# Stopping by a signal is as good as unmounting.
for sig in TERM INT HUP; do
	start "$img" "$work/mnt"
	echo "$sig" >mnt/f
	kill -$sig "$pid"
	ok "SIG$sig ends it" ended
	umount mnt 2>/dev/null
	ok "SIG$sig: e2fsck finds nothing" fsck_clean img
	is "$(debugfs -R 'cat f' img 2>/dev/null)" "$sig" "SIG$sig: what was written is there"
done

# Refusals.
start "$work/nothing" "$work/mnt"
is $status 32 "no such image: 32"
ok "and a message" test -s err
head -c 100000 /dev/urandom >noise
start "$work/noise" "$work/mnt"
is $status 32 "not ext4: 32"
ok "and what to run" grep -q 'Please run e2fsck -fy' err
start
is $status 1 "no arguments: 1"
ok "and a hint" grep -q 'Missing ext4 device/image' err
start "$img" "$work/no/such/place"
ok "no mount point: not 0" test $status != 0
start "$img" "$work/mnt" -o nosuchoption
is $status 1 "unknown option: 1"
start -V
is $status 0 "-V: 0"

make_image dirty 32M -t ext4
debugfs -w -R 'jo' dirty >/dev/null 2>&1
printf 'jo\njw -b 100 /dev/null\njc\n' | debugfs -w -f - dirty >/dev/null 2>&1
debugfs -w -R 'feature needs_recovery' dirty >/dev/null 2>&1
if dumpe2fs -h dirty 2>/dev/null | grep -q needs_recovery; then
	start "$work/dirty" "$work/mnt"
	is $status 32 "a dirty journal: 32"
	ok "and what to run" grep -q 'e2fsck -E journal_only' err
	is_mounted mnt && umount mnt
fi
finish
