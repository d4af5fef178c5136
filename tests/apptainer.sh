#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What Apptainer asks of its fuse2fs, by a stand-in for its image driver: the
# image as /proc/self/fd/3, silence, serving within 2 s on 50 GB, gone and clean
# within 1 s of the unmount, and clean after its SIGTERM and SIGKILL.
. "${0%/*}/private.sh"
requires root ours fuse mke2fs e2fsck python3 umount

mkdir -p tree/upper tree/work mnt mnt2
chmod 0 tree/work
make_image overlay.img 600M -t ext3 -d tree || exit 99
make_image big.img 50G -t ext3 -E lazy_itable_init=1,lazy_journal_init=1 || exit 99
python_test apptainertest.py "$work/overlay.img" "$work/big.img" "$work/mnt"

# As a user with a user namespace of his own, where he is root.
if setpriv --reuid 65534 --regid 65534 --clear-groups unshare -Urm true 2>/dev/null; then
	fuse_for_users
	chown 65534 overlay.img mnt
	as 65534 unshare -Urm bash -c '
		exec 3<>"$1/overlay.img"
		"$2" -f -o allow_other,fakeroot /proc/self/fd/3 "$1/mnt" >"$3" 2>&1 &
		for i in {1..400}; do grep -q " $1/mnt " /proc/self/mountinfo && break; sleep 0.025; done
		echo mine >"$1/mnt/upper/mine" && chown 0:0 "$1/mnt/upper/mine" && umount "$1/mnt"
		status=$?
		wait $! && exit $status' - "$work" "$FUSE2FS" /dev/null 2>err
	is $? 0 "in a user's own user namespace" || sed 's/^/# /' err
	ok "e2fsck finds nothing" fsck_clean overlay.img
else
	skip "in a user's own user namespace" "not allowed here"
fi
finish
