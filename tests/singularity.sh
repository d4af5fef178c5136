#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# SingularityCE's call: in the background, with uid, gid and offset, as a user; the
# parent ends when the mount is live, and nobody keeps the caller's pipes.
. "${0%/*}/private.sh"
requires root ours fuse mke2fs e2fsck python3 setpriv fusermount
fuse_for_users
u=65534
chmod 755 "$work"
mkdir mnt tree tree/upper tree/work
echo hello >tree/upper/f
offset=2684358656
make_image img 64M -t ext3 -d tree || exit 99
truncate -s "$offset" sif
dd if=img of=sif bs=64K seek=$offset oflag=seek_bytes conv=notrunc,sparse status=none
truncate -s $((offset + 64 * 1024 * 1024)) sif
chown $u sif mnt

cat >caller.py <<'END'
import os, subprocess, sys, time
fuse2fs, opts, img, mnt = sys.argv[1:]
start = time.monotonic()
# Both pipes are read to their end: whoever kept one would hold this up.
r = subprocess.run([fuse2fs, "-o", opts, img, mnt], capture_output=True, timeout=20, stdin=subprocess.DEVNULL)
live = any(l.split()[4] == mnt for l in open("/proc/self/mountinfo"))
names = sorted(os.listdir(mnt)) if live else []
print(f"status={r.returncode} live={live} out={r.stdout.decode()!r} err={r.stderr.decode()!r} names={names}")
print(f"# {time.monotonic() - start:.3f} s", file=sys.stderr)
END
py=$(PATH=/usr/bin:/bin command -v python3) && as $u "$py" -c '' || skip_all "needs a python3 that users can run"
call() { as $u "$py" caller.py "$FUSE2FS" "$1" "$work/sif" "$work/mnt" 2>time; sed 's/^/# /' time >&2; }
good="status=0 live=True out='' err='' names=['lost+found', 'upper', 'work']"
is "$(call "uid=1234,gid=2345,allow_other,offset=$offset")" "$good" "mounts; live, silent and its pipes closed when the parent ends"
is "$(stat -c %u:%g mnt/upper/f)" 1234:2345 "uid= and gid="
is "$(as 1234 cat mnt/upper/f)" hello "that user reads it"
ok "and writes" as 1234 sh -c 'echo changed >mnt/upper/f && mkdir mnt/upper/d && rm -r mnt/upper/d'
ok "fusermount -u" as $u fusermount -u mnt
for ((i = 0; i < 100; i++)); do
	[ -z "$(servers_of "$work/mnt")" ] && break
	sleep 0.01
done
ok "gone within 1 s" test $i -lt 100
echo "# gone after $i/100 s"

is "$(call "uid=1234,gid=2345,ro,allow_other,offset=$offset")" "$good" "ro"
is "$(as 1234 cat mnt/upper/f)" changed "ro: it reads what was written"
not_ok "ro: no change" touch mnt/x
ok "fusermount -u" as $u fusermount -u mnt

is "$(call "uid=1234,gid=2345,dev,suid,offset=$offset" | sed "s/err='.*' names/err=.. names/")" \
	"status=0 live=True out='' err=.. names=['lost+found', 'upper', 'work']" "dev and suid, which a user does not get"
ok "without allow_other nobody else sees it" sh -c '! setpriv --reuid 1234 --clear-groups ls mnt 2>/dev/null'
ok "fusermount -u" as $u fusermount -u mnt
is "$(call "uid=1234,gid=2345,allow_other,offset=$offset")" "$good" "mounts again at once"
exec 8<mnt/upper/f
ok "fusermount -u -z with an open file" as $u fusermount -u -z mnt
is "$(cat <&8)" changed "the open file is still read"
exec 8<&-
for ((i = 0; i < 200; i++)); do
	[ -z "$(servers_of "$work/mnt")" ] && break
	sleep 0.01
done
ok "gone after the file is closed" test $i -lt 200

r=$(call "uid=1234,gid=2345,allow_other,offset=4096")
is "${r%% *}" status=32 "a wrong offset: 32"
ok "with a message" grep -q "err='FUSE2FS (sif): " <<<"$r" || echo "# $r"
dd if=sif of=part bs=64K skip="$offset" iflag=skip_bytes status=none
ok "e2fsck finds nothing" fsck_clean part
finish
