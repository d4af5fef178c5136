#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# statx(2): the birth time, to the nanosecond, the same after a new mount, and
# none where the inode has no room for it.  What else it says is what stat(2)
# says, with uid= and umask= as well.
. "${0%/*}/functions.sh"
requires root fuse mke2fs debugfs e2fsck

birth() { stat -c %.9W "$1"; }
# What is on the disk, as seconds.nanoseconds.
stored() {
	local hex
	hex=$(debugfs -R "stat $1" img 2>/dev/null | sed -n 's/^ *crtime: 0x\([0-9a-f]*\):\([0-9a-f]*\).*/\1 \2/p')
	printf '%d.%09d' "0x${hex% *}" $((0x${hex#* } >> 2))
}
within() { [ "${1%.*}" -ge "$2" ] && [ "${1%.*}" -le "$3" ]; }
old_stat() { stat -c '%i %f %h %u %g %s %b %t:%T %.9X %.9Y %.9Z' "$@"; }
# stat(2), which asks for no birth time.
plain_stat() {
	python3 -c 'import os, sys
for f in sys.argv[1:]:
    s = os.lstat(f)
    t = lambda n: "%d.%09d" % (n // 10**9, n % 10**9)
    print(s.st_ino, "%x" % s.st_mode, s.st_nlink, s.st_uid, s.st_gid, s.st_size, s.st_blocks,
          "%x:%x" % (os.major(s.st_rdev), os.minor(s.st_rdev)),
          t(s.st_atime_ns), t(s.st_mtime_ns), t(s.st_ctime_ns))' "$@"
}

make_image img 32M -t ext4 -I 256 || exit 99
ok "mount" mount_ours img mnt || finish
before=$(date +%s)
echo text >mnt/file
mkdir mnt/dir
ln -s file mnt/link
mknod mnt/dev b 259 70000
mkfifo mnt/fifo
after=$(date +%s)
touch -d 2001-02-03 mnt/file
for f in file dir link dev fifo; do
	ok "$f has the time when it was made" within "$(birth mnt/$f)" "$before" "$after"
	is "$(old_stat mnt/$f)" "$(plain_stat mnt/$f)" "... and the rest is as stat(2) says"
	birth mnt/$f
done >births.all
grep -E '^(not )?ok|^#' births.all
grep -E '^[0-9]' births.all >births
chattr +a mnt/file
chattr +i mnt/dir
ok "append-only is an attribute" sh -c 'lsattr mnt/file | grep -q a'
chattr -a mnt/file
chattr -i mnt/dir
ok "unmount" umount_ours mnt
stored file >disk
is "$(cat disk)" "$(head -1 births)" "it is what the disk has"
ok "mount again" mount_ours img mnt || finish
for f in file dir link dev fifo; do birth mnt/$f; done >again
ok "the same after a new mount" diff births again
umount_ours mnt
ok "e2fsck finds nothing" fsck_clean img

if [ "${SERVER-}" != kernel ]; then
	ok "mount with uid= and umask=" mount_ours img mnt uid=1234,umask=027
	is "$(stat -c '%u %a' mnt/file)" "1234 750" "they show"
	is "$(birth mnt/file)" "$(head -1 births)" "so does the birth time"
	umount_ours mnt
fi

make_image img 32M -t ext2 -I 128 || exit 99
ok "mount, 128-byte inodes" mount_ours img mnt || finish
echo text >mnt/file
is "$(stat -c %w mnt/file)" - "no birth time there"
umount_ours mnt
finish
