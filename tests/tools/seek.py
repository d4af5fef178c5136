# SPDX-License-Identifier: GPL-2.0-or-later
"""SEEK_DATA and SEEK_HOLE: no data is ever passed over, least of all what was only just written."""
import mmap, os, shutil, subprocess, sys
import t
from t import KEEP_SIZE, PUNCH_HOLE, eq, err, fallocate, ok, part

os.chdir(sys.argv[1])
bs = max(os.statvfs(".").f_bsize, 4096)
D, H = os.SEEK_DATA, os.SEEK_HOLE
M = 1 << 20


def segments(fd):
    out, pos, size = [], 0, os.fstat(fd).st_size
    while pos < size:
        try:
            a = os.lseek(fd, pos, D)
        except OSError as e:
            if e.errno != 6:
                raise
            break
        b = os.lseek(fd, a, H)
        out.append((a, b))
        pos = b
        if b <= a:
            break
    return out


def covered(segs, off):
    return any(a <= off < b for a, b in segs)


with part("written back"):
    fd = os.open("f", os.O_RDWR | os.O_CREAT)
    os.pwrite(fd, b"a" * bs, 0)
    os.pwrite(fd, b"b" * bs, 4 * M)
    os.ftruncate(fd, 8 * M)
    os.fsync(fd)
    s = segments(fd)
    ok(covered(s, 0) and covered(s, 4 * M), "data is found", s)
    ok(not covered(s, M) and not covered(s, 6 * M), "holes are found", s)
    eq(os.lseek(fd, 10, D), 10, "SEEK_DATA within data stays")
    eq(os.lseek(fd, M, H), M, "SEEK_HOLE within a hole stays")
    eq(os.lseek(fd, M, D), 4 * M, "SEEK_DATA from a hole")
    err("ENXIO", "SEEK_DATA: no more data", os.lseek, fd, 6 * M, D)
    eq(os.lseek(fd, 6 * M, H), 6 * M, "SEEK_HOLE in the last hole")
    for w in (D, H):
        err("ENXIO", f"beyond the end ({w})", os.lseek, fd, 8 * M, w)
        err("ENXIO", f"negative ({w})", os.lseek, fd, -1, w)
    os.close(fd)
    fd = os.open("full", os.O_RDWR | os.O_CREAT)
    os.write(fd, b"x" * 10000)
    os.fsync(fd)
    eq((os.lseek(fd, 0, D), os.lseek(fd, 0, H)), (0, 10000), "a full file: the hole is at its end")
    os.close(fd)
    os.close(os.open("empty", os.O_CREAT))
    fd = os.open("empty", os.O_RDONLY)
    err("ENXIO", "an empty file", os.lseek, fd, 0, D)
    os.close(fd)

with part("just written"):
    fd = os.open("g", os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, 8 * M)
    os.fsync(fd)
    os.pwrite(fd, b"new", 2 * M + 100)
    ok(covered(segments(fd), 2 * M + 100), "what was written into a hole is data at once", segments(fd))
    os.pwrite(fd, b"end", 9 * M)
    ok(covered(segments(fd), 9 * M), "what extended the file is data at once", segments(fd))
    other = os.open("g", os.O_RDONLY)
    os.pwrite(fd, b"3", 5 * M)
    ok(covered(segments(other), 5 * M), "also to another open file", segments(other))
    os.close(other)
    m = mmap.mmap(fd, 8 * M)
    m[3 * M:3 * M + 4] = b"maps"
    ok(covered(segments(fd), 3 * M), "what was stored through a mapping is data", segments(fd))
    m.close()
    os.close(fd)
    # cp and rsync believe SEEK_DATA.
    fd = os.open("h", os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, 4 * M)
    os.pwrite(fd, b"H" * 100000, M)
    subprocess.run(["cp", "--sparse=auto", "h", "h2"], check=True)
    ok(t.read("h2") == t.read("h"), "cp of a file that is being written")
    os.close(fd)

with part("unwritten and punched"):
    if "noextents" not in sys.argv:
        fd = os.open("u", os.O_RDWR | os.O_CREAT)
        fallocate(fd, 0, 0, 4 * M)
        os.pwrite(fd, b"x" * bs, 2 * M)
        os.fsync(fd)
        s = segments(fd)
        ok(covered(s, 2 * M), "data in an allocated file", s)
        os.close(fd)
    fd = os.open("p", os.O_RDWR | os.O_CREAT)
    os.write(fd, b"x" * (2 * M))
    os.fsync(fd)
    fallocate(fd, PUNCH_HOLE | KEEP_SIZE, M // 2, M)
    s = segments(fd)
    ok(covered(s, 0) and covered(s, 2 * M - 1) and not covered(s, M), "a punched hole", s)
    os.close(fd)
    for fn in ("f", "p"):
        shutil.copyfile(fn, fn + ".copy")
        ok(t.read(fn) == t.read(fn + ".copy"), f"a copy of {fn}")
t.finish()
