# SPDX-License-Identifier: GPL-2.0-or-later
"""fallocate: each mode, what it does to size, contents and space, and its errors."""
import os, sys
import t
from t import COLLAPSE_RANGE, INSERT_RANGE, KEEP_SIZE, PUNCH_HOLE, UNSHARE_RANGE, ZERO_RANGE
from t import eq, err, fallocate, ok, part, works

os.chdir(sys.argv[1])
bs = os.statvfs(".").f_bsize
extents = "noextents" not in sys.argv
K = 1024


def new(data=b""):
    fd = os.open("f", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    if data:
        os.pwrite(fd, data, 0)
        os.fsync(fd)
    return fd


def look(fd):
    st = os.fstat(fd)
    return st.st_size, st.st_blocks * 512


if not extents:
    with part("without extents"):
        fd = new(b"x" * 100000)
        err("EOPNOTSUPP", "allocate: not without extents", fallocate, fd, 0, 0, 200000)
        err("EOPNOTSUPP", "zero range: not without extents", fallocate, fd, ZERO_RANGE, 0, 1000)
        works("punch", fallocate, fd, PUNCH_HOLE | KEEP_SIZE, 10000, 50000)
        eq(os.pread(fd, 100000, 0), b"x" * 10000 + bytes(50000) + b"x" * 40000, "punch: zeros")
        ok(look(fd)[1] < 70000, "punch: space is given back", look(fd))
        os.close(fd)
    t.finish()

with part("allocate"):
    fd = new()
    works("allocate", fallocate, fd, 0, 0, 100 * K)
    size, blocks = look(fd)
    eq(size, 100 * K, "allocate: the size")
    ok(100 * K <= blocks < 100 * K + 16 * bs, "allocate: the space", blocks)
    eq(os.pread(fd, 200 * K, 0), bytes(100 * K), "allocate: zeros")
    os.pwrite(fd, b"abc", 50 * K + 1)
    eq(os.pread(fd, 5, 50 * K), b"\0abc\0", "allocate: written into")
    works("allocate with KEEP_SIZE", fallocate, fd, KEEP_SIZE, 100 * K, 300 * K)
    eq(look(fd)[0], 100 * K, "KEEP_SIZE: the size stays")
    ok(look(fd)[1] >= 400 * K, "KEEP_SIZE: the space", look(fd))
    os.ftruncate(fd, 200 * K)
    eq(os.pread(fd, 300 * K, 100 * K), bytes(100 * K), "KEEP_SIZE: then extended: zeros")
    os.ftruncate(fd, 200 * K)
    ok(look(fd)[1] <= 200 * K + 16 * bs, "truncate frees what is beyond", look(fd))
    before = os.fstat(fd).st_ctime_ns
    t.tick()
    fallocate(fd, 0, 0, 300 * K)
    ok(os.fstat(fd).st_ctime_ns > before, "allocate: ctime advances")
    os.close(fd)

with part("data and allocate"):
    fd = new(b"d" * 5000)
    works("allocate over data", fallocate, fd, 0, 0, 20000)
    eq(os.pread(fd, 20001, 0), b"d" * 5000 + bytes(15000), "allocate over data: it stays")
    os.close(fd)

with part("punch"):
    data = os.urandom(300 * K)
    fd = new(data)
    full = look(fd)[1]
    works("punch in the middle", fallocate, fd, PUNCH_HOLE | KEEP_SIZE, 100 * K, 100 * K)
    want = data[:100 * K] + bytes(100 * K) + data[200 * K:]
    eq(os.pread(fd, 400 * K, 0) == want, True, "punch: zeros")
    ok(look(fd)[1] <= full - 100 * K + 2 * 65536, "punch: space is given back", full, look(fd))
    for off, n in ((1, 1), (bs - 1, 2), (5, bs), (7, 3 * bs), (250 * K + 3, 90 * K), (299 * K, 1 << 40), (1 << 35, 1000)):
        fallocate(fd, PUNCH_HOLE | KEEP_SIZE, off, n)
        want = want[:off] + bytes(max(0, min(n, len(want) - off))) + want[off + n:]
        eq(os.pread(fd, 400 * K, 0) == want, True, f"punch: {off}+{n}")
    eq(os.fstat(fd).st_size, 300 * K, "punch: the size stays")
    err("EOPNOTSUPP", "punch: only with KEEP_SIZE", fallocate, fd, PUNCH_HOLE, 0, 1000)
    os.close(fd)

with part("zero"):
    data = os.urandom(200 * K)
    fd = new(data)
    works("zero range", fallocate, fd, ZERO_RANGE, 10 * K + 5, 100 * K)
    want = data[:10 * K + 5] + bytes(100 * K) + data[110 * K + 5:]
    eq(os.pread(fd, 300 * K, 0) == want, True, "zero range: zeros")
    ok(look(fd)[1] >= 200 * K, "zero range: the space stays", look(fd))
    works("zero range beyond the end", fallocate, fd, ZERO_RANGE, 190 * K, 100 * K)
    eq(os.fstat(fd).st_size, 290 * K, "zero range: the size grows")
    works("zero range with KEEP_SIZE", fallocate, fd, ZERO_RANGE | KEEP_SIZE, 280 * K, 100 * K)
    eq(os.fstat(fd).st_size, 290 * K, "zero range with KEEP_SIZE: the size stays")
    eq(os.pread(fd, 300 * K, 0) == want[:190 * K] + bytes(100 * K), True, "zero range: the rest stays")
    os.close(fd)

# The kernel's FUSE forwards neither (collapse, insert); ext4 does them.
with part("collapse and insert"):
    data = os.urandom(64 * bs)
    fd = new(data)
    if t.KERNEL:
        works("collapse", fallocate, fd, COLLAPSE_RANGE, 16 * bs, 16 * bs)
        eq(os.pread(fd, 64 * bs, 0) == data[:16 * bs] + data[32 * bs:], True, "collapse: contents")
        works("insert", fallocate, fd, INSERT_RANGE, 16 * bs, 16 * bs)
        eq(os.pread(fd, 80 * bs, 0) == data[:16 * bs] + bytes(16 * bs) + data[32 * bs:], True, "insert: contents")
        err("EINVAL", "collapse: up to the end", fallocate, fd, COLLAPSE_RANGE, 16 * bs, 48 * bs)
        err("EINVAL", "collapse: not of blocks", fallocate, fd, COLLAPSE_RANGE, 100, bs)
    else:
        for m, n in ((COLLAPSE_RANGE, "collapse"), (INSERT_RANGE, "insert")):
            try:
                fallocate(fd, m, 16 * bs, 16 * bs)
                ok(True, n)
            except OSError as e:
                eq(e.errno, 95, f"{n}: done, or EOPNOTSUPP")
    os.close(fd)

with part("errors"):
    fd = new(b"x")
    err("EINVAL", "length 0", fallocate, fd, 0, 0, 0)
    err("EINVAL", "negative offset", fallocate, fd, 0, -1, 10)
    err("EFBIG", "too large", fallocate, fd, 0, (1 << 63) - 4096, 4095)
    err(("EFBIG", "ENOSPC"), "beyond 16 TiB", fallocate, fd, KEEP_SIZE, 1 << 50, 1 << 20) if bs <= 4096 else None
    free = os.statvfs(".").f_bfree * bs
    err("ENOSPC", "more than there is", fallocate, fd, 0, 0, free + (64 << 20))
    ok(os.statvfs(".").f_bfree * bs >= 0, "statfs still answers")
    eq(os.pread(fd, 1, 0), b"x", "after ENOSPC the data is there")
    os.close(fd)
    fd = os.open("f", os.O_RDONLY)
    err("EBADF", "not open for writing", fallocate, fd, 0, 0, 10)
    os.close(fd)
    os.mkfifo("p")
    fd = os.open("p", os.O_RDWR)
    err("ESPIPE", "a fifo", fallocate, fd, 0, 0, 10)
    os.close(fd)
os.unlink("f")
t.finish()
