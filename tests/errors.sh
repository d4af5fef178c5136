#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# errors=continue, remount-ro and panic, given as an option or by the superblock, on a
# volume with a damaged directory block and a damaged inode (without checksums, so
# that only the contents tell): the messages, what works afterwards, and what is in
# the superblock, as dumpe2fs sees it.
. "${0%/*}/functions.sh"
requires root ours fuse mke2fs e2fsck debugfs dumpe2fs tune2fs

mkdir tree second
echo hello >tree/good
mkdir tree/bad tree/fine
for i in 1 2 3 4 5; do echo x >tree/bad/$i; done
echo x >tree/twisted

# A directory block whose first record has the length 5; an inode with an extent
# header that is none.
damage() {
	make_image img 16M -t ext4 -b 4096 -O ^metadata_csum,^has_journal "$@" -d tree || exit 99
	local blk ino
	blk=$(debugfs -R 'bmap bad 0' img 2>/dev/null | grep -o '^[0-9]*')
	printf '\5\0' | dd of=img bs=1 seek=$((blk * 4096 + 4)) conv=notrunc status=none
	debugfs -w -R 'sif twisted block[0] 0x12345678' img >/dev/null 2>&1
	bad_ino=$(debugfs -R 'stat bad' img 2>/dev/null | sed -n 's/^Inode: \([0-9]*\).*/\1/p')
	bad_blk=$blk
	twisted_ino=$(debugfs -R 'stat twisted' img 2>/dev/null | sed -n 's/^Inode: \([0-9]*\).*/\1/p')
}
super() {
	dumpe2fs -h img 2>/dev/null | sed -n "s/^$1: *//p"
}
start() {
	: >server.log
	ok "$1: mounts" mount_ours img mnt "noatime,nodiratime${2:+,$2}"
}
trip() {
	ls mnt/bad >ls.out 2>&1
}
says() {
	local i
	for ((i = 0; i < 100; i++)); do grep -q "$1" server.log && return; sleep 0.05; done
	cat server.log
	return 1
}
# The record is written without anything else happening.
recorded() {
	local i
	for ((i = 0; i < 100; i++)); do
		[ -n "$(super 'FS Error count')" ] && return
		sleep 0.1
	done
	dumpe2fs -h img 2>/dev/null
	return 1
}
check_record() {
	local what=$1 opts=${2-}
	ok "$what: the state has the error" sh -c '[ "$1" = "$2" ] || [ "$1" = "not $2" ]' sh "$(super 'Filesystem state')" "clean with errors"
	is "$(super 'First error inode #')" "$bad_ino" "$what: the first error's inode"
	is "$(super 'First error block #')" "$bad_blk" "$what: its block"
	is "$(super 'First error err')" EFSCORRUPTED "$what: its code"
	ok "$what: its function" test -n "$(super 'First error function')"
	ok "$what: its line" test -n "$(super 'First error line #')"
	ok "$what: its time" test -n "$(super 'First error time')"
}

# --- continue ---

check_continue() {
	local what=$1 opts=${2-}
	start "$what" "$opts"
	not_ok "$what: the damaged directory cannot be listed" trip
	ok "$what: EUCLEAN" grep -q "Structure needs cleaning" ls.out
	ok "$what: the place is named" says "Structure needs cleaning (inode #$bad_ino, block $bad_blk)"
	ok "$what: says so" says "Continuing after errors; is this a good idea?"
	ok "$what: it is recorded soon" recorded
	ok "$what: writing works" sh -c 'echo y >mnt/fine/new'
	not_ok "$what: the damaged file cannot be read" cat mnt/twisted
	trip
	ok "$what: the good one can" cmp mnt/good tree/good
	ok "$what: unmounts" umount_ours mnt
	check_record "$what"
	ok "$what: more than one is counted" test "$(super 'FS Error count')" -ge 2
	is "$(super 'Last error err')" EFSCORRUPTED "$what: the last error's code"
	is "$(debugfs -R 'cat fine/new' img 2>/dev/null)" y "$what: what was written is there"
	is "$(grep -c 'Continuing after' server.log)" 1 "$what: said once"
}
damage -e continue
check_continue "errors=continue by the superblock"
timeout 60 "$FUSE2FS" -f "$work/img" "$work/second" >out 2>err </dev/null
is $? 32 "not mounted again for writing"
ok "and says why" grep -q "Errors detected; running e2fsck is required." err
e2fsck -fy img >/dev/null 2>&1
ok "e2fsck repairs it" fsck_clean img
ok "and it is mounted again" mount_ours img mnt
ok "and written" sh -c 'echo z >mnt/fine/again'
umount_ours mnt
damage -e panic
check_continue "errors=continue by option" errors=continue

# --- remount-ro ---

check_ro() {
	local what=$1 opts=${2-}
	start "$what" "$opts"
	echo before >mnt/fine/before
	not_ok "$what: the damaged file cannot be read" trip
	ok "$what: says so" says "Remounting read-only due to errors."
	not_ok "$what: no writing from now on" sh -c 'echo y >mnt/fine/new'
	not_ok "$what: nor in what is there" sh -c 'echo y >>mnt/good'
	ok "$what: nor removing" sh -c '! rm -f mnt/good 2>rm.err && grep -q "Read-only file system" rm.err'
	ok "$what: reading works" cmp mnt/good tree/good
	ok "$what: it is recorded soon" recorded
	ok "$what: unmounts" umount_ours mnt
	check_record "$what"
	is "$(debugfs -R 'cat fine/before' img 2>/dev/null)" before "$what: what was written before is there"
	not_ok "$what: and not what came later" sh -c "debugfs -R 'cat fine/new' img 2>/dev/null | grep y"
}
damage -e remount-ro
check_ro "errors=remount-ro by the superblock"
damage -e continue
check_ro "errors=remount-ro by option" errors=remount-ro

# --- panic ---

check_panic() {
	local what=$1 opts=${2-} pid i status
	start "$what" "$opts"
	pid=$(server_pid mnt)
	echo before >mnt/fine/before
	not_ok "$what: the damaged file cannot be read" trip
	ok "$what: says so" says "Aborting filesystem mount due to errors."
	for ((i = 0; i < 300; i++)); do is_mounted mnt || break; sleep 0.05; done
	not_ok "$what: the mount is gone" is_mounted mnt
	wait "$pid"
	status=$?
	ok "$what: the server ended, and not well ($status)" test $status != 0 -a $status -lt 128
	umount -l mnt 2>/dev/null
	check_record "$what"
	is "$(debugfs -R 'cat fine/before' img 2>/dev/null)" before "$what: what was written before is there"
	ok "$what: no core" sh -c '! ls core* 2>/dev/null'
}
damage -e panic
check_panic "errors=panic by the superblock"
damage -e continue
check_panic "errors=panic by option" errors=panic

# --- none of these ---

damage -e panic
start "ro" ro
not_ok "ro: the damaged directory cannot be listed" trip
sleep 0.5
ok "ro: errors=panic is for writers" is_mounted mnt
umount_ours mnt
is "$(super 'FS Error count')" "" "ro: nothing is recorded"
timeout 60 "$FUSE2FS" -f -o errors=maybe "$work/img" "$work/second" >out 2>err </dev/null
is $? 1 "errors=maybe is refused"
ok "and says why" grep -q "unknown errors behavior." err
finish
