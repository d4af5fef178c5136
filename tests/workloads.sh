#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What people do: git, tar, rsync -aHAX, sqlite3; the results are whole, also after
# a new mount.
. "${0%/*}/functions.sh"
requires root fuse python3 mke2fs e2fsck git tar rsync sqlite3 setfacl setfattr
make_image img 400M -t ext4 -N 60000 || exit 99
ok "mount" mount_ours img mnt || finish

# Sources: this machine's headers and documents, with links, ACLs, xattrs.
mkdir src
cp -a /usr/include/linux /usr/include/e[rx]* src/ 2>/dev/null
cp -a /usr/share/perl/5*/unicore src/ 2>/dev/null
ln src/errno.h src/hard
ln -s nowhere src/soft
setfacl -m u:1000:rwx,d:g:7:rx src/linux
setfacl -m u:55:r src/errno.h
setfattr -n user.test -v value src/errno.h
truncate -s 50M src/sparse
echo end >>src/sparse
mkfifo src/fifo

git_test() (
	export HOME=$work GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@t \
		GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@t
	set -e
	git config --global --add safe.directory "*"
	git init -q mnt/repo
	cp -a src/linux mnt/repo/
	cd mnt/repo
	git add .
	git commit -qm first
	git checkout -qb branch
	git mv linux moved
	git commit -qm second
	echo more >>moved/fs.h
	git commit -qam third
	git gc -q
	git checkout -q HEAD~2
	git fsck --full --strict
	git status --porcelain >status
	[ "$(wc -l <status)" = 1 ]
	git clone -q . ../clone
	cd ../clone
	git fsck --full
	test -z "$(git status --porcelain)"
	git clone -q --no-local ../repo ../clone2
)
ok "git: init, commit, mv, gc, clone, fsck" git_test

mkdir mnt/tar
ok "tar: in" sh -c "tar --acls --xattrs --sparse -cf - -C src . | tar --acls --xattrs --xattrs-include=* -xpf - -C mnt/tar"
ok "tar: the same tree" diff <(tree_manifest src | sed "/^\. /d;s/data=.*//") <(tree_manifest mnt/tar | sed "/^\. /d;s/data=.*//")
ok "rsync -aHAX" rsync -aHAXS src/ mnt/rsync/
ok "rsync: the same tree" diff <(tree_manifest src | sed "s/data=.*//") <(tree_manifest mnt/rsync | sed "s/data=.*//")
find mnt/rsync -name "*.h" | sed -n "1~3p" | xargs touch -h -d @1000000000
is "$(rsync -aHAXSi --checksum --delete src/ mnt/rsync/ | grep -c "^>f.*\.h")" 0 "rsync: only times differ"
is "$(rsync -aHAXSin src/ mnt/rsync/)" "" "rsync: then nothing to do"
ok "cp -a" cp -a mnt/rsync mnt/cp
ok "cp: the same tree" diff <(tree_manifest mnt/rsync | sed "s/data=.*//") <(tree_manifest mnt/cp | sed "s/data=.*//")

sql_test() {
	local mode
	for mode in delete wal truncate; do
		sqlite3 mnt/db-$mode "pragma journal_mode=$mode; create table t(a integer primary key, b text);
			create index i on t(b);" >/dev/null || return 1
		sqlite3 mnt/db-$mode "begin; with recursive n(i) as (select 1 union all select i+1 from n
			where i < 30000) insert into t select i, hex(randomblob(20)) from n; commit;
			delete from t where a % 3 = 0; vacuum; update t set b = b || a where a % 5 = 0;" || return 1
		[ "$(sqlite3 mnt/db-$mode "pragma integrity_check; select count(*) from t")" = "$(printf "ok\n20000")" ] || return 1
	done
}
ok "sqlite3: three journal modes" sql_test
two_writers() {
	local i w writers=()
	sqlite3 mnt/db2 "create table t(w, i)"
	for w in a b; do
		for ((i = 0; i < 40; i++)); do
			sqlite3 -cmd ".timeout 20000" mnt/db2 "insert into t values (\"$w\", $i)" || echo bad >mnt/db2-bad
		done &
		writers+=($!)
	done
	wait "${writers[@]}"
	[ ! -e mnt/db2-bad ] && [ "$(sqlite3 mnt/db2 "select count(*) from t")" = 80 ]
}
ok "sqlite3: two writers" two_writers
tree_manifest -w mnt >warm
ok "unmount" umount_ours mnt
ok "e2fsck finds nothing" fsck_clean img
ok "mount again" mount_ours img mnt ro
tree_manifest -w mnt >cold
ok "the same tree" diff warm cold
umount_ours mnt
finish
