# SPDX-License-Identifier: GPL-2.0-or-later
"""copy_file_range: contents, offsets, holes, sizes, errors."""
import os, sys
import t
from t import eq, err, ok, part

os.chdir(sys.argv[1])
data = os.urandom(700001)
t.write("a", data)


def copy(fi, fo, n, oi=None, oo=None):
    done = 0
    while done < n:
        k = os.copy_file_range(fi, fo, n - done, None if oi is None else oi + done, None if oo is None else oo + done)
        if k == 0:
            break
        done += k
    return done


with part("copy"):
    a, b = os.open("a", os.O_RDWR), os.open("b", os.O_RDWR | os.O_CREAT)
    eq(copy(a, b, 1 << 20, 0, 0), len(data), "all of it")
    ok(t.read("b") == data, "the contents")
    eq(copy(a, b, 1000, 5, len(data) - 10), 1000, "beyond the end")
    ok(t.read("b") == data[:-10] + data[5:1005], "beyond the end: contents")
    eq(copy(a, b, 100, len(data), 0), 0, "from the end: nothing")
    os.lseek(a, 100, os.SEEK_SET)
    os.lseek(b, 200, os.SEEK_SET)
    eq(copy(a, b, 50), 50, "at the files' own positions")
    eq((os.lseek(a, 0, os.SEEK_CUR), os.lseek(b, 0, os.SEEK_CUR)), (150, 250), "and they move")
    ok(os.pread(b, 50, 200) == data[100:150], "at the files' own positions: contents")
    # What is only in the page cache is copied too, and read back at once.
    os.pwrite(a, b"dirty" * 1000, 300000)
    os.pread(b, 5000, 300000)
    copy(a, b, 5000, 300000, 300000)
    ok(os.pread(b, 5000, 300000) == b"dirty" * 1000, "what was just written")
    err("EINVAL", "overlapping in one file", os.copy_file_range, a, a, 1000, 0, 500)
    eq(copy(a, a, 1000, 0, 600000), 1000, "within one file")
    ok(os.pread(a, 1000, 600000) == data[:1000], "within one file: contents")
    m = os.fstat(b).st_mtime_ns
    t.tick()
    copy(a, b, 10, 0, 0)
    ok(os.fstat(b).st_mtime_ns > m, "mtime advances")
    r, w = os.open("a", os.O_WRONLY), os.open("b", os.O_RDONLY)
    err("EBADF", "the source is not readable", os.copy_file_range, r, b, 10)
    err("EBADF", "the target is not writable", os.copy_file_range, a, w, 10)
    ap = os.open("b", os.O_WRONLY | os.O_APPEND)
    err("EBADF", "the target is O_APPEND", os.copy_file_range, a, ap, 10)
    d = os.open(".", os.O_RDONLY)
    err(("EISDIR", "EINVAL"), "a directory", os.copy_file_range, d, b, 10)
    for f in (a, b, r, w, ap, d):
        os.close(f)

with part("holes"):
    h = os.open("h", os.O_RDWR | os.O_CREAT)
    os.pwrite(h, b"x" * 5000, 3 << 20)
    os.ftruncate(h, 5 << 20)
    o = os.open("o", os.O_RDWR | os.O_CREAT)
    os.write(o, b"o" * (5 << 20))
    eq(copy(h, o, 5 << 20, 0, 0), 5 << 20, "a sparse file")
    ok(t.read("o") == t.read("h"), "holes overwrite data with zeros")
    os.close(h)
    os.close(o)

with part("suid"):
    t.write("s", b"s" * 100)
    os.chmod("s", 0o6755)
    os.chmod(".", 0o777)
    os.chmod("a", 0o644)
    os.chown("s", 65534, 65534)
    os.chmod("s", 0o6755)

    def go():
        i, o = os.open("a", os.O_RDONLY), os.open("s", os.O_WRONLY)
        os.copy_file_range(i, o, 10, 0, 0)
    eq(t.as_user(go), None, "by a user")
    eq(os.stat("s").st_mode & 0o7777, 0o755, "setuid and setgid are gone")
t.finish()
