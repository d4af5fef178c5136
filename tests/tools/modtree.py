# SPDX-License-Identifier: GPL-2.0-or-later
"""usage: modtree.py DIR [noxattr] [noextents]

Changes a tree made by mktree.py in every way: what one writer built, another
one takes apart and adds to.
"""
import os, random, sys
import t
from t import ACL_ACCESS, ACL_DEFAULT, KEEP_SIZE, PUNCH_HOLE, acl_value

top, opts = sys.argv[1], sys.argv[2:]
rnd = random.Random(11)


def p(*a):
    return os.path.join(top, *a)


# contents
for n in sorted(os.listdir(p("sizes"))):
    f, size = p("sizes", n), os.path.getsize(p("sizes", n))
    k = rnd.randrange(5)
    if k == 0:
        with open(f, "ab") as h:
            h.write(rnd.randbytes(3000))
    elif k == 1:
        os.truncate(f, size // 2)
    elif k == 2:
        os.truncate(f, size * 2 + 10)
    elif k == 3:
        fd = os.open(f, os.O_WRONLY)
        os.pwrite(fd, b"overwritten", size // 3)
        os.close(fd)
    else:
        os.unlink(f)
fd = os.open(p("sparse", "fragments"), os.O_RDWR)
for i in range(20):
    os.pwrite(fd, rnd.randbytes(3000), i * 150000 + 70000)
for i in range(0, 20, 3):
    if "noextents" not in opts:
        t.fallocate(fd, PUNCH_HOLE | KEEP_SIZE, i * 150000, 90000)
os.close(fd)
for n in ("double", "triple"):
    os.truncate(p("sparse", n), 4 << 20)
os.unlink(p("sparse", "far"))
fd = os.open(p("sparse", "hole"), os.O_RDWR)
os.pwrite(fd, b"something in the middle", 6000000)
os.close(fd)
if "noextents" not in opts:
    fd = os.open(p("sparse", "unwritten"), os.O_RDWR)
    os.pwrite(fd, rnd.randbytes(100000), 30000)
    os.close(fd)
    fd = os.open(p("sparse", "beyond"), os.O_RDWR)
    os.pwrite(fd, rnd.randbytes(10000), 70000)
    os.close(fd)

# names
os.rename(p("links", "one"), p("deep", "one"))
os.unlink(p("links", "two"))
os.link(p("three"), p("links", "four"))
os.unlink(p("links", "sym59"))
os.unlink(p("links", "sym61"))
os.unlink(p("links", "sym1000"))
os.symlink("new", p("links", "sym61"))
os.rename(p("deep", "level0", "level1"), p("subdirs", "level1"))
crowd = sorted(os.listdir(p("crowd")))
for n in crowd[::2]:
    os.unlink(p("crowd", n))
for i in range(300):
    t.write(p("crowd", f"new-{i}"), b"")
for n in crowd[1::20]:
    os.rename(p("crowd", n), p("crowd", "moved-" + n[-10:]))
for n in sorted(os.listdir(p("subdirs"))):
    if n.startswith("d"):
        os.rmdir(p("subdirs", n))
for i in range(30):
    os.mkdir(p("subdirs", f"new{i}"))
for n in ("null", "fifo", "socket"):
    os.unlink(p("special", n))
os.mknod(p("special", "fifo2"), 0o010644)
for n in os.listdir(os.fsencode(p("names"))):
    if len(n) < 60:
        os.unlink(os.fsencode(p("names")) + b"/" + n)
os.rename(p("names", "y" * 255), p("names", "z" * 255))
os.rename(p("grown", "n" * 33), p("grown", "m" * 255))

# attributes
for n in os.listdir(p("modes")):
    if n.startswith("f"):
        os.chmod(p("modes", n), 0o640)
        os.chown(p("modes", n), 1000, 1000)
for n in os.listdir(p("times")):
    os.utime(p("times", n), ns=(1, 1600000000987654321), follow_symlinks=False)
if "noxattr" not in opts:
    for n in sorted(os.listdir(p("xattr"))):
        f = p("xattr", n)
        for name in os.listxattr(f, follow_symlinks=False):
            k = rnd.randrange(3)
            try:
                if k == 0:
                    os.removexattr(f, name, follow_symlinks=False)
                elif k == 1 and name != "security.capability":
                    os.setxattr(f, name, b"replaced" * rnd.randrange(30), follow_symlinks=False)
            except OSError as e:
                if e.errno != 28:
                    raise
    try:
        os.setxattr(p("acl", "f"), ACL_ACCESS, acl_value((1, 7), (4, 5), (32, 4)))
        os.removexattr(p("acl", "d"), ACL_DEFAULT)
        os.chmod(p("acl", "d", "inherits"), 0o604)
    except OSError as e:
        if e.errno not in (28, 61):
            raise
    t.write(p("acl", "d", "plain"))
