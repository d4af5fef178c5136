# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# private.sh - sourced instead of functions.sh by tests that mount over /sbin,
# /etc or /dev: the whole test runs in a mount namespace of its own, so that
# nobody else sees it, and nothing is left.

if [ -z "${T_PRIVATE-}" ]; then
	if [ "$(id -u)" = 0 ] && unshare -m --propagation private true 2>/dev/null; then
		T_PRIVATE=1 exec unshare -m --propagation private bash "$0" "$@"
	fi
	echo "1..0 # SKIP needs root and mount namespaces"
	exit 0
fi
# Copies of other tests' mounts would keep these alive.
if [ -n "${T_PRIVATE-}" ] && [ -z "${T_WORK-}" ]; then
	awk '$5 ~ /\/fuse2fs-test\./ || / - fuse/ { print $5 }' /proc/self/mountinfo | sort -r |
		while read -r t_copy; do umount -l "$t_copy" 2>/dev/null; done
fi
. "${BASH_SOURCE[0]%/*}/functions.sh"

# The helpers of mount(8) and umount(8) where these look for them, beside what
# is there: a folder of links, mounted over /sbin.
own_sbin() {
	local sbin t helper
	sbin=$(realpath /sbin)
	helper=$(dirname "$(realpath "$FUSE2FS")")/umount.fuse.ext4
	[ -x "$helper" ] || t_bail "no program $helper"
	mkdir "$work/.sbin" "$work/.real-sbin"
	mount --bind "$sbin" "$work/.real-sbin" || skip_all "cannot mount over /sbin"
	find "$work/.real-sbin" -mindepth 1 -maxdepth 1 -exec ln -s -t "$work/.sbin" {} +
	for t in ext2 ext3 ext4; do
		ln -sf "$(realpath "$FUSE2FS")" "$work/.sbin/mount.fuse.$t"
		ln -sf "$helper" "$work/.sbin/umount.fuse.$t"
	done
	mount --bind "$work/.sbin" "$sbin" || skip_all "cannot mount over /sbin"
	cleanup umount -l "$sbin"
}

# own_file PATH CONTENT: PATH has this content.
own_file() {
	local f=$work/.own${1//\//.}
	printf '%s\n' "$2" >"$f"
	chmod 644 "$f"
	mount --bind "$f" "$1" && cleanup umount -l "$1"
}

# A /dev/fuse that everybody may open, and allow_other for everybody.
fuse_for_users() {
	mknod "$work/.fuse" c 10 229 && chmod 666 "$work/.fuse" &&
		mount --bind "$work/.fuse" /dev/fuse &&
		: <>/dev/fuse && cleanup umount -l /dev/fuse ||
		skip_all "cannot make a /dev/fuse for users"
	own_file /etc/fuse.conf user_allow_other || skip_all "needs /etc/fuse.conf"
}

# as UID COMMAND..: as that user, with no privilege and only his own group.
as() {
	local uid=$1
	shift
	setpriv --reuid "$uid" --regid "$uid" --clear-groups --inh-caps=-all -- "$@"
}

# The processes that serve a mount at DIR.
servers_of() {
	local p
	for p in /proc/[0-9]*; do
		[ "$(readlink "$p/exe" 2>/dev/null)" = "$(realpath "$FUSE2FS")" ] &&
			tr '\0' '\n' <"$p/cmdline" 2>/dev/null | grep -qxF "$1" &&
			! grep -qs '^State:.*[ZX] (' "$p/status" && [ -e "$p" ] && echo "${p#/proc/}"
	done
}

now_ms() {
	local t=${EPOCHREALTIME/[.,]/}
	echo $((t / 1000))
}
