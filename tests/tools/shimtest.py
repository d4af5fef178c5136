# SPDX-License-Identifier: GPL-2.0-or-later
"""shimtest.py FILE MNT OFFSET SHIM: the image at OFFSET in FILE, by Apptainer's driver with its shim"""
import os, subprocess, sys
import t
from apptainer import Driver
from t import eq, ok, part

image, mnt, offset, shim = sys.argv[1:]
with part("shim"):
    d = Driver(image, mnt, ["fakeroot"], offset=int(offset), shim=shim)
    if not ok(d.wait_ready() is not None, "serves"):
        d._wait(5)
        print("#", d.out)
        t.finish()
    os.mkdir(mnt + "/d")
    t.write(mnt + "/d/f", b"hello")
    blob = os.urandom(9 << 20)
    t.write(mnt + "/d/big", blob)
    with t.fd_of(mnt + "/d/big") as fd:
        os.fsync(fd)
        t.err("EOPNOTSUPP", "FITRIM would hit the wrong bytes",
              lambda: __import__("fcntl").ioctl(fd, 0xC0185879, __import__("struct").pack("QQQ", 0, 1 << 62, 0)))
        t.works("punch a hole", t.fallocate, fd, t.PUNCH_HOLE | t.KEEP_SIZE, 1 << 20, 1 << 20)
        try:
            t.fallocate(fd, t.ZERO_RANGE, 4 << 20, 1 << 20)
            blob = blob[:4 << 20] + bytes(1 << 20) + blob[5 << 20:]
        except OSError:
            pass            # not with indirect blocks
    os.truncate(mnt + "/d/big", 8 << 20)
    blob = bytearray(blob[:8 << 20])
    blob[1 << 20:2 << 20] = bytes(1 << 20)
    subprocess.run(["umount", mnt], check=True)
    eq(d.stop()[1], "itself", "it ends by itself")
    eq((d.p.returncode, d.out), (0, ("", "")), "exit status and silence")
    d = Driver(image, mnt, ["ro", "fakeroot"], offset=int(offset), shim=shim)
    ok(d.wait_ready() is not None, "serves again")
    ok(t.read(mnt + "/d/big") == blob, "the data is right")
    subprocess.run(["umount", mnt], check=True)
    d.stop()
    eq((d.p.returncode, d.out), (0, ("", "")), "exit status and silence")
t.finish()
