"""Starts a shipper where there is none: detached, at most once a second, and without ever stopping the training."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

from matih_tracking.shipper.state import LOG_FILE, is_running

if TYPE_CHECKING:
    from pathlib import Path

ATTEMPT_SECONDS: Final = 1.0
_THREAD: Final = "matih-shipper"

_last_attempt: dict[str, float] = {}
_children: list[subprocess.Popen[bytes]] = []


def ensure_shipper(spool: Path) -> str | None:
    """Starts a shipper for the spool if none holds it. Returns at once; call it about once a second.

    The shipper finds Kafka by this process's environment. If two are started at a time, one wins and one goes away.

    Returns:
        Why no process could be started, and what was done instead (a line for people); else None.
    """
    _reap()
    now = time.monotonic()
    if now - _last_attempt.get(str(spool), -ATTEMPT_SECONDS) < ATTEMPT_SECONDS:
        return None
    _last_attempt[str(spool)] = now
    try:
        if spool.is_dir() and not is_running(spool):
            _children.append(start(spool))
    except (OSError, ValueError) as error:
        _start_thread(spool)
        return f"no process can be started ({error}): a thread of this one delivers to Kafka instead"
    return None


def start(spool: Path, *options: str) -> subprocess.Popen[bytes]:
    """Starts a shipper in a session of its own, so that it outlives this process and its terminal.

    Raises:
        OSError: the system refuses.
    """
    command = [sys.executable, "-m", "matih_tracking.shipper", "--spool", str(spool), "--detached", *options]
    with (spool / LOG_FILE).open("ab") as log:
        # In the spool: Python looks for modules in the current folder first, and the job's may hold anything.
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=spool, start_new_session=True
        )


def _start_thread(spool: Path) -> None:
    """The last resort, where processes are forbidden: it costs the training the GIL now and then."""
    if not any(thread.name == _THREAD for thread in threading.enumerate()):
        threading.Thread(target=_ship_here, args=[spool], name=_THREAD, daemon=True).start()


def _ship_here(spool: Path) -> None:
    from matih_tracking.shipper.command import ship
    from matih_tracking.shipper.service import Options

    ship(spool, Options(), to_spool=True)


def forget_children() -> None:
    """After a fork, in the child: the shippers are the parent's to reap."""
    _children.clear()


def _reap() -> None:
    """Takes note of shippers that have ended, so that they do not stay as zombies."""
    _children[:] = [child for child in _children if child.poll() is None]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=forget_children)
