# SPDX-License-Identifier: GPL-2.0-or-later
"""usage: mktree.py DIR [noxattr] [128] [small] [noextents]

Builds a tree with one of everything: files of many sizes, sparse ones, hard
links, fast and slow symlinks, devices, fifos, sockets, nested and crowded
directories, extended attributes of many sizes, ACLs, times in ns and far
dates, special mode bits, names in many scripts and of 255 bytes.

noxattr: the volume has no ext_attr; 128: its inodes have 128 bytes (no ns, no
dates after 2038); small: fewer and smaller files; noextents: no fallocate; near: no file of
5 GiB, no date after 2038 (what debugfs can restore).
"""
import os, random, socket, struct, sys
import t
from t import fallocate, acl_value, ACL_ACCESS, ACL_DEFAULT, KEEP_SIZE, PUNCH_HOLE

top, opts = sys.argv[1], sys.argv[2:]
rnd = random.Random(len(" ".join(opts)) + 7)
noxattr, small, noextents, old = ("noxattr" in opts, "small" in opts, "noextents" in opts,
                                  "128" in opts)
NS = 1000000000


def p(*a):
    return os.path.join(top, *a)


def blob(n):
    return rnd.randbytes(n)


def xattr(path, name, value):
    if noxattr:
        return
    try:
        os.setxattr(path, name, value, follow_symlinks=False)
    except OSError as e:
        if e.errno not in (28, 34, 7, 95):      # no room in this layout
            raise


def sizes():
    os.mkdir(p("sizes"))
    for n in (0, 1, 2, 59, 60, 61, 100, 150, 160, 200, 511, 512, 513, 1023, 1024, 1025, 4095, 4096,
              4097, 8192, 12288, 12289, 16384, 49152, 49153, 65535, 65536, 65537, 100000, 300001,
              1 << 20):
        t.write(p("sizes", str(n)), blob(n))
    if not small:
        t.write(p("sizes", "3m"), blob(3 << 20))
    # Appended in pieces, and written backwards.
    with open(p("sizes", "pieces"), "wb", buffering=0) as f:
        for i in range(60):
            f.write(blob(1 + i * 13))
    fd = os.open(p("sizes", "backwards"), os.O_RDWR | os.O_CREAT, 0o600)
    for i in range(40, -1, -1):
        os.pwrite(fd, blob(1000), i * 1000)
    os.close(fd)
    # Grown and cut again.
    t.write(p("sizes", "cut"), blob(200000))
    os.truncate(p("sizes", "cut"), 70001)
    os.truncate(p("sizes", "cut"), 90000)
    t.write(p("sizes", "rewritten"), blob(50000))
    t.write(p("sizes", "rewritten"), blob(11))


def sparse():
    os.mkdir(p("sparse"))
    fd = os.open(p("sparse", "fragments"), os.O_RDWR | os.O_CREAT)
    for i in range(30 if small else 120):
        os.pwrite(fd, blob(700), i * 150000 + rnd.randrange(1000))
    os.close(fd)
    # 16 MiB and 1 GiB and more: double and triple indirect blocks.
    for name, off in (("double", 5 << 20), ("far", 100 << 20),
                      ("triple", 300 << 20 if "near" in opts else 5 << 30)):
        fd = os.open(p("sparse", name), os.O_RDWR | os.O_CREAT)
        try:
            os.pwrite(fd, b"start", 0)
            os.pwrite(fd, b"the end of " + name.encode(), off)
        except OSError as e:
            if e.errno != 27:
                raise
        os.close(fd)
    open(p("sparse", "hole"), "w").close()
    os.truncate(p("sparse", "hole"), 12345678)
    if noextents:
        return
    fd = os.open(p("sparse", "unwritten"), os.O_RDWR | os.O_CREAT)
    fallocate(fd, 0, 0, 400000)
    os.pwrite(fd, blob(5000), 131072)
    os.close(fd)
    fd = os.open(p("sparse", "beyond"), os.O_RDWR | os.O_CREAT)
    os.pwrite(fd, blob(5000), 0)
    fallocate(fd, KEEP_SIZE, 65536, 131072)
    os.close(fd)
    fd = os.open(p("sparse", "punched"), os.O_RDWR | os.O_CREAT)
    os.pwrite(fd, blob(600000), 0)
    fallocate(fd, PUNCH_HOLE | KEEP_SIZE, 131072 + 77, 262144)
    os.close(fd)


def links():
    os.mkdir(p("links"))
    t.write(p("links", "one"), b"a file with several names\n")
    os.link(p("links", "one"), p("links", "two"))
    os.link(p("links", "one"), p("three"))
    for n in (1, 58, 59, 60, 61, 100, 150, 200, 500, 1000, 1022):
        os.symlink(("t" * 60 + "/") * (n // 61) + "x" * (n % 61), p("links", f"sym{n}"))
    os.symlink("no such thing", p("links", "dangling"))
    os.symlink("\u00e4\u00f6\u00fc/\u65e5\u672c", p("links", "unicode"))
    os.symlink("one", p("links", "gone"))
    os.unlink(p("links", "gone"))
    os.lchown(p("links", "sym58"), 17, 70000)


def special():
    os.mkdir(p("special"))
    for name, kind, dev in (("null", 0o020000, os.makedev(1, 3)),
                            ("bigchar", 0o020000, os.makedev(300, 70000)),
                            ("white", 0o020000, 0),
                            ("disk", 0o060000, os.makedev(8, 17)),
                            ("bigdisk", 0o060000, os.makedev(259, 1000)),
                            ("fifo", 0o010000, 0)):
        os.mknod(p("special", name), kind | 0o640, dev)
    s = socket.socket(socket.AF_UNIX)
    here = os.getcwd()
    os.chdir(p("special"))
    s.bind("socket")
    s.close()
    os.chdir(here)
    os.chmod(p("special", "fifo"), 0o666)
    os.chown(p("special", "disk"), 5, 6)


def modes():
    os.mkdir(p("modes"))
    for m in (0, 0o1, 0o400, 0o444, 0o600, 0o711, 0o755, 0o777, 0o1777, 0o2755, 0o4755, 0o6755,
              0o7777):
        f = t.write(p("modes", f"f{m:o}"), b"%o" % m)
        os.chown(f, rnd.randrange(100000), rnd.randrange(200000))
        os.chmod(f, m)
        os.mkdir(p("modes", f"d{m:o}"))
        os.chmod(p("modes", f"d{m:o}"), m)
    os.chown(p("modes", "f644") if os.path.exists(p("modes", "f644")) else p("modes", "f600"),
             4294967294, 4000000000)
    os.mkdir(p("modes", "setgid"))
    os.chown(p("modes", "setgid"), 3, 123456)
    os.chmod(p("modes", "setgid"), 0o2775)
    t.write(p("modes", "setgid", "child"))
    os.mkdir(p("modes", "setgid", "dir"))


def times():
    os.mkdir(p("times"))
    dates = [0, 1, NS + 1, 1700000000 * NS + 123456789, 0x7fffffff * NS, -1 * NS, -0x80000000 * NS]
    if not old and "near" not in opts:
        dates += [0x80000000 * NS + 999999999, 0xffffffff * NS + 1, 0x100000000 * NS + 7,
                  0x17fffffff * NS + 5, 0x27fffffff * NS, 0x37fffffff * NS + 999999999,
                  -NS + 500000000]
    for i, d in enumerate(dates):
        t.write(p("times", str(i)), b"x")
        os.utime(p("times", str(i)), ns=(d, d))
    os.symlink("target", p("times", "link"))
    os.utime(p("times", "link"), ns=(5 * NS, 1234567890 * NS), follow_symlinks=False)


def names():
    os.mkdir(p("names"))
    for n in ("a", " ", "  two", "trailing ", "new\nline", "tab\t", "back\\slash", "quote'\"", "*?[",
              "-rf", "...", ".hidden", "x" * 254, "y" * 255, "\u00e9" * 127, "\U0001f600" * 63,
              "\u65e5\u672c\u8a9e", "e\u0301", "\u00e9", "UPPER", "upper", "\x7f", "\x01"):
        t.write(p("names", n), n.encode())
    for b in (b"\xff\xfe", b"\x80", b"\xc3", bytes(range(1, 47)) + bytes(range(48, 255))):
        t.write(os.fsencode(p("names")) + b"/" + b[:255], b)
    os.mkdir(p("names", "d" * 255))
    t.write(p("names", "d" * 255, "f" * 255), b"deep")


def dirs():
    deep = p("deep")
    os.mkdir(deep)
    for i in range(40):
        deep += f"/level{i}"
        os.mkdir(deep)
    t.write(deep + "/bottom", b"bottom")
    os.mkdir(p("crowd"))
    n = 400 if small else 1500
    for i in range(n):
        t.write(p("crowd", f"file-number-{i:06d}-with-a-long-name"), b"%d" % i if i % 7 == 0 else b"")
    for i in range(0, n, 3):
        os.unlink(p("crowd", f"file-number-{i:06d}-with-a-long-name"))
    for i in range(0, n, 9):
        os.rename(p("crowd", f"file-number-{i + 1:06d}-with-a-long-name"), p("crowd", f"re{i}"))
    os.mkdir(p("subdirs"))
    for i in range(60):
        os.mkdir(p("subdirs", f"d{i}"))
    for i in range(0, 60, 4):
        os.rmdir(p("subdirs", f"d{i}"))
    os.rename(p("subdirs", "d1"), p("deep", "moved"))
    os.mkdir(p("oneentry"))
    t.write(p("oneentry", "e"))
    os.mkdir(p("grown"))
    for i in range(8):
        t.write(p("grown", "n" * (3 + i * 30)), b"")


def attributes():
    if noxattr:
        return
    os.mkdir(p("xattr"))
    for n in (0, 1, 4, 20, 50, 100, 250, 500, 900, 2000, 3500, 3900, 5000, 20000, 60000):
        f = t.write(p("xattr", f"v{n}"), b"x" * (n % 200))
        xattr(f, "user.value", blob(n))
    f = t.write(p("xattr", "many"))
    for i in range(12):
        xattr(f, f"user.name{i}", b"v%d" % i * i)
    f = t.write(p("xattr", "spaces"))
    for ns in ("user.", "trusted.", "security."):
        xattr(f, ns + "test", b"in " + ns.encode())
    xattr(f, "user." + "n" * 250, b"long name")
    for i in range(5):      # may share a block
        f = t.write(p("xattr", f"shared{i}"))
        xattr(f, "user.same", b"S" * 300)
        xattr(f, "user.common", b"C" * 300)
    f = t.write(p("xattr", "changed"))
    xattr(f, "user.a", b"1" * 200)
    xattr(f, "user.b", b"2" * 20)
    xattr(f, "user.a", b"3")
    xattr(f, "user.b", b"4" * 300)
    f = t.write(p("xattr", "removed"))
    xattr(f, "user.a", b"1" * 400)
    xattr(f, "user.b", b"1")
    for n in ("user.a", "user.b"):
        try:
            os.removexattr(f, n)
        except OSError:
            pass
    os.mkdir(p("xattr", "dir"))
    xattr(p("xattr", "dir"), "user.d", b"on a directory")
    os.symlink("x", p("xattr", "link"))
    xattr(p("xattr", "link"), "trusted.l", b"on a link")
    os.mknod(p("xattr", "dev"), 0o020600, os.makedev(1, 3))
    xattr(p("xattr", "dev"), "security.x", b"on a device")
    xattr(t.write(p("xattr", "cap")), "security.capability",
          struct.pack("<IIIIII", 0x03000001, 1 << 10, 0, 0, 0, 1000)[:24])


def acls():
    if noxattr:
        return
    os.mkdir(p("acl"))
    f = t.write(p("acl", "f"), b"acl")
    xattr(f, ACL_ACCESS, acl_value((1, 6), (2, 4, 1000), (2, 7, 100000), (4, 4), (8, 5, 50), (16, 5),
                                   (32, 0)))
    os.mkdir(p("acl", "d"))
    xattr(p("acl", "d"), ACL_DEFAULT, acl_value((1, 7), (2, 5, 1000), (4, 5), (8, 7, 77), (16, 7), (32, 1)))
    xattr(p("acl", "d"), ACL_ACCESS, acl_value((1, 7), (2, 7, 12), (4, 5), (16, 7), (32, 5)))
    t.write(p("acl", "d", "inherits"), b"", mode=0o666)
    os.mkdir(p("acl", "d", "sub"), 0o750)
    t.write(p("acl", "d", "sub", "again"), b"", mode=0o640)
    os.symlink("x", p("acl", "d", "link"))
    f = t.write(p("acl", "chmod"), b"")
    xattr(f, ACL_ACCESS, acl_value((1, 6), (2, 6, 1), (4, 6), (16, 6), (32, 6)))
    os.chmod(f, 0o751)


for part in (sizes, sparse, links, special, modes, times, names, dirs, attributes, acls):
    part()
