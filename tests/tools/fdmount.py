# SPDX-License-Identifier: GPL-2.0-or-later
"""What a setuid container runtime does: opens /dev/fuse, mounts it with
mount(2) itself, and gives the server the descriptor 4 (and the image as 3).

fdmount.py [--keep] [--flags N] IMAGE DIR COMMAND ARGUMENTS..
--keep: holds the descriptor until its standard input ends.
SOURCE in the environment: what the mount table shows, instead of IMAGE."""
import ctypes, os, sys

libc = ctypes.CDLL(None, use_errno=True)
argv = sys.argv[1:]
keep, flags = False, 0
while argv[0].startswith("--"):
    if argv[0] == "--keep":
        keep = True
    else:
        flags = int(argv.pop(1), 0)
    argv.pop(0)
image, where, command = argv[0], argv[1], argv[2:]
fuse = os.open("/dev/fuse", os.O_RDWR)
img = os.open(image, os.O_RDONLY if flags & 1 else os.O_RDWR)
data = f"fd={fuse},rootmode=040755,user_id={os.getuid()},group_id={os.getgid()},allow_other"
if libc.mount(os.environ.get("SOURCE", image).encode(), where.encode(), b"fuse.ext4", ctypes.c_ulong(flags), data.encode()):
    sys.exit(f"mount: {os.strerror(ctypes.get_errno())}")
f2, i2 = os.dup2(fuse, 104), os.dup2(img, 103)
os.dup2(i2, 3)
os.dup2(f2, 4)
for fd in (f2, i2):
    os.close(fd)
if keep and os.fork():
    os.close(3)
    sys.stdin.read()
    sys.exit(0)
os.set_inheritable(3, True)
os.set_inheritable(4, True)
os.execvp(command[0], command)
