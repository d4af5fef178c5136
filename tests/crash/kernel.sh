#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The crash tester is tested: it finds nothing wrong with the kernel's ext4, and
# something as soon as the kernel's flushes or revoke records are taken away.
SERVER=kernel
export SERVER
. "${0%/*}/lib.sh"
requires root loop mke2fs e2fsck
[ -c /dev/fuse ] || skip_all "needs /dev/fuse"

record() {
	crash_image "$1" && crash_mount && crash_load "$2" "$3" "$4" && crash_umount
}

check() {
	"$CRASH/replay" -n 250 -d "$crash_dir" "$@" check "$base" "$crash_log"
}

while read -r row profile seed steps; do
	ok "$row $profile: recorded" record "$row" "$seed" "$profile" "$steps"
	ok "$row $profile: what reached the image is in the log" \
		"$CRASH/replay" same "$base" "$crash_log" "$img"
	ok "$row $profile: no failure" check
	tail -1 "$work/.ok.out" | sed 's/^/# /'
done <<END
ext4-4k   mixed   1 150
ext4-1k   names   3 300
ext3-1k   data    4 100
bigalloc  mixed  10 120
orphan-4k orphans 8 80
END
not_ok "flushes that do nothing are found" check -x flush
ok "recorded" record nocsum-1k 5 reuse 15
ok "no failure" check
not_ok "empty revoke records are found" check -x revoke
ok "recorded" record ext3-1k 7 reuse 15
ok "no failure" check
not_ok "empty revoke records are found" check -x revoke
finish
