# SPDX-License-Identifier: GPL-2.0-or-later
"""usage: manifest.py [-b] [-a] [-w] DIR

Prints the tree below DIR as text, a line per name, sorted by name, so that
two trees can be compared with diff: path, type, mode, owner, link count,
times of modification in ns, device, size, whether it is sparse, sha256 of the
contents, target, extended attributes, ACLs.  Hard links show the first name.

-b  only what debugfs can restore: no xattrs, whole seconds of 31 bits, no
    special bits, no times and owners of links, no link counts, no devices
-a  with access times
-w  the tree was just written: without what the page cache may still show
    otherwise than the volume (sparseness, the milliseconds of times of today)
"""
import hashlib, os, stat, sys, time
from t import acl_text

args = [a for a in sys.argv[1:] if a.startswith("-")]
root = os.fsencode([a for a in sys.argv[1:] if not a.startswith("-")][0])
basic, warm = "-b" in args, "-w" in args
now = time.time_ns()
first = {}
TYPES = {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "link", stat.S_IFCHR: "char",
         stat.S_IFBLK: "block", stat.S_IFIFO: "fifo", stat.S_IFSOCK: "socket"}


def q(b):
    return "".join(chr(c) if 33 <= c < 127 and c != 92 else f"\\{c:03o}" for c in b)


def digest(path, size):
    h = hashlib.sha256()
    if size > 16 << 20:
        return sparse_digest(path, size)
    with open(path, "rb") as f:
        while True:
            d = f.read(1 << 20)
            if not d:
                return h.hexdigest()
            h.update(d)


def sparse_digest(path, size):
    """Of every 4 KiB that are not zero, with their place."""
    h = hashlib.sha256()
    with open(path, "rb", buffering=0) as f:
        # The kernel's ext4 overlooks unwritten-back data of ^extents files.
        os.fdatasync(f.fileno())
        pos = 0
        while pos < size:
            try:
                pos = os.lseek(f.fileno(), pos, os.SEEK_DATA) & ~4095
            except OSError:
                break
            d = os.pread(f.fileno(), 65536, pos)
            for i in range(0, len(d), 4096):
                if d[i:i + 4096].strip(b"\0"):
                    h.update(b"%d:" % (pos + i) + d[i:i + 4096])
            pos += max(len(d), 4096)
    return h.hexdigest()


def holes(path, size):
    """The number of bytes that SEEK_DATA calls data."""
    fd = os.open(path, os.O_RDONLY)
    try:
        pos = data = 0
        while pos < size:
            try:
                start = os.lseek(fd, pos, os.SEEK_DATA)
            except OSError as e:
                return data if e.errno == 6 else f"error{e.errno}"
            try:
                pos = os.lseek(fd, start, os.SEEK_HOLE)
            except OSError as e:
                return f"error{e.errno}"
            data += pos - start
        return data
    finally:
        os.close(fd)


def xattrs(path):
    out = []
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError as e:
        # 95: the volume has none at all
        return [] if e.errno == 95 else [f"xattr-error={e.errno}"]
    for n in sorted(names):
        try:
            v = os.getxattr(path, n, follow_symlinks=False)
        except OSError as e:
            out.append(f"{n}=error{e.errno}")
            continue
        if n.startswith("system.posix_acl"):
            out.append(n[7:] + "=" + acl_text(v))
        else:
            name = q(os.fsencode(n))
            out.append(name + "=" + (q(v) if len(v) <= 40 else
                       f"[{len(v)}]{hashlib.sha256(v).hexdigest()[:16]}"))
    return out


def line(path, rel):
    st = os.lstat(path)
    kind = stat.S_IFMT(st.st_mode)
    f = [q(rel), TYPES.get(kind, "unknown"),
         oct(stat.S_IMODE(st.st_mode) & (0o777 if basic else 0o7777))[2:],
         "-" if basic and kind == stat.S_IFLNK else f"{st.st_uid}:{st.st_gid}"]
    if basic:
        sec = st.st_mtime_ns // 1000000000
        f.append("-" if kind == stat.S_IFLNK or not 0 <= sec < 0x7fffffff else str(sec))
    else:
        recent = warm and abs(now - st.st_mtime_ns) < 86400 * 10**9
        f.append(f"mtime={'today' if recent else st.st_mtime_ns}")
        f.append(f"nlink={st.st_nlink}")
        if "-a" in args:
            f.append(f"atime={st.st_atime_ns}")
    if kind == stat.S_IFREG:
        f.append(f"size={st.st_size}")
        # Before they are read: a cached page counts as data to the kernel.
        data = holes(path, st.st_size)
        f.append(digest(path, st.st_size))
        if not basic and not warm:
            f.append("sparse" if st.st_blocks * 512 < st.st_size else "full")
            f.append(f"data={data}")
    elif kind == stat.S_IFLNK:
        f.append("-> " + q(os.readlink(path)))
    elif kind in (stat.S_IFCHR, stat.S_IFBLK) and not basic:
        f.append(f"rdev={os.major(st.st_rdev)}:{os.minor(st.st_rdev)}")
    if not basic:
        if kind != stat.S_IFDIR and st.st_nlink > 1:
            f.append("same=" + q(first.setdefault(st.st_ino, rel)))
        f += xattrs(path)
    print(*f)


def walk(path, rel):
    if not (basic and rel == b"."):
        line(path, rel)
    with os.scandir(path) as it:
        entries = sorted(it, key=lambda e: e.name)
    for e in entries:
        sub = e.name if rel == b"." else rel + b"/" + e.name
        if sub == b"lost+found":
            continue
        st = os.lstat(e.path)
        if stat.S_ISDIR(st.st_mode):
            walk(e.path, sub)
        elif not basic or stat.S_IFMT(st.st_mode) in (stat.S_IFREG, stat.S_IFLNK):
            line(e.path, sub)


walk(root, b".")
