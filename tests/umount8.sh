#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# When umount(8) returns, the image is final; and it does not wait when there is
# nothing to wait for.
. "${0%/*}/private.sh"
requires root ours fuse mke2fs e2fsck mount setpriv sha256sum debugfs
own_sbin
mkdir mnt mnt2
m=$work/mnt
mounts_at() { awk -v d="$1" '$2 == d { n++ } END { print n + 0 }' /proc/mounts; }
[ -d /sys/fs/fuse/connections ] && mount -t fusectl none /sys/fs/fuse/connections 2>/dev/null &&
	cleanup umount -l /sys/fs/fuse/connections

make_image img 200M -t ext4
head -c 60M /dev/urandom >data
# umount(8) of util-linux 2.38 asks statfs for the type, which says "fuse", where the
# mount is not in utab: our helper is not run then, and the server may take a moment.
ends() {
	local try
	for try in {1..40}; do
		[ -n "$(servers_of "$m")" ] || break
		sleep 0.05
	done
	is "$(servers_of "$m")" "" "$1"
}
for round in 1 2 3; do
	"$FUSE2FS" "$work/img" "$m" || fail "mount $round"
	mkdir -p "$m/d$round"
	for i in {1..200}; do echo "$i" >"$m/d$round/f$i"; done
	cp data "$m/data"
	ok "umount, with much to write" umount "$m"
	ends "no server is left"
	sha256sum img >sum
	ok "e2fsck finds nothing" fsck_clean img
	sleep 0.5
	ok "the image changes no more" sha256sum -c sum
	ok "it can be mounted again at once, and the file is whole" sh -c \
		'"$FUSE2FS" "$0/img" "$0/mnt" -o ro && cmp "$0/data" "$0/mnt/data" && umount "$0/mnt"' "$work"
done

# Relative names, and a source named by its descriptor.
(cd "$work" && "$FUSE2FS" img mnt)
touch mnt/x
ok "umount of what was mounted by relative names" umount mnt
is "$(servers_of mnt)" "" "no server is left"
exec 7<>img
"$FUSE2FS" /proc/self/fd/7 "$m"
touch mnt/y
umount "$m"
is "$(servers_of "$m")" "" "source by descriptor: no server is left"
exec 7<&-
ok "e2fsck finds nothing" fsck_clean img

# The same by hand.
h=/sbin/umount.fuse.ext4
"$FUSE2FS" img "$m"
$h -v "$m" >out 2>err
is $? 0 "the helper by itself"
ok "-v says what it waits for" grep -q 'waiting for the server of img' out
is "$(servers_of "$m")" "" "no server is left"
status() { "$@" >out 2>err; echo $?; }
is "$(status $h)" 1 "no arguments: 1"
is "$(status $h -Q "$m")" 1 "an unknown switch: 1"
is "$(status $h -w x "$m")" 1 "-w x: 1"
is "$(status $h -N 1 "$m")" 1 "-N: 1"
ok "not mounted: not 0" test "$(status $h "$m")" != 0

# Nothing to wait for.
"$FUSE2FS" "$work/img" "$m"
mount --bind mnt mnt2
start=$(now_ms)
ok "umount of one of two places" umount mnt2
ok "does not wait" test $(($(now_ms) - start)) -lt 3000
ok "and the other works" touch mnt/z
mount --bind mnt mnt2
ok "the same the other way round" umount mnt
ok "and the bind mount works" touch mnt2/z2
umount mnt2
is "$(servers_of "$m")" "" "no server is left after the last"
if grep -q ' /sys/fs/fuse/connections ' /proc/mounts; then
	"$FUSE2FS" "$work/img" "$m"
	exec 8>mnt/open
	not_ok "umount of a busy mount" umount mnt
	start=$(now_ms)
	ok "umount -l with an open file" umount -l mnt
	ok "does not wait" test $(($(now_ms) - start)) -lt 3000
	echo "after all" >&8
	exec 8>&-
	for ((i = 0; i < 500; i++)); do
		[ -n "$(servers_of "$m")" ] || break
		sleep 0.02
	done
	is "$(debugfs -R 'cat open' img 2>/dev/null)" "after all" "and what is written then is kept"
	"$FUSE2FS" "$work/img" "$m"
	touch mnt/last
	ok "umount -l of an idle mount" umount -l mnt
	is "$(servers_of "$m")" "" "waits"
else
	skip "umount -l" "fusectl cannot be mounted"
fi

# A server that is told to end takes down its own mount, and no other.
"$FUSE2FS" "$work/img" "$m"
pid=$(servers_of "$m")
exec 8>mnt/open2
umount -i -l mnt
mount -t tmpfs other mnt
kill -TERM "$pid"
for ((i = 0; i < 500; i++)); do
	[ -d "/proc/$pid" ] || break
	sleep 0.02
done
ok "SIGTERM after umount -l: it ends, and what is mounted there now stays" sh -c "[ ! -d /proc/$pid ] && grep -q 'other $m tmpfs' /proc/mounts"
exec 8>&-
umount mnt
ok "e2fsck finds nothing" fsck_clean img

# Who made the mount may hold on to its descriptor: that is no server, unless it
# looks like one, and then it is one that does not end.
mkfifo fifo
keep() {
	python3 "$T_SRC/tools/fdmount.py" --keep "$work/img" "$m" \
		sh -c 'exec "$0" -f "/proc/self/fd/$1" /dev/fd/4' "$FUSE2FS" 3 <fifo 2>>server.log &
	keeper=$!
	exec 8>fifo
	for ((i = 0; i < 500; i++)); do
		is_mounted "$m" && break
		sleep 0.02
	done
	timeout 20 stat "$m" >/dev/null
	timeout 20 $h -w 2 "$m" >out 2>err
	status=$?
	exec 8>&-
	wait $keeper
}
SOURCE=/proc/self/fd/3 keep
is $status 0 "a process that holds the connection is not waited for"
is "$(mounts_at "$m")" 0 "it is unmounted"
ok "e2fsck finds nothing" fsck_clean img
keep
is $status 2 "a server that does not end: 2"
ok "and a message" grep -q 'did not end within 2 seconds' err
is "$(mounts_at "$m")" 0 "it is unmounted all the same"

# A user's own mount.
fuse_for_users
u=65534
chown $u img mnt
as $u "$FUSE2FS" "$work/img" "$m" 2>err || sed 's/^/# /' err
ok "a user's mount" is_mounted mnt
is "$(status as 65533 $h "$m")" 32 "another user: 32"
ok "the user: umount.fuse.ext4" as $u $h "$m"
is "$(servers_of "$m")" "" "no server is left"
as $u "$FUSE2FS" "$work/img" "$m"
ok "the user: umount(8)" as $u umount "$m"
is "$(servers_of "$m")" "" "no server is left"
as $u "$FUSE2FS" "$work/img" "$m"
ok "root unmounts it" umount "$m"
is "$(servers_of "$m")" "" "no server is left"
ok "e2fsck finds nothing" fsck_clean img
finish
