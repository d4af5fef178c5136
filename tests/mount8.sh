#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# mount(8), fstab and mount -a find the helper; its own arguments; what the mount
# table shows; what is refused and how.
. "${0%/*}/private.sh"
requires root ours fuse mke2fs e2fsck mount setpriv
own_sbin
mkdir mnt mnt2 mnt3
m=$work/mnt

type_of() { awk -v d="$1" '$2 == d { print $3 }' /proc/mounts; }
options_of() { awk -v d="$1" '$2 == d { print "," $4 "," }' /proc/mounts; }
has_option() { [[ $(options_of "$1") == *,$2,* ]]; }
mounts_at() { awk -v d="$1" '$2 == d { n++ } END { print n + 0 }' /proc/mounts; }

for t in ext2 ext3 ext4; do
	make_image "$t.img" 16M -t $t -L "f2-$t"
	ok "mount -t fuse.$t" mount -t "fuse.$t" "$work/$t.img" "$m"
	is "$(type_of "$m")" "fuse.$t" "$t: the type in the mount table"
	ok "$t: it works" sh -c "echo $t >$m/f && grep -q $t $m/f"
	ok "$t: umount" umount "$m"
	is "$(servers_of "$m")" "" "$t: no server is left when umount returns"
	ok "$t: e2fsck finds nothing" fsck_clean "$t.img"
done
img=$work/ext4.img

# Options.
ok "no options" mount -t fuse.ext4 "$img" "$m"
ok "suid and dev are the defaults" sh -c "! grep -E ' $m .*(nosuid|nodev)' /proc/mounts"
umount "$m"
ok "-o nosuid,nodev,ro" mount -t fuse.ext4 -o nosuid,nodev,ro "$img" "$m"
for o in ro nosuid nodev; do ok "$o is in the mount table" has_option "$m" $o; done
not_ok "ro: no change" touch "$m/x"
umount "$m"
ok "-r" mount -r -t fuse.ext4 "$img" "$m"
ok "-r: ro is in the mount table" has_option "$m" ro
umount "$m"
ok "-o fakeroot" mount -t fuse.ext4 -o fakeroot "$img" "$m"
ok "fakeroot: nosuid stays" has_option "$m" nosuid
umount "$m"
ok "words of mount(8), of systemd and of ext4" mount -t fuse.ext4 -o \
	"defaults,user,noauto,_netdev,nofail,group,x-systemd.automount,x-a.b=c,X-mount.x=y,comment=z,noatime,data=ordered,barrier=1,discard,allow_other" \
	"$img" "$m"
ok "allow_other is in the mount table" has_option "$m" allow_other
umount "$m"
ok "mount -s, -n, -v" mount -snv -t fuse.ext4 "$img" "$m"
umount "$m"
ok "mount -f does nothing" mount -f -t fuse.ext4 "$img" "$m"
is "$(mounts_at "$m")" 0 "mount -f: not mounted"
comma=$work/a,b.img
cp "$img" "$comma"
ok "a comma in the name" mount -t fuse.ext4 "$comma" "$m"
is "$(awk -v d="$m" '$2 == d { print $1 }' /proc/mounts)" "$comma" "the name in the mount table"
umount "$m"

# The helper by itself.
h=/sbin/mount.fuse.ext4
ok "the helper: DEV DIR -s -v -n -o -t" $h "$img" "$m" -s -v -n -o rw,noatime -t fuse.ext3
is "$(type_of "$m")" fuse.ext3 "-t chooses the type shown"
umount "$m"
ok "the helper: options before the device" $h -o ro "$img" "$m"
ok "ro is in the mount table" has_option "$m" ro
umount "$m"
status() { "$@" >out 2>err; echo $?; }
is "$(status $h)" 1 "no arguments: 1"
ok "and its usage" grep -q '^usage: mount.fuse.ext4 device directory' err
is "$(status $h "$img")" 1 "no directory: 1"
is "$(status $h "$img" "$m" "$m")" 1 "too many: 1"
is "$(status $h "$img" "$m" -Q)" 1 "an unknown switch: 1"
is "$(status $h "$img" "$m" -N /proc/1/ns/mnt)" 1 "-N: 1"
is "$(status $h -V)" 0 "-V: 0"
ok "-V: the version" grep -q '^fuse2fs ' err

# Refusals.
is "$(status mount -t fuse.ext4 -o nosuchoption "$img" "$m")" 1 "an unknown option: 1"
is "$(mounts_at "$m")" 0 "and no mount"
head -c 1M /dev/zero >noise
is "$(status mount -t fuse.ext4 "$work/noise" "$m")" 32 "not ext4: 32"
is "$(status mount -t fuse.ext4 "$work/nothing" "$m")" 32 "no such image: 32"
ok "with a message" test -s err

# fstab.
cat >fstab <<-EOF
	$work/ext2.img $work/mnt  fuse.ext2 allow_other,nofail        0 0
	$work/ext3.img $work/mnt2 fuse.ext3 ro,noauto,x-a.b           0 0
	$work/ext4.img $work/mnt3 fuse.ext4 defaults                  0 0
EOF
ok "mount -a -T" mount -a -T fstab
is "$(mounts_at "$work/mnt")$(mounts_at "$work/mnt2")$(mounts_at "$work/mnt3")" 101 "mount -a mounts what is not noauto"
ok "mount -a again" mount -a -T fstab
is "$(mounts_at "$work/mnt")$(mounts_at "$work/mnt2")$(mounts_at "$work/mnt3")" 101 "mount -a again mounts nothing twice"
ok "mount DIR" mount -T fstab "$work/mnt2"
ok "fstab's options" has_option "$work/mnt2" ro
is "$(status mount -T fstab -o remount,ro "$work/mnt3")" 32 "remount: 32"
ok "remount: says so" grep -q 'remount is not supported' err
ok "and the mount goes on" touch "$work/mnt3/x"
ok "umount -a of the type" umount -a -t fuse.ext2,fuse.ext3,fuse.ext4 -O allow_other
is "$(mounts_at "$work/mnt")" 0 "umount -a -O took what it says"
umount mnt2 mnt3
is "$(servers_of "$work/mnt2")$(servers_of "$work/mnt3")" "" "no server is left"

if t_have_loop; then
	loop=$(losetup -f --show ext4.img) && cleanup losetup -d "$loop"
	make_image other.img 16M -t ext4 -L "f2-other-$$"
	loop2=$(losetup -f --show other.img) && cleanup losetup -d "$loop2"
	uuid=$(blkid -p -o value -s UUID "$loop2")
	ok "UUID=" mount -t fuse.ext4 "UUID=$uuid" "$m"
	is "$(awk -v d="$m" '$2 == d { print $1 }' /proc/mounts)" "$loop2" "UUID=: the right device"
	umount "$m"
	ok "LABEL=" mount -t fuse.ext4 "LABEL=f2-other-$$" "$m"
	is "$(awk -v d="$m" '$2 == d { print $1 }' /proc/mounts)" "$loop2" "LABEL=: the right device"
	umount "$m"
	echo "UUID=$uuid $m fuse.ext4 defaults 0 0" >fstab
	ok "mount -a with UUID=" mount -a -T fstab
	ok "mount -a with UUID= again" mount -a -T fstab
	is "$(mounts_at "$m")" 1 "and it is mounted once"
	umount "$m"
	ok "-o loop" mount -t fuse.ext4 -o loop "$work/ext3.img" "$m"
	ok "-o loop: it works" touch "$m/loop"
	umount "$m"
	ok "-o loop: e2fsck finds nothing" fsck_clean ext3.img
else
	skip "UUID=, LABEL= and loop" "no loop devices"
fi

# A user, with an entry "user" in fstab.
chmod 755 "$work"
u=65534
cp ext4.img user.img
mkdir umnt
chown $u user.img umnt
fuse_for_users
if own_file /etc/fstab "$work/user.img $work/umnt fuse.ext4 user,noauto 0 0" &&
   [ -u "$(command -v mount)" ]; then
	ok "a user mounts what fstab says" as $u mount "$work/umnt"
	for o in nosuid nodev; do ok "user: $o" has_option "$work/umnt" $o; done
	is "$(status as 65533 umount "$work/umnt")" 32 "another user does not unmount it"
	ok "the user unmounts it" as $u umount "$work/umnt"
	is "$(mounts_at "$work/umnt")" 0 "it is unmounted"
	is "$(servers_of "$work/umnt")" "" "and no server is left"
	ok "user: e2fsck finds nothing" fsck_clean user.img
else
	skip "a user mounts what fstab says" "mount is not setuid"
fi
ok "e2fsck finds nothing" fsck_clean ext4.img
finish
