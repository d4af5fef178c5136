# SPDX-License-Identifier: GPL-2.0-or-later
"""The ioctls: flags, version, fsxattr, label, UUID, FITRIM.  Arguments: MOUNT UUID."""
import fcntl, os, struct, subprocess, sys
import t
from t import eq, err, ok, part, works

os.chdir(sys.argv[1])
uuid = sys.argv[2]
GETFLAGS, SETFLAGS, GETVERSION, SETVERSION = 0x80086601, 0x40086602, 0x80087601, 0x40087602
FSGETXATTR, FSSETXATTR = 0x801c581f, 0x401c5820
GETLABEL, SETLABEL, FITRIM = 0x81009431, 0x41009432, 0xc0185879
GETUUID = 0x8008662c
SECRM, UNRM, COMPR, SYNC, IMMUTABLE, APPEND, NODUMP, NOATIME = 1, 2, 4, 8, 16, 32, 64, 128
JOURNAL_DATA, DIRSYNC, TOPDIR, EXTENTS, PROJINHERIT = 0x4000, 0x10000, 0x20000, 0x80000, 0x20000000


def ioctl(path, req, arg):
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return fcntl.ioctl(fd, req, arg)
    finally:
        os.close(fd)


def flags(path):
    return struct.unpack("<I", ioctl(path, GETFLAGS, bytes(8))[:4])[0]


def setflags(path, f):
    ioctl(path, SETFLAGS, struct.pack("<Q", f))


def fsx(path):
    return struct.unpack("<5I8x", ioctl(path, FSGETXATTR, bytes(28)))


t.write("f", b"f")
os.mkdir("d")
with part("flags"):
    base = flags("f")
    eq(base & ~0x10000000, EXTENTS, "a new file: extents")
    for name, f in (("NODUMP", NODUMP), ("NOATIME", NOATIME), ("SYNC", SYNC), ("SECRM", SECRM), ("UNRM", UNRM),
                    ("APPEND", APPEND), ("IMMUTABLE", IMMUTABLE)):
        works(f"set {name}", setflags, "f", base | f)
        eq(flags("f"), base | f, f"get {name}")
        setflags("f", base)
    for name, f in (("DIRSYNC", DIRSYNC), ("TOPDIR", TOPDIR)):
        b = flags("d")
        works(f"set {name} on a directory", setflags, "d", b | f)
        eq(flags("d"), b | f, f"get {name}")
        setflags("d", b)
    # of a directory: with the writeback cache a file's ctime is the kernel's
    c = os.stat("d").st_ctime_ns
    t.tick()
    setflags("d", flags("d") | NODUMP)
    ok(os.stat("d").st_ctime_ns > c, "ctime advances")
    setflags("d", flags("d") & ~NODUMP)
    err(("EOPNOTSUPP", "EINVAL"), "a flag that nobody may set", setflags, "f", base | 0x00002000)
    os.chown("f", 65534, 65534)
    os.chmod(".", 0o755)
    eq(t.as_user(lambda: setflags("f", base | NODUMP)), None, "the owner may")
    eq(t.as_user(lambda: setflags("f", base), uid=1), ("EPERM" if not t.KERNEL else "EPERM"), "another may not")
    eq(t.as_user(lambda: setflags("f", base | IMMUTABLE)), "EPERM", "immutable is for root")
    eq(t.as_user(lambda: setflags("f", base | APPEND)), "EPERM", "append-only is for root")

with part("immutable"):
    t.write("im", b"im")
    os.mkdir("imd")
    t.write("imd/x")
    setflags("im", base | IMMUTABLE)
    setflags("imd", flags("imd") | IMMUTABLE)
    err("EPERM", "immutable: open for writing", os.open, "im", os.O_WRONLY)
    err("EPERM", "immutable: truncate", os.truncate, "im", 0)
    err("EPERM", "immutable: unlink", os.unlink, "im")
    err("EPERM", "immutable: rename", os.rename, "im", "im2")
    err("EPERM", "immutable: link", os.link, "im", "im2")
    err("EPERM", "immutable: chmod", os.chmod, "im", 0o600)
    err("EPERM", "immutable: chown", os.chown, "im", 1, 1)
    err("EPERM", "immutable: utimes", os.utime, "im", (1, 1))
    err("EPERM", "immutable: setxattr", os.setxattr, "im", "user.x", b"")
    eq(t.read("im"), b"im", "immutable: read")
    err(("EPERM", "EACCES"), "immutable directory: create", os.open, "imd/y", os.O_CREAT | os.O_WRONLY)
    err(("EPERM", "EACCES"), "immutable directory: mkdir", os.mkdir, "imd/y")
    err("EPERM", "immutable directory: unlink", os.unlink, "imd/x")
    err("EPERM", "immutable directory: rename", os.rename, "imd/x", "y")
    works("immutable directory: what is in it can be written", t.write, "imd/x", b"y")
    setflags("im", base)
    setflags("imd", flags("imd") & ~IMMUTABLE)
    works("no longer immutable: unlink", os.unlink, "im")

with part("append-only"):
    t.write("ap", b"one")
    setflags("ap", base | APPEND)
    err("EPERM", "append-only: open for writing", os.open, "ap", os.O_WRONLY)
    err("EPERM", "append-only: O_TRUNC", os.open, "ap", os.O_WRONLY | os.O_APPEND | os.O_TRUNC)
    err("EPERM", "append-only: truncate", os.truncate, "ap", 0)
    err("EPERM", "append-only: unlink", os.unlink, "ap")
    fd = works("append-only: O_APPEND", os.open, "ap", os.O_WRONLY | os.O_APPEND)
    if fd is not None:
        os.write(fd, b"two")
        os.close(fd)
        eq(t.read("ap"), b"onetwo", "append-only: appended")
    setflags("ap", base)
    works("append-only: no longer", os.truncate, "ap", 0)

with part("version"):
    v = struct.unpack("<I", ioctl("f", GETVERSION, bytes(8))[:4])[0]
    t.write("v2")
    ok(v != struct.unpack("<I", ioctl("v2", GETVERSION, bytes(8))[:4])[0], "versions differ", v)

with part("fsxattr"):
    eq(fsx("f")[0] & ~0x80, 0, "a new file: no flags")
    x = struct.pack("<5I8x", 0x40 | 0x80, 0, 0, 0, 0)   # NOATIME, NODUMP
    works("set", ioctl, "f", FSSETXATTR, x)
    eq(fsx("f")[0], 0xc0, "get")
    eq(flags("f") & (NOATIME | NODUMP), NOATIME | NODUMP, "seen by lsattr")
    ioctl("f", FSSETXATTR, struct.pack("<5I8x", 0, 0, 0, 0, 0))
    eq(flags("f") & (NOATIME | NODUMP), 0, "cleared")

with part("label and UUID"):
    # The kernel's VFS knows these, by the same numbers.
    lab = works("get the label", ioctl, "d", GETLABEL, bytes(256))
    eq(lab and lab.split(b"\0")[0], b"first", "the label")
    works("set the label", ioctl, "d", SETLABEL, b"second".ljust(256, b"\0"))
    lab = ioctl("d", GETLABEL, bytes(256))
    eq(lab.split(b"\0")[0], b"second", "the new label")
    works("a label of 16 bytes", ioctl, "d", SETLABEL, (b"L" * 16).ljust(256, b"\0"))
    err("EINVAL", "a label of 17 bytes", ioctl, "d", SETLABEL, (b"L" * 17).ljust(256, b"\0"))
    eq(t.as_user(lambda: ioctl("d", SETLABEL, b"u".ljust(256, b"\0"))), "EPERM", "only root sets the label")
    ioctl("d", SETLABEL, b"third".ljust(256, b"\0"))
    # FUSE carries 8 bytes for this number: the header, not the UUID.
    want = struct.pack("<II", 16, 0) + bytes(16)
    try:
        eq(ioctl("d", GETUUID, want)[8:24].hex(), uuid.replace("-", ""), "EXT4_IOC_GETFSUUID")
    except OSError as e:
        ok(not t.KERNEL and e.errno == 25, "EXT4_IOC_GETFSUUID: ENOTTY over FUSE", e)

with part("FITRIM"):
    t.write("trim", b"t" * (4 << 20))
    with t.fd_of("trim") as fd:
        os.fsync(fd)
    os.unlink("trim")
    r = subprocess.run(["fstrim", "-v", "."], capture_output=True, text=True)
    ok(r.returncode == 0 or "not supported" in r.stderr, "fstrim", r.stdout, r.stderr)
    if r.returncode == 0:
        err("EINVAL", "FITRIM: beyond the end", ioctl, ".", FITRIM, struct.pack("<QQQ", 1 << 60, 1 << 20, 0))
        err("EINVAL", "FITRIM: less than a block", ioctl, ".", FITRIM, struct.pack("<QQQ", 0, 100, 0))
        eq(t.as_user(lambda: ioctl(".", FITRIM, struct.pack("<QQQ", 0, 1 << 60, 0))), "EPERM", "FITRIM: for root")

with part("tools"):
    subprocess.run(["chattr", "+di", "v2"], check=True)
    out = subprocess.run(["lsattr", "v2"], check=True, capture_output=True, text=True).stdout
    ok("i" in out.split()[0] and "d" in out.split()[0], "chattr, lsattr", out)
    subprocess.run(["chattr", "-di", "v2"], check=True)
    r = subprocess.run(["lsattr", "-R", "."], capture_output=True, text=True)
    ok(r.returncode == 0, "lsattr -R", r.stderr)
err("ENOTTY", "an unknown ioctl", ioctl, "f", 0x12345678, bytes(8))
t.finish()
