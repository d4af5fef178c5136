#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The feature policy: every row of the program's table has a case here, and is
# mounted read-write, read-only with its message and not a byte written, or
# refused by name.  Further what no bit says: the state of the journal, inside and
# on a device of its own; errors on record.
. "${0%/*}/functions.sh"
requires root ours fuse mke2fs e2fsck debugfs dumpe2fs tune2fs
[ -x "$TOOLS/features" ] || t_bail "no program features"

# NAME|WHAT HAPPENS|MKE2FS ARGUMENTS|DEBUGFS COMMAND.  "nofsck": a bit that e2fsck
# does not know, and that is taken away again before it is asked.
cases='
dir_prealloc|rw|-t ext4|feature dir_prealloc
imagic_inodes|rw|-t ext4|feature imagic_inodes
has_journal|rw|-t ext3|
ext_attr|rw|-t ext2 -O ext_attr|
resize_inode|rw|-t ext4 -O resize_inode|
dir_index|rw|-t ext4 -O dir_index|
lazy_bg|rw nofsck|-t ext4|feature lazy_bg
snapshot_bitmap|rw nofsck|-t ext4|feature snapshot_bitmap
sparse_super2|rw|-t ext4 -O sparse_super2|
fast_commit|rw|-t ext4 -O fast_commit|
stable_inodes|rw|-t ext4 -O stable_inodes|
orphan_file|rw|-t ext4 -O orphan_file|
compression|refuse|-t ext4|feature compression
filetype|rw|-t ext4 -O filetype|
needs_recovery|recover|-t ext4|feature needs_recovery
journal_dev|refuse|-O journal_dev|
meta_bg|rw|-t ext4 -O meta_bg,^resize_inode|
extent|rw|-t ext4 -O extent|
64bit|rw|-t ext4 -O 64bit|
mmp|rw|-t ext4 -O mmp|
flex_bg|rw|-t ext4 -O flex_bg|
ea_inode|rw|-t ext4 -O ea_inode|
dirdata|refuse|-t ext4|feature dirdata
metadata_csum_seed|rw|-t ext4 -O metadata_csum_seed|
large_dir|rw|-t ext4 -O large_dir|
inline_data|rw|-t ext4 -O inline_data|
encrypt|ro|-t ext4 -O encrypt|
casefold|rw|-t ext4 -O casefold|
sparse_super|rw|-t ext4 -O sparse_super|
large_file|rw|-t ext4 -O large_file|
huge_file|rw|-t ext4 -O huge_file|
uninit_bg|rw|-t ext4 -O ^metadata_csum,uninit_bg|
dir_nlink|rw|-t ext4 -O dir_nlink|
extra_isize|rw|-t ext4 -O extra_isize|
snapshot|ro|-t ext4|feature FEATURE_R7
quota|ro|-t ext4 -O quota|
bigalloc|rw|-t ext4 -O bigalloc|
metadata_csum|rw|-t ext4 -O metadata_csum|
replica|ro|-t ext4|feature replica
read-only|ro|-t ext4|feature read-only
project|rw|-t ext4 -O project|
shared_blocks|ro|-t ext4|feature shared_blocks
verity|ro|-t ext4 -O verity|
orphan_present|rw|-t ext4 -O orphan_file|feature orphan_present
'
# A bit that nobody knows, of each set.
unknown='
FEATURE_C25|rw nofsck|-t ext4|feature FEATURE_C25
FEATURE_R25|ro|-t ext4|feature FEATURE_R25
FEATURE_I25|refuse|-t ext4|feature FEATURE_I25
'

mkdir tree mnt
echo hello >tree/hello
mkdir tree/dir

# make MKFS DEBUGFS-COMMAND
make() {
	# shellcheck disable=SC2086
	case $1 in
	*journal_dev*) make_image img 16M $1 ;;
	*) make_image img 16M $1 -d tree ;;
	esac || return 1
	[ -z "$2" ] || debugfs -w -R "$2" img >.debugfs 2>&1
}
features() {
	dumpe2fs -h img 2>/dev/null | sed -n 's/^Filesystem features: *//p'
}
# mount_it OPTIONS: status, its messages in err
mount_it() {
	: >server.log
	mount_ours img mnt "$1" >.mount.out
	status=$?
	cp server.log err
	return $status
}
# The exit status of a mount that fails.
refused() {
	timeout 60 "$FUSE2FS" -f -o "$1" "$work/img" "$work/mnt" >out 2>err </dev/null
	[ $? = 32 ] && ! is_mounted mnt
}
messages() {
	grep -v "^$" err
}

is_rw() {
	local name=$1 opts=${2-} cmd=${3-}
	ok "$name: mounts" mount_it "" || return
	ok "$name: silently" test ! -s err
	ok "$name: takes changes" sh -c 'cat mnt/hello >mnt/dir/copy && mkdir mnt/new && rm mnt/hello'
	ok "$name: unmounts" umount_ours mnt
	if [[ $opts = *nofsck* ]]; then
		debugfs -w -R "${cmd/feature /feature -}" img >/dev/null 2>&1
	fi
	ok "$name: e2fsck finds nothing" fsck_clean img
	is "$(debugfs -R 'cat dir/copy' img 2>/dev/null | tr -d '\0')" hello "$name: the change is there"
	ok "$name: mounts with ro" mount_it ro || return
	ok "$name: reads" cmp mnt/dir/copy tree/hello
	umount_ours mnt
}

is_ro() {
	local name=$1 why=$2
	sha256sum img >sum
	ok "$name: mounts" mount_it "" || return
	ok "$name: says: Mounting read-only: $why." grep -qF ": Mounting read-only: $why." err
	ok "$name: ro in the mount table" grep -q " $work/mnt fuse.ext4 ro," /proc/mounts
	ok "$name: takes no change" is_readonly mnt
	ok "$name: reads" cmp mnt/hello tree/hello
	ok "$name: lists" ls -l mnt/dir
	umount_ours mnt
	ok "$name: mounts with ro" mount_it ro || return
	ok "$name: silently" test ! -s err
	ok "$name: reads" cmp mnt/hello tree/hello
	umount_ours mnt
	ok "$name: not a byte was written" sha256sum -c sum
}

is_refused() {
	local name=$1
	sha256sum img >sum
	for opt in rw ro norecovery; do
		ok "$name: refused with $opt" refused "$opt"
		ok "$name: by name" grep -qF ": Unsupported feature $name." err
	done
	ok "$name: not a byte was written" sha256sum -c sum
}

is_recovered() {
	local name=$1
	sha256sum img >sum
	ok "$name: mounts with ro" mount_it ro || return
	ok "$name: says so" grep -q ": Recovering journal." err
	ok "$name: takes no change" is_readonly mnt
	ok "$name: reads" cmp mnt/hello tree/hello
	umount_ours mnt
	ok "$name: not a byte was written" sha256sum -c sum
	ok "$name: mounts with norecovery" mount_it norecovery || return
	ok "$name: says so" grep -q ": Mounting read-only without recovering journal." err
	ok "$name: takes no change" is_readonly mnt
	ok "$name: reads" cmp mnt/hello tree/hello
	umount_ours mnt
	ok "$name: not a byte was written" sha256sum -c sum
	ok "$name: mounts" mount_it "" || return
	ok "$name: says so" grep -q ": Recovering journal." err
	ok "$name: writes" touch mnt/written
	umount_ours mnt
	ok "$name: e2fsck finds nothing" fsck_clean img
}

# run_case NAME EXPECT MKFS COMMAND WHY
run_case() {
	local name=$1 expect=$2
	if ! make "$3" "$4"; then
		skip "$name" "this mke2fs cannot make it"
		return
	fi
	# dumpe2fs does not open everything; and the name is in our refusal.
	if [ "$expect" != refuse ] &&
		! [[ " $(features) " =~ " "($name|${4#feature })" " ]]; then
		fail "$name: the image has the feature" "$(features)"
		return
	fi
	case $expect in
	rw*) is_rw "$name" "$expect" "$4" ;;
	ro) is_ro "$name" "$5" ;;
	recover) is_recovered "$name" ;;
	refuse) is_refused "$name" ;;
	esac
}

"$TOOLS/features" >rows
ok "the program has a table" test -s rows
while read -r set name policy why <&3; do
	line=$(grep "^$name|" <<<"$cases")
	if [ -z "$line" ]; then
		fail "the row $set $name has a case"
		continue
	fi
	IFS='|' read -r _ expect mkfs cmd <<<"$line"
	is "$policy" "${expect%% *}" "$name: the table says ${expect%% *}" || continue
	run_case "$name" "$expect" "$mkfs" "$cmd" "$why"
done 3<rows
while IFS='|' read -r name expect mkfs cmd <&3; do
	[ -n "$name" ] || continue
	run_case "$name" "$expect" "$mkfs" "$cmd" "unsupported feature $name"
done 3<<<"$unknown"

# Everything at once that mke2fs lets one combine.
make "-t ext4 -O meta_bg,^resize_inode,inline_data,ea_inode,large_dir,metadata_csum_seed,project,sparse_super2,orphan_file,fast_commit,stable_inodes,casefold" ""
is_rw "much at once" "" ""

# --- the state ---

# With a journal it is the journal that tells.
make "-t ext4 -O ^has_journal" ""
for state in 0 1; do
	debugfs -w -R "ssv state $state" img >/dev/null 2>&1
	before=$(dumpe2fs -h img 2>/dev/null | sed -n 's/^Mount count: *//p')
	ok "state $state: mounts" mount_it ""
	if [ $state = 0 ]; then
		ok "not clean: a warning" grep -q "Warning: Mounting unchecked fs, running e2fsck is recommended." err
	else
		ok "clean: none" test ! -s err
	fi
	is "$(dumpe2fs -h img 2>/dev/null | sed -n 's/^Mount count: *//p')" $((before + 1)) "the mount is counted"
	is "$(dumpe2fs -h img 2>/dev/null | sed -n 's/^Filesystem state: *//p')" "not clean" "mounted is not clean"
	umount_ours mnt
done
is "$(dumpe2fs -h img 2>/dev/null | sed -n 's/^Filesystem state: *//p')" clean "clean afterwards"
tune2fs -c 1 img >/dev/null
mount_it "" && umount_ours mnt
ok "mount count: a warning" grep -q "Warning: Maximal mount count reached, running e2fsck is recommended." err
tune2fs -c 0 -i 1d -T 20200101 img >/dev/null
mount_it "" && umount_ours mnt
ok "check interval: a warning" grep -q "Warning: Check time reached; running e2fsck is recommended." err

make "-t ext4" "ssv error_count 7"
is_rw "errors on record, but clean"
make "-t ext4" "ssv state 3"
ok "error state: refused" refused rw
ok "error state: says so" grep -q ": Errors detected; running e2fsck is required." err
ok "error state: mounts with ro" mount_it ro
ok "error state: reads" cmp mnt/hello tree/hello
umount_ours mnt

# --- the journal ---

# The journal's superblock is in big-endian words.
# poke FILE OFFSET BYTES
poke() {
	# shellcheck disable=SC2059
	printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
make "-t ext4 -b 4096" ""
blk=$(debugfs -R 'bmap <8> 0' img 2>/dev/null | grep -o '^[0-9]*')
poke img $((blk * 4096 + 28)) '\0\0\0\1'
is_ro "journal in use, without needs_recovery" "the journal needs recovery; running e2fsck is recommended"
make "-t ext4 -b 4096" ""
poke img $((blk * 4096 + 32)) '\377\377\377\373'
is_ro "journal with an error" "the journal has an error on record; running e2fsck is recommended"
make "-t ext4 -b 4096" ""
poke img $((blk * 4096)) '\0\0\0\0'
is_ro "journal damaged" "the journal is damaged; running e2fsck is recommended"

if t_have_loop; then
	for bs in 1024 4096; do
		rm -f jdev
		truncate -s 16M jdev
		loop=$(losetup -f --show jdev) || break
		cleanup losetup -d "$loop"
		mke2fs -FFq -O journal_dev -b $bs "$loop" >/dev/null 2>&1
		jblk=$((bs == 1024 ? 2 : 1))
		make "-t ext4 -b $bs -J device=$loop" ""
		ok "external journal, $bs: has no inode" \
			sh -c "dumpe2fs -h img 2>/dev/null | grep -q '^Journal UUID'"
		is_rw "external journal, $bs"
		# again, without the checksum that we gave it
		mke2fs -FFq -O journal_dev -b $bs "$loop" >/dev/null 2>&1
		make "-t ext4 -b $bs -J device=$loop" ""
		poke "$loop" $((jblk * bs + 28)) '\0\0\0\4'
		is_ro "external journal in use, $bs" "the journal needs recovery; running e2fsck is recommended"
		poke "$loop" $((jblk * bs + 28)) '\0\0\0\0'
		poke "$loop" 1128 x
		is_ro "external journal of another, $bs" "its journal device was not found; running e2fsck is recommended"
	done
else
	skip "external journals" "needs loop devices"
fi
finish
