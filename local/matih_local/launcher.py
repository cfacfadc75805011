"""Becomes a child process that cannot outlive its parent: `python -I -S launcher.py PARENT USER NAMED COMMAND...`.

Run as a file by `children.spawn`, with nothing but the standard library, and replaced by the command at once.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import signal
import subprocess
import sys
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_CLONE_NEWUSER = 0x10000000
_LOOK_SECONDS = 0.5


def main(arguments: list[str]) -> int:  # noqa: RET503 (execv does not return)
    """Changes the user if one is given (`uid:gid`, else `-`), ties itself to the parent, becomes the command."""
    parent, user, named, *command = arguments
    # Before the change of user, who may not be able to read Python's library.
    libc = ctypes.CDLL(None, use_errno=True)
    names = {entry.pw_uid: entry.pw_name for entry in pwd.getpwall()}
    if user != "-":
        _become(user)
    if sys.platform != "linux":
        return _watch(int(parent), command)
    if named == "named" and os.geteuid() not in names:
        _take_a_name(libc, next((uid for uid, name in names.items() if name == "nobody"), 65534))
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # after it: a change of user clears this
    if os.getppid() != int(parent):  # it died before the line above
        return 1
    os.execv(command[0], command)  # noqa: S606 (no shell is wanted)


def _become(user: str) -> None:
    uid, gid = (int(part) for part in user.split(":"))
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def _take_a_name(libc: ctypes.CDLL, uid: int) -> None:
    """A user without a name (a container's) takes one in a user namespace of its own; files stay the user's.

    Where the kernel does not allow it, the command runs as it is, and says itself what it can't do.
    """
    outside = os.geteuid(), os.getegid()
    libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)  # else, after a change of user, /proc/self is root's
    if libc.unshare(_CLONE_NEWUSER) == 0:
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {outside[0]} 1")
        Path("/proc/self/gid_map").write_text(f"{outside[1]} {outside[1]} 1")


def _watch(parent: int, command: list[str]) -> int:
    """Where the kernel has no such signal: stay, look whether the parent is there, else kill the whole group."""
    child = subprocess.Popen(command)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    while os.getppid() == parent:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return child.wait(_LOOK_SECONDS)
    os.killpg(0, signal.SIGKILL)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
