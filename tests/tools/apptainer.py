# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs fuse2fs as Apptainer's image driver does: as its supervisor, in the
foreground and in a process group of its own, the image as descriptor 3; polls
the mount table; after the unmount waits a second, then SIGTERM, another
second, then SIGKILL."""
import os, signal, shutil, subprocess, time


def mounted(where):
    with open("/proc/self/mountinfo") as f:
        return any(line.split()[4] == where for line in f)


class Driver:
    def __init__(self, image, where, options, offset=None, shim=None, uid=None, caps=True):
        """Starts it; where is a folder, or a descriptor of /dev/fuse that is mounted already."""
        self.where, fds = where, {}
        src = os.open(image, os.O_RDONLY if "ro" in options else os.O_RDWR)
        high = os.dup2(src, 103)
        os.close(src)
        target = where
        if isinstance(where, int):
            fds[4] = where
            target = "/dev/fd/4"
        cmd = ["stdbuf", "-oL"] if shutil.which("stdbuf") else []
        cmd += [os.environ["FUSE2FS"], "-f", "-o", ",".join(["allow_other"] + options), "/proc/self/fd/3", target]
        env = dict(os.environ)
        if shim:
            cmd = cmd[2:] if cmd[0] == "stdbuf" else cmd
            env = {"LD_PRELOAD": shim, "OFFSETPRELOAD_FILE": "/proc/self/fd/3", "OFFSETPRELOAD_OFFSET": str(offset),
                   "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "")}

        def child():
            os.setpgid(0, 0)
            os.dup2(high, 3)
            for fd, old in fds.items():
                os.dup2(old, fd)
            if uid is not None:
                os.setgroups([])
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)

        self.start = time.monotonic()
        self.p = subprocess.Popen(cmd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  env=env, preexec_fn=child, pass_fds=[3, 4][:1 + len(fds)])
        os.close(high)
        with open(os.environ["T_WORK"] + "/.pids", "a") as f:
            f.write(f"{self.p.pid} -\n")
        self.ready = None

    def wait_ready(self, limit=10):
        """Seconds until the mount is in the table, or None."""
        while time.monotonic() - self.start < limit and self.p.poll() is None:
            if isinstance(self.where, int) or mounted(self.where):
                self.ready = time.monotonic() - self.start
                return self.ready
            time.sleep(0.025)
        return None

    def _wait(self, seconds):
        try:
            self.out = tuple(s.decode() for s in self.p.communicate(timeout=seconds))
            return True
        except subprocess.TimeoutExpired:
            return False

    def stop(self):
        """(seconds, how it ended): "itself", "SIGTERM" or "SIGKILL"."""
        start = time.monotonic()
        if self._wait(1):
            how = "itself"
        else:
            os.kill(self.p.pid, signal.SIGTERM)
            how = "SIGTERM"
            if not self._wait(1):
                self.p.kill()
                self._wait(None)
                how = "SIGKILL"
        return time.monotonic() - start, how
