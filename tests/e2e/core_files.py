"""Core files: where they would appear on this machine, processes that cannot lower their core limit, and what the kernel says of those that have ended."""
import contextlib
import ctypes
import os
import pathlib
import re
import resource
import signal
import subprocess
import time

CORE_DUMPED = 0x80  # in a wait status


class SockFilter(ctypes.Structure):
    _fields_ = [("code", ctypes.c_uint16), ("jt", ctypes.c_uint8), ("jf", ctypes.c_uint8), ("k", ctypes.c_uint32)]


class SockFprog(ctypes.Structure):
    _fields_ = [("length", ctypes.c_uint16), ("filter", ctypes.POINTER(SockFilter))]


LIBC = ctypes.CDLL(None, use_errno=True)


def core_limit_that_stays():
    """In a child before its program: the core limit is raised, and no later setrlimit of it or of what it starts lowers it again. It is told that it did, by a system call
    filter. So only what else forbids a core counts. (Raising the limit afterwards needs a right that root in a container may not have.)"""
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    arch, setrlimit, prlimit = {"x86_64": (0xC000003E, 160, 302), "aarch64": (0xC00000B7, 164, 261)}[os.uname().machine]
    load, equal, give = 0x20, 0x15, 0x06
    allow, pretend = 0x7FFF0000, 0x00050000  # SECCOMP_RET_ALLOW, SECCOMP_RET_ERRNO with errno 0
    words = [(load, 0, 0, 4), (equal, 0, 10, arch), (load, 0, 0, 0), (equal, 0, 2, setrlimit),
             (load, 0, 0, 16), (equal, 7, 6, resource.RLIMIT_CORE), (equal, 0, 5, prlimit),
             (load, 0, 0, 24), (equal, 0, 3, resource.RLIMIT_CORE), (load, 0, 0, 32), (equal, 0, 2, 0),  # prlimit that only reads has no new limit
             (give, 0, 0, allow), (give, 0, 0, allow), (give, 0, 0, pretend)]
    program = (SockFilter * len(words))(*[SockFilter(*word) for word in words])
    if LIBC.prctl(22, 2, ctypes.byref(SockFprog(len(words), program)), 0, 0) != 0:  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER
        raise OSError(ctypes.get_errno(), "a system call filter")


class Cores:
    """Where core files would appear, by the kernel's pattern and a process that leaves one."""

    def __init__(self, folder, marker):
        self.pattern = pathlib.Path("/proc/sys/kernel/core_pattern").read_text(encoding="utf-8").strip()
        self.folder = folder
        self.marker = marker
        self.plain = bool(self.pattern) and not self.pattern.startswith("|")
        self.glob = re.sub(r"%.", "*", pathlib.PurePath(self.pattern).name) + "*" if self.plain else ""
        self.before = {}

    def places(self, pid):
        """The folders in which a core of the process would land."""
        if not self.plain:
            return []
        parent = pathlib.Path(self.pattern).parent
        cwd = pathlib.Path(os.readlink(f"/proc/{pid}/cwd"))
        return [cwd / parent]

    def _listing(self, folder):
        with contextlib.suppress(OSError):
            return {(p, p.stat().st_ino, p.stat().st_mtime_ns, p.stat().st_size) for p in folder.glob(self.glob)} if self.plain else set()
        return set()

    def watch(self, pid):
        for place in self.places(pid):
            self.before.setdefault(place, self._listing(place))

    def appeared(self):
        return [entry[0] for place, before in self.before.items() for entry in self._listing(place) - before]

    def control(self):
        """Crashes a process that forbids nothing: (whether the kernel says that it dumped, the files that appeared)."""
        folder = self.folder / "control"
        folder.mkdir()
        child = subprocess.Popen(["/usr/bin/python3", "-c", "import resource, sys\nheld = sys.stdin.readline() * 3\nresource.setrlimit(resource.RLIMIT_CORE, (0, 0))\n"
                                  "print(flush=True)\nsys.stdin.read()"], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={"PATH": "/usr/bin"},
                                 preexec_fn=core_limit_that_stays)
        try:
            child.stdin.write(self.marker + "\n")
            child.stdin.flush()
            child.stdout.readline()
            place = self.places(child.pid)
            before = {entry for p in place for entry in self._listing(p)}
            child.send_signal(signal.SIGABRT)
            status = status_of_child(child.pid)
            child.returncode = -signal.SIGABRT
        finally:
            if child.returncode is None:
                child.kill()
                child.wait()
            child.stdin.close()
            child.stdout.close()
        return os.WCOREDUMP(status), [entry[0] for p in place for entry in self._listing(p) - before]


def status_of_child(pid, seconds=20):
    """The wait status of a child of this process that is about to end."""
    deadline = time.monotonic() + seconds
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return status
        if time.monotonic() > deadline:
            raise RuntimeError(f"process {pid} does not end")
        time.sleep(0.02)


def status_of_zombie(pid):
    """The wait status of a process that has ended and that its parent has not waited for yet: the last field but one of stat is it."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return int(fields[49]) if fields[0] == "Z" else None


def core_limits(pid):
    """(soft, hard), in words of the kernel."""
    return tuple(re.search(r"^Max core file size +(\S+) +(\S+)", pathlib.Path(f"/proc/{pid}/limits").read_text(encoding="utf-8"), re.M).groups())


def parent_of(pid):
    return int(pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[1])
