# SPDX-License-Identifier: GPL-2.0-or-later
"""Times: nanoseconds, far dates, what each operation touches, utimens and its permissions."""
import os, sys, time
import t
from t import as_user, eq, err, ok, part, tick, works

os.chdir(sys.argv[1])
old = "128" in sys.argv
NS = 10**9
t.write("f", b"data")
os.mkdir("d")


def st(p="f", **kw):
    s = os.stat(p, **kw)
    return s.st_atime_ns, s.st_mtime_ns, s.st_ctime_ns


with part("utimens"):
    for a, m in ((0, 0), (1, 2), (123456789 * NS, 1700000000 * NS), (-1 * NS, -5 * NS),
                 (0x7fffffff * NS, -0x80000000 * NS)):
        os.utime("f", ns=(a, m))
        want = (a, m) if not old else (a // NS * NS, m // NS * NS)
        eq(st()[:2], want, f"utimens {a} {m}")
    if not old:
        for v in (123456789, 1700000000 * NS + 999999999, 0x80000000 * NS, 0xffffffff * NS + 1, 0x37ffffffe * NS + 5,
                  -0x7fffffff * NS + 1, 0x100000000 * NS - 1):
            os.utime("f", ns=(v, v + 1))
            eq(st()[:2], (v, v + 1), f"utimens {v}")
        # atime only: the kernel may keep an mtime of its own meanwhile.
        for v, want in ((0x380000000, 0x37fffffff), (-0x80000001, -0x80000000)):
            os.utime("f", ns=(v * NS, 0))
            eq(st()[0], want * NS, f"date {v} is clamped")
    now = time.time_ns()
    os.utime("f")
    a, m, c = st()
    ok(all(abs(x - now) < 3 * NS for x in (a, m, c)), "utimens: now")
    os.utime("f", ns=(5 * NS, 6 * NS))
    tick()
    libc_utimensat = t.libc.utimensat
    import ctypes

    class ts(ctypes.Structure):
        _fields_ = [("s", ctypes.c_long), ("n", ctypes.c_long)]
    NOW, OMIT = (1 << 30) - 1, (1 << 30) - 2

    def utimens(p, a, m, flags=0):
        t._c("utimensat", -100, os.fsencode(p), (ts * 2)(ts(*a), ts(*m)), flags)
    c = st()[2]
    utimens("f", (0, OMIT), (7, 0))
    eq(st()[:2], (5 * NS, 7 * NS), "UTIME_OMIT")
    ok(st()[2] > c or old, "utimens: ctime advances")
    utimens("f", (0, NOW), (0, OMIT))
    ok(abs(st()[0] - time.time_ns()) < 3 * NS and st()[1] == 7 * NS, "UTIME_NOW")
    c = st()[2]
    tick()
    utimens("f", (0, OMIT), (0, OMIT))
    eq(st()[2], c, "both UTIME_OMIT: nothing")
    os.symlink("f", "l")
    os.utime("l", ns=(NS, 2 * NS), follow_symlinks=False)
    eq(st("l", follow_symlinks=False)[:2], (NS, 2 * NS), "of a link itself")
    ok(st()[1] == 7 * NS, "of a link: not of its target")
    with t.fd_of("f") as fd:
        os.utime(fd, ns=(3 * NS, 4 * NS))
        eq(st()[:2], (3 * NS, 4 * NS), "futimens")
    os.chmod(".", 0o777)
    eq(as_user(lambda: os.utime("f", ns=(1, 1))), "EPERM", "another's file: EPERM")
    eq(as_user(lambda: os.utime("f")), "EACCES", "another's file, now: EACCES")
    os.chmod("f", 0o666)
    eq(as_user(lambda: os.utime("f")), None, "writable, now: allowed")
    eq(as_user(lambda: os.utime("f", ns=(1, 1))), "EPERM", "writable: EPERM")
    t.write("own", b"")
    os.chown("own", 65534, 65534)
    os.chmod("own", 0o444)
    eq(as_user(lambda: os.utime("own", ns=(NS, NS))), None, "the owner of a 0444 file may")

with part("what touches what"):
    def change(what, fn, touched, p="f"):
        os.utime(p, ns=(NS, 2 * NS), follow_symlinks=False)
        before = st(p, follow_symlinks=False)
        tick()
        fn()
        after = st(p, follow_symlinks=False)
        got = "".join(n for n, b, a in zip("amc", before, after) if a != b)
        if old:     # ctime cannot be set back, and may be the same second
            got, touched = got.replace("c", ""), touched.replace("c", "")
        eq(got, touched, f"{what} touches {touched or 'nothing'}")
    fd = os.open("f", os.O_RDWR)
    change("write", lambda: os.pwrite(fd, b"x", 0), "mc")
    change("append", lambda: os.pwrite(fd, b"x" * 10000, 100), "mc")
    change("write of nothing", lambda: os.pwrite(fd, b"", 0), "")
    change("ftruncate", lambda: os.ftruncate(fd, 50), "mc")
    change("ftruncate to the same size", lambda: os.ftruncate(fd, 50), "mc")
    os.close(fd)
    change("truncate", lambda: os.truncate("f", 10), "mc")
    change("O_TRUNC", lambda: t.write("f", b""), "mc")
    change("chmod", lambda: os.chmod("f", 0o640), "c")
    change("chown", lambda: os.chown("f", 1, 1), "c")
    change("link", lambda: os.link("f", "f2"), "c")
    change("unlink of a name", lambda: os.unlink("f2"), "c")
    change("rename", lambda: (os.rename("f", "g"), os.rename("g", "f")), "c")
    change("setxattr", lambda: os.setxattr("f", "user.x", b"1"), "c")
    change("stat", lambda: os.stat("f"), "")
    change("a name below", lambda: t.write("d/x"), "mc", "d")
    change("a name less", lambda: os.unlink("d/x"), "mc", "d")
    change("mkdir", lambda: os.mkdir("d/y"), "mc", "d")
    change("rmdir", lambda: os.rmdir("d/y"), "mc", "d")
    t.write("f", b"to be read")

with part("atime"):
    def uncached():
        with t.fd_of("f") as fd:    # a page in the cache is read without us
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.utime("f", ns=(NS, 2 * NS))
    tick()
    uncached()
    t.read("f")
    ok(abs(st()[0] - time.time_ns()) < 5 * NS, "relatime: older than mtime: read touches it", st())
    a = st()[0]
    tick()
    uncached()
    t.read("f")
    eq(st()[0], a, "relatime: newer than mtime: it stays")

with part("order"):
    last = 0
    for i in range(200):
        t.write(f"o{i}", b"x")
        m = os.stat(f"o{i}").st_mtime_ns
        if m < last:
            ok(False, "times never run backwards", i, last, m)
            break
        last = m
    else:
        ok(True, "times never run backwards")
    before = time.clock_gettime_ns(time.CLOCK_REALTIME_COARSE if hasattr(time, "CLOCK_REALTIME_COARSE") else 5)
    t.write("n")
    m = st("n")[1]
    ok(m >= before or (old and m >= before // NS * NS), "a new file is not older than now", before, m)
t.finish()
