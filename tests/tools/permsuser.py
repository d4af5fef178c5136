# SPDX-License-Identifier: GPL-2.0-or-later
"""permsuser.py MNT PART: what root and users may do there; the mount is by the caller."""
import os, stat, struct, subprocess, sys
import t
from t import as_user, eq, err, ok, part, works

mnt, what = sys.argv[1:]
U, V = 65534, 4711      # the owner of the volume's root, and somebody else
CAP = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)


def no(text, fn, code="EACCES", **kw):
    eq(as_user(fn, **kw), code, f"{text}: {code}")


def yes(text, fn, **kw):
    eq(as_user(fn, **kw), None, f"{text}: allowed")


def look(path):
    os.stat(path)
    os.listdir(path)


def mode(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


def in_mount_table(word):
    for line in open("/proc/mounts"):
        f = line.split()
        if f[1] == mnt:
            return word in f[3].split(",")
    return None


def setuid_id(where):
    """The effective uid that a setuid copy of id(1) of root's sees, run by a user."""
    p = where + "/id"
    subprocess.run(["cp", "/usr/bin/id", p], check=True)
    os.chown(p, 0, 0)
    os.chmod(p, 0o4755)
    out = subprocess.run(["setpriv", "--reuid", str(V), "--regid", str(V), "--clear-groups", p, "-u"], capture_output=True, text=True)
    os.unlink(p)
    return out.stdout.strip()


def everyday(d):
    """What users do all day, in a folder of mode 0777."""
    os.mkdir(d)
    os.chmod(d, 0o777)
    os.chdir(d)
    with part("0444"):
        yes("umask 333; touch f", lambda: os.close(os.open("f", os.O_WRONLY | os.O_CREAT, 0o666)), umask=0o333, uid=V, gid=V)
        eq((mode("f"), os.stat("f").st_uid, os.stat("f").st_gid), (0o444, V, V), "its mode, owner and group")
        no("writing to it later", lambda: t.write("f", b"x"), uid=V, gid=V)
        yes("O_CREAT|O_WRONLY of mode 0444, and writing", lambda: t.write("g", b"hello", 0o444), uid=V, gid=V)
        eq(t.read("g"), b"hello", "what was written")
        yes("O_CREAT|O_RDWR|O_EXCL of mode 0", lambda: t.write("h", b"x", 0, os.O_RDWR | os.O_CREAT | os.O_EXCL), uid=V, gid=V)
        yes("rm -f of all", lambda: [os.unlink(x) for x in "fgh"], uid=V, gid=V)
        yes("the same again", lambda: t.write("f", b"x", 0o444), uid=V, gid=V)
        yes("rm -f by another, in a folder for all", lambda: os.unlink("f"))
    with part("times"):
        t.write("f", b"x", 0o666)
        os.chmod("f", 0o666)
        os.chown("f", U, U)
        yes("now, by one who may write", lambda: os.utime("f"), uid=V, gid=V)
        no("another time, by one who may write", lambda: os.utime("f", (1, 1)), "EPERM", uid=V, gid=V)
        yes("another time, by the owner", lambda: os.utime("f", (1, 2)))
        eq(os.stat("f").st_mtime, 2, "it is set")
        os.chmod("f", 0o644)
        no("now, by one who may not write", lambda: os.utime("f"), uid=V, gid=V)
        os.chmod("f", 0o444)
        yes("now, by the owner who may not write", lambda: os.utime("f"))
    with part("chmod and chown"):
        no("chmod by another", lambda: os.chmod("f", 0o777), "EPERM", uid=V, gid=V)
        no("chown to oneself", lambda: os.chown("f", V, V), "EPERM", uid=V, gid=V)
        yes("chgrp to a supplementary group", lambda: os.chown("f", -1, 99), groups=(99,))
        yes("chmod g+s by a member", lambda: os.chmod("f", 0o2755), groups=(99,))
        eq(mode("f"), 0o2755, "setgid is set")
        yes("chmod g+s by one who is none", lambda: os.chmod("f", 0o2755))
        eq(mode("f"), 0o755, "setgid is cleared")
    with part("supplementary groups"):
        t.write("s", b"x")
        os.chown("s", 0, 99)
        os.chmod("s", 0o640)
        no("not a member", lambda: t.read("s"), uid=V, gid=V)
        yes("a member", lambda: t.read("s"), uid=V, gid=V, groups=(5, 99, 100))
        yes("a member, of many groups", lambda: t.read("s"), uid=V, gid=V, groups=tuple(range(1000, 1060)) + (99,))
        no("a member may not write", lambda: os.open("s", os.O_WRONLY), uid=V, gid=V, groups=(99,))
        os.mkdir("sd")
        os.chown("sd", 0, 99)
        os.chmod("sd", 0o2770)
        no("a folder of the group's: another", lambda: t.write("sd/x"), uid=V, gid=V)
        yes("a folder of the group's: a member", lambda: t.write("sd/x"), uid=V, gid=V, groups=(99,))
        eq(os.stat("sd/x").st_gid, 99, "and the new file has its group")
        yes("mkdir there", lambda: os.mkdir("sd/d"), uid=V, gid=V, groups=(99,))
        eq((os.stat("sd/d").st_gid, mode("sd/d") & 0o2000), (99, 0o2000), "group and setgid go on")
        yes("a setgid file of a group that is not his", lambda: t.write("sd/g", b"", 0o2775), uid=V, gid=V, groups=(99,), umask=0)
    with part("sticky"):
        os.mkdir("tmp")
        os.chmod("tmp", 0o1777)
        yes("create", lambda: t.write("tmp/v"), uid=V, gid=V)
        no("unlink of another's", lambda: os.unlink("tmp/v"), "EPERM")
        no("rename of another's", lambda: os.rename("tmp/v", "tmp/w"), "EPERM")
        yes("unlink by the owner", lambda: os.unlink("tmp/v"), uid=V, gid=V)
        os.chown("tmp", U, U)
        yes("create", lambda: t.write("tmp/v"), uid=V, gid=V)
        yes("unlink by the folder's owner", lambda: os.unlink("tmp/v"))
    with part("privileges"):
        def make():
            t.write("p", b"x" * 5000)
            os.chown("p", 0, 0)
            os.setxattr("p", "security.capability", CAP)
            os.chmod("p", 0o6777)
        for text, fn in (("write", lambda: t.write("p", b"y", flags=os.O_WRONLY)),
                         ("truncate", lambda: os.truncate("p", 9)),
                         ("append", lambda: t.write("p", b"y", flags=os.O_WRONLY | os.O_APPEND))):
            make()
            yes(f"{text} by another", fn, uid=V, gid=V)
            caps = True
            try:
                os.getxattr("p", "security.capability")
            except OSError:
                caps = False
            eq((mode("p"), caps), (0o777, False), f"{text} by another: setuid, setgid and capability are gone")
    os.chdir("/")


def acls(d):
    os.chdir(d)
    acl = t.acl_value((1, 6), (2, 4, V), (4, 0), (8, 6, 99), (16, 6), (32, 0))
    with part("ACLs"):
        t.write("a", b"x")
        os.chmod("a", 0o600)
        no("before", lambda: t.read("a"), uid=V, gid=V)
        os.setxattr("a", t.ACL_ACCESS, acl)
        yes("a named user reads", lambda: t.read("a"), uid=V, gid=V)
        no("and does not write", lambda: os.open("a", os.O_WRONLY), uid=V, gid=V)
        yes("a named group, supplementary", lambda: t.write("a", b"y", flags=os.O_WRONLY), uid=5, gid=5, groups=(99,))
        no("others", lambda: t.read("a"), uid=5, gid=5)
        no("an ACL of another's file", lambda: os.setxattr("a", t.ACL_ACCESS, acl), "EPERM", uid=V, gid=V)
        os.mkdir("ad")
        os.setxattr("ad", t.ACL_DEFAULT, acl)
        os.chmod("ad", 0o777)
        yes("a file below a default ACL", lambda: t.write("ad/f", b"", 0o666), umask=0o077)
        yes("the default ACL replaces the umask", lambda: t.read("ad/f"), uid=V, gid=V)
    os.chdir("/")


if what == "root-alone":
    works("root sees it", look, mnt)
    for uid in (U, V):
        no(f"user {uid}", lambda: look(mnt), uid=uid, gid=uid)
    eq(in_mount_table("allow_other"), False, "no allow_other in the mount table")
elif what == "root-other":
    yes("the owner of the root writes there", lambda: t.write(mnt + "/own"))
    no("another does not", lambda: t.write(mnt + "/x"), uid=V, gid=V)
    everyday(mnt + "/e")
    acls(mnt + "/e")
    eq(in_mount_table("default_permissions"), True, "default_permissions in the mount table")
    eq(setuid_id(mnt + "/e"), str(V), "nosuid is the default: a setuid program gives nothing")
elif what == "noacl":
    everyday(mnt + "/na")
    err("EOPNOTSUPP", "an ACL", os.setxattr, mnt + "/na", t.ACL_DEFAULT, t.acl_value((1, 7), (4, 7), (32, 7)))
    no("an ACL from before is not obeyed", lambda: t.read(mnt + "/e/a"), uid=V, gid=V)
elif what == "kernel":
    for w in ("allow_other", "default_permissions"):
        eq(in_mount_table(w), True, f"{w} in the mount table")
    for w in ("nosuid", "nodev"):
        eq(in_mount_table(w), False, f"no {w} in the mount table")
    everyday(mnt + "/k")
    acls(mnt + "/k")
    eq(setuid_id(mnt + "/k"), "0", "a setuid program is one")
    os.mknod(mnt + "/k/null", 0o020666, os.makedev(1, 3))
    os.chmod(mnt + "/k/null", 0o666)
    yes("a device works", lambda: t.write(mnt + "/k/null", b"x", flags=os.O_WRONLY), uid=V, gid=V)
elif what == "user-alone":
    yes("who mounted sees it", lambda: look(mnt))
    yes("and writes", lambda: t.write(mnt + "/own2"))
    no("another user", lambda: look(mnt), uid=V, gid=V)
    err("EACCES", "root", look, mnt)
elif what == "user-root":
    works("root sees it", look, mnt)
    no("another user", lambda: look(mnt), uid=V, gid=V)
elif what == "user-other":
    yes("another user sees it", lambda: look(mnt), uid=V, gid=V)
    no("another user writes to the root", lambda: t.write(mnt + "/x"), uid=V, gid=V)
    everyday(mnt + "/u")
    acls(mnt + "/u")
    for w in ("nosuid", "nodev"):
        eq(in_mount_table(w), True, f"{w}: a user gets no more")
elif what in ("fakeroot", "user-fakeroot"):
    for w in ("nosuid", "nodev"):
        eq(in_mount_table(w), True, f"{w} in the mount table")
    d = mnt + "/fake"
    if os.path.isdir(d):
        subprocess.run(["rm", "-rf", d], check=True)
    me = dict(uid=V, gid=V)
    yes("a folder in another's", lambda: os.mkdir(d, 0o700), **me)
    os.chdir(d)
    yes("a file", lambda: t.write("f", b"x", 0), **me)
    yes("of mode 0: read", lambda: t.read("f"), **me)
    yes("of mode 0: written", lambda: t.write("f", b"yy", flags=os.O_WRONLY), **me)
    yes("chown", lambda: os.chown("f", 17, 18), **me)
    eq((os.stat("f").st_uid, os.stat("f").st_gid), (17, 18), "chown: done")
    yes("chmod of another's, setuid and setgid", lambda: os.chmod("f", 0o6755), **me)
    eq(mode("f"), 0o6755, "chmod: done")
    yes("times of another's", lambda: os.utime("f", (1, 2)), **me)
    eq(os.stat("f").st_mtime, 2, "times: done")
    yes("a file for the look at the disk", lambda: (t.write("owned"), os.chown("owned", 17, 18), os.chmod("owned", 0o6755)), **me)
    yes("lchown", lambda: (os.symlink("x", "l"), os.lchown("l", 17, 18)), **me)
    eq(os.lstat("l").st_uid, 17, "lchown: done")
    yes("security.capability is root's to set: user.* at least", lambda: os.setxattr("f", "user.x", b"1"), **me)
    yes("unlink in another's folder", lambda: (os.mkdir("d", 0o555), os.chown("d", 17, 18), t.write("d/x"), os.unlink("d/x")), **me)
    yes("a fifo and a whiteout", lambda: (os.mkfifo("fifo"), os.mknod("whiteout", 0o020000, 0)), **me)
    # Device nodes are refused by the kernel, before anybody asks us, unless to root.
    works("a device by root", os.mknod, "dev", 0o060640, os.makedev(7, 300))
    eq((os.stat("dev").st_rdev, stat.S_ISBLK(os.stat("dev").st_mode)), (os.makedev(7, 300), True), "its number")
    works("root's chown of it", os.chown, "dev", 0, 6)
    r = subprocess.run(["tar", "-C", "/", "-cf", "x.tar", "etc/passwd", "etc/shadow"], capture_output=True)
    if r.returncode == 0:
        os.chmod("x.tar", 0o644)
        yes("tar x as root's: owners and modes", lambda: subprocess.run(
            ["tar", "--same-owner", "-xpf", "x.tar"], check=True, stdout=2), **me)
        s, s0 = os.stat("etc/shadow"), os.stat("/etc/shadow")
        eq((s.st_mode, s.st_uid, s.st_gid), (s0.st_mode, s0.st_uid, s0.st_gid), "tar x: as the original")
    os.chdir("/")
t.finish()
