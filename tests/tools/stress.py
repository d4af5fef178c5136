# SPDX-License-Identifier: GPL-2.0-or-later
"""usage: stress.py DIR SECONDS SEED WORKER...

One process per worker (or, with "threads", threads of one process) does random operations on names in one
directory, beside the others; each checks what only it knows: the contents of its own files.  Errors that come of the
race (ENOENT, EEXIST, ENOTEMPTY...) are expected; any other is a failure.
"""
import errno, os, random, sys, threading, time, traceback
import t

top, seconds, seed, workers = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
RACES = {errno.ENOENT, errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EINVAL,
         errno.ESTALE, errno.ENODATA, errno.EMLINK, errno.EXDEV, errno.EBUSY}
end = time.time() + seconds


def own_file(rnd, path, state):
    """A file that nobody else writes, checked against a copy."""
    data = state.setdefault("own", bytearray())
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        k = rnd.randrange(5)
        if k <= 1:
            off, d = rnd.randrange(60000), rnd.randbytes(rnd.randrange(1, 9000))
            os.pwrite(fd, d, off)
            if off > len(data):
                data += bytes(off - len(data))
            data[off:off + len(d)] = d
        elif k == 2:
            n = rnd.randrange(70000)
            os.ftruncate(fd, n)
            data[n:] = bytes(max(0, n - len(data)))
        elif k == 3:
            os.fsync(fd)
        elif os.pread(fd, 200000, 0) != data:
            raise AssertionError(f"{path} is not what was written")
        if os.fstat(fd).st_size != len(data):
            raise AssertionError(f"{path}: size {os.fstat(fd).st_size}, not {len(data)}")
    finally:
        os.close(fd)


def one(rnd, me, state):
    def name():
        return f"{top}/{rnd.choice(['', 'x/', 'y/', 'x/z/'])}{rnd.randrange(25)}"
    k = rnd.randrange(16)
    if k == 0:
        os.mkdir(name())
    elif k == 1:
        os.rmdir(name())
    elif k <= 3:
        t.write(name(), rnd.randbytes(rnd.randrange(9000)))
    elif k == 4:
        os.unlink(name())
    elif k == 5:
        os.rename(name(), name())
    elif k == 6:
        os.link(name(), name(), follow_symlinks=False)
    elif k == 7:
        os.symlink("t" * rnd.randrange(1, 120), name())
    elif k == 8:
        os.listdir(rnd.choice([top, top + "/x", top + "/y"]))
    elif k == 9:
        n = name()
        os.setxattr(n, f"user.{rnd.randrange(3)}", rnd.randbytes(rnd.randrange(300)), follow_symlinks=False)
        os.listxattr(n, follow_symlinks=False)
    elif k == 10:
        os.chmod(name(), 0o600 | rnd.randrange(64))
    elif k == 11:
        with t.fd_of(name(), os.O_RDWR | os.O_NOFOLLOW) as fd:
            os.pwrite(fd, b"through", rnd.randrange(100000))
            os.pread(fd, 5000, 0)
    elif k == 12:
        n = name()
        with t.fd_of(n, os.O_RDWR | os.O_NOFOLLOW) as fd:
            os.unlink(n)
            os.pwrite(fd, b"unlinked", 0)
            os.pread(fd, 8, 0)
    elif k == 13:
        t.renameat2(name(), name(), t.RENAME_EXCHANGE)
    else:
        own_file(rnd, f"{top}/own{seed}-{me}", state)


def work(me):
    rnd, state, n = random.Random(seed * 1000 + me), {}, 0
    while time.time() < end:
        try:
            one(rnd, me, state)
        except OSError as e:
            if e.errno not in RACES and not (e.errno == errno.EPERM):
                raise
        n += 1
    path = f"{top}/own{seed}-{me}"
    if "own" in state and t.read(path) != state["own"]:
        raise AssertionError(f"{path} at the end is not what was written")
    return n


for d in ("x", "y", "x/z"):
    os.makedirs(f"{top}/{d}", exist_ok=True)
if "threads" in sys.argv:
    results = {}

    def run(i):
        try:
            results[i] = work(i)
        except BaseException:
            results[i] = traceback.format_exc()
    ts = [threading.Thread(target=run, args=(i,)) for i in range(workers)]
    for x in ts:
        x.start()
    for x in ts:
        x.join()
    for i in range(workers):
        t.ok(isinstance(results[i], int), f"thread {i}", results[i])
else:
    pids = []
    for i in range(workers):
        sys.stdout.flush()
        pid = os.fork()
        if pid == 0:
            try:
                work(i)
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        pids.append(pid)
    for i, pid in enumerate(pids):
        t.eq(os.waitpid(pid, 0)[1], 0, f"process {i}")
names = sum(len(f) + len(d) for _, d, f in os.walk(top))
t.ok(names > 10, f"names are left: {names > 10}")
t.finish()
