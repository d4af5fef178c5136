# SPDX-License-Identifier: GPL-2.0-or-later
"""st_blocks: programs (tar -S, cp, rsync -S, du) take few blocks for holes, and 0 for an empty file."""
import os, subprocess, sys
import t
from t import eq, ok, part

os.chdir(sys.argv[1])
M = 1 << 20


def blocks(f):
    return os.stat(f).st_blocks * 512


with part("written"):
    for how in ("new", "again"):
        fd = os.open("f", os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        os.pwrite(fd, b"z" * M, 0)
        ok(blocks("f") > 0, f"{how}: just written: not 0", blocks("f"))
        os.fsync(fd)
        ok(M <= blocks("f") <= M + 65536, f"{how}: after fsync", blocks("f"))
        os.pwrite(fd, b"y" * M, M)
        os.fsync(fd)
        ok(2 * M <= os.fstat(fd).st_blocks * 512 <= 2 * M + 65536, f"{how}: extended, after fsync", blocks("f"))
        os.pwrite(fd, b"x" * M, 2 * M)
        os.close(fd)
        ok(3 * M <= blocks("f") <= 3 * M + 65536, f"{how}: extended, after close", blocks("f"))
        os.truncate("f", M)
        ok(M <= blocks("f") <= M + 65536, f"{how}: cut", blocks("f"))
        os.truncate("f", 0)
        eq(blocks("f"), 0, f"{how}: cut to nothing")

with part("tar"):
    # GNU tar does not read a file of 0 blocks: it is all hole.
    fd = os.open("g", os.O_RDWR | os.O_CREAT)
    os.pwrite(fd, b"g" * M, 0)
    subprocess.run(["tar", "-S", "-cf", "t.tar", "g"], check=True)
    os.close(fd)
    os.mkdir("out")
    subprocess.run(["tar", "-xf", "t.tar", "-C", "out"], check=True)
    ok(t.read("out/g") == b"g" * M, "tar -S of a file that is being written")
    os.rename("out/g", "out/h")
    subprocess.run(["tar", "-S", "-cf", "t.tar", "g"], check=True)
    subprocess.run(["tar", "-xf", "t.tar", "-C", "out"], check=True)
    ok(t.read("out/g") == b"g" * M, "tar -S of a file that was just written")

with part("small"):
    for n in (1, 50, 100, 4096):
        t.write(f"s{n}", b"s" * n)
        ok(blocks(f"s{n}") > 0, f"a file of {n} bytes has blocks", blocks(f"s{n}"))
t.finish()
