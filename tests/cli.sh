#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# How programs start and stop the server: in the background, by descriptor, at an
# offset; what mount table, output, log file and exit status say, and who is let go
# when; what is refused, and that read-only writes nothing.
. "${0%/*}/functions.sh"
requires root ours fuse mke2fs e2fsck debugfs python3

mkdir mnt
# start ARGUMENTS..: in the background, as users do
start() {
	timeout 60 "$FUSE2FS" "$@" >out 2>err </dev/null
	status=$?
	start_pid
	return $status
}
# Its process, also so that it is ended if the test is.
start_pid() {
	local p
	for p in /proc/[0-9]*; do
		if [ "$p/exe" -ef "$FUSE2FS" ] && grep -qzF "$work/" "$p/cmdline"; then
			pid=${p#/proc/}
			echo "$pid $work/mnt" >>.pids
		fi
	done 2>/dev/null
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
head -c 100000 /dev/urandom >noise
make_image img 16M -t ext4 -L cli
start "$img" "$work/mnt"
is $status 0 "mounts, and the parent ends with 0"
ok "it is mounted when the parent ends" is_mounted mnt
ok "and works" sh -c 'echo x >mnt/f && cat mnt/f'
is "$(cat out)" "" "nothing on standard output"
is "$(cat err)" "" "nor on standard error"
is "$(awk -v d="$work/mnt" '$2 == d' /proc/mounts)" \
	"$img $work/mnt fuse.ext4 rw,nosuid,nodev,relatime,user_id=0,group_id=0,default_permissions 0 0" \
	"its line in /proc/mounts"
is "$(readlink "/proc/$pid/cwd") $(readlink "/proc/$pid/fd/0" "/proc/$pid/fd/1" "/proc/$pid/fd/2" | xargs)" \
	"/ /dev/null /dev/null /dev/null" "it holds no folder and no terminal"
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

# A number that nobody else uses: e2fsck elsewhere would find its own
# descriptor of that number "mounted".
exec 97<>img
start /proc/self/fd/97 "$work/mnt" -o allow_other,fakeroot
is $status 0 "the image as /proc/self/fd/97"
is "$(cat mnt/f)" x "and it is that image"
umount mnt
exec 97<&-
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

# Callers that wait for the end of a pipe are let go when the mount is live.
# piped WHAT SHELL-TEXT: the text is run with $m, the command that mounts
piped() {
	local m status
	m="$(printf '%q ' "$FUSE2FS" "$img" "$work/mnt")"
	ok "$1: returns" env m="$m" timeout 20 bash -c "$2"
	ok "$1: and it is mounted" is_mounted mnt
	start_pid
	umount mnt
	ok "$1: and it ends" ended
}
piped "in \$(..)" 'x=$(eval "$m" 2>&1) && [ -z "$x" ]'
piped "before a pipe" 'eval "$m" 2>&1 | cat; exit ${PIPESTATUS[0]}'
piped "after a pipe" 'true | eval "$m"'
piped "with a pipe as another descriptor" '{ eval "$m" 8>&1 9>&1 >/dev/null 2>&1; } | cat'
piped "in \$(..), with auto_unmount" 'x=$(eval "$m -o auto_unmount" 2>&1)'
piped "in \$(..), with a log file" 'x=$(FUSE2FS_LOGFILE='"$work"'/log1 eval "$m" 2>&1) && [ -z "$x" ]'

# The log file.
make_image unchecked 16M -t ext2
debugfs -w -R 'ssv state 0' unchecked >/dev/null 2>&1
warning='FUSE2FS (unchecked): Warning: Mounting unchecked fs, running e2fsck is recommended.'
start "$work/unchecked" "$work/mnt"
is "$(cat err)" "$warning" "a warning goes to standard error, with the prefix"
umount mnt
ended
echo before >log
export FUSE2FS_LOGFILE=$work/log
start "$work/unchecked" "$work/mnt" -o timing
is "$status$(cat out err)" 0 "with a log file nothing is said elsewhere"
umount mnt
ended
is "$(sed -n 1,2p log)" "before
$warning" "it is appended to the log"
ok "also what comes later" grep -q 'timing: opcode' log
rm log
start "$work/noise" "$work/mnt"
is $status 32 "an error with a log file: 32"
is "$(cat err)" "Mount failed while opening filesystem. Check dmesg(1) for details." "standard error has the last line"
ok "the log has the reason" grep -q '^FUSE2FS (noise): ' log
is "$(stat -c %a log)" 600 "the log's mode is 0600"
FUSE2FS_LOGFILE=$work/no/such/log
start "$img" "$work/mnt"
is $status 2 "no log file: 2"
ok "and a reason" grep -q 'no/such/log: No such file' err
not_ok "and no mount" is_mounted mnt
unset FUSE2FS_LOGFILE

export FUSE2FS_ALLOC_ALL_BLOCKS=
start "$img" "$work/mnt"
is "$(cat err)" "FUSE2FS (img): Allowing users to allocate all blocks. This is dangerous!" "FUSE2FS_ALLOC_ALL_BLOCKS"
unset FUSE2FS_ALLOC_ALL_BLOCKS
umount mnt
ended

# Names with everything in them.
odd="$work/a,b ro=\\,c"
cp img "$odd"
start "$odd" "$work/mnt"
is $status 0 "a comma, a blank and a backslash in the name"
is "$(findmnt -rno SOURCE "$work/mnt" | sed 's/\\x20/ /g; s/\\x5c/\\/g')" "$odd" "the mount table has it as typed" ||
	grep "$work/mnt" /proc/mounts
umount mnt
ended
# Not everywhere may ordinary users open /dev/fuse: here they may.
private() {
	local status
	cp -p "$odd" own/ && chown -R 65534:65534 own || return 1
	unshare -m --propagation private bash -c '
		awk -v w="$PWD/" "(/ - fuse/ || /fuse2fs-test/) && index(\$5, w) != 1 { print \$5 }" \
			/proc/self/mountinfo | while read -r copy; do umount -l "$copy"; done
		[ -c fuse ] || mknod fuse c 10 229 && chmod 666 fuse && mount --bind fuse /dev/fuse || exit 77
		mine="setpriv --reuid=65534 --regid=65534 --clear-groups"
		$mine sh -c ": <>/dev/fuse" 2>/dev/null || exit 77
		x=$($mine "$FUSE2FS" "$1" "$2" 2>&1) || { echo "mount: $x"; exit 1; }
		[ -z "$x" ] || exit 1
		findmnt -rno SOURCE,FSTYPE,OPTIONS "$2"
		$mine cat "$2/f" || exit 1
		$mine fusermount3 -u "$2"' x "$work/own/${odd##*/}" "$work/own/mnt" >private.out 2>&1
	status=$?
	cat private.out
	return $status
}
if id nobody >/dev/null 2>&1 && [ -u "$(command -v fusermount3)" ]; then
	chmod 755 .
	mkdir -p own/mnt
	private >/dev/null
	if [ $? = 77 ]; then	# or it worked, and is tried again below
		skip "as an ordinary user" "/dev/fuse cannot be opened"
	else
		ok "the same as an ordinary user" private
		is "$(sed -n 's/\\x20/ /g; s/\\x5c/\\/g; 1s/ fuse[.]ext4 .*//p' private.out)" \
			"$work/own/${odd##*/}" "and the mount table has it as typed" || cat private.out
		start_pid
		ok "and fusermount3 -u ends it" ended
	fi
fi

# Make the files mine.
if id nobody >/dev/null 2>&1; then
	chmod 755 .
	start "$img" "$work/mnt"
	mkdir -p mnt/roots && echo old >mnt/roots/f && chmod 600 mnt/roots/f && chmod 700 mnt/roots
	umount mnt
	ended
	start "$img" "$work/mnt" -o uid=65534,gid=65534,allow_other
	is $status 0 "-o uid=,gid="
	is "$(cd mnt/roots && find . -printf '%U:%G ' )" "65534:65534 65534:65534 " "listings show that owner"
	mine() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
	ok "whose files they are: write" mine sh -c 'echo new >>mnt/roots/f'
	ok "create" mine sh -c 'echo mine >mnt/roots/g'
	ok "chmod" mine chmod 640 mnt/roots/f
	ok "touch" mine touch -d 2001-01-01 mnt/roots/f
	ok "rename" mine mv mnt/roots/f mnt/roots/h
	ok "link" mine ln mnt/roots/h mnt/roots/i
	is "$(stat -c '%U %a %h' mnt/roots/h)" "nobody 640 2" "and it is still theirs"
	umount mnt
	ended
	ok "uid=: e2fsck finds nothing" fsck_clean img
	is "$(debugfs -R 'stat roots/h' img 2>/dev/null | grep -o 'User: *[0-9]*' | tr -s ' ')" "User: 0" "the owner on disk is another"
	is "$(debugfs -R 'stat roots/g' img 2>/dev/null | grep -o 'User: *[0-9]*' | tr -s ' ')" "User: 65534" "new files are stored as their maker's"
fi

# Refusals.
start "$work/nothing" "$work/mnt"
is $status 32 "no such image: 32"
ok "and a message" grep -q '^FUSE2FS (nothing): .*No such file or directory' err
is "$(tail -1 err)" "Mount failed while opening filesystem. Check dmesg(1) for details." "and the last line"
start "$work/noise" "$work/mnt"
is $status 32 "not ext4: 32"
ok "and what to run" grep -q 'Please run e2fsck -fy' err
start
is $status 1 "no arguments: 1"
ok "and a hint" grep -q 'Missing ext4 device/image' err
start "$img" "$work/no/such/place"
is $status 1 "no such mount point: 1"
sha256sum img >sum
start "$img"
is $status 1 "no mount point given: 1"
ok "and a hint" grep -q "no mountpoint specified" err
start "$img" "$work/mnt" -o nosuchoption
is $status 1 "unknown option: 1"
ok "named" grep -q 'unknown option.*nosuchoption' err
is "$(tail -1 err)" "Mount failed due to unrecognized options. Check dmesg(1) for details." "and the last line"
ok "the image was not written for that" sha256sum -c sum
: >plain
start "$img" "$work/plain"
is $status 32 "a file as mount point of a directory: 32"
start "$img" "$work/mnt" -o commit=x
is $status 1 "bad value: 1"
ok "named" grep -q '^FUSE2FS (img): commit=x: ' err
for switch in -h --help --helpfull; do
	start $switch
	is "$status$(cat out)" 1 "$switch: 1, nothing on standard output"
	ok "$switch: headings" sh -c 'grep -q "^usage: .* device/image mountpoint \[options\]" err &&
		grep -q "^general options:" err && grep -q "^fuse2fs options:" err'
done
ok "--helpfull has libfuse's" grep -q 'clone_fd' err
start -h
ok "-h names it" grep -q 'Try --helpfull to get a list of all flags, including the FUSE options.' err
for switch in -V --version; do
	start $switch
	is "$status$(cat out)" 0 "$switch: 0, nothing on standard output"
	ok "$switch: the versions" sh -c 'grep -q "^fuse2fs [0-9][0-9.]* ([^)]*)$" err && grep -qi "fuse library version" err'
done

make_image dirty 32M -t ext4
debugfs -w -R 'feature needs_recovery' dirty >/dev/null 2>&1
debugfs -w -R 'zap_block -f <8> 0' dirty >/dev/null 2>&1
if dumpe2fs -h dirty 2>/dev/null | grep -q needs_recovery; then
	start "$work/dirty" "$work/mnt"
	is $status 32 "a damaged journal: 32"
	ok "and what to run" grep -q 'e2fsck -E journal_only' err
	is_mounted mnt && umount mnt
fi
finish
