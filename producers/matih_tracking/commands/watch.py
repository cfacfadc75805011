"""`matih runs watch`: a run's curves, until it ends."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from rich.console import Group
from rich.live import Live
from rich.text import Text

from matih_console.output import console, print_json
from matih_schemas.clock import now_ms
from matih_tracking.commands.curves import stacked
from matih_tracking.commands.run_reports import number, span, status
from matih_tracking.reading.errors import ReadsUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matih_tracking.reading.protocol import RunReader
    from matih_tracking.reading.views import RunView

_GOING_ON: Final = frozenset({"RUNNING", "SCHEDULED"})
_CURVES_MAX: Final = 4
_LINES_MAX: Final = 40


class Watch:
    """Looks at one run again and again. An outage of MLflow's is told and waited out."""

    def __init__(self, reader: RunReader, run: RunView, metrics: Sequence[str]) -> None:
        self._reader = reader
        self._wanted = list(metrics)
        self.run = run
        self.curves: list[tuple[str, list[tuple[float, float]]]] = []
        self.trouble = ""

    @property
    def is_over(self) -> bool:
        """Whether the run has ended, and its last points were read."""
        return not self.trouble and self.run.status not in _GOING_ON

    def look(self, points: int) -> None:
        """Reads the run anew, and at most so many points of each of its curves."""
        try:
            self.run = self._reader.run([self.run.tenant_id], self.run.mlflow_run_id) or self.run
            histories = [(key, self._reader.history(self.run, key, points)) for key in self._keys()]
        except ReadsUnavailable as error:
            self.trouble = f"{error}; trying again"
            return
        self.trouble = ""
        self.curves = [(key, [(made.step, made.value) for made in found.points]) for key, found in histories]

    def frame(self, width: int, height: int) -> Group:
        """What the terminal shows."""
        took = span((self.run.end_time or now_ms()) - self.run.start_time)
        head = Text.assemble((self.run.name, "bold"), "  ", status(self.run), f"  {took}  {self.run.run_id}")
        body = [Text(line) for line in stacked(self.curves, width, min(height - 3, _LINES_MAX))]
        return Group(head, *(body or [Text("no metrics yet", "dim")]), Text(self.trouble, "red"))

    def report(self) -> dict[str, Any]:
        """The state as JSON."""
        latest = {key: {"value": number(point.value), "step": point.step} for key, point in self.run.metrics.items()}
        return {
            "run_id": self.run.run_id,
            "status": self.run.status,
            "metrics": latest,
            "trouble": self.trouble or None,
        }

    def _keys(self) -> list[str]:
        return self._wanted or sorted(key for key in self.run.metrics if not key.startswith("system/"))[:_CURVES_MAX]


def watch(reader: RunReader, run: RunView, metrics: Sequence[str], interval: float) -> None:
    """Draws the run's curves every `interval` seconds until it has ended, or Ctrl-C."""
    looking = Watch(reader, run, metrics)
    with Live(console=console, auto_refresh=False, transient=False) as live:
        try:
            while True:
                looking.look(2 * console.width)
                live.update(looking.frame(console.width, console.height), refresh=True)
                if looking.is_over:
                    return
                time.sleep(interval)
        except KeyboardInterrupt:
            return


def follow(reader: RunReader, run: RunView, metrics: Sequence[str], interval: float) -> None:
    """Prints the run's state as a line of JSON whenever it has changed, until it has ended, or Ctrl-C."""
    looking = Watch(reader, run, metrics)
    told: dict[str, Any] = {}
    try:
        while True:
            looking.look(4)
            report = looking.report()
            if report != told:
                print_json(report)
                told = report
            if looking.is_over:
                return
            time.sleep(interval)
    except KeyboardInterrupt:
        return
