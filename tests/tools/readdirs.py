# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading directories: types, inode numbers, positions that stay valid while entries come and go."""
import ctypes, os, stat, sys
import t
from t import eq, ok, part

os.chdir(sys.argv[1])
libc = t.libc
libc.opendir.restype = ctypes.c_void_p
libc.readdir.restype = ctypes.c_void_p
libc.telldir.restype = ctypes.c_long
for f, a in (("readdir", [ctypes.c_void_p]), ("telldir", [ctypes.c_void_p]), ("closedir", [ctypes.c_void_p]),
             ("rewinddir", [ctypes.c_void_p]), ("seekdir", [ctypes.c_void_p, ctypes.c_long])):
    getattr(libc, f).argtypes = a


class Dir:
    def __init__(self, path):
        self.d = libc.opendir(os.fsencode(path))

    def next(self):
        p = libc.readdir(self.d)
        if not p:
            return None
        ino = ctypes.cast(p, ctypes.POINTER(ctypes.c_uint64))[0]
        kind = ctypes.string_at(p + 18, 1)[0]
        return os.fsdecode(ctypes.string_at(p + 19)), ino, kind

    def rest(self):
        return list(iter(self.next, None))

    def tell(self):
        return libc.telldir(self.d)

    def seek(self, pos):
        libc.seekdir(self.d, pos)

    def rewind(self):
        libc.rewinddir(self.d)

    def close(self):
        libc.closedir(self.d)


with part("types"):
    os.mkdir("t")
    t.write("t/file")
    os.mkdir("t/dir")
    os.symlink("x", "t/link")
    os.mkfifo("t/fifo")
    os.mknod("t/char", stat.S_IFCHR, os.makedev(1, 3))
    os.mknod("t/block", stat.S_IFBLK, os.makedev(8, 0))
    os.mknod("t/sock", stat.S_IFSOCK)
    d = Dir("t")
    got = {n: (i, k) for n, i, k in d.rest()}
    d.close()
    want = {n: (os.lstat("t/" + n).st_ino, os.lstat("t/" + n).st_mode >> 12) for n in
            ("file", "dir", "link", "fifo", "char", "block", "sock", ".", "..")}
    eq({n: i for n, (i, k) in got.items()}, {n: i for n, (i, k) in want.items()}, "names and inode numbers")
    if "notypes" not in sys.argv:
        eq(got, want, "types")

for count in (10, 3000):
    with part(f"positions, {count} names"):
        name = f"p{count}"
        os.mkdir(name)
        for i in range(count):
            t.write(f"{name}/n{i:05d}" + "x" * (i % 40))
        d = Dir(name)
        all1, pos = [], []
        while True:
            p = d.tell()
            e = d.next()
            if not e:
                break
            pos.append(p)
            all1.append(e[0])
        eq(len(all1), count + 2, "every name once")
        eq(len(set(all1)), count + 2, "no name twice")
        bad = 0
        for i in list(range(0, len(pos), max(1, len(pos) // 50))) + [len(pos) - 1]:
            d.seek(pos[i])
            bad += [x[0] for x in [d.next()] if x] != [all1[i]]
        eq(bad, 0, "seekdir to each telldir")
        d.rewind()
        eq([x[0] for x in d.rest()], all1, "rewinddir: the same again")
        d.close()

        # Entries come and go while one reads: those that stay are seen once.
        d = Dir(name)
        seen = []
        for _ in range(max(3, count // 3)):
            seen.append(d.next()[0])
        p = d.tell()
        for i in range(0, count, 2):
            os.unlink(f"{name}/n{i:05d}" + "x" * (i % 40))
        for i in range(count // 2):
            t.write(f"{name}/new{i}")
        seen += [x[0] for x in d.rest()]
        stay = {f"n{i:05d}" + "x" * (i % 40) for i in range(1, count, 2)}
        eq(len([x for x in seen if x in stay]), len(stay), "what stays is seen exactly once")
        eq(stay - set(seen), set(), "nothing that stays is missed")
        d.rewind()
        again = [x[0] for x in d.rest()]
        eq(set(again), stay | {f"new{i}" for i in range(count // 2)} | {".", ".."}, "rewinddir: all that is there now")
        d.close()

with part("remove while reading"):
    os.mkdir("rm")
    for i in range(2000):
        t.write(f"rm/{i}")
    d = Dir("rm")
    n = 0
    while True:
        e = d.next()
        if not e:
            break
        if e[0] not in (".", ".."):
            os.unlink("rm/" + e[0])
            n += 1
    d.close()
    eq((n, os.listdir("rm")), (2000, []), "unlink each as it is read: all go")
    os.rmdir("rm")

with part("small reads"):
    d = os.open("p3000", os.O_RDONLY)
    buf = ctypes.create_string_buffer(300)
    n = 0
    while True:
        r = libc.syscall(217, d, buf, 300)      # getdents64
        if r <= 0:
            break
        off = 0
        while off < r:
            off += int.from_bytes(buf[off + 16:off + 18], "little")
            n += 1
    os.close(d)
    eq((r, n), (0, len(os.listdir("p3000")) + 2), "getdents64 with a buffer of 300 bytes")
t.finish()
