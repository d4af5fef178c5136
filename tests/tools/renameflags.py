# SPDX-License-Identifier: GPL-2.0-or-later
"""renameat2: RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT."""
import os, stat, sys
import t
from t import RENAME_EXCHANGE as X, RENAME_NOREPLACE as NR, RENAME_WHITEOUT as W
from t import eq, err, ok, part, renameat2, works

os.chdir(sys.argv[1])
for d in ("a", "b", "a/full"):
    os.mkdir(d)
t.write("a/full/x")
t.write("f", b"f")
t.write("g", b"gg")

with part("NOREPLACE"):
    err("EEXIST", "NOREPLACE: over a file", renameat2, "f", "g", NR)
    err("EEXIST", "NOREPLACE: over a directory", renameat2, "f", "a", NR)
    err("ENOENT", "NOREPLACE: nothing", renameat2, "none", "h", NR)
    eq((t.read("f"), t.read("g")), (b"f", b"gg"), "NOREPLACE: nothing changed")
    works("NOREPLACE: to a new name", renameat2, "f", "h", NR)
    eq(t.read("h"), b"f", "NOREPLACE: renamed")
    os.rename("h", "f")

with part("EXCHANGE"):
    i, j = os.stat("f").st_ino, os.stat("g").st_ino
    works("EXCHANGE: two files", renameat2, "f", "g", X)
    eq((os.stat("f").st_ino, os.stat("g").st_ino, t.read("f")), (j, i, b"gg"), "EXCHANGE: both changed places")
    err("ENOENT", "EXCHANGE: needs both", renameat2, "f", "none", X)
    err("EINVAL", "EXCHANGE: not with NOREPLACE", renameat2, "f", "g", X | NR)
    na, nb, nr = (os.stat(p).st_nlink for p in ("a", "b", "."))
    t.write("b/file", b"file")
    works("EXCHANGE: a directory and a file of two directories", renameat2, "a/full", "b/file", X)
    eq((os.stat("a").st_nlink, os.stat("b").st_nlink), (na - 1, nb + 1), "EXCHANGE: the parents' links")
    eq(os.stat("b/file/..").st_ino, os.stat("b").st_ino, "EXCHANGE: ..")
    eq(t.read("a/full"), b"file", "EXCHANGE: the file")
    eq(os.listdir("b/file"), ["x"], "EXCHANGE: the directory")
    os.mkdir("a/d2")
    works("EXCHANGE: two directories", renameat2, "a/d2", "b/file", X)
    eq((os.listdir("a/d2"), os.stat("a/d2/..").st_ino, os.stat("b/file/..").st_ino),
       (["x"], os.stat("a").st_ino, os.stat("b").st_ino), "EXCHANGE: two directories changed places")
    err("EINVAL", "EXCHANGE: a directory with its child", renameat2, "a", "a/d2", X)
    works("EXCHANGE: with itself", renameat2, "f", "f", X)
    fd = os.open("f", os.O_RDWR)
    os.write(fd, b"old")
    renameat2("f", "g", X)
    os.write(fd, b"more")
    os.close(fd)
    eq(t.read("g"), b"oldmore", "EXCHANGE: an open file keeps its place")

with part("WHITEOUT"):
    t.write("w", b"w")
    works("WHITEOUT: a file", renameat2, "w", "w2", W)
    st = os.lstat("w")
    eq((stat.S_IFMT(st.st_mode), st.st_rdev, t.read("w2")), (stat.S_IFCHR, 0, b"w"),
       "WHITEOUT: a 0:0 device is left behind")
    works("WHITEOUT: over a file", renameat2, "w2", "g", W)
    eq((stat.S_ISCHR(os.lstat("w2").st_mode), t.read("g")), (True, b"w"), "WHITEOUT: over a file, both done")
    t.write("w3")
    err("EEXIST", "WHITEOUT and NOREPLACE: over a file", renameat2, "w3", "g", W | NR)
    works("WHITEOUT and NOREPLACE", renameat2, "w3", "w4", W | NR)
    err("EINVAL", "WHITEOUT: not with EXCHANGE", renameat2, "f", "g", W | X)
    n = os.stat(".").st_nlink
    os.mkdir("wd")
    works("WHITEOUT: a directory", renameat2, "wd", "b/wd", W)
    eq((os.stat(".").st_nlink, stat.S_ISCHR(os.lstat("wd").st_mode), os.stat("b/wd/..").st_ino),
       (n, True, os.stat("b").st_ino), "WHITEOUT: a directory: links and ..")

with part("flags"):
    err("EINVAL", "an unknown flag", renameat2, "f", "x", 8)
t.finish()
