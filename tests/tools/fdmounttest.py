# SPDX-License-Identifier: GPL-2.0-or-later
"""The mount is made by somebody else, who gives its descriptor: /dev/fd/4 as
the mount point.  fdmounttest.py IMAGE MNT"""
import ctypes, os, subprocess, sys
import t
from apptainer import Driver, mounted
from t import eq, ok, part

image, mnt = sys.argv[1:]
U = 65534
MS_RDONLY, MS_NOSUID, MS_NODEV = 1, 2, 4


def premount(flags, extra="allow_other"):
    fd = os.open("/dev/fuse", os.O_RDWR)
    data = f"fd={fd},rootmode=040755,user_id=0,group_id=0,{extra}"
    if t.libc.mount(image.encode(), mnt.encode(), b"fuse.ext4", ctypes.c_ulong(flags), data.encode()):
        raise OSError(ctypes.get_errno(), "mount")
    high = os.dup2(fd, 110)
    os.close(fd)
    return high


def start(options, flags=MS_NOSUID | MS_NODEV, **kw):
    fd = premount(flags)
    d = Driver(image, fd, options, **kw)
    os.close(fd)
    os.stat(mnt + "/.")     # waits for the server
    return d


def end(d, what):
    eq(subprocess.run(["umount", mnt]).returncode, 0, f"{what}: unmount")
    secs, how = d.stop()
    eq(how, "itself", f"{what}: it ends by itself")
    print(f"# {what}: gone {secs:.3f} s after the unmount")
    eq((d.p.returncode, d.out), (0, ("", "")), f"{what}: exit status and silence")
    r = subprocess.run(["e2fsck", "-fn", image], capture_output=True, text=True)
    eq(r.returncode and r.stdout, 0, f"{what}: e2fsck finds nothing")


with part("root"):
    d = start(["fakeroot"])
    t.write(mnt + "/f", b"hello")
    os.mkdir(mnt + "/d")
    os.chmod(mnt + "/d", 0)
    eq(t.as_user(lambda: t.write(mnt + "/d/user")), None, "fakeroot: a user may all")
    end(d, "fakeroot")
with part("ro"):
    d = start(["ro", "fakeroot"], MS_RDONLY | MS_NOSUID | MS_NODEV)
    eq(t.read(mnt + "/f"), b"hello", "ro: reads")
    t.err("EROFS", "ro: no change", t.write, mnt + "/g")
    end(d, "ro")
with part("ro, but the mount is not"):
    d = start(["ro", "fakeroot"])
    t.err("EROFS", "ro by the server alone: no change", t.write, mnt + "/g")
    end(d, "ro by the server alone")
with part("the server is a user"):
    os.chown(image, U, U)
    d = start(["fakeroot"], uid=U)
    t.write(mnt + "/by-user-server", b"hello")
    eq(t.read(mnt + "/by-user-server"), b"hello", "a user's server in root's mount")
    end(d, "a user's server")
for opts in ([], ["noacl"], ["acl"]):
    with part(f"checks {opts}"):
        d = start(opts)
        t.write(mnt + "/secret", b"x")
        os.chmod(mnt + "/secret", 0o600)
        eq(t.as_user(lambda: t.read(mnt + "/secret")), "EACCES", f"without fakeroot, {opts}: modes are checked")
        eq(t.as_user(lambda: os.unlink(mnt + "/secret")), "EACCES", f"without fakeroot, {opts}: modes of folders, too")
        t.works(f"{opts}: root reads it", t.read, mnt + "/secret")
        if opts != ["noacl"]:
            t.works(f"{opts}: an ACL", os.setxattr, mnt + "/secret", t.ACL_ACCESS,
                    t.acl_value((1, 6), (2, 4, U), (4, 0), (16, 4), (32, 0)))
            eq(t.as_user(lambda: t.read(mnt + "/secret")), None, f"{opts}: the ACL is obeyed")
        os.unlink(mnt + "/secret")
        end(d, f"without fakeroot, {opts}")
with part("no descriptor"):
    r = subprocess.run([os.environ["FUSE2FS"], "-f", image, "/dev/fd/77"], capture_output=True, text=True, timeout=30)
    ok(r.returncode != 0 and r.stderr, "/dev/fd/77, which is not open: fails with a message", r)
    ok(not mounted(mnt), "nothing is mounted")
subprocess.run(["umount", mnt], stderr=subprocess.DEVNULL)
t.finish()
