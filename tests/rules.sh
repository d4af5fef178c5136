#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The rules that a grep can check: FUSE above and ext4 below, errcode_t only where
# it is translated, every source and test named in Makefile.am, device I/O by the
# names that container runtimes interpose.
. "${0%/*}/functions.sh"
cd "$T_SRC/.." || exit 99

none() {
	! grep -nE "$@"
}

ok "no <fuse.h> below ops/" none '#include <fuse' -r fs io journal sys --include=*.[ch]
mapfile -t fuse < <(grep -lE '#include <fuse' -r ops opts ./*.c --include=*.[ch])
ok "no ext2fs_ call where <fuse.h> is included" none '\bext2fs_[a-z0-9_]+\(' "${fuse[@]}"
mapfile -t others < <(find fs journal ops opts sys -name '*.[ch]' ! -name err.c ! -name open.c)
ok "errcode_t only in io/, fs/err.c and fs/open.c" sh -c \
	'! grep -nE "\berrcode_t\b" "$@" | grep -vE "errcode_t err\);|:[0-9]+:[[:space:]]*/?\*"' sh "${others[@]}"
mapfile -t ours < <(find fs io journal ops opts sys -name '*.[ch]')
ok "none of the library's own file, inode, allocation and directory functions" none \
	'\bext2fs_(file_|new_|alloc_|mkdir|symlink|link|unlink|expand_dir|fallocate|punch|extent_|bmap|xattr|mmp_|flush|write_(inode|bitmap|block_bitmap|inode_bitmap)|read_inode|read_(block_bitmap|inode_bitmap|bitmaps)|close|dir_iterate|namei|lookup)' \
	"${ours[@]}"

missing=
for f in $(find fs io journal ops opts sys -name '*.[ch]') tests/*.sh tests/*.[ch] \
	 tests/unit/*.[ch] tests/tools/*.py tests/tools/*.c; do
	case $f in
	tests/*.c | tests/unit/*.c) n=${f%.c} ;;
	*) n=$f ;;
	esac
	grep -qE "(^|[[:space:]])${n%.c}(\.c)?([[:space:]]|\$)" Makefile.am || missing+=" $f"
done
is "$missing" "" "every file is named in Makefile.am"

bad=
for f in $(find fs io journal ops opts sys tests -name '*.[ch]') ./*.[ch]; do
	[ "$(head -1 "$f")" = "/* SPDX-License-Identifier: GPL-2.0-or-later */" ] || bad+=" $f"
done
is "$bad" "" "every source begins with its licence"

if [ -n "${FUSE2FS-}" ] && command -v nm >/dev/null; then
	syms=" $(nm -D --undefined-only "$FUSE2FS" | sed 's/.* U //;s/@.*//' | tr '\n' ' ')"
	for s in open64 pread64 pwrite64; do
		ok "the program imports $s" test "${syms/ $s /}" != "$syms"
	done
fi
finish
