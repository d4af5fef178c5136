# SPDX-License-Identifier: GPL-2.0-or-later
"""mkdir, mknod, create, link, symlink, unlink, rmdir, rename, readlink: what they do and how they fail."""
import os, stat, sys
import t
from t import err, eq, ok, part, works

os.chdir(sys.argv[1])
t.write("f", b"hello")
os.mkdir("d")
os.mkdir("d/sub")
t.write("d/sub/x")
os.symlink("loop", "loop")
os.symlink("f", "sym")
N255, N256 = "n" * 255, "n" * 256

with part("mkdir"):
    before = os.stat(".")
    t.tick()
    os.mkdir("m", 0o750)
    st, after = os.stat("m"), os.stat(".")
    eq((stat.S_IFMT(st.st_mode), stat.S_IMODE(st.st_mode), st.st_nlink), (stat.S_IFDIR, 0o750, 2),
       "mkdir: a directory with two links")
    eq(after.st_nlink, before.st_nlink + 1, "mkdir: the parent has one more link")
    ok(after.st_mtime_ns > before.st_mtime_ns and after.st_ctime_ns > before.st_ctime_ns,
       "mkdir: the parent's mtime and ctime advance")
    ok(st.st_size > 0, "mkdir: a size")
    eq(os.stat("m/.").st_ino, st.st_ino, "mkdir: .")
    eq(os.stat("m/..").st_ino, after.st_ino, "mkdir: ..")
    err("EEXIST", "mkdir: over a directory", os.mkdir, "d")
    err("EEXIST", "mkdir: over a file", os.mkdir, "f")
    err("EEXIST", "mkdir: over a dangling link", os.mkdir, "loop")
    err("ENOENT", "mkdir: no parent", os.mkdir, "no/such")
    err("ENOTDIR", "mkdir: below a file", os.mkdir, "f/x")
    err("ENAMETOOLONG", "mkdir: 256 bytes", os.mkdir, N256)
    err("ELOOP", "mkdir: below a loop", os.mkdir, "loop/x")
    works("mkdir: 255 bytes", os.mkdir, N255)
    works("rmdir: 255 bytes", os.rmdir, N255)

with part("create"):
    fd = os.open("c", os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o640)
    eq(stat.S_IMODE(os.fstat(fd).st_mode), 0o640, "create: mode")
    eq(os.fstat(fd).st_size, 0, "create: empty")
    os.close(fd)
    err("EEXIST", "create: O_EXCL", os.open, "c", os.O_CREAT | os.O_EXCL)
    err("EEXIST", "create: O_EXCL over a dangling link", os.open, "loop", os.O_CREAT | os.O_EXCL)
    err("ENOENT", "open: nothing there", os.open, "none", os.O_RDONLY)
    err("EISDIR", "open: a directory for writing", os.open, "d", os.O_WRONLY)
    err("ENOTDIR", "open: O_DIRECTORY on a file", os.open, "f", os.O_RDONLY | os.O_DIRECTORY)
    err("ENOTDIR", "open: below a file", os.open, "f/x", os.O_RDONLY)
    err("ELOOP", "open: a loop", os.open, "loop", os.O_RDONLY)
    err("ELOOP", "open: O_NOFOLLOW on a link", os.open, "sym", os.O_RDONLY | os.O_NOFOLLOW)
    err("ENAMETOOLONG", "create: 256 bytes", os.open, N256, os.O_CREAT | os.O_WRONLY)
    err("ENAMETOOLONG", "lookup: 256 bytes", os.stat, N256)
    err("ENAMETOOLONG", "lookup: 1000 bytes", os.stat, "n" * 1000)
    # No access to what it may not write later: git makes its objects so.
    fd = works("create: mode 0444 for writing", os.open, "ro", os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o444)
    if fd is not None:
        eq(os.write(fd, b"x"), 1, "create: write into a 0444 file")
        os.close(fd)
    os.umask(0o077)
    t.write("um", b"", mode=0o666)
    eq(stat.S_IMODE(os.stat("um").st_mode), 0o600, "create: umask")
    os.umask(0o022)
    fd = os.open("f", os.O_WRONLY | os.O_TRUNC)
    eq(os.fstat(fd).st_size, 0, "open: O_TRUNC")
    os.write(fd, b"hello")
    os.close(fd)
    err(("EOPNOTSUPP", "EISDIR"), "open: O_TMPFILE is not there", os.open, ".", os.O_TMPFILE | os.O_RDWR) \
        if not t.KERNEL else None

with part("mknod"):
    for kind, dev in ((stat.S_IFIFO, 0), (stat.S_IFCHR, os.makedev(1, 3)), (stat.S_IFREG, 0), (stat.S_IFSOCK, 0),
                      (stat.S_IFBLK, os.makedev(259, 77777)), (stat.S_IFCHR, os.makedev(0, 0)),
                      (stat.S_IFCHR, os.makedev(255, 255)), (stat.S_IFCHR, os.makedev(256, 0))):
        n = f"node{kind:o}-{dev}"
        os.mknod(n, kind | 0o604, dev)
        st = os.lstat(n)
        eq((st.st_mode, st.st_rdev, st.st_nlink), (kind | 0o604, dev, 1), f"mknod: {n}")
        os.unlink(n)
    err("EEXIST", "mknod: exists", os.mknod, "f", stat.S_IFIFO)
    err("ENAMETOOLONG", "mknod: 256 bytes", os.mknod, N256, stat.S_IFIFO)
    os.mknod("fifo", stat.S_IFIFO | 0o600)
    r = os.open("fifo", os.O_RDONLY | os.O_NONBLOCK)
    w = os.open("fifo", os.O_WRONLY)
    os.write(w, b"pipe")
    eq(os.read(r, 10), b"pipe", "mknod: a fifo works")
    os.close(r)
    os.close(w)

with part("link"):
    a = os.stat("f")
    t.tick()
    os.link("f", "l1")
    b = os.stat("l1")
    eq((b.st_ino, b.st_nlink), (a.st_ino, 2), "link: the same inode, two links")
    eq(os.stat("f").st_nlink, 2, "link: seen by the first name")
    ok(b.st_ctime_ns > a.st_ctime_ns, "link: ctime advances")
    err("EEXIST", "link: exists", os.link, "f", "d")
    err("EPERM", "link: a directory", os.link, "d", "l2")
    err("ENOENT", "link: nothing", os.link, "none", "l2")
    err("ENOENT", "link: no parent", os.link, "f", "no/l2")
    err("ENOTDIR", "link: below a file", os.link, "f", "c/l2")
    err("ENAMETOOLONG", "link: 256 bytes", os.link, "f", N256)
    os.link("sym", "l3", follow_symlinks=False)
    eq(os.readlink("l3"), "f", "link: of a symlink")
    os.unlink("f")
    eq((os.stat("l1").st_nlink, t.read("l1")), (1, b"hello"), "unlink: one of two names")
    os.rename("l1", "f")

with part("symlink"):
    for n in (1, 59, 60, 61, 254, 1000, 1023):
        os.symlink("x" * n, "s")
        eq(os.readlink("s"), "x" * n, f"symlink: {n} bytes")
        eq(os.lstat("s").st_size, n, f"symlink: the size is {n}")
        os.unlink("s")
    bs = os.statvfs(".").f_bsize
    if bs >= 4096:
        works("symlink: 4095 bytes", os.symlink, "x" * 4095, "s")
        eq(len(os.readlink("s")), 4095, "symlink: 4095 bytes are read")
        os.unlink("s")
    else:
        works("symlink: block size - 1", os.symlink, "x" * (bs - 1), "s")
        os.unlink("s")
        err("ENAMETOOLONG", "symlink: block size", os.symlink, "x" * bs, "s")
    err("EEXIST", "symlink: exists", os.symlink, "x", "f")
    err("ENOENT", "symlink: no parent", os.symlink, "x", "no/s")
    err("ENAMETOOLONG", "symlink: 256 bytes of name", os.symlink, "x", N256)
    err("EINVAL", "readlink: not a link", os.readlink, "f")
    err("ENOENT", "symlink: empty", os.symlink, "", "s")
    eq(stat.S_IMODE(os.lstat("sym").st_mode), 0o777, "symlink: mode 0777")

with part("unlink"):
    err("ENOENT", "unlink: nothing", os.unlink, "none")
    err("EISDIR", "unlink: a directory", os.unlink, "d")
    err("ENOTDIR", "unlink: below a file", os.unlink, "f/x")
    err("ENAMETOOLONG", "unlink: 256 bytes", os.unlink, N256)
    before = os.stat(".")
    t.tick()
    os.unlink("c")
    ok(os.stat(".").st_mtime_ns > before.st_mtime_ns, "unlink: the parent's mtime advances")
    err("ENOENT", "unlink: gone", os.stat, "c")
    os.unlink("sym")
    ok(os.path.exists("f"), "unlink: a link, not its target")

with part("rmdir"):
    err("ENOTEMPTY", "rmdir: not empty", os.rmdir, "d")
    err("ENOTDIR", "rmdir: a file", os.rmdir, "f")
    err("ENOENT", "rmdir: nothing", os.rmdir, "none")
    err("EINVAL", "rmdir: .", os.rmdir, "d/.")
    err("ENOTEMPTY", "rmdir: ..", os.rmdir, "d/..")
    err("ENAMETOOLONG", "rmdir: 256 bytes", os.rmdir, N256)
    links = os.stat(".").st_nlink
    os.rmdir("m")
    eq(os.stat(".").st_nlink, links - 1, "rmdir: the parent has one link less")
    os.mkdir("gone")
    fd = os.open("gone", os.O_RDONLY)
    os.rmdir("gone")
    eq(os.fstat(fd).st_nlink, 0, "rmdir: an open directory has no links")
    eq(os.listdir(fd), [], "rmdir: an open directory is empty")
    err("ENOENT", "rmdir: nothing can be made in it", os.mkdir, "x", dir_fd=fd)
    err("ENOENT", "rmdir: no file in it either", os.open, "x", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
    os.close(fd)

with part("rename"):
    t.write("r1", b"1")
    t.write("r2", b"22")
    i1 = os.stat("r1").st_ino
    os.rename("r1", "r2")
    eq((os.stat("r2").st_ino, t.read("r2")), (i1, b"1"), "rename: over a file")
    err("ENOENT", "rename: the old name is gone", os.stat, "r1")
    os.rename("r2", "r2")
    eq(t.read("r2"), b"1", "rename: to itself")
    os.link("r2", "r3")
    os.rename("r2", "r3")
    eq(os.stat("r2").st_nlink, 2, "rename: between two names of an inode does nothing")
    os.mkdir("e")
    err("EISDIR", "rename: a file over a directory", os.rename, "r2", "e")
    err("ENOTDIR", "rename: a directory over a file", os.rename, "e", "r2")
    err("ENOTEMPTY", "rename: over a directory that is not empty", os.rename, "e", "d")
    err("EINVAL", "rename: into itself", os.rename, "d", "d/sub/y")
    err("ENOENT", "rename: nothing", os.rename, "none", "r9")
    err("ENOENT", "rename: to no parent", os.rename, "r2", "no/x")
    err("ENAMETOOLONG", "rename: to 256 bytes", os.rename, "r2", N256)
    err("ENAMETOOLONG", "rename: from 256 bytes", os.rename, N256, "r2")
    err(("EBUSY", "EINVAL"), "rename: .", os.rename, "d/.", "q")
    links = os.stat(".").st_nlink, os.stat("d").st_nlink
    e = os.stat("e")
    t.tick()
    os.rename("e", "d/e")
    eq((os.stat(".").st_nlink, os.stat("d").st_nlink), (links[0] - 1, links[1] + 1),
       "rename: a directory: the parents' links")
    eq(os.stat("d/e/..").st_ino, os.stat("d").st_ino, "rename: a directory: ..")
    ok(os.stat("d/e").st_ctime_ns > e.st_ctime_ns, "rename: ctime advances")
    os.mkdir("e2")
    os.rename("e2", "d/e")
    eq(os.stat("d").st_nlink, links[1] + 1, "rename: a directory over an empty one")
    os.rename("d/sub/x", N255)
    eq(os.listdir("d/sub"), [], "rename: to 255 bytes")
    os.unlink(N255)
    fd = os.open("r3", os.O_RDONLY)
    t.write("new", b"new")
    os.rename("new", "r3")
    eq((os.read(fd, 9), os.fstat(fd).st_nlink), (b"1", 1), "rename: the one replaced stays open")
    os.close(fd)

with part("limits of a path"):
    err("ENAMETOOLONG", "a path of 4096 bytes", os.stat, "./" * 2050)
    deep = "/".join(["p" * 100] * 30)
    os.makedirs(deep)
    t.write(deep + "/f", b"deep")
    eq(t.read(deep + "/f"), b"deep", "a path of 3000 bytes")
    d = os.open(deep, os.O_RDONLY)
    for i in range(20):
        os.mkdir("q" * 200, dir_fd=d)
        n = os.open("q" * 200, os.O_RDONLY, dir_fd=d)
        os.close(d)
        d = n
    fd = works("open below a path of more than 4096 bytes", os.open, "f", os.O_CREAT | os.O_RDWR, dir_fd=d)
    if fd is not None:
        os.write(fd, b"deeper")
        eq(os.pread(fd, 9, 0), b"deeper", "read below a path of more than 4096 bytes")
        os.close(fd)
    os.close(d)

t.finish()
