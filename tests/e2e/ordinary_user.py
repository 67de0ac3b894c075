#!/usr/bin/env python3
"""As an ordinary user who may open /dev/fuse: a cluster under an owner key, sealed and back, and then its volume alone, with no process as root.

Runs in a mount namespace of its own with a /dev/fuse that everybody may open (some machines keep theirs for root), as the system user `nobody`.
"""
import argparse
import ctypes
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile

from harness import Screen, Stack, carry_out, mounts_below, processes_of
from volume_alone import VolumeAlone, fill

CLONE_NEWNS = 0x20000
MS_REC, MS_PRIVATE = 0x4000, 0x40000


def own_fuse_device():
    """A private mount namespace in which /dev/fuse is open to all."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) != 0 or libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None) != 0:
        raise OSError(ctypes.get_errno(), "a mount namespace")
    folder = tempfile.mkdtemp(prefix="lk-fuse-")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755,dev", "tmpfs", folder], check=True)
    device = os.path.join(folder, "fuse")
    os.mknod(device, 0o666 | 0o020000, os.makedev(10, 229))
    os.chmod(device, 0o666)
    subprocess.run(["mount", "--bind", device, "/dev/fuse"], check=True)
    # The device stays where it is bound; later this process may not remove the folder.
    subprocess.run(["umount", "-l", folder], check=True)
    os.rmdir(folder)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", required=True)
    args = parser.parse_args()
    own_fuse_device()
    user = pwd.getpwnam("nobody")
    screen = Screen(stop_between=False)
    home = pathlib.Path(tempfile.mkdtemp(prefix="lk-user-"))
    # The checkout may lie where this user cannot look.
    program = home / "latchkey"
    shutil.copy(args.program, program)
    program.chmod(0o755)
    os.chown(home, user.pw_uid, user.pw_gid)
    os.setgroups([])
    os.setresgid(user.pw_gid, user.pw_gid, user.pw_gid)
    os.setresuid(user.pw_uid, user.pw_uid, user.pw_uid)
    os.chdir("/")
    tempfile.tempdir = str(home)
    stack = Stack(str(program), screen)

    def steps():
        screen.step(1, f"A stack of the user {user.pw_name}")
        stack.start_dev(own_group=True)
        marker, connection = fill(stack, "mine-alone")
        ours = set(processes_of(str(stack.folder))) | set(stack.databases())
        owners = {os.stat(f"/proc/{p}").st_uid for p in ours}
        # A daemon that forbids dumps belongs to root in /proc; its credentials tell the truth.
        real = {int(pathlib.Path(f"/proc/{p}/status").read_text().split("\nUid:\t")[1].split("\t")[1]) for p in ours}
        stack.check(real == {user.pw_uid} and owners <= {0, user.pw_uid}, "every process of the stack runs as that user")
        stack.check(stack.sql(connection, "select note from t") == marker and len(stack.databases()) > 5, "SQL works, and the database's processes are seen")
        screen.step(2, "The owner disables the key, and enables it again")
        stack.kms("key", "disable", stack.facts["owner_key"])
        took = stack.wait("dark", 60, lambda: stack.sql_refused(connection) and not mounts_below(stack.folder) and not stack.processes("volume-daemon") and
                          not stack.databases())
        stack.check(True, f"sealed after {took:.1f} s: SQL is refused, nothing is mounted, no volume daemon and no database process is left")
        stack.kms("key", "enable", stack.facts["owner_key"])
        stack.wait("it serves again", 60, lambda: not stack.sql_refused(connection))
        stack.check(stack.sql(connection, "select note from t") == marker, "it serves again by itself, and the data is there")
        stack.stop_dev(signal.SIGINT)
        alone = VolumeAlone(stack, screen)
        alone.take(3)
        alone.mount_and_seal(4, marker)
        alone.as_caller(5, marker)

    try:
        return carry_out(stack, steps)
    finally:
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
