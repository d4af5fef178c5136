# SPDX-License-Identifier: GPL-2.0-or-later
"""An overlay image in the hands of Apptainer's driver: apptainertest.py IMAGE BIG MNT"""
import ctypes, hashlib, os, subprocess, sys, time
import t
from apptainer import Driver
from t import eq, ok, part

image, big, mnt = sys.argv[1:]
U = 65534


def umount():
    return subprocess.run(["umount", mnt]).returncode


def fsck(img):
    r = subprocess.run(["e2fsck", "-fn", img], capture_output=True, text=True)
    return r.returncode and r.stdout


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def end(d, img, what, limit=1.0):
    secs, how = d.stop()
    eq(how, "itself", f"{what}: it ends by itself")
    ok(secs < limit, f"{what}: gone within {limit} s of the unmount", f"{secs:.3f} s")
    print(f"# {what}: gone {secs:.3f} s after the unmount")
    eq(d.p.returncode, 0, f"{what}: exit status")
    eq(d.out, ("", ""), f"{what}: silent")
    eq(fsck(img), 0, f"{what}: e2fsck finds nothing")


def serve(img, options, what, **kw):
    d = Driver(img, mnt, options, **kw)
    s = d.wait_ready()
    if not ok(s is not None, f"{what}: serves"):
        d.p.kill()
        print("#", d.p.communicate())
        return None
    print(f"# {what}: in the mount table after {s:.3f} s")
    return d


with part("overlay"):
    d = serve(image, ["fakeroot"], "overlay")
    eq(sorted(os.listdir(mnt)), ["lost+found", "upper", "work"], "overlay: upper and work are there")
    eq(t.as_user(lambda: os.listdir(mnt + "/work")), None, "fakeroot: a user reads a folder of mode 0000")
    p = mnt + "/upper/etc"
    for i in range(300):
        os.makedirs(f"{p}/d{i}")
        t.write(f"{p}/d{i}/f", b"x" * i)
    os.mknod(mnt + "/upper/whiteout", 0o020000, os.makedev(0, 0))
    os.setxattr(p, "trusted.overlay.opaque", b"y")
    t.write(mnt + "/upper/data", os.urandom(1 << 20) * 48)
    eq(umount(), 0, "overlay: unmount")
    end(d, image, "48 MiB and 300 folders")
with part("overlay, ro"):
    before = digest(image)
    d = serve(image, ["ro", "fakeroot"], "ro")
    eq(os.path.getsize(mnt + "/upper/data"), 48 << 20, "ro: what was written")
    t.err("EROFS", "ro: no change", t.write, mnt + "/x")
    d2 = Driver(image, mnt + "2", ["ro", "fakeroot"])
    ok(d2.wait_ready() is not None, "ro: a second server of the same image")
    eq(subprocess.run(["umount", mnt + "2"]).returncode, 0, "unmount of the second")
    eq(d2.stop()[1], "itself", "the second ends")
    umount()
    end(d, image, "ro")
    eq(digest(image), before, "ro: not a byte of the image changed")
with part("a second writer"):
    d = serve(image, ["fakeroot"], "first writer")
    d2 = Driver(image, mnt + "2", ["fakeroot"])
    s = d2.wait_ready(30)
    if s is not None:
        subprocess.run(["umount", mnt + "2"])
    d2._wait(30)
    eq((s, d2.p.returncode), (None, 32), "a second writer is refused")
    ok(d2.out[1], "with a message")
    umount()
    end(d, image, "first writer")
with part("large"):
    d = serve(big, ["fakeroot"], "50 GB")
    os.stat(mnt + "/.")
    secs = time.monotonic() - d.start
    t.write(mnt + "/upper", b"x")
    made = time.monotonic() - d.start
    print(f"# 50 GB: answers after {secs:.3f} s, a file made after {made:.3f} s")
    ok(secs < 2, "50 GB: serves within 2 s", secs)
    umount()
    secs, how = d.stop()
    eq(how, "itself", "50 GB: it ends by itself")
    print(f"# 50 GB: gone {secs:.3f} s after the unmount")
    ok(secs < 1, "50 GB: gone within 1 s", secs)
    eq(d.out, ("", ""), "50 GB: silent")

LOAD = r"""
import os, sys
os.chdir(sys.argv[1])
i = 0
while True:
    i += 1
    os.makedirs(f"load/{i}", exist_ok=True)
    with open(f"load/{i}/f", "wb") as f:
        f.write(os.urandom(65536) * 16)
    os.rename(f"load/{i}/f", f"load/{i}/g")
    if i > 60:
        k = i - 60
        os.unlink(f"load/{k}/g")
        os.rmdir(f"load/{k}")
"""
for what in ("SIGTERM", "umount -l"):
    with part(what):
        d = serve(image, ["fakeroot"], what)
        load = subprocess.Popen([sys.executable, "-c", LOAD, mnt], stderr=subprocess.DEVNULL)
        time.sleep(3)
        if what == "SIGTERM":
            d.p.terminate()
        else:
            subprocess.run(["umount", "-l", mnt])
        secs, how = d.stop()
        load.kill()
        load.wait()
        subprocess.run(["umount", "-l", mnt], stderr=subprocess.DEVNULL)
        print(f"# {what} under load: ended by {how} after {secs:.3f} s")
        ok(how != "SIGKILL", f"{what} under load: it ends before SIGKILL comes", how)
        eq(d.out, ("", ""), f"{what} under load: silent")
        eq(fsck(image), 0, f"{what} under load: e2fsck finds nothing")
        d = serve(image, ["fakeroot"], f"after {what}")
        subprocess.run(["rm", "-rf", mnt + "/load"])
        umount()
        end(d, image, f"after {what}")
t.finish()
