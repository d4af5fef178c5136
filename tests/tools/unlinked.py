# SPDX-License-Identifier: GPL-2.0-or-later
"""A file without a name, still open: everything works on it, its space comes back at the end."""
import mmap, os, stat, sys
import t
from t import eq, err, ok, part, tick, works

os.chdir(sys.argv[1])
start = os.listdir(".")


def space():
    s = os.statvfs(".")
    return s.f_bfree, s.f_ffree


free = space()
with part("by descriptor"):
    fd = os.open("f", os.O_RDWR | os.O_CREAT, 0o600)
    os.write(fd, b"before")
    ino = os.fstat(fd).st_ino
    os.unlink("f")
    eq(os.listdir("."), start, "no name is left, hidden or not")
    s = os.fstat(fd)
    eq((s.st_ino, s.st_nlink, s.st_size), (ino, 0, 6), "fstat")
    eq(os.pread(fd, 10, 0), b"before", "read")
    os.pwrite(fd, b"after" * 100000, 6)
    eq(os.fstat(fd).st_size, 500006, "write: the size")
    eq(os.pread(fd, 10, 500001), b"after", "write: the data")
    works("fsync", os.fsync, fd)
    works("ftruncate", os.ftruncate, fd, 100)
    eq((os.fstat(fd).st_size, os.pread(fd, 200, 90)), (100, (b"before" + b"after" * 20)[90:100]), "ftruncate: done")
    works("ftruncate up", os.ftruncate, fd, 5000)
    eq(os.pread(fd, 10, 4000), bytes(10), "ftruncate up: zeros")
    works("fchmod", os.fchmod, fd, 0o4751)
    works("fchown", os.fchown, fd, 12, 34)
    s = os.fstat(fd)
    eq((stat.S_IMODE(s.st_mode) & 0o777, s.st_uid, s.st_gid), (0o751, 12, 34), "fchmod, fchown: seen")
    works("futimens", os.utime, fd, ns=(123456789, 987654321))
    eq((os.fstat(fd).st_atime_ns, os.fstat(fd).st_mtime_ns), (123456789, 987654321), "futimens: seen")
    works("fsetxattr", os.setxattr, fd, "user.x", b"value")
    eq(works("fgetxattr", os.getxattr, fd, "user.x"), b"value", "fgetxattr: the value")
    eq(works("flistxattr", os.listxattr, fd), ["user.x"], "flistxattr")
    works("fremovexattr", os.removexattr, fd, "user.x")
    try:
        t.fallocate(fd, 0, 0, 100000)
    except OSError as e:
        eq(e.errno, 95, "fallocate: EOPNOTSUPP without extents")
        os.ftruncate(fd, 100000)
    works("punch", t.fallocate, fd, t.PUNCH_HOLE | t.KEEP_SIZE, 10000, 20000)
    eq(works("lseek", os.lseek, fd, 0, os.SEEK_END), 100000, "lseek to the end")
    works("SEEK_HOLE", os.lseek, fd, 0, os.SEEK_HOLE)
    m = mmap.mmap(fd, 8192)
    m[4096:4100] = b"maps"
    m.flush()
    eq(os.pread(fd, 4, 4096), b"maps", "mmap")
    m.close()
    works("fstatvfs", os.fstatvfs, fd)
    os.lseek(fd, 0, os.SEEK_SET)
    g = works("open again by /proc/self/fd", os.open, f"/proc/self/fd/{fd}", os.O_RDWR)
    if g is not None:
        os.pwrite(g, b"again", 200)
        eq(os.pread(fd, 5, 200), b"again", "open again: the same file")
        os.close(g)
        eq(os.pread(fd, 5, 200), b"again", "open again: closing it leaves the first")
    err("ENOENT", "link without a name", t._c, "linkat", -100,
        f"/proc/self/fd/{fd}".encode(), -100, b"back", 0x400)
    t.write("f", b"another")
    ok(os.stat("f").st_ino != ino, "a new file of that name is another")
    eq(t.read("f"), b"another", "a new file of that name")
    eq(os.pread(fd, 5, 200), b"again", "the old one stays")
    big = os.statvfs(".")
    os.pwrite(fd, b"B" * (4 << 20), 0)
    os.fsync(fd)
    os.unlink("f")
    used = space()
    os.close(fd)
    for _ in range(100):        # a RELEASE is not waited for
        now = space()
        if now[1] > used[1]:
            break
        tick()
    ok(now[0] >= used[0] + 900 and now[1] > used[1], "the space comes back with the last close", used, now)

with part("replaced by rename"):
    t.write("a", b"old" * 1000)
    fd = os.open("a", os.O_RDWR)
    t.write("b", b"new")
    os.rename("b", "a")
    eq((os.pread(fd, 6, 0), os.fstat(fd).st_nlink), (b"oldold", 0), "the one replaced still works")
    os.pwrite(fd, b"OLD", 0)
    eq((t.read("a"), os.pread(fd, 3, 0)), (b"new", b"OLD"), "and is another file")
    os.close(fd)
    os.unlink("a")

with part("several opens"):
    t.write("s", b"s" * 9000)
    fds = [os.open("s", os.O_RDWR) for _ in range(5)]
    os.link("s", "s2")
    os.unlink("s")
    fds.append(os.open("s2", os.O_RDONLY))
    os.unlink("s2")
    for i, fd in enumerate(fds[:5]):
        os.pwrite(fd, b"%d" % i, i)
    eq(os.pread(fds[5], 6, 0), b"01234s", "all see the same")
    for fd in fds[:5]:
        os.close(fd)
    eq(os.pread(fds[5], 6, 0), b"01234s", "the last one too")
    os.close(fds[5])

with part("mapping only"):
    fd = os.open("m", os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, 65536)
    m = mmap.mmap(fd, 65536)
    os.close(fd)
    os.unlink("m")
    m[:] = b"M" * 65536
    m.flush()
    eq(m[60000:60004], b"MMMM", "a mapping outlives name and descriptor")
    m.close()

with part("directory"):
    os.mkdir("d")
    fd = os.open("d", os.O_RDONLY)
    os.rmdir("d")
    s = os.fstat(fd)
    eq(s.st_nlink, 0, "a removed directory: fstat")
    works("a removed directory: fchmod", os.fchmod, fd, 0o700)
    works("a removed directory: fsync", os.fsync, fd)
    eq(works("a removed directory: list", os.listdir, fd), [], "a removed directory is empty")
    os.close(fd)

with part("special"):
    os.mkfifo("p")
    fd = os.open("p", os.O_RDWR)
    os.unlink("p")
    works("a fifo: fchmod", os.fchmod, fd, 0o600)
    eq(os.fstat(fd).st_nlink, 0, "a fifo: fstat")
    os.write(fd, b"x")
    eq(os.read(fd, 1), b"x", "a fifo still carries")
    os.close(fd)

eq(os.listdir("."), start, "nothing is left")
with t.fd_of(".", os.O_RDONLY) as fd:
    os.fsync(fd)
for _ in range(100):
    got = space()
    if got[1] == free[1]:
        break
    tick()
ok(got[1] == free[1] and abs(got[0] - free[0]) <= 2, "all space is back", free, got)
t.finish()
