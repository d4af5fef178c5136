#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# usage: ./run.sh [IMAGE MOUNTPOINT [fuse2fs options]]
#
# Installs what is missing, builds (in build/), and mounts IMAGE at MOUNTPOINT.
# Without arguments: makes a sample image with some files, mounts it, shows it.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
# Where ./configure was run in the source folder, the build is there.
build=$here/build
[ ! -e "$here/config.status" ] || build=$here

die() {
	echo "run.sh: $*" >&2
	exit 1
}

# packages PACKAGE..: installs those that are missing.
packages() {
	local p missing=() sudo=
	command -v dpkg-query >/dev/null || return 0	# not Debian: hope
	for p; do
		dpkg-query -W -f '${Status}' "$p" 2>/dev/null |
			grep -q 'ok installed' || missing+=("$p")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null ||
			die "these packages are needed: ${missing[*]}"
		sudo=sudo
	fi
	echo "Installing ${missing[*]}" >&2
	export DEBIAN_FRONTEND=noninteractive
	$sudo apt-get -qq update >&2 || true
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
		install "${missing[@]}" >/dev/null || die "apt-get failed"
}

# Builds in DIR, with CONFIGURE-ARGUMENTS the first time.
build_in() {
	local dir=$1 log
	shift
	log=$dir/build.log
	mkdir -p "$dir"
	: >"$log"
	if [ ! -x "$here/configure" ] || [ "$here/configure.ac" -nt "$here/configure" ] ||
	   [ "$here/Makefile.am" -nt "$here/Makefile.in" ]; then
		"$here/bootstrap" >>"$log" 2>&1 || { cat "$log" >&2; die "bootstrap failed"; }
	fi
	if [ ! -e "$dir/Makefile" ]; then
		(cd "$dir" && "$here/configure" -q "$@") >>"$log" 2>&1 ||
			{ cat "$log" >&2; die "configure failed"; }
	fi
	make -s -C "$dir" -j"$(nproc)" >>"$log" 2>&1 ||
		{ tail -50 "$log" >&2; die "make failed"; }
}

sample() {
	local dir
	dir=$(mktemp -d "${TMPDIR:-/tmp}/fuse2fs-sample.XXXXXX")
	mkdir -p "$dir/files/docs" "$dir/mnt"
	echo "Hello from an ext4 image." >"$dir/files/hello.txt"
	cp "$here/README.md" "$dir/files/docs/"
	ln -s docs/README.md "$dir/files/readme"
	mke2fs -Fq -t ext4 -L sample -d "$dir/files" "$dir/sample.img" 64M >/dev/null
	rm -r "$dir/files"
	echo "$dir"
}

case ${1-} in
-h | --help)
	sed -n '4,7s/^# \{0,1\}//p' "$0"
	exit 0 ;;
esac
[ $# != 1 ] || die "usage: run.sh [IMAGE MOUNTPOINT [options]]"

packages autoconf automake make gcc libc6-dev pkg-config libfuse3-dev libext2fs-dev \
	comerr-dev fuse3 e2fsprogs
[ -c /dev/fuse ] || { modprobe fuse 2>/dev/null || true; }
[ -c /dev/fuse ] || die "there is no /dev/fuse here: no file system can be mounted"
build_in "$build"

if [ $# = 0 ]; then
	export PATH=$PATH:/usr/sbin:/sbin
	dir=$(sample)
	image=$dir/sample.img
	mnt=$dir/mnt
else
	image=$1
	mnt=$2
	shift 2
	mkdir -p "$mnt"
fi
"$build/fuse2fs" "$image" "$mnt" "$@" || die "fuse2fs could not mount $image"
if [ -n "${dir-}" ]; then
	echo "Mounted $image at $mnt:"
	ls -lA "$mnt"
	cat "$mnt/hello.txt"
else
	echo "Mounted $image at $mnt."
fi
if [ "$(id -u)" = 0 ]; then
	echo "Unmount it with: umount $mnt"
else
	echo "Unmount it with: fusermount3 -u $mnt"
fi
