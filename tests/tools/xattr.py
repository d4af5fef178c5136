# SPDX-License-Identifier: GPL-2.0-or-later
"""Extended attributes: namespaces, flags, sizes, lists, errors.  With "ea": the volume has ea_inode; "none": no
ext_attr."""
import os, struct, sys
import t
from t import eq, err, ok, part, works

os.chdir(sys.argv[1])
t.write("f", b"x")
os.mkdir("d")
os.symlink("f", "l")
os.mkfifo("p")
bs = os.statvfs(".").f_bsize
C, R = os.XATTR_CREATE, os.XATTR_REPLACE
get, put, lst, rm = os.getxattr, os.setxattr, os.listxattr, os.removexattr

if "none" in sys.argv and t.KERNEL:
    t.skip("no ext_attr", "the kernel turns the feature on")
    t.finish()
elif "none" in sys.argv:
    err("EOPNOTSUPP", "no ext_attr: set", put, "f", "user.a", b"1")
    err(("EOPNOTSUPP", "ENODATA"), "no ext_attr: get", get, "f", "user.a")
    t.finish()

with part("basics"):
    eq(lst("f"), [], "a new file has none")
    err("ENODATA", "get: missing", get, "f", "user.a")
    err("ENODATA", "remove: missing", rm, "f", "user.a")
    err("ENODATA", "replace: missing", put, "f", "user.a", b"1", R)
    works("create", put, "f", "user.a", b"1", C)
    err("EEXIST", "create: exists", put, "f", "user.a", b"2", C)
    eq(get("f", "user.a"), b"1", "get")
    works("replace", put, "f", "user.a", b"22", R)
    eq(get("f", "user.a"), b"22", "get: replaced")
    put("f", "user.a", b"")
    eq(get("f", "user.a"), b"", "an empty value")
    eq(lst("f"), ["user.a"], "list")
    c = os.stat("f").st_ctime_ns
    t.tick()
    put("f", "user.b", bytes(range(256)))
    n = os.stat("f").st_ctime_ns
    ok(n > c or n % 1000000000 == 0, "ctime advances", c, n)    # or inodes of 128 bytes
    eq(get("f", "user.b"), bytes(range(256)), "any bytes")
    rm("f", "user.a")
    eq(lst("f"), ["user.b"], "removed")
    err("ENODATA", "get: removed", get, "f", "user.a")
    rm("f", "user.b")
    eq(lst("f"), [], "all removed")

with part("sizes"):
    put("f", "user.s", b"12345")
    for name, want in (("getxattr", 5), ("listxattr", 7)):
        import ctypes
        call = getattr(t.libc, name)
        args = (b"f", b"user.s") if name == "getxattr" else (b"f",)
        eq(call(*args, None, 0), want, f"{name}: the size with length 0")
        buf = ctypes.create_string_buffer(100)
        eq((call(*args, buf, 2), ctypes.get_errno()), (-1, 34), f"{name}: ERANGE if too small")
    rm("f", "user.s")
    for n in (1, 30, 60, 100, 300, 900):
        put("f", "user.v", b"v" * n)
        eq(get("f", "user.v"), b"v" * n, f"a value of {n} bytes")
    put("f", "user.w", b"w")
    put("f", "user.v", b"v" * 5)
    eq((get("f", "user.v"), get("f", "user.w")), (b"v" * 5, b"w"), "shrunk, beside another")
    big = bs - 100
    t.write("big")
    works(f"a value of {big} bytes", put, "big", "user.v", b"B" * big)
    ok(get("big", "user.v") == b"B" * big, f"a value of {big} bytes: the same")
    if "ea" in sys.argv:
        for n in (bs, 2 * bs + 1, 20000, 65536):
            works(f"ea_inode: {n} bytes", put, "big", "user.v", b"E" * n)
            ok(get("big", "user.v") == b"E" * n, f"ea_inode: {n} bytes: the same")
        works("ea_inode: a second", put, "big", "user.v2", b"F" * 40000)
        t.write("twin")
        works("ea_inode: the same value in another file", put, "twin", "user.v", b"E" * 65536)
        rm("big", "user.v")
        ok(get("twin", "user.v") == b"E" * 65536 and get("big", "user.v2") == b"F" * 40000,
           "ea_inode: one of two removed")
        put("big", "user.v2", b"small again")
        eq(get("big", "user.v2"), b"small again", "ea_inode: small again")
        os.unlink("twin")
    else:
        err("ENOSPC", "a value of a block", put, "big", "user.v2", b"X" * bs)
        ok(get("big", "user.v") == b"B" * big, "after ENOSPC the old value is there")
        err("ENOSPC", "a larger value", put, "big", "user.v", b"X" * (bs + 50))
        ok(get("big", "user.v") == b"B" * big, "after ENOSPC the old value is there (replace)")
    err(("E2BIG", "ENOSPC"), "a value of 64 KiB + 1", put, "big", "user.v", b"X" * 65537)
    works("a name of 255 bytes", put, "f", "user." + "n" * 250, b"1")
    eq(get("f", "user." + "n" * 250), b"1", "a name of 255 bytes: get")
    err("ERANGE", "a name of 256 bytes", put, "f", "user." + "n" * 251, b"1")
    t.write("full")
    n = 0
    try:
        for n in range(2000):
            put("full", f"user.{n}", b"x" * 20)
    except OSError as e:
        eq(e.errno, 28, "very many: ENOSPC in the end")
    ok("ea" in sys.argv or n >= bs // 64, f"very many: {n} fit")
    eq(sorted(lst("full")), sorted(f"user.{i}" for i in range(n)), "very many: all listed")
    for i in range(0, n, 2):
        rm("full", f"user.{i}")
    eq(sorted(lst("full")), sorted(f"user.{i}" for i in range(1, n, 2)), "every second removed")

with part("namespaces"):
    for ns in ("user.", "trusted.", "security."):
        works(f"{ns} on a file", put, "f", ns + "x", ns.encode())
        eq(get("f", ns + "x"), ns.encode(), f"{ns}: get")
        works(f"{ns} on a directory", put, "d", ns + "x", ns.encode())
    for ns in ("trusted.", "security."):
        works(f"{ns} on a link", put, "l", ns + "l", b"l", follow_symlinks=False)
        eq(lst("l", follow_symlinks=False), [ns + "l"], f"{ns} on a link: list")
        rm("l", ns + "l", follow_symlinks=False)
        works(f"{ns} on a fifo", put, "p", ns + "p", b"p")
    err("EPERM", "user. on a link", put, "l", "user.x", b"", follow_symlinks=False)
    err("EPERM", "user. on a fifo", put, "p", "user.x", b"")
    for n in ("x", "nosuch.x", "system.x", "system.data", "user", "user."):
        err(("EOPNOTSUPP", "EINVAL"), f"set {n}", put, "f", n, b"1")
    for n in ("nosuch.x", "system.data"):
        err(("EOPNOTSUPP", "ENODATA", "EINVAL"), f"get {n}", get, "f", n)
    ok("system.data" not in lst("f"), "system.data is not listed")
    err("ERANGE", "an empty name", put, "f", "", b"1")
    eq(t.as_user(lambda: put("f", "trusted.u", b"1")), "EPERM", "trusted. is for root: set")
    eq(t.as_user(lambda: get("f", "trusted.x")), "ENODATA", "trusted. is for root: get")

    def listing():
        if any(n.startswith("trusted.") for n in lst("f")):
            raise OSError(1, "listed")
    eq(t.as_user(listing), None, "trusted. is for root: list")
    eq(t.as_user(lambda: put("f", "user.u", b"1")), "EACCES", "user. needs write permission")

with part("files"):
    fd = os.open("f", os.O_RDWR)
    put(fd, "user.fd", b"by descriptor")
    eq((get(fd, "user.fd"), get("f", "user.fd")), (b"by descriptor",) * 2, "by descriptor")
    os.rename("f", "f2")
    put(fd, "user.fd", b"renamed")
    eq(get("f2", "user.fd"), b"renamed", "by descriptor, after rename")
    os.link("f2", "f3")
    eq(get("f3", "user.fd"), b"renamed", "by another name")
    put("f3", "user.fd", b"other")
    eq(get("f2", "user.fd"), b"other", "set by another name")
    os.close(fd)
    a = [t.write(f"s{i}") for i in range(20)]
    for x in a:
        put(x, "user.same", b"S" * 400)
        put(x, "user.same2", b"T" * 400)
    put("s3", "user.same", b"different")
    ok(get("s3", "user.same") == b"different" and all(get(x, "user.same") == b"S" * 400 for x in a if x != "s3"),
       "equal attributes of many files: one changed")
    for x in a[::2]:
        os.unlink(x)
    ok(all(get(x, "user.same2") == b"T" * 400 for x in a[1::2]), "equal attributes of many files: half removed")
    with t.fd_of("inl", os.O_RDWR | os.O_CREAT) as fd:
        os.write(fd, b"i" * 50)
        put(fd, "user.a", b"A" * 60)
        os.write(fd, b"j" * 60)
        put(fd, "user.b", b"B" * 60)
        os.write(fd, b"k" * 600)
        ok(t.read("inl") == b"i" * 50 + b"j" * 60 + b"k" * 600 and get(fd, "user.a") == b"A" * 60 and
           get(fd, "user.b") == b"B" * 60, "attributes and data take turns to grow")
t.finish()
