#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# In a directory with the casefold flag names are found in any case, also after
# other spellings were used before: nothing stale stays in the kernel.
. "${0%/*}/functions.sh"
requires root fuse mke2fs e2fsck chattr
make_image img 64M -t ext4 -O casefold
ok "mount" mount_ours img mnt || finish
mkdir mnt/d
chattr +F mnt/d || skip_all "chattr cannot set the casefold flag"
echo one >mnt/d/foo
is "$(cat mnt/d/FOO)" one "found in another case"
rm mnt/d/foo
not_ok "gone in another case" test -e mnt/d/FOO
not_ok "gone" test -e mnt/d/foo
not_ok "not there in another case" test -e mnt/d/BAR
echo two >mnt/d/bar
is "$(cat mnt/d/BAR)" two "made, and found in another case"
echo three >mnt/d/ÄÖ
is "$(cat mnt/d/äö)" three "beyond ASCII"
echo plain >mnt/foo
not_ok "other directories tell cases apart" test -e mnt/FOO
ok "unmount" umount_ours mnt
ok "e2fsck finds nothing" fsck_clean img
finish
