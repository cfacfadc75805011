"""This process and the one that launched it, told from all others on earth by start times and boots."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Final

from matih_tracking.journal.ownership import process_start
from matih_tracking.spool import boot_id

# A script around the program (to choose a GPU, say) is one process per rank: the launcher is above it.
_WRAPPERS: Final = frozenset({"sh", "ash", "bash", "dash", "ksh", "zsh", "fish", "env", "time", "timeout", "numactl"})


def this_process() -> str:
    """`pid,start time`: the value of MATIH_RUN_ID_USED_BY."""
    return f"{os.getpid()},{process_start(os.getpid()) or 0}"


def launched_by() -> str | None:
    """Host, boot, pid and start time of the nearest process above that is no shell; None if the system can't say."""
    if not hasattr(os, "getppid"):
        return None
    pid = os.getppid()
    while (found := _stat(pid)) is not None:
        name, parent, started = found
        if name not in _WRAPPERS or parent <= 1:
            return f"{socket.gethostname()}/{boot_id()}/{pid}/{started}"
        pid = parent
    return None


def _stat(pid: int) -> tuple[str, int, int] | None:
    """A process's name, parent and start time."""
    try:
        before, _, after = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")
    except OSError:
        return None
    fields = after.split()
    return before.partition("(")[2], int(fields[1]), int(fields[19])
