"""Who holds a lock file: the writing process a journal's, the shipper a spool's.

The kernel answers where it can: an flock is gone when the last process that has the file open is. Where it can't be
asked (network file systems), and where a forked child has inherited the open file, the holder's record in the file
decides: boot id, PID namespace, pid and start time. Whoever can't be judged counts as alive.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Final, NamedTuple

from matih_tracking.journal.files import is_same_file, open_to_read, open_to_write, write_at
from matih_tracking.mounts import is_network_file_system
from matih_tracking.spool import boot_id, machine_key

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCK_FILE: Final = "lock"
_BUSY: Final = frozenset({errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK})
_NO_LOCKS_HERE: Final = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})
_RETRY_SECONDS: Final = 0.01
_WINDOWS_BYTE: Final = 1 << 30  # far behind the record: a locked byte can't be read there


class State(Enum):
    """What is known about a lock file's holder."""

    HELD = "held"
    """It lives."""
    FREE = "free"
    """There is none, or it's dead."""
    UNKNOWN = "unknown"
    """It can't be judged from here: treat it as alive."""


class Owner(NamedTuple):
    """The holder's record in a lock file.

    Attributes:
        machine: hash of the machine's id (and of the host's name where that is needed).
        boot_id: 32 hex characters, zeros if unknown.
        namespace: the PID namespace as the kernel names it, empty if unknown.
        pid: the process.
        started: its start time in clock ticks since boot, 0 if unknown.
    """

    machine: str
    boot_id: str
    namespace: str
    pid: int
    started: int

    @classmethod
    def this_process(cls, path: Path) -> Owner:
        """The record of this process for a lock file at `path`."""
        return cls(machine_key(path.parent), boot_id(), _namespace(), os.getpid(), process_start(os.getpid()) or 0)

    def encode(self) -> bytes:
        """The record as it stands in the file: its fields in order, one a line."""
        return "".join(f"{field}\n" for field in self).encode()

    @classmethod
    def decode(cls, text: str) -> Owner:
        """Read a record.

        Raises:
            ValueError: it isn't one, or not all of it.
        """
        machine, boot, namespace, pid, started, *_ = text.split("\n")
        return cls(machine, boot, namespace, int(pid), int(started))


class Lock:
    """A lock file held by this process until `close`, or its end."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd

    @classmethod
    def acquire(cls, path: Path, timeout: float = 0.2) -> Lock | None:
        """Take the lock and write this process's record into the file, which is made if needed.

        Args:
            path: the lock file.
            timeout: seconds to keep trying. Whoever looks at a lock holds it for a moment, so one try isn't enough.

        Returns:
            None if another process holds it.

        Raises:
            OSError: the file can't be made or written.
        """
        deadline = time.monotonic() + timeout
        while True:
            fd = open_to_write(path)
            if _try_lock(fd) and is_same_file(fd, path) and _may_take(fd, path):
                return cls._taken(path, fd)
            os.close(fd)
            if time.monotonic() >= deadline:
                return None
            time.sleep(_RETRY_SECONDS)

    @classmethod
    def _taken(cls, path: Path, fd: int) -> Lock:
        record = Owner.this_process(path).encode()
        write_at(fd, record, 0)
        os.ftruncate(fd, len(record))
        return cls(path, fd)

    def is_in_place(self) -> bool:
        """Whether the file that is locked is still the one at its path."""
        return is_same_file(self._fd, self.path)

    def close(self) -> None:
        """Give the lock back (in a forked child: only the child's copy; the parent keeps the lock). May be repeated."""
        # Never LOCK_UN: in a forked child it would free the parent's lock.
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def state(path: Path) -> State:
    """Tell whether the process that took a lock file still lives.

    The order matters to whoever reads a journal: first this, then read to the end. A writer may log and die in between.

    Args:
        path: the lock file.
    """
    fd = open_to_read(path)
    if fd is None:
        return State.UNKNOWN
    try:
        return _state(fd, path)
    finally:
        os.close(fd)


def owner(path: Path) -> Owner | None:
    """The record in a lock file; None if there is none that can be read."""
    try:
        return Owner.decode(path.read_text())
    except (OSError, ValueError):
        return None


def _state(fd: int, path: Path) -> State:
    if is_network_file_system(path):
        return _judge(owner(path), path)
    try:
        if _try_lock(fd, shared=True):
            return State.FREE
    except OSError as error:
        if error.errno in _NO_LOCKS_HERE:
            return _judge(owner(path), path)
        raise
    # Held; but a child that was forked without telling Python may hold what its dead parent took.
    return State.FREE if _judge(owner(path), path) is State.FREE else State.HELD


def _judge(record: Owner | None, path: Path) -> State:
    """Tell from the record alone."""
    if record is None:
        return State.UNKNOWN
    if record.boot_id != boot_id():
        # Another boot of this machine is over. Another machine's may not be.
        return State.FREE if record.machine == machine_key(path.parent) else State.UNKNOWN
    if not record.namespace or record.namespace != _namespace():
        return State.UNKNOWN
    started = process_start(record.pid)
    return State.HELD if started is not None and started == record.started else State.FREE


def process_start(pid: int) -> int | None:
    """The start of a process in clock ticks since boot; None if there's no such process, or the system doesn't say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in {"Z", "X"} else int(fields[19])


def _namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - the target is a name, no path
    except OSError:
        return ""


def _may_take(fd: int, path: Path) -> bool:
    """Whether nobody but this process can hold the lock, where the kernel's answer isn't enough."""
    if not is_network_file_system(path) or not os.fstat(fd).st_size:
        return True
    return _judge(owner(path), path) is State.FREE


if sys.platform == "win32":

    def _try_lock(fd: int, *, shared: bool = False) -> bool:  # noqa: ARG001 - Windows has no shared locks here
        os.lseek(fd, _WINDOWS_BYTE, os.SEEK_SET)
        with suppress(OSError):
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
            return True
        return False

else:

    def _try_lock(fd: int, *, shared: bool = False) -> bool:
        try:
            fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _BUSY:
                return False
            raise
        return True
