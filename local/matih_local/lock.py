"""One process runs a MATIH_HOME: it holds the lock, and the kernel frees it when that process dies."""

from __future__ import annotations

import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, BinaryIO, Final, Literal

from matih_local.errors import HomeInUse

if TYPE_CHECKING:
    from pathlib import Path

_PATIENCE_SECONDS: Final = 1.0
Kind = Literal["supervisor", "foreground"]


@dataclass(frozen=True)
class Holder:
    """Who runs a MATIH_HOME.

    Attributes:
        kind: the detached supervisor, or a process with the system in its foreground: a demo, a test.
    """

    pid: int
    kind: Kind


class HomeLock:
    """The lock of a MATIH_HOME, held from here on until `release`."""

    def __init__(self, home: Path, kind: Kind) -> None:
        """Takes it.

        Raises:
            HomeInUse: another process has it; the message says which.
        """
        self._file = (home / "lock").open("ab+")
        deadline = time.monotonic() + _PATIENCE_SECONDS  # whoever looks who has it, has it for a moment
        while not _try(self._file, fcntl.LOCK_EX):
            if time.monotonic() > deadline:
                raise HomeInUse(_in_use(home, _read(self._file)))
            time.sleep(0.02)
        self._file.truncate(0)
        self._file.write(json.dumps(asdict(Holder(os.getpid(), kind))).encode())
        self._file.flush()

    def release(self) -> None:
        """Gives it back."""
        self._file.close()


def holder(home: Path) -> Holder | None:
    """Who runs this MATIH_HOME now, if anybody does."""
    try:
        file = (home / "lock").open("rb")
    except FileNotFoundError:
        return None
    with file:
        return None if _try(file, fcntl.LOCK_SH) else _read(file)


def _try(file: BinaryIO, operation: int) -> bool:
    try:
        fcntl.flock(file, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read(file: BinaryIO) -> Holder:
    """What the holder wrote; it takes the lock a moment before it writes."""
    for _ in range(100):
        file.seek(0)
        if content := file.read():
            return Holder(**json.loads(content))
        time.sleep(0.01)
    return Holder(0, "foreground")


def _in_use(home: Path, by: Holder) -> str:
    remedy = f"`matih local down --home {home}` stops it" if by.kind == "supervisor" else "end that process first"
    return f"MATIH_HOME {home} is run by process {by.pid}: {remedy}, or choose another MATIH_HOME"
