# SPDX-License-Identifier: GPL-2.0-or-later
"""Two names of a file are one file: what is done through one is seen through the other at once."""
import mmap, os, random, sys
import t
from t import eq, ok, part

os.chdir(sys.argv[1])
os.mkdir("d")


def fresh(data=b""):
    for n in ("a", "d/b", "c"):
        if os.path.lexists(n):
            os.unlink(n)
    t.write("a", data)
    os.link("a", "d/b")


with part("write and read"):
    fresh(b"0123456789")
    a, b = os.open("a", os.O_RDWR), os.open("d/b", os.O_RDWR)
    eq(os.fstat(a).st_ino, os.fstat(b).st_ino, "one inode number")
    os.pwrite(a, b"AB", 2)
    eq(os.pread(b, 10, 0), b"01AB456789", "written by one, read by the other")
    os.pwrite(b, b"x" * 1000, 10)
    eq((os.fstat(a).st_size, os.stat("a").st_size), (1010, 1010), "extended by one, the size by the other")
    eq(os.pread(a, 2000, 0), b"01AB456789" + b"x" * 1000, "extended by one, read by the other")
    ap = os.open("a", os.O_WRONLY | os.O_APPEND)
    bp = os.open("d/b", os.O_WRONLY | os.O_APPEND)
    os.write(ap, b"one")
    os.write(bp, b"two")
    os.write(ap, b"three")
    eq(os.pread(b, 100, 1010), b"onetwothree", "appended by both")
    os.write(a, b"")
    os.ftruncate(a, 5)
    eq((os.fstat(b).st_size, t.read("d/b")), (5, b"01AB4"), "truncated by one")
    os.write(bp, b"after")
    eq(t.read("a"), b"01AB4after", "append after truncate by the other")
    os.ftruncate(b, 3000)
    eq(os.pread(a, 3000, 10), bytes(2990), "extended by truncate")
    for f in (a, b, ap, bp):
        os.close(f)

with part("mmap"):
    fresh(bytes(8192))
    a, b = os.open("a", os.O_RDWR), os.open("d/b", os.O_RDWR)
    ma, mb = mmap.mmap(a, 8192), mmap.mmap(b, 8192)
    ma[100:105] = b"hello"
    eq(mb[100:105], b"hello", "stored by one mapping, seen by the other")
    eq(os.pread(b, 5, 100), b"hello", "stored by a mapping, read by the other")
    os.pwrite(b, b"WORLD", 4096)
    eq(ma[4096:4101], b"WORLD", "written by one, seen by the other's mapping")
    mb[8190:8192] = b"zz"
    os.ftruncate(a, 8191)
    os.ftruncate(a, 8192)
    eq(mb[8190:8192], b"z\0", "truncated by one, seen by the other's mapping")
    ma.flush()
    ma.close()
    os.close(a)
    eq((mb[100:105], t.read("a")[100:105]), (b"hello", b"hello"), "one closed")
    mb.close()
    os.close(b)

with part("attributes"):
    fresh(b"x")
    os.chmod("a", 0o600)
    eq(os.stat("d/b").st_mode & 0o777, 0o600, "chmod")
    os.utime("d/b", ns=(1, 123456789000))
    eq(os.stat("a").st_mtime_ns, 123456789000, "utime")
    os.setxattr("a", "user.x", b"1")
    eq(os.getxattr("d/b", "user.x"), b"1", "setxattr")
    eq(os.stat("a").st_nlink, 2, "links")
    os.link("d/b", "c")
    eq((os.stat("a").st_nlink, os.stat("d/b").st_nlink, os.stat("c").st_nlink), (3, 3, 3), "a third name")

with part("names"):
    fresh(b"first")
    a = os.open("a", os.O_RDWR)
    os.unlink("a")
    os.pwrite(a, b"FIRST", 0)
    eq((t.read("d/b"), os.fstat(a).st_nlink), (b"FIRST", 1), "the opened name unlinked: the other is the file")
    b = os.open("d/b", os.O_RDWR | os.O_APPEND)
    os.write(b, b"+")
    eq(os.pread(a, 9, 0), b"FIRST+", "appended by the name that is left")
    os.rename("d/b", "c")
    os.pwrite(a, b"third", 0)
    eq((t.read("c"), os.stat("c").st_nlink), (b"third+", 1), "renamed")
    t.write("new", b"new")
    os.rename("new", "c")
    eq((os.pread(b, 9, 0), os.fstat(a).st_nlink), (b"third+", 0), "replaced: both descriptors keep the old")
    os.ftruncate(b, 2)
    eq(os.pread(a, 9, 0), b"th", "without a name: still one file")
    eq(t.read("c"), b"new", "the new one is another")
    os.close(a)
    os.close(b)
    os.link("c", "a")
    os.rename("a", "e")
    os.unlink("c")
    os.link("e", "a")
    os.unlink("e")
    eq(t.read("a"), b"new", "names come and go")

with part("random"):
    rnd = random.Random(5)
    fresh()
    names, model, fds, n = ["a", "d/b"], bytearray(), [], 0
    for step in range(6000 if t.LONG else 1500):
        k = rnd.randrange(13)
        name = rnd.choice(names)
        if k == 0 and len(names) < 8:
            n += 1
            os.link(name, f"n{n}")
            names.append(f"n{n}")
        elif k == 1 and len(names) > 1:
            os.unlink(name)
            names.remove(name)
        elif k == 2:
            n += 1
            os.rename(name, f"d/r{n}")
            names[names.index(name)] = f"d/r{n}"
        elif k == 3 and len(fds) < 6:
            fds.append(os.open(name, os.O_RDWR))
        elif k == 4 and fds:
            os.close(fds.pop(rnd.randrange(len(fds))))
        elif k == 5:
            size = rnd.randrange(20000)
            os.truncate(name, size) if rnd.randrange(2) or not fds else os.ftruncate(rnd.choice(fds), size)
            model[size:] = bytes(max(0, size - len(model)))
        elif k == 6:
            d = rnd.randbytes(rnd.randrange(1, 3000))
            with t.fd_of(name, os.O_WRONLY | os.O_APPEND) as fd:
                os.write(fd, d)
            model += d
        elif k in (7, 8):
            off, d = rnd.randrange(15000), rnd.randbytes(rnd.randrange(1, 5000))
            if fds:
                os.pwrite(rnd.choice(fds), d, off)
            else:
                with t.fd_of(name) as fd:
                    os.pwrite(fd, d, off)
            if len(model) < off:
                model += bytes(off - len(model))
            model[off:off + len(d)] = d
        elif k == 9 and len(model) > 100:
            with t.fd_of(name) as fd:
                m = mmap.mmap(fd, len(model))
                off = rnd.randrange(len(model) - 50)
                d = rnd.randbytes(50)
                m[off:off + 50] = d
                model[off:off + 50] = d
                m.close()
        elif k == 10:
            if os.stat(name).st_size != len(model):
                ok(False, f"random steps: the size at step {step}", os.stat(name).st_size, len(model))
                break
        else:
            got = os.pread(rnd.choice(fds), 100000, 0) if fds and rnd.randrange(2) else t.read(name)
            if got != model:
                ok(False, f"random steps: the contents at step {step} through {name}")
                break
    else:
        ok(all(t.read(x) == model for x in names), "random steps on names and contents")
        eq(os.stat(names[0]).st_nlink, len(names), "random steps: links")
    for fd in fds:
        os.close(fd)
t.finish()
