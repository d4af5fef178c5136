#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The help text and the man page name the same options, and each is accepted.
. "${0%/*}/functions.sh"
requires root ours fuse mke2fs

"$FUSE2FS" -h 2>help
is $? 1 "-h ends with 1"
sed -n 's/^    -o \([a-z_0-9-]*=\{0,1\}[a-z-]*\).*/\1/p' help | sed 's/=$//' | grep -v '^opt$' | sort >in-help
sed 's/\\f.//g; s/\\-/-/g' "$T_SRC/../man/fuse2fs.1" |
	awk '/^Mount options:/ { on = 1; tag = 0 } /^\.RE/ { on = 0 }
	     on && tag { for (i = 2; i <= NF; i++) { gsub(/[",]/, "", $i); if ($i ~ /^[a-z]/) print $i; if ($1 == ".BI") break } tag = 0 }
	     /^\.TP/ { tag = 1 }' | sed 's/=$//' | sort >in-man
ok "the man page has the options of the help text" diff in-help in-man

make_image img 16M -t ext2
mkdir mnt
while read -r word; do
	case $word in
	offset) word=offset=0 ;;
	cache_size) word=cache_size=4m ;;
	commit) word=commit=3 ;;
	max_threads) word=max_threads=2 ;;
	lockfile) word=lockfile=$work/lock ;;
	esac
	if ok "-o $word" mount_ours img mnt "$word"; then
		umount_ours mnt || fail "-o $word: unmount"
	fi
done <in-help
ok "after all of them e2fsck finds nothing" fsck_clean img
for word in nosuchoption errors=never offset=x cache_size=0 commit=-1; do
	not_ok "-o $word is refused" timeout 20 "$FUSE2FS" -f img mnt -o "$word"
done
finish
