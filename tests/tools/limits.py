# SPDX-License-Identifier: GPL-2.0-or-later
"""Names, links, subdirectories, sizes and offsets at their limits."""
import os, sys
import t
from t import eq, err, ok, part, works

os.chdir(sys.argv[1])
what = sys.argv[2]

if what == "links":
    t.write("f", b"f")
    with part("links"):
        os.mkdir("l")
        for i in range(64999):
            os.link("f", f"l/{i}")
        eq(os.stat("f").st_nlink, 65000, "65000 links")
        err("EMLINK", "one more", os.link, "f", "l/more")
        ok(not os.path.lexists("l/more"), "and it left no name")
        os.unlink("l/5")
        works("one less, one more", os.link, "f", "l/more")
        for i in range(0, 64999):
            if i != 5:
                os.unlink(f"l/{i}")
        eq(os.stat("f").st_nlink, 2, "all gone again")

if what == "subdirs":
    with part("subdirectories"):
        os.mkdir("d")
        for i in range(65100):
            os.mkdir(f"d/{i}")
        eq(os.stat("d").st_nlink, 1, "more than 65000 subdirectories: the link count is 1")
        eq(len(os.listdir("d")), 65100, "all are there")
        for i in range(0, 65100, 2):
            os.rmdir(f"d/{i}")
        eq(os.stat("d").st_nlink, 1, "half removed: it stays 1")
        err("ENOTEMPTY", "not empty yet", os.rmdir, "d")
        os.rename("d", "e")
        for i in range(1, 65100, 2):
            os.rmdir(f"e/{i}")
        works("empty: rmdir", os.rmdir, "e")

if what == "nodirnlink":
    with part("subdirectories without dir_nlink"):
        os.mkdir("d")
        for i in range(64998):
            os.mkdir(f"d/{i}")
        eq(os.stat("d").st_nlink, 65000, "65000 links")
        err("EMLINK", "one more: mkdir", os.mkdir, "d/more")
        os.mkdir("other")
        err("EMLINK", "one more: rename", os.rename, "other", "d/more")
        ok(os.path.isdir("other"), "and the old name is there")

if what in ("offsets", "offsets-indirect"):
    with part("offsets"):
        bs = os.statvfs(".").f_bsize
        if what == "offsets":
            top = ((1 << 32) - 1) * bs
        else:
            top = (12 + bs // 4 + (bs // 4) ** 2 + (bs // 4) ** 3) * bs
            top = min(top, (1 << 41) - (1 << 32))   # 2^32 sectors with the metadata
        fd = os.open("f", os.O_RDWR | os.O_CREAT)
        for off in ((1 << 31) - 1, (1 << 32) - 3, (1 << 33) + 5, top - 10):
            if off + 4 > top:
                continue
            eq(works(f"write at {off}", os.pwrite, fd, b"abcd", off), 4, f"write at {off}: all")
            eq(os.pread(fd, 6, off - 1)[:5], b"\0abcd", f"read at {off}")
            eq(os.fstat(fd).st_size, off + 4, f"size after {off}")
        if what == "offsets":
            # A page cache takes it, and fsync tells.
            err("EFBIG", "write beyond the last byte", lambda: (os.pwrite(fd, b"x", top + 4096), os.fsync(fd)))
            os.ftruncate(fd, top - 6)
            os.pwrite(fd, b"abcdef", top - 6)
            err("EFBIG", "write across the last byte", lambda: (os.pwrite(fd, b"x" * 9000, top - 6), os.fsync(fd), os.pwrite(
                fd, b"x", top), os.fsync(fd)))
            os.ftruncate(fd, top - 6)
            err("EFBIG", "truncate beyond", os.ftruncate, fd, top + bs + 1)
        os.fsync(fd)
        works("truncate to the largest size", os.ftruncate, fd, top - 1)
        eq(os.pread(fd, 100, top - 50)[:40], bytes(40), "a hole there")
        eq(os.pread(fd, 4, (1 << 31) - 1), b"abcd", "the first is still there")
        os.ftruncate(fd, 10)
        eq(os.fstat(fd).st_size, 10, "cut")
        os.close(fd)

if what == "many":
    count = 100000
    with part("many names"):
        os.mkdir("m")
        for i in range(count):
            os.close(os.open(f"m/name-{i}", os.O_CREAT | os.O_WRONLY))
        eq(len(os.listdir("m")), count, "all are listed")
        eq(sum(os.path.exists(f"m/name-{i}") for i in range(0, count, 97)), len(range(0, count, 97)), "looked up")
        err("ENOENT", "one that is not there", os.stat, f"m/name-{count}")
        for i in range(0, count, 3):
            os.rename(f"m/name-{i}", f"m/renamed-with-a-longer-name-{i}")
        for i in range(1, count, 3):
            os.unlink(f"m/name-{i}")
        names = set(os.listdir("m"))
        eq(names, {f"m/renamed-with-a-longer-name-{i}"[2:] for i in range(0, count, 3)} |
           {f"name-{i}" for i in range(2, count, 3)}, "after renames and unlinks")
t.finish()
