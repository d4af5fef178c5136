# SPDX-License-Identifier: GPL-2.0-or-later
"""A change by somebody without CAP_FSETID takes setuid, setgid and capabilities from a file; root's keeps them."""
import mmap, os, stat, struct, sys
import t
from t import as_user, eq, ok, part

os.chdir(sys.argv[1])
os.chmod(".", 0o777)
CAP = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)


def make(mode=0o6777):
    if os.path.exists("f"):
        os.unlink("f")
    t.write("f", b"x" * 20000)
    os.chown("f", 65534, 65534)
    os.setxattr("f", "security.capability", CAP)
    os.chmod("f", mode)


def look():
    s = stat.S_IMODE(os.stat("f").st_mode)
    try:
        os.getxattr("f", "security.capability")
        return s, True
    except OSError:
        return s, False


def w():
    with t.fd_of("f", os.O_RDWR) as fd:
        os.pwrite(fd, b"y", 0)
        os.fsync(fd)


def tr():
    os.truncate("f", 100)


def otr():
    os.close(os.open("f", os.O_WRONLY | os.O_TRUNC))


def fa():
    with t.fd_of("f", os.O_RDWR) as fd:
        t.fallocate(fd, 0, 0, 60000)


def pu():
    with t.fd_of("f", os.O_RDWR) as fd:
        t.fallocate(fd, t.PUNCH_HOLE | t.KEEP_SIZE, 0, 6000)


def co():
    with t.fd_of("f", os.O_RDWR) as fd:
        os.copy_file_range(fd, fd, 10, 0, 1000)


def dw():
    with t.fd_of("f", os.O_RDWR | os.O_DIRECT) as fd:
        m = mmap.mmap(-1, 4096)
        os.pwritev(fd, [m], 0)


for what, fn in (("write", w), ("O_DIRECT write", dw), ("truncate", tr), ("O_TRUNC", otr), ("fallocate", fa), ("punch", pu),
                 ("copy_file_range", co)):
    with part(what):
        make()
        eq(as_user(fn), None, f"{what} by a user")
        eq(look(), (0o777, False), f"{what} by a user: setuid, setgid and capabilities are gone")
        make(0o2767 & ~0o010)
        as_user(fn)
        # mandatory locking of old: setgid without group execute
        ok(look()[0] in (0o2767 & ~0o010, 0o767 & ~0o010), f"{what} by a user: setgid without x", oct(look()[0]))
        make()
        fn()
        eq(look()[0], 0o6777, f"{what} by root: they stay")

with part("chown"):
    make()
    eq(as_user(lambda: os.chown("f", -1, 100), groups=(100,)), None, "chown by the owner to a group of his")
    eq(look(), (0o777, False), "chown by a user: gone")
    make()
    os.chown("f", 1, 1)
    eq(look(), (0o777, False), "chown by root: gone too")
    make(0o2745)
    os.chown("f", 1, 1)
    eq(look()[0], 0o2745, "chown: setgid without group execute stays")
    os.mkdir("d")
    os.chmod("d", 0o6777)
    os.chown("d", 1, 1)
    eq(stat.S_IMODE(os.stat("d").st_mode), 0o6777, "chown of a directory: they stay")
with part("chmod"):
    t.write("g")
    os.chown("g", 65534, 12345)
    eq(as_user(lambda: os.chmod("g", 0o2755)), None, "chmod g+s by one who is not in the group")
    eq(stat.S_IMODE(os.stat("g").st_mode), 0o755, "has no effect")
    eq(as_user(lambda: os.chmod("g", 0o2755), groups=(12345,)), None, "chmod g+s by a member")
    eq(stat.S_IMODE(os.stat("g").st_mode), 0o2755, "has")
t.finish()
