# SPDX-License-Identifier: GPL-2.0-or-later
"""A full volume: what does not fit fails with ENOSPC and leaves nothing; what needs no space works."""
import os, sys
import t
from t import eq, err, ok, part, works

os.chdir(sys.argv[1])
what = sys.argv[2]


def inos():
    s = os.statvfs(".")
    return s.f_ffree


def fill(name):
    """Until nothing goes in, however small."""
    n, total = 1 << 20, 0
    fd = os.open(name, os.O_WRONLY | os.O_CREAT)
    while n >= 512:
        try:
            k = os.write(fd, b"F" * n)
            os.fsync(fd)
            total += k
            if k < n:
                n //= 2
        except OSError as e:
            if e.errno != 28:
                raise
            n //= 2
    os.close(fd)
    return total


if what == "blocks":
    bs = os.statvfs(".").f_bsize
    t.write("old", b"O" * 200000)
    with t.fd_of("old") as fd:
        os.fsync(fd)
    t.write("victim", b"V" * 300000)
    os.mkdir("d")
    os.mkdir("full")
    for i in range(40):
        os.mkdir(f"d/{i}")
    total = fill("big")
    ok(total > (10 << 20), "filled", total)
    with part("full"):
        # A file that is already there is as large as it says.
        before = os.listdir("."), inos()
        k = 0
        try:
            for k in range(5000):
                os.mkdir(f"full/{k}")
        except OSError as e:
            eq(e.errno, 28, "mkdir: ENOSPC")
        else:
            ok(False, "mkdir: no ENOSPC")
        eq(len(os.listdir("full")), k, "the one that failed left no name")
        for i in range(k):
            os.rmdir(f"full/{i}")
        eq(inos(), before[1], "nor an inode")
        fill("big2")
        err("ENOSPC", "a long symlink", os.symlink, "x" * 500, "s")
        ok(not os.path.lexists("s"), "a long symlink: no name is left")
        works("a short symlink needs no block", os.symlink, "x", "d/s")
        fd = os.open("small", os.O_RDWR | os.O_CREAT)
        try:
            os.write(fd, b"x" * (8 * bs))
            os.fsync(fd)
            ok(False, "write: no ENOSPC")
        except OSError as e:
            eq(e.errno, 28, "write (or the fsync after it): ENOSPC")
        os.ftruncate(fd, 0)
        try:
            os.close(fd)
        except OSError:
            pass
        # Half of it fits: that must be told as well, now or by fsync.
        os.truncate("big", os.stat("big").st_size - 20 * bs)
        with t.fd_of("half", os.O_RDWR | os.O_CREAT) as fd:
            n = 0
            try:
                n = os.write(fd, b"H" * (100 * bs))
                os.fsync(fd)
            except OSError as e:
                eq(e.errno, 28, "a write of which half fits, and fsync: ENOSPC")
            else:
                ok(n < 100 * bs, "a write of which half fits, and fsync: ENOSPC, or a short count", n)
            os.ftruncate(fd, 0)
        os.unlink("half")
        fill("big3")
        err(("ENOSPC", "EOPNOTSUPP"), "fallocate", lambda: t.fallocate(os.open("small", os.O_RDWR), 0, 0, 1 << 20))
        with t.fd_of("old") as fd:
            works("overwriting needs no space", lambda: (os.pwrite(fd, b"N" * 200000, 0), os.fsync(fd)))
        eq(t.read("old"), b"N" * 200000, "overwritten")
        works("rename needs none", os.rename, "old", "new")
        works("chmod needs none", os.chmod, "new", 0o600)
        works("link needs none", os.link, "new", "d/new")
        works("truncate works", os.truncate, "victim", 10)
        works("unlink works", os.unlink, "victim")
        t.write("again", b"A" * 100000)
        with t.fd_of("again") as fd:
            works("what was freed can be used", os.fsync, fd)
        eq(t.read("again"), b"A" * 100000, "and holds the data")
        for n in ("big", "big2", "big3"):
            os.unlink(n)
        t.write("after", b"B" * (5 << 20))
        with t.fd_of("after") as fd:
            works("there is room again", os.fsync, fd)
        ok(t.read("after") == b"B" * (5 << 20), "and it holds the data")

if what == "inodes":
    with part("inodes"):
        os.mkdir("d")
        t.write("keep", b"keep")
        n = 0
        while True:
            try:
                os.close(os.open(f"d/{n}", os.O_CREAT | os.O_WRONLY))
                n += 1
            except OSError as e:
                eq(e.errno, 28, "create: ENOSPC")
                break
        eq(inos(), 0, "no inode is free")
        eq(len(os.listdir("d")), n, "the one that failed left no name")
        free = os.statvfs(".").f_bfree
        for f, a in ((os.mkdir, ("x",)), (os.symlink, ("y", "x")), (os.mkfifo, ("x",)), (os.symlink, ("y" * 200, "x"))):
            err("ENOSPC", f.__name__, f, *a)
            ok(not os.path.lexists("x"), f"{f.__name__}: no name is left")
        eq(os.statvfs(".").f_bfree, free, "no block either")
        works("link needs none", os.link, "keep", "x")
        os.unlink("d/3")
        works("one freed can be used", t.write, "d/again", b"a")
        err("ENOSPC", "and then no more", t.write, "d/more")
        for i in range(0, n, 2):
            os.unlink(f"d/{i}") if i != 3 else None
        for i in range(0, n // 4):
            t.write(f"e{i}", b"%d" % i)
        ok(all(t.read(f"e{i}") == b"%d" % i for i in range(n // 4)), "reused inodes hold new files")

if what == "reserve":
    with part("reserve"):
        os.chmod(".", 0o777)
        s = os.statvfs(".")
        ok(s.f_bavail < s.f_bfree, "there is a reserve")

        def user():
            try:
                fill("user")
            finally:
                s = os.statvfs(".")
                if s.f_bavail > 64:
                    raise OSError(1, "a user stopped early")
        eq(t.as_user(user), None, "a user fills what is his")
        s = os.statvfs(".")
        ok(s.f_bfree >= (s.f_blocks // 25) and s.f_bavail <= 64, "the reserve is left", s)
        eq(t.as_user(lambda: t.fallocate(os.open("user2", os.O_CREAT | os.O_RDWR), 0, 0, 1 << 20)), "ENOSPC",
           "a user gets no more")
        with t.fd_of("root", os.O_CREAT | os.O_RDWR) as fd:
            works("root may use the reserve", lambda: (os.write(fd, b"r" * (1 << 20)), os.fsync(fd)))
        eq(t.as_user(lambda: os.truncate("user", 100)), None, "a user's file can be cut")
        eq(t.as_user(lambda: t.write("user3", b"u" * 1000000)), None, "then there is room for him")
t.finish()
