# SPDX-License-Identifier: GPL-2.0-or-later
"""Permissions as in-kernel ext4 checks them: search, owner, group, other, sticky, ownership."""
import os, sys
import t
from t import as_user, eq, part

os.chdir(sys.argv[1])
U = 65534
os.chmod(".", 0o755)
t.write("f", b"x")
os.mkdir("pub")
os.chmod("pub", 0o777)
os.mkdir("tmp")
os.chmod("tmp", 0o1777)
os.mkdir("closed")
t.write("closed/f", b"x")
os.chmod("closed", 0o744)


def no(what, fn, code="EACCES", **kw):
    eq(as_user(fn, **kw), code, f"{what}: {code}")


def yes(what, fn, **kw):
    eq(as_user(fn, **kw), None, f"{what}: allowed")


with part("files"):
    yes("read 0644", lambda: t.read("f"))
    no("write 0644", lambda: os.open("f", os.O_WRONLY))
    no("truncate 0644", lambda: os.truncate("f", 0))
    os.chmod("f", 0o604)
    os.chown("f", 0, 7)
    no("the group's bits, not the others'", lambda: t.read("f"), gid=7)
    no("a supplementary group counts", lambda: t.read("f"), gid=1, groups=(7,))
    yes("the others' bits", lambda: t.read("f"), gid=1)
    os.chown("f", U, 7)
    os.chmod("f", 0o066)
    no("the owner's bits first", lambda: t.read("f"), gid=7)
    no("chmod by another", lambda: os.chmod("f", 0o666), "EPERM", uid=5)
    no("chown by the owner", lambda: os.chown("f", 5, -1), "EPERM")
    no("chgrp to a group that is not his", lambda: os.chown("f", -1, 5), "EPERM")
    os.chmod("f", 0o600)
    yes("chmod by the owner", lambda: os.chmod("f", 0o444))
    no("access W_OK", lambda: os.close(os.open("f", os.O_RDWR)))
    if os.access("f", os.W_OK) is not True:
        t.ok(False, "root may")
    t.write("x", b"#!/bin/sh\nexit 0\n")
    os.chmod("x", 0o644)
    t.err("EACCES", "root: exec needs an x bit", os.execv, "./x", ["x"])
with part("directories"):
    no("no search permission", lambda: t.read("closed/f"))
    no("no search permission: stat", lambda: os.stat("closed/f"))
    no("create in 0755", lambda: t.write("n"))
    no("mkdir in 0755", lambda: os.mkdir("n"))
    no("unlink in 0755", lambda: os.unlink("f"))
    no("rename in 0755", lambda: os.rename("f", "pub/f"))
    yes("create in 0777", lambda: t.write("pub/mine"))
    yes("rm of 0444 in 0777", lambda: (t.write("pub/ro", mode=0o444), os.unlink("pub/ro")))
    t.write("pub/root", b"")
    yes("unlink of another's in 0777", lambda: os.unlink("pub/root"))
    t.write("tmp/root", b"")
    no("unlink of another's in a sticky directory", lambda: os.unlink("tmp/root"), "EPERM")
    no("rename of another's in a sticky directory", lambda: os.rename("tmp/root", "tmp/x"), "EPERM")
    yes("create in a sticky directory", lambda: t.write("tmp/mine"))
    no("rename over another's in a sticky directory", lambda: os.rename("tmp/mine", "tmp/root"), "EPERM")
    yes("unlink of one's own in a sticky directory", lambda: os.unlink("tmp/mine"))
    os.mkdir("noread")
    os.chmod("noread", 0o711)
    no("list 0711", lambda: os.listdir("noread"))
    os.mkdir("pub/d")
    os.chmod("pub/d", 0o755)
    no("moving another's directory needs write permission on it", lambda: os.rename("pub/d", "tmp/d"))
with part("devices"):
    no("mknod by a user", lambda: os.mknod("pub/dev", 0o020666, os.makedev(1, 3)), "EPERM")
    yes("mkfifo by a user", lambda: os.mkfifo("pub/fifo"))
    no("link to another's file that one cannot write", lambda: os.link("x", "pub/x"), "EPERM")
t.finish()
