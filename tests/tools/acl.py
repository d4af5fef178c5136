# SPDX-License-Identifier: GPL-2.0-or-later
"""POSIX ACLs: stored, inherited, kept in step with the mode, and obeyed."""
import os, stat, subprocess, sys
import t
from t import ACL_ACCESS as A, ACL_DEFAULT as D, acl_text, acl_value, as_user, eq, err, ok, part, works

os.chdir(sys.argv[1])
U, GRP = 65534, 65534


def get(p, n=A):
    try:
        return acl_text(os.getxattr(p, n))
    except OSError as e:
        return t.NAMES[e.errno]


def mode(p):
    return stat.S_IMODE(os.stat(p).st_mode)


os.chmod(".", 0o755)
with part("access ACL"):
    t.write("f", b"data")
    eq(get("f"), "ENODATA", "a new file has no ACL")
    os.setxattr("f", A, acl_value((1, 6), (2, 4, U), (4, 4), (16, 6), (32, 0)))
    eq(get("f"), "user::rw-,user:65534:r--,group::r--,mask::rw-,other::---", "set")
    eq(mode("f"), 0o660, "the mode follows")
    eq(as_user(lambda: t.read("f")), None, "the user may read")
    eq(as_user(lambda: os.open("f", os.O_WRONLY)), "EACCES", "the user may not write")
    eq(as_user(lambda: t.read("f"), uid=1234, gid=1234), "EACCES", "others may not")
    os.chmod("f", 0o600)
    eq(get("f"), "user::rw-,user:65534:r--,group::r--,mask::---,other::---", "chmod changes the mask")
    eq(as_user(lambda: t.read("f")), "EACCES", "the mask is obeyed")
    os.setxattr("f", A, acl_value((1, 6), (4, 4), (32, 4)))
    eq((get("f"), mode("f")), ("ENODATA", 0o644), "a minimal ACL is only the mode")
    os.setxattr("f", A, acl_value((1, 6), (4, 0), (8, 6, 7777), (16, 6), (32, 0)))
    eq(as_user(lambda: t.write("f", b"by group", flags=os.O_WRONLY), gid=1, groups=(7777,)), None,
       "a supplementary group may write")
    os.removexattr("f", A)
    eq(get("f"), "ENODATA", "removed")
    err("EINVAL", "nonsense is refused", os.setxattr, "f", A, acl_value((1, 6), (4, 4)))
    err(("EINVAL", "EOPNOTSUPP"), "nonsense is refused (version)", os.setxattr, "f", A, b"\1\0\0\0")
    err("EACCES", "a default ACL is for directories", os.setxattr, "f", D, acl_value((1, 7), (4, 5), (32, 5)))
    eq(as_user(lambda: os.setxattr("f", A, acl_value((1, 6), (4, 4), (32, 4)))), "EPERM", "only the owner sets it")
    os.symlink("f", "s")
    err(("EOPNOTSUPP", "EPERM"), "not on a link", os.setxattr, "s", A, acl_value((1, 6), (4, 4), (32, 4)),
        follow_symlinks=False)

with part("default ACL"):
    os.mkdir("d")
    os.setxattr("d", D, acl_value((1, 7), (2, 7, U), (4, 5), (16, 7), (32, 0)))
    eq(mode("d"), 0o755, "a default ACL leaves the mode")
    os.umask(0o077)
    t.write("d/f", b"", mode=0o666)
    eq(get("d/f"), "user::rw-,user:65534:rwx,group::r-x,mask::rw-,other::---", "a file inherits it; no umask")
    eq(mode("d/f"), 0o660, "a file's mode")
    os.mkdir("d/sub", 0o777)
    eq((get("d/sub"), get("d/sub", D)), ("user::rwx,user:65534:rwx,group::r-x,mask::rwx,other::---",) * 2,
       "a directory inherits both")
    t.write("d/g", b"", mode=0o640)
    eq(get("d/g"), "user::rw-,user:65534:rwx,group::r-x,mask::r--,other::---", "limited by the mode asked for")
    os.mkfifo("d/p", 0o622)
    eq(get("d/p"), "user::rw-,user:65534:rwx,group::r-x,mask::-w-,other::---", "a fifo too")
    os.symlink("x", "d/l")
    eq(os.listxattr("d/l", follow_symlinks=False), [], "a link inherits none")
    os.setxattr("d", D, acl_value((1, 7), (4, 5), (32, 4)))
    t.write("d/h", b"", mode=0o666)
    eq((get("d/h"), mode("d/h")), ("ENODATA", 0o644), "a minimal default ACL only limits the mode")
    os.removexattr("d", D)
    t.write("d/i", b"", mode=0o666)
    eq(mode("d/i"), 0o600, "without it the umask counts")
    os.umask(0o022)
    # as others see it when they make it
    os.setxattr("d", D, acl_value((1, 7), (2, 4, 5), (4, 7), (16, 7), (32, 0)))
    os.chmod("d", 0o777)
    eq(as_user(lambda: t.write("d/u", b"u", mode=0o600)), None, "a user makes a file there")
    eq((get("d/u"), os.stat("d/u").st_uid), ("user::rw-,user:5:r--,group::rwx,mask::---,other::---", U),
       "a user's file inherits")

with part("tools"):
    t.write("z")
    subprocess.run(["setfacl", "-m", "u:1000:rwx,g:100:r", "z"], check=True)
    out = subprocess.run(["getfacl", "-cn", "z"], check=True, capture_output=True, text=True).stdout.split()
    eq(out, ["user::rw-", "user:1000:rwx", "group::r--", "group:100:r--", "mask::rwx", "other::r--"], "setfacl, getfacl")
    subprocess.run(["setfacl", "-b", "z"], check=True)
    eq(get("z"), "ENODATA", "setfacl -b")
    many = ",".join(f"u:{i}:r" for i in range(1000, 1030))
    subprocess.run(["setfacl", "-m", many, "z"], check=True)
    eq(get("z").count("user:"), 31, "an ACL of many entries")
    subprocess.run(["setfacl", "-R", "-d", "-m", "g:9:rw", "d"], check=True)
    ok("group:9:rw-" in get("d/sub", D), "setfacl -R -d")
t.finish()
