#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Who sees a mount, and what users may do in it: root's and a user's server, with
# and without allow_other, "kernel", fakeroot.
. "${0%/*}/private.sh"
requires root ours fuse mke2fs e2fsck python3 setpriv debugfs
fuse_for_users
chmod 755 "$work"
u=65534
mkdir mnt
m=$work/mnt

# serve WHO OPTIONS: WHO is a uid
serve() {
	local who=$1 opts=$2
	shift 2
	as "$who" "$FUSE2FS" "$work/img" "$m" ${opts:+-o "$opts"} >out 2>err </dev/null &&
		[ ! -s out ] && [ ! -s err ] || { cat out err; return 1; }
}
gone() {
	umount "$m" || return 1
	local i
	for ((i = 0; i < 300; i++)); do
		[ -z "$(servers_of "$m")" ] && return 0
		sleep 0.01
	done
	return 1
}
# body PART: of tools/permsuser.py, between mount and e2fsck
body() {
	python_test permsuser.py "$m" "$1"
	ok "$1: unmount" gone
	ok "$1: e2fsck finds nothing" fsck_clean img
}

make_image img 64M -t ext4 -E root_owner=$u:$u || exit 99
chown $u img mnt

ok "root's server" serve 0 ""
body root-alone
ok "root's server, allow_other" serve 0 allow_other
body root-other
ok "root's server, allow_other and noacl" serve 0 allow_other,noacl
body noacl
ok "root's server, kernel" serve 0 kernel
body kernel
ok "a user's server" serve $u ""
body user-alone
ok "a user's server, allow_other" serve $u allow_other
body user-other
ok "a user's server, allow_root" serve $u allow_root
body user-root
ok "root's server, allow_other and fakeroot" serve 0 allow_other,fakeroot
body fakeroot
ok "a user's server, allow_other and fakeroot" serve $u allow_other,fakeroot
body user-fakeroot
is "$(debugfs -R 'stat fake/owned' img 2>/dev/null | grep -Eo 'Mode: +[0-7]+|User: +[0-9]+|Group: +[0-9]+' | tr -s ' ' | tr '\n' ' ')" \
	"Mode: 06755 User: 17 Group: 18 " "fakeroot: owner and mode are on the disk"

if command -v git >/dev/null; then
	ok "root's server for git" serve 0 allow_other
	mkdir repo
	(cd repo && git init -q && for i in {1..50}; do echo "$i" >"f$i"; done && git add . &&
		git -c user.name=t -c user.email=t commit -qm x) || t_bail "git"
	chown -R $u repo
	mkdir -m 777 mnt/git
	for umask in 022 077; do
		ok "git clone by a user, umask $umask" as $u sh -c \
			"umask $umask
			 HOME=$m/git git -c safe.directory='*' clone -q --no-hardlinks $work/repo $m/git/c &&
			 cd $m/git/c && HOME=$m/git git -c safe.directory='*' fsck --full &&
			 test -z \"\$(HOME=$m/git git -c safe.directory='*' status --porcelain)\" && rm -rf $m/git/c"
	done
	ok "git: unmount" gone
	ok "git: e2fsck finds nothing" fsck_clean img
else
	skip "git clone" "no git"
fi
finish
