# SPDX-License-Identifier: GPL-2.0-or-later
"""usage: dirty.py DIR many|open|small|- COMMAND..

Changes a tree in all ways that a journal knows, with an fsync after most, so
that whoever copies the volume below then has a journal to replay.  The last
thing done is an fsync.
many: for longer.  open: files are unlinked while they are open, and copied so:
COMMAND is run at the end, while all is still open.  small: no file grows by
truncation.
"""
import ctypes, os, random, subprocess, sys

top = sys.argv[1]
how = sys.argv[2]
random.seed(5)
live, dirs, held = [], [top], []


def sync(path):
    fd = os.open(path, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def make(path, size):
    with open(path, "wb") as f:
        f.write(random.randbytes(size))
        f.flush()
        os.fsync(f.fileno())
    live.append(path)


def take():
    return live.pop(random.randrange(len(live)))


def change(path):
    with open(path, "r+b") as f:
        if how != "small":
            f.truncate(random.choice([0, 100, 4096, 12345]))
            f.seek(20000)
        f.write(b"x" * 3000)
        f.flush()
        os.fsync(f.fileno())


def reserve(path):
    with open(path, "r+b") as f:
        try:
            os.posix_fallocate(f.fileno(), 100000, 30000)
        except OSError:
            pass
        os.fsync(f.fileno())


def unlink():
    path = take()
    if how == "open":
        held.append(open(path, "rb"))
    os.unlink(path)


def step(i):
    kind = random.randrange(11)
    where = random.choice(dirs)
    if kind < 4 or not live:
        make(f"{where}/f{i}", random.choice([10, 5000, 70000]))
    elif kind == 4 and len(dirs) < 12:
        dirs.append(f"{where}/d{i}")
        os.mkdir(dirs[-1])
    elif kind == 5:
        old, new = take(), f"{where}/r{i}"
        os.rename(old, new)
        live.append(new)
        sync(new)
    elif kind == 6:
        unlink()
    elif kind == 7:
        os.link(random.choice(live), f"{where}/l{i}")
        live.append(f"{where}/l{i}")
        sync(live[-1])
    elif kind == 8:
        change(random.choice(live))
    elif kind == 9:
        os.symlink("t" * random.choice([10, 59, 100]), f"{where}/s{i}")
    elif how != "small":
        reserve(random.choice(live))


for i in range(20):
    with open(f"{top}/pre{i}", "wb") as f:
        f.write(random.randbytes(9000))
    live.append(f"{top}/pre{i}")
fd = os.open(top, os.O_RDONLY)
ctypes.CDLL(None).syncfs(fd)
for i in range(1500 if how == "many" else 150):
    step(i)
make(f"{top}/last", 100)
sys.exit(subprocess.call(sys.argv[3:]))
