# SPDX-License-Identifier: GPL-2.0-or-later
"""usage: durable.py do|check|lost CASE OP DIR
          durable.py list CASE

do: prepares, and makes a change that is durable when the call returns, in the way of
CASE.  check: it is there.  lost: it is not.  OP is the change, or "all".  CASE is one of

sync, plain  any change; nothing is done for it (plain: nobody else does, either)
dirsync      changes of names
fd           O_SYNC, O_DSYNC, chattr +S and +D
fsync        fsync and fdatasync, of files by any handle, and of directories
"""
import fcntl, os, stat, struct, sys

from t import eq, finish, ok

BIG = bytes(range(256)) * 300
GETFLAGS, SETFLAGS = 0x80086601, 0x40086602
SYNC_FL, DIRSYNC_FL = 0x08, 0x10000
FILES = ("gone", "from", "old", "new", "mode", "over", "short", "attr", "osync",
         "odsync", "splus", "cut", "moved", "times")


def put(name, data, flags=0, call=None):
    fd = os.open(name, os.O_CREAT | os.O_RDWR | flags, 0o644)
    assert os.write(fd, data) == len(data)
    if call:
        call(fd)
    os.close(fd)


def sync(name, call=os.fsync):
    fd = os.open(name, os.O_RDONLY)
    call(fd)
    os.close(fd)


def set_flag(name, flag):
    fd = os.open(name, os.O_RDONLY)
    had, = struct.unpack("l", fcntl.ioctl(fd, GETFLAGS, bytes(8)))
    fcntl.ioctl(fd, SETFLAGS, struct.pack("l", had | flag))
    os.fsync(fd)
    os.close(fd)


def prepare():
    for name in ("n", "gonedir", "dplus", "d"):
        os.mkdir(name)
    for name in FILES:
        put(name, name.encode() * 4000, call=os.fsync)
    set_flag("splus", SYNC_FL)
    set_flag("dplus", DIRSYNC_FL)
    sync(".")


def has(name, data):
    try:
        with open(name, "rb") as f:
            return f.read() == data
    except FileNotFoundError:
        return False


def there(name):
    return os.path.lexists(name)


def far_write():
    fd = os.open("odsync", os.O_WRONLY | os.O_DSYNC)
    os.pwrite(fd, b"far", 1 << 20)
    os.close(fd)


def cut():
    os.truncate("cut", 5)
    sync("cut", os.fdatasync)


def by_reader():
    put("byread", BIG)
    sync("byread")


def dir_names():
    os.mkdir("d/empty")
    os.symlink("t", "d/link")
    os.rename("moved", "d/moved")
    sync("d")


def deep():
    os.mkdir("d/e")
    os.mkdir("d/e/f")
    put("d/e/f/g", BIG, call=os.fsync)


def unlinked():
    fd = os.open("from", os.O_RDWR)
    os.unlink("from")
    os.fsync(fd)
    os.close(fd)


def mode(name):
    st = os.stat(name)
    return stat.S_IMODE(st.st_mode), st.st_uid, st.st_gid


def attr(name):
    try:
        return os.getxattr(name, "user.a")
    except OSError:
        return None


NAMES = {
    "create": (lambda: os.close(os.open("n/f", os.O_CREAT | os.O_WRONLY)), lambda: there("n/f")),
    "mkdir": (lambda: os.mkdir("n/dir"), lambda: os.path.isdir("n/dir")),
    "mknod": (lambda: os.mkfifo("n/fifo"), lambda: there("n/fifo")),
    "symlink": (lambda: os.symlink("x" * 100, "n/s"),
                lambda: os.path.islink("n/s") and os.readlink("n/s") == "x" * 100),
    "link": (lambda: os.link("mode", "n/link"), lambda: there("n/link")),
    "rename": (lambda: os.rename("from", "n/to"), lambda: there("n/to") and not there("from")),
    "replace": (lambda: os.replace("new", "old"),
                lambda: has("old", b"new" * 4000) and not there("new")),
    "unlink": (lambda: os.unlink("gone"), lambda: not there("gone")),
    "rmdir": (lambda: os.rmdir("gonedir"), lambda: not there("gonedir")),
}
ATTRS = {
    "write": (lambda: put("whole", BIG), lambda: has("whole", BIG)),
    "overwrite": (lambda: put("over", b"anew"), lambda: has("over", b"anew" + (b"over" * 4000)[4:])),
    "truncate": (lambda: os.truncate("short", 1000), lambda: has("short", b"short" * 200)),
    "chmod": (lambda: os.chmod("mode", 0o601), lambda: mode("mode")[0] == 0o601),
    "chown": (lambda: os.chown("mode", 5, 6), lambda: mode("mode")[1:] == (5, 6)),
    "utimens": (lambda: os.utime("times", (1000, 2000)), lambda: os.stat("times").st_mtime == 2000),
    "setxattr": (lambda: os.setxattr("attr", "user.a", b"value"), lambda: attr("attr") == b"value"),
}
FD = {
    "O_SYNC": (lambda: put("osync", BIG, os.O_SYNC), lambda: has("osync", BIG)),
    "O_DSYNC": (lambda: put("new2", BIG, os.O_DSYNC), lambda: has("new2", BIG)),
    "O_DSYNC, a gap": (far_write, lambda: os.path.getsize("odsync") == (1 << 20) + 3),
    "chattr +S, write": (lambda: put("splus", BIG), lambda: has("splus", BIG)),
    "chattr +S, chmod": (lambda: os.chmod("splus", 0o600), lambda: mode("splus")[0] == 0o600),
    "chattr +D, create": (lambda: put("dplus/f", b""), lambda: there("dplus/f")),
    "chattr +D, mkdir": (lambda: os.mkdir("dplus/d"), lambda: there("dplus/d")),
}
FSYNC = {
    "fsync, and the directories above": (deep, lambda: has("d/e/f/g", BIG)),
    "fsync by a handle that only reads": (by_reader, lambda: has("byread", BIG)),
    "fdatasync of a new file": (lambda: put("data", BIG, call=os.fdatasync), lambda: has("data", BIG)),
    "fdatasync after truncate": (cut, lambda: has("cut", b"cutcu")),
    "fsync of a directory": (dir_names, lambda: there("d/empty") and there("d/link") and
                             there("d/moved") and not there("moved")),
    "fsync of an unlinked file": (unlinked, lambda: not there("from")),
}
CASES = {"sync": NAMES | ATTRS, "plain": NAMES | ATTRS, "dirsync": NAMES, "fd": FD, "fsync": FSYNC}

what, case = sys.argv[1:3]
if what == "list":
    print("\n".join(CASES[case]))
    sys.exit()
op, top = sys.argv[3:]
os.chdir(top)
ops = {n: f for n, f in CASES[case].items() if op in (n, "all")}
if what == "do":
    prepare()
    for do, check in ops.values():
        do()
    sys.exit()
for name, (do, check) in ops.items():
    eq(check(), what == "check", f"{case}: {name}")
finish()
