# SPDX-License-Identifier: GPL-2.0-or-later
"""What the Python bodies of tests share: checks that print TAP, system calls
that Python lacks.  A check that fails does not end the test."""
import contextlib, ctypes, errno, os, struct, sys, time, traceback

LONG = bool(os.environ.get("LONG"))
KERNEL = os.environ.get("SERVER") == "kernel"
libc = ctypes.CDLL(None, use_errno=True)
_count = _bad = 0
NAMES = dict(errno.errorcode)
NAMES[errno.EOPNOTSUPP] = "EOPNOTSUPP"
NAMES[errno.EAGAIN] = "EAGAIN"


def ok(good, what, *details):
    global _count, _bad
    _count += 1
    what = str(what).replace("#", "\\#").replace("\n", " ")
    print(f"{'ok' if good else 'not ok'} - {what}", flush=True)
    if not good:
        _bad += 1
        where = traceback.extract_stack()
        for f in reversed(where):
            if not f.filename.endswith("/t.py"):
                print(f"# at {os.path.basename(f.filename)}:{f.lineno}: {f.line}")
                break
        for d in details:
            print("# " + str(d).replace("\n", "\n# "))
        sys.stdout.flush()
    return good


def eq(got, want, what):
    return ok(got == want, what, f"got:  {got!r}"[:2000], f"want: {want!r}"[:2000])


def skip(what, why):
    global _count
    _count += 1
    print(f"ok - {what} # SKIP {why}", flush=True)


def err(code, what, fn, *args, **kw):
    """FN fails with errno CODE (a name such as "ENOENT", or several)."""
    codes = code if isinstance(code, tuple) else (code,)
    try:
        r = fn(*args, **kw)
    except OSError as e:
        name = NAMES.get(e.errno, str(e.errno))
        return ok(name in codes, f"{what}: {'|'.join(codes)}", f"got {name}: {e}")
    return ok(False, f"{what}: {'|'.join(codes)}", f"no error; returned {r!r}")


def works(what, fn, *args, **kw):
    """FN does not fail; returns what it returned, or None."""
    try:
        r = fn(*args, **kw)
    except OSError as e:
        ok(False, what, repr(e))
        return None
    ok(True, what)
    return r


@contextlib.contextmanager
def part(what):
    """A part of a test: an unexpected exception is one failure, not the end."""
    try:
        yield
    except Exception:
        ok(False, f"{what}: unexpected exception", traceback.format_exc())


def finish():
    print(f"1..{_count}", flush=True)
    sys.exit(1 if _bad else 0)


def tick():
    """Time stamps may be those of the last timer interrupt."""
    time.sleep(0.02)


def _c(name, *args):
    r = getattr(libc, name)(*args)
    if r < 0:
        e = ctypes.get_errno()
        raise OSError(e, os.strerror(e))
    return r


def _b(path):
    return os.fsencode(path)


AT_FDCWD = -100
RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT = 1, 2, 4


def renameat2(a, b, flags):
    _c("renameat2", AT_FDCWD, _b(a), AT_FDCWD, _b(b), ctypes.c_uint(flags))


KEEP_SIZE, PUNCH_HOLE, COLLAPSE_RANGE, ZERO_RANGE, INSERT_RANGE, UNSHARE_RANGE = \
    1, 2, 8, 16, 32, 64


def fallocate(fd, mode, off, length):
    _c("fallocate", fd, mode, ctypes.c_longlong(off), ctypes.c_longlong(length))


def write(path, data=b"", mode=0o644, flags=os.O_WRONLY | os.O_CREAT | os.O_TRUNC):
    fd = os.open(path, flags, mode)
    try:
        mv = memoryview(data)
        while len(mv):
            mv = mv[os.write(fd, mv):]
    finally:
        os.close(fd)
    return path


def read(path):
    with open(path, "rb") as f:
        return f.read()


@contextlib.contextmanager
def fd_of(path, flags=os.O_RDWR, mode=0o644):
    fd = os.open(path, flags, mode)
    try:
        yield fd
    finally:
        os.close(fd)


def as_user(fn, uid=65534, gid=65534, groups=(), umask=None):
    """Runs FN in a child with these ids; the errno name or None."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups(list(groups))
            os.setgid(gid)
            os.setuid(uid)
            if umask is not None:
                os.umask(umask)
            try:
                fn()
                out = ""
            except OSError as e:
                out = NAMES.get(e.errno, str(e.errno))
            except BaseException as e:
                out = repr(e)
            os.write(w, out.encode())
        finally:
            os._exit(0)
    os.close(w)
    with open(r, "rb") as f:
        out = f.read().decode()
    os.waitpid(pid, 0)
    return out or None


ACL_TAGS = {1: "user::", 2: "user:%d:", 4: "group::", 8: "group:%d:", 16: "mask::", 32: "other::"}


def acl_text(value):
    """The kernel's xattr form of an ACL as text."""
    if len(value) < 4 or struct.unpack_from("<I", value)[0] != 2:
        return "bad:" + value.hex()
    out = []
    for off in range(4, len(value), 8):
        tag, perm, who = struct.unpack_from("<HHI", value, off)
        t = ACL_TAGS.get(tag, "tag%d:" % tag)
        if "%" in t:
            t %= who
        out.append(t + "".join(c if perm & b else "-" for c, b in (("r", 4), ("w", 2), ("x", 1))))
    return ",".join(out)


def acl_value(*entries):
    """(tag, perm[, id]).."""
    v = struct.pack("<I", 2)
    for e in entries:
        v += struct.pack("<HHI", e[0], e[1], e[2] if len(e) > 2 else 0xffffffff)
    return v


ACL_ACCESS, ACL_DEFAULT = "system.posix_acl_access", "system.posix_acl_default"
