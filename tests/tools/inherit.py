# SPDX-License-Identifier: GPL-2.0-or-later
"""What a new inode takes from its directory: group and setgid, flags, project."""
import fcntl, os, stat, struct, sys
import t
from t import as_user, eq, ok, part

os.chdir(sys.argv[1])
GETFLAGS, SETFLAGS, FSGETXATTR, FSSETXATTR = 0x80086601, 0x40086602, 0x801c581f, 0x401c5820


def flags(p):
    with t.fd_of(p, os.O_RDONLY) as fd:
        return struct.unpack("<I", fcntl.ioctl(fd, GETFLAGS, bytes(8))[:4])[0]


def setflags(p, f):
    with t.fd_of(p, os.O_RDONLY) as fd:
        fcntl.ioctl(fd, SETFLAGS, struct.pack("<Q", f))


def st(p):
    s = os.lstat(p)
    return s.st_uid, s.st_gid, stat.S_IMODE(s.st_mode)


with part("setgid"):
    os.mkdir("sg")
    os.chown("sg", 0, 123456)       # more than 16 bits
    os.chmod("sg", 0o2777)
    t.write("sg/f")
    os.mkdir("sg/d", 0o755)
    os.symlink("x", "sg/l")
    os.mkfifo("sg/p", 0o600)
    eq(st("sg/f"), (0, 123456, 0o644), "a file takes the group")
    eq(st("sg/d"), (0, 123456, 0o2755), "a directory takes the group and setgid")
    eq(st("sg/l")[1], 123456, "a link takes the group")
    eq(st("sg/p"), (0, 123456, 0o600), "a fifo takes the group")

    def make():
        t.write("sg/uf", mode=0o2755)
        os.mkdir("sg/ud", 0o2755)
        os.umask(0)
        t.write("sg/um", mode=0o2777)
    eq(as_user(make, gid=1), None, "by a user")
    eq(st("sg/uf"), (65534, 123456, 0o755), "a user's file: no setgid for a group that is not his")
    eq(st("sg/ud")[1:], (123456, 0o2755), "a user's directory: setgid")
    eq(as_user(lambda: t.write("sg/member", mode=0o2755), gid=1, groups=(123456,)), None, "by a member")
    eq(st("sg/member")[2], 0o2755, "a member's file may be setgid")
    os.mkdir("plain")
    os.chown("plain", 0, 99)
    os.chmod("plain", 0o777)
    eq(as_user(lambda: t.write("plain/f"), uid=12, gid=34), None, "without setgid")
    eq(st("plain/f")[:2], (12, 34), "without setgid: the caller's group")
    eq(as_user(lambda: t.write("plain/big"), uid=4000000000, gid=3999999999), None, "large ids")
    eq(st("plain/big")[:2], (4000000000, 3999999999), "large ids are kept")

with part("flags"):
    os.mkdir("fl")
    want = 0x08 | 0x40 | 0x80 | 0x10000     # sync, nodump, noatime, dirsync
    setflags("fl", flags("fl") | want)
    t.write("fl/f")
    os.mkdir("fl/d")
    eq(flags("fl/d") & want, want, "a directory takes sync, nodump, noatime, dirsync")
    eq(flags("fl/f") & want, 0x08 | 0x40 | 0x80, "a file takes all but dirsync")
    setflags("fl", flags("fl") | 0x20000)   # topdir
    os.mkdir("fl/e")
    eq(flags("fl/e") & 0x20000, 0, "topdir is not inherited")

with part("project"):
    def fsx(p, *new):
        with t.fd_of(p, os.O_RDONLY) as fd:
            if new:
                fcntl.ioctl(fd, FSSETXATTR, struct.pack("<5I8x", new[0], 0, 0, new[1], 0))
            x = struct.unpack("<5I8x", fcntl.ioctl(fd, FSGETXATTR, bytes(28)))
            return x[0] & 0x200, x[3]
    if "project" in sys.argv:
        os.mkdir("pr")
        fsx("pr", 0x200, 4242)
        eq(fsx("pr"), (0x200, 4242), "PROJINHERIT and a project id")
        t.write("pr/f")
        os.mkdir("pr/d")
        eq(fsx("pr/f"), (0, 4242), "a file takes the project")
        eq(fsx("pr/d"), (0x200, 4242), "a directory takes it and passes it on")
        t.write("outside")
        t.err("EXDEV", "rename into another project", os.rename, "outside", "pr/in")
        t.err("EXDEV", "link into another project", os.link, "outside", "pr/in")
        os.rename("pr/f", "out")
        eq(fsx("out"), (0, 4242), "renamed out of it, the id stays")
    else:
        with t.fd_of("fl/f", os.O_RDONLY) as fd:
            t.err("EOPNOTSUPP", "no project ids without the feature", fcntl.ioctl, fd, FSSETXATTR,
                  struct.pack("<5I8x", 0, 0, 0, 5, 0))
t.finish()
