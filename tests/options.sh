#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Every option does what the man page says of it: a case below for each row of
# opts/table.c, which says itself what its rows are.  The man page's list is the
# one that the table makes.
. "${0%/*}/functions.sh"
requires root ours fuse mke2fs debugfs e2fsck python3 setpriv
[ -x "$TOOLS/optlist" ] || t_bail "no program optlist"

mkdir mnt
chmod 755 "$work"
img=$work/img
make_image img 16M -t ext2 || exit 99

# serve WORDS [ARGUMENTS..]: mounts img with exactly these words; sets $pid.
serve() {
	local words=$1 i
	shift
	: >log
	"$FUSE2FS" -f "$img" "$work/mnt" ${words:+-o "$words"} "$@" >>log 2>&1 </dev/null &
	pid=$!
	echo "$pid $work/mnt" >>.pids
	for ((i = 0; i < 1000; i++)); do
		if is_mounted mnt; then
			stat mnt/. >/dev/null 2>&1
			return 0
		fi
		kill -0 $pid 2>/dev/null || break
		sleep 0.01
	done
	cat log
	return 1
}
# with WORDS COMMAND..: the command succeeds while it is mounted so.
with() {
	local words=$1 status=0
	shift
	serve "$words" || return 1
	"$@" || status=$?
	umount_ours mnt || { echo "the server ended with $?"; cat log; status=1; }
	return $status
}
# fails STATUS TEXT WORDS: refused so, with this message.
fails() {
	local status
	timeout 30 "$FUSE2FS" "$img" "$work/mnt" -o "$3" >log 2>&1 </dev/null
	status=$?
	[ $status = "$1" ] || { echo "exit status $status"; cat log; return 1; }
	grep -qF "$2" log || { cat log; return 1; }
}
# The mount table's options; has WORD: is it there?
table() { awk -v d="$work/mnt" '$2 == d { print $4 }' /proc/mounts; }
has() { case ",$(table)," in *",$1,"*) ;; *) table; return 1 ;; esac; }
has_not() { ! has "$1"; }
type_is() { [ "$(awk -v d="$work/mnt" '$2 == d { print $1, $3 }' /proc/mounts)" = "$*" ]; }
as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
works() { echo hello >mnt/works && [ "$(cat mnt/works)" = hello ] && rm mnt/works; }
says() { grep -q "$1" log || { cat log; return 1; }; }
threads() { ls "/proc/$pid/task" | wc -l; }
switch() {
	"$FUSE2FS" "$1" >out 2>err
	[ $? = "$2" ] && [ ! -s out ] && grep -q "$3" err
}
eval_ok() { eval "$1"; }

# Damage that a listing of mnt/d finds.
broken_dir() {
	local what=$1
	cp img good
	debugfs -w -f - img >/dev/null 2>&1 <<-END
	mkdir d
	sif d block[0] 99999999
	END
	case $what in
	continue) with errors=continue eval_ok '! ls mnt/d && works' ;;
	remount-ro) with errors=remount-ro eval_ok '! ls mnt/d && ! touch mnt/x && says "Remounting read-only due to errors"' ;;
	panic)
		serve errors=panic || return 1
		ls mnt/d
		wait $pid
		local status=$?
		umount mnt 2>/dev/null
		[ $status != 0 ] && says "Aborting filesystem mount due to errors." ;;
	esac
	local status=$?
	mv good img
	return $status
}
df_size() { blocks=$(stat -f -c %b mnt); }
recovered_not() {
	cp img good
	make_image img 32M -t ext4
	printf 'jo\njw -b 100 /dev/null\njc\n' | debugfs -w -f - img >/dev/null 2>&1
	debugfs -w -R 'feature needs_recovery' img >/dev/null 2>&1
	with "$1" eval_ok 'has ro && says "Mounting read-only without recovering journal"'
	local status=$?
	mv good img
	return $status
}
# The journal is not where the superblock says: on another loop device, or in
# a file.
external_journal() {
	t_have_loop || return 0
	local status loop other
	cp img good
	truncate -s 8M jdev
	loop=$(losetup -f --show jdev) || return 1
	mke2fs -FFq -O journal_dev -b 4096 "$loop" >/dev/null 2>&1
	make_image img 32M -t ext4 -b 4096 -J "device=$loop"
	if [ "$1" = path ]; then
		mv jdev jmoved
		losetup -d "$loop"
		with "journal_path=$work/jmoved" works &&
			with "" eval_ok 'has ro && says "journal device was not found"'
	else
		cp jdev jmoved
		other=$(losetup -f --show jmoved)
		losetup -d "$loop"
		with "journal_dev=0x$(printf %x $((0x$(stat -c %t "$other") * 256 + 0x$(stat -c %T "$other"))))" works &&
			with "journal_dev=0x100" eval_ok 'has ro && says "journal device was not found"'
	fi
	status=$?
	[ "$1" = path ] || losetup -d "$other"
	rm -f jdev jmoved
	mv good img
	return $status
}
acl_errno() {
	python3 -c 'import os, errno, sys
try: os.getxattr("mnt/f", "system.posix_acl_access")
except OSError as e: sys.exit(e.errno != getattr(errno, sys.argv[1]))' "$1"
}
embedded() {
	truncate -s 1M whole
	cat img >>whole
	truncate -s +1M whole
	(img=$work/whole; cd "$work"; with "$1" test -d mnt/lost+found)
}
direct_flag() { grep -q '^flags:.*4[0-7]\{4\}$' /proc/"$pid"/fdinfo/*; }
can_direct() { dd if=img of=/dev/null iflag=direct bs=4096 count=1 2>/dev/null; }
old_atime() { touch -a -d 2001-01-01 "mnt/$1"; }
is_old() { [ "$(stat -c %X "mnt/$1")" = "$(date -d 2001-01-01 +%s)" ]; }
lock_case() {
	with "lockfile=$work/lock" test -e lock && [ ! -e lock ] || return 1
	: >lock
	fails 32 "lock: opening lockfile failed: File exists" "lockfile=$work/lock" &&
		[ -e lock ] && rm lock
}
committed() {
	echo data >mnt/committed
	sleep 3
	[ "$(debugfs -R 'cat committed' img 2>/dev/null)" = data ] && rm mnt/committed
}
killed_and_gone() {
	serve allow_other,auto_unmount || return 1
	kill -9 $pid
	wait $pid 2>/dev/null
	local i
	for ((i = 0; i < 300; i++)); do
		is_mounted mnt || return 0
		sleep 0.02
	done
	return 1
}
cp "$(type -P true)" prog
with "" eval_ok 'cp prog mnt/prog && chmod 755 mnt/prog && chmod 755 mnt && echo x >mnt/f && chmod 644 mnt/f && mkdir mnt/dir' ||
	t_bail "cannot mount at all"

try_row() {
	case $1 in
	-h | --help) switch "$1" 1 '^usage: .* device/image mountpoint \[options\]' ;;
	--helpfull) switch "$1" 1 max_idle_threads ;;
	-V | --version) switch "$1" 0 '^fuse2fs [0-9.]* (.*)$' ;;
	-f) with "" works ;;
	-d) serve "" -d && works && umount_ours mnt && says 'opcode: .*unique\|unique: .*opcode' ;;
	debug) with debug eval_ok 'works && says "unique: .*opcode"' ;;
	-s) serve "" -s && works && n=$(threads) && umount_ours mnt && with max_threads=3 eval_ok '[ $(threads) = $((n + 2)) ]' ;;
	ro) with ro eval_ok 'has ro && ! touch mnt/x' ;;
	rw) with ro,rw eval_ok 'has rw && works' ;;
	errors=continue | errors=remount-ro | errors=panic) broken_dir "${1#*=}" ;;
	errors=) fails 1 "unknown errors behavior." errors=never ;;
	minixdf) with bsddf df_size && n=$blocks && with minixdf df_size && [ "$blocks" -gt "$n" ] ;;
	bsddf) with minixdf,bsddf df_size && n=$blocks && with "" df_size && [ "$blocks" = "$n" ] ;;
	fakeroot) with allow_other,fakeroot eval_ok 'has nodev && has nosuid && as_nobody mkfifo mnt/p && as_nobody chown 7:8 mnt/p && [ "$(stat -c %u:%g mnt/p)" = 7:8 ] && as_nobody rm mnt/p' ;;
	kernel) with kernel eval_ok 'has allow_other && has default_permissions && has_not nosuid && has_not nodev && works && acl_errno ENODATA && says "mounted filesystem [0-9a-f-]\{36\}\."' && says unmounted && with kernel,nosuid has nosuid ;;
	no_default_opts) with no_default_opts,fsname=mine type_is mine fuse ;;
	offset=) embedded offset=1048576 && embedded offset=1024k && embedded offset=1M && fails 1 offset=1x offset=1x && fails 32 offset= offset=1m ;;
	sizelimit=) embedded offset=1m,sizelimit=16m && fails 32 sizelimit= sizelimit=15m && fails 1 sizelimit=k sizelimit=k ;;
	norecovery | noload) recovered_not "$1" ;;
	journal_path=) external_journal path ;;
	journal_dev=) external_journal dev && fails 1 "not a device number" journal_dev=0x7zz ;;
	acl) with noacl,acl acl_errno ENODATA ;;
	noacl) with noacl acl_errno EOPNOTSUPP ;;
	cache_size=)
		for n in 0 2g 1kk x; do
			fails 1 "cache size must be between 1 block and 2GB." cache_size=$n || return 1
		done
		with cache_size=1 works && with cache_size=64K works && with cache_size=2147483647 works ;;
	commit=) with commit=1 committed && with commit=0 works && fails 1 commit=-1 commit=-1 ;;
	directio | direct) ! can_direct || with "$1" eval_ok 'works && direct_flag' ;;
	max_threads=) with max_threads=1 eval_ok 'n=$(threads)' && with max_threads=5 eval_ok '[ $(threads) = $((n + 4)) ]' && fails 1 max_threads=0 max_threads=0 ;;
	lockfile=) lock_case ;;
	dirsync | sync) with "$1" eval_ok "has $1 && works && mkdir mnt/x && rmdir mnt/x" ;;
	async) with sync,async eval_ok 'has_not sync && works' ;;
	noatime) with noatime eval_ok 'has noatime && old_atime f && cat mnt/f && is_old f' ;;
	atime) with noatime,atime eval_ok 'old_atime f && cat mnt/f && ! is_old f' ;;
	nodiratime) with nodiratime eval_ok 'old_atime dir && ls mnt/dir && is_old dir' ;;
	diratime) with nodiratime,diratime eval_ok 'old_atime dir && ls mnt/dir && ! is_old dir' ;;
	oom_score_adj=)
		with oom_score_adj=321 eval_ok '[ $(cat /proc/$pid/oom_score_adj) = 321 ]' || return 1
		! (echo -500 >"/proc/$BASHPID/oom_score_adj") 2>/dev/null ||
			with "" eval_ok '[ $(cat /proc/$pid/oom_score_adj) = -500 ]' || return 1
		fails 1 oom_score_adj=1001 oom_score_adj=1001 ;;
	timing) with timing eval_ok 'works && says "timing: opcode 1, .* us for the lock"' ;;
	fuse2fs_debug) with fuse2fs_debug works && says 'I/O: [1-9][0-9]* reads of' && says 'unique: ' ;;
	iomap | iomap=default | iomap=0) with "$1" works ;;
	iomap=1) fails 32 "Could not enable iomap." iomap=1 ;;
	iomap=) fails 1 iomap=2 iomap=2 ;;
	iomap_cache | noiomap_cache) with "$1" works ;;
	lazytime | strictatime) fails 32 "Some mount options require iomap." "$1" ;;
	nolazytime) with lazytime,nolazytime works ;;
	nostrictatime) with strictatime,nostrictatime works ;;
	remount) fails 32 "remount is not supported: unmount it and mount it again" remount,ro ;;
	allow_other) with allow_other eval_ok 'has allow_other && as_nobody cat mnt/f' && with "" eval_ok '! as_nobody cat mnt/f' ;;
	allow_root) with allow_root eval_ok 'cat mnt/f && ! as_nobody cat mnt/f' ;;
	default_permissions) with fakeroot,default_permissions has default_permissions ;;
	uid=) with allow_other,uid=65534 eval_ok '[ "$(stat -c %u mnt/f)" = 65534 ] && as_nobody sh -c "echo y >mnt/f"' && with "" eval_ok '[ "$(stat -c %u mnt/f)" = 0 ] && echo x >mnt/f' ;;
	gid=) with gid=4321 eval_ok '[ "$(stat -c %u:%g mnt/f mnt/dir | xargs)" = "0:4321 0:4321" ] && [ "$(find mnt -gid 4321 | wc -l)" -gt 2 ]' ;;
	umask=) with allow_other,umask=027 eval_ok '[ "$(stat -c %a mnt/f mnt/dir | xargs)" = "750 750" ] && ! as_nobody cat mnt/f && acl_errno EOPNOTSUPP' ;;
	fsname=) with fsname=some/thing type_is some/thing fuse.ext4 ;;
	subtype=) with subtype=ext2 type_is "$img" fuse.ext2 ;;
	auto_unmount) with auto_unmount works && killed_and_gone ;;
	suid | dev | exec) with "no$1,$1" has_not "no$1" ;;
	nosuid | nodev) with "$1" has "$1" ;;
	noexec) with noexec eval_ok 'has noexec && ! mnt/prog' ;;
	entry_timeout= | attr_timeout= | negative_timeout=) with "${1}0" eval_ok 'works && [ ! -e mnt/new ] && touch mnt/new && [ -e mnt/new ] && rm mnt/new' && with "${1}2.5" works ;;
	max_read=) with max_read=65536 eval_ok 'has max_read=65536 && works && cmp prog mnt/prog' ;;
	clone_fd | kernel_cache) with "$1" works ;;
	*) echo "tests/options.sh has no case for it"; return 1 ;;
	esac
}

# What is ignored, as it may be written.
ignored="user_xattr delalloc nodelalloc block_validity noblock_validity
flush_interval=30 flush=30 data=ordered
data=writeback data=journal data_err=ignore data_err=abort barrier barrier=1 nobarrier
journal_checksum nojournal_checksum journal_async_commit journal_ioprio=3
min_batch_time=0 max_batch_time=15000 discard nodiscard init_itable init_itable=10
noinit_itable inode_readahead_blks=32 auto_da_alloc auto_da_alloc=1 noauto_da_alloc
dioread_lock dioread_nolock stripe=16 nombcache mb_optimize_scan=1
prefetch_block_bitmaps no_prefetch_block_bitmaps warn_on_error nowarn_on_error nogrpid
sysvgroups orlov oldalloc reservation noreservation bh nobh nocheck check=none
dax=never dax=inode quota noquota usrquota grpquota prjquota usrjquota=aquota.user
grpjquota=aquota.group jqfmt=vfsv1 i_version iversion noiversion relatime norelatime
mand nomand silent loud defaults auto noauto user user=root nouser users nousers owner
noowner group nogroup _netdev nofail loop loop=/dev/loop7 comment=mine nonempty
big_writes large_read use_ino readdir_ino hard_remove direct_io async_read sync_read
atomic_o_trunc intr intr_signal=10 nopath max_write=131072 max_readahead=131072
max_background=12 congestion_threshold=9"
words=$(echo $ignored x-systemd.automount x-gvfs-show X-mount.mkdir | tr ' ' ,)
ok "all the words without effect, and x-*" with "$words" eval_ok \
	'works && has rw && has relatime && has nosuid && has_not noexec && [ "$(stat -f -c %b mnt)" -gt 0 ]'

"$TOOLS/optlist" rows >rows
while read -r kind row; do
	if [ "$kind" = ignored ]; then
		case $row in *=) row=$row[^\ ]+ ;; esac
		# Its acceptance was tried above, all at once.
		ok "-o $row is among them" grep -qE "(^| )$row( |$)" <<<"$(echo $ignored)"
	else
		ok "$row" try_row "$row"
		is_mounted mnt && umount_ours mnt
	fi
done <rows
ok "after all of them e2fsck finds nothing" fsck_clean img

# A word that nobody knows costs the device nothing.
sha256sum img >sum
ok "an unknown word is refused by name" fails 1 nosuchoption nosuchoption
ok "... with what to do" says "See '.*fuse2fs -h' for usage"
ok "... and changes nothing" sha256sum -c sum

# The same list everywhere.
"$TOOLS/optlist" man >man
sed '1,/^\.\\" options:/d; /^\.\\" end of options/,$d' "$T_SRC/../man/fuse2fs.1" >in-man
ok "the man page has the list (else: make man-options)" diff man in-man
"$FUSE2FS" -h 2>&1 | sed "s|^usage: [^ ]*|usage: fuse2fs|; /^Try --helpfull/d" >help
"$TOOLS/optlist" help >want
ok "-h prints it" diff want help
finish
