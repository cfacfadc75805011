"""`matih sync`: everything that a spool still holds, to Kafka."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from matih_tracking.commands.waiting import Shipping, wait
from matih_tracking.journal import listing
from matih_tracking.shipper.carriers import carrier
from matih_tracking.shipper.command import own_spool
from matih_tracking.shipper.survey import Goal, survey
from matih_tracking.spool import JOURNALS, SpoolUnusable, other_boots

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_DEPTH: Final = 4


def spools_in(folder: Path) -> list[Path]:
    """The spools of a folder: itself, or those below it, as below MATIH_SPOOL_DIR.

    Raises:
        SpoolUnusable: there are none.
    """
    for depth in range(_DEPTH):
        found = sorted(path.parent for path in folder.glob("*/" * depth + JOURNALS) if path.is_dir())
        if found:
            return found
    raise SpoolUnusable(f"{folder} holds no spool", f"Name a folder that has one called {JOURNALS!r}")


def sync(folder: Path | None, timeout: float, *, any_target: bool, rate: float, show: bool) -> dict[str, Any]:
    """Delivers what is in the journals by now, and waits for it.

    Args:
        folder: a spool, or a folder that holds some; None for the environment's own.
        timeout: seconds without progress after which it gives up.
        any_target: also what was written for another Kafka, topic or user.
        rate: entries a second at most, on average; 0 for as many as Kafka takes.
        show: show a progress bar on stderr.

    Returns:
        The report, summed up over all spools.

    Raises:
        SpoolUnusable: there is no such spool.
        InvalidSettings: the environment's settings of Kafka or the gateway are wrong.
        OSError: no shipper can be started.
    """
    key = carrier().target.spool_key.hash16
    options = [*(["--any-target"] if any_target else []), *(["--rate", str(rate)] if rate else [])]
    total: dict[str, Any] = {"journals": 0, "entries": 0, "delivered": 0, "left": 0, "unreadable": {}, "reason": None}
    for spool in [own_spool()] if folder is None else spools_in(folder.absolute()):
        if listing.journals(spool) or other_boots(spool):
            goal = Goal(survey([spool, *other_boots(spool)], None if any_target else key))
            reason = _deliver(goal, Shipping(spool, *options), timeout, show=show)
            _add(total, goal, reason)
    return total


def _deliver(goal: Goal, shipping: Shipping, timeout: float, *, show: bool) -> str | None:
    """Returns why something is left, None if nothing is."""
    if not goal.is_reached():
        with _progress(show) as progress:
            task = progress.add_task("to Kafka", total=goal.entries)
            stalled = _Stalled(timeout, lambda left: progress.update(task, completed=goal.entries - left))
            try:
                reached = wait(goal, shipping.ensure, stalled)
            finally:
                shipping.stop()
            if not reached:
                return shipping.trouble() or f"no progress for {timeout:.0f} s: see {shipping.spool / 'shipper.log'}"
    return next((journal.reason for journal in goal.unreadable), None)


def _add(total: dict[str, Any], goal: Goal, reason: str | None) -> None:
    left = goal.left()
    total["journals"] += len(goal.journals)
    total["entries"] += goal.entries
    total["left"] += left
    total["delivered"] += goal.entries - left
    total["unreadable"] |= {str(journal.path): journal.reason for journal in goal.unreadable}
    total["reason"] = total["reason"] or reason


class _Stalled:
    """Says when nothing has moved for too long."""

    def __init__(self, timeout: float, show: Callable[[int], None]) -> None:
        self._timeout = timeout
        self._show = show
        self._left: int | None = None
        self._moved = time.monotonic()

    def __call__(self, left: int) -> bool:
        if left != self._left:
            self._left, self._moved = left, time.monotonic()
            self._show(left)
        return time.monotonic() - self._moved > self._timeout


def _progress(show: bool) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(file=sys.stderr)
    return Progress(*columns, console=console, transient=True, disable=not (show and console.is_terminal))
