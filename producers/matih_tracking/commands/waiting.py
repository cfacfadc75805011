"""Waiting until a shipper has delivered what lies in a spool."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from matih_tracking.shipper import spawn, state

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path

    from matih_tracking.shipper.survey import Goal

_POLL_SECONDS: Final = 0.05
_STOP_SECONDS: Final = 12.0


class Shipping:
    """Makes sure that a shipper carries a spool, for as long as somebody waits for it."""

    def __init__(self, spool: Path, *options: str) -> None:
        self.spool = spool
        self._options = ("--with-parent", *options)
        self._child: subprocess.Popen[bytes] | None = None
        self._tried = 0.0

    @property
    def pid(self) -> int | None:
        """The process id of the one started here."""
        return self._child.pid if self._child is not None else None

    @property
    def is_ours(self) -> bool:
        """Whether the shipper that runs is the one started here."""
        return self._child is not None and self._child.poll() is None

    def ensure(self) -> None:
        """Starts one if there is none; at most one attempt a second.

        Raises:
            OSError: the system refuses.
        """
        now = time.monotonic()
        if now - self._tried >= spawn.ATTEMPT_SECONDS and not self.is_ours:
            self._tried = now
            if not state.is_running(self.spool):
                self._child = spawn.start(self.spool, *self._options)

    def stop(self) -> None:
        """Ends the one started here, if it still runs; it drains what it can, and that is bounded."""
        if self._child is not None and self.is_ours:
            self._child.terminate()
            self._child.wait(_STOP_SECONDS)

    def trouble(self) -> str | None:
        """Why nothing is delivered, in the shipper's words."""
        told = state.read(self.spool)
        return told.error if told is not None and told.state == "waiting" else None


def wait(goal: Goal, ensure: Callable[[], None], is_over: Callable[[int], bool]) -> bool:
    """Waits until the goal is reached.

    Args:
        goal: what has to be delivered.
        ensure: called all the time; makes sure that a shipper runs.
        is_over: called with the number of entries left; True ends the waiting.

    Returns:
        Whether it was reached.
    """
    while not goal.is_reached():
        ensure()
        if is_over(goal.left()):
            return False
        time.sleep(_POLL_SECONDS)
    return True
