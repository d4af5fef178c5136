#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# One writer: flock on images (shared for readers), O_EXCL on block devices.  Who
# comes second waits for a while and is told by whom the volume is in use; or has it
# as soon as the first one has gone.
. "${0%/*}/functions.sh"
requires root ours fuse mke2fs e2fsck debugfs python3
unset FUSE2FS_LOCK_WAIT

make_image img 16M -t ext4
mkdir second
ms() { echo $(($(date +%s%N) / 1000000)); }
# second SOURCE [OPTIONS]: the exit status, messages in err, time in took
second() {
	local start
	start=$(ms)
	timeout 60 "$FUSE2FS" -f -o "${2-rw}" "$1" "$work/second" >out 2>err </dev/null
	status=$?
	took=$(($(ms) - start))
	is_mounted second && { umount -l second; status=0; }
	return $status
}

# --- images ---

export FUSE2FS_LOCK_WAIT=0
ok "an image mounts" mount_ours img mnt
pid=$(server_pid mnt)
second "$work/img"
is $status 32 "the second one is refused"
ok "with FUSE2FS_LOCK_WAIT=0 at once ($took ms)" test $took -lt 3000
ok "it says what" grep -q "Could not lock filesystem image: " err
ok "and by whom" grep -q "in use by process $pid ([^)]*)" err
is "$(cat out)" "" "nothing on standard output"
second "$work/img" ro
is $status 32 "a reader beside a writer too"
ln -s img link
second "$work/link"
is $status 32 "by another name too"
ok "and by whom" grep -q "in use by process $pid " err
export FUSE2FS_LOCK_WAIT=3
second "$work/img"
is $status 32 "FUSE2FS_LOCK_WAIT=3: refused"
ok "after three seconds ($took ms)" test $took -ge 2900
ok "and was told why it waits" grep -q "Waiting: the filesystem is in use by process $pid " err
unset FUSE2FS_LOCK_WAIT

# The first leaves while the second waits.
(sleep 0.7; umount mnt) &
leaver=$!
ok "who waits gets it" mount_ours img mnt2
wait $leaver
ok "and can write" sh -c 'echo x >mnt2/f'
ok "unmount" umount_ours mnt2
ok "e2fsck finds nothing" fsck_clean img

export FUSE2FS_LOCK_WAIT=0
ok "a reader" mount_ours img mnt ro
ok "a second reader" mount_ours img mnt2 ro
ok "both read" cmp mnt/f mnt2/f
second "$work/img"
is $status 32 "no writer beside readers"
umount_ours mnt
umount_ours mnt2

debugfs -w -R "feature read-only" img >/dev/null 2>&1
ok "one that is read-only by itself" mount_ours img mnt
ok "leaves room for readers" mount_ours img mnt2 ro
umount_ours mnt
umount_ours mnt2
debugfs -w -R "feature -read-only" img >/dev/null 2>&1

cat >holder.py <<'P'
import fcntl, sys, time
f = open("img", "r+")
getattr(fcntl, sys.argv[1])(f, fcntl.LOCK_EX)
print("ready", flush=True)
time.sleep(100)
P
# hold FUNCTION: a process that has the lock
hold() {
	rm -f ready
	python3 holder.py "$1" >ready &
	holder=$!
	local i
	for ((i = 0; i < 200; i++)); do [ -s ready ] && break; sleep 0.05; done
}
release() {
	kill $holder
	wait $holder 2>/dev/null
}
hold flock
second "$work/img"
is $status 32 "anybody's flock is respected"
ok "the holder is named" grep -q "in use by process $holder (python3" err
release
hold lockf
ok "fcntl locks, as container runtimes hold them, are none of ours" mount_ours img mnt
umount_ours mnt
release

# --- devices ---

if t_have_loop; then
	loop=$(losetup -f --show img) && cleanup losetup -d "$loop"
	ok "a device mounts" mount_ours "$loop" mnt
	pid=$(server_pid mnt)
	second "$loop"
	is $status 32 "device: the second one is refused"
	ok "device: it says what" grep -q "Could not lock filesystem block device: " err
	ok "device: and by whom" grep -q "in use by process $pid (" err
	mkdir kernel
	not_ok "device: the kernel is refused" mount -t ext4 "$loop" kernel
	umount_ours mnt
	ok "device: the kernel mounts it" mount -t ext4 "$loop" kernel
	second "$loop"
	is $status 32 "device: beside the kernel: refused"
	ok "device: the mount is named" grep -qF "in use by the mount on $work/kernel" err
	second "$loop" ro
	is $status 32 "device: ro too"
	umount kernel
	ok "device: free again" mount_ours "$loop" mnt
	unset FUSE2FS_LOCK_WAIT
	(sleep 0.7; umount mnt) &
	leaver=$!
	ok "device: who waits gets it" mount_ours "$loop" mnt2
	wait $leaver
	umount_ours mnt2
	ok "device: e2fsck finds nothing" fsck_clean img
else
	skip "devices" "needs loop devices"
fi
finish
