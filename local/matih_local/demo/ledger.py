"""What each training process logged, written down beside the tracker and independently of it.

A line before each log call says what it is about to log, a line after it that it returned and how long it took. So a
process killed between the two leaves one call that may have arrived, and nobody has to guess which.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path


class Point(NamedTuple):
    """One value of one metric; the timestamp is in ms since the epoch."""

    key: str
    value: float
    step: int
    timestamp: int


class Ledger:
    """One process's ledger, appended line by line: `kill -9` loses nothing of it."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def _write(self, *line: Any) -> None:
        os.write(self._file, (json.dumps(line) + "\n").encode())

    def run(self, run_id: str, name: str) -> None:
        """This process logs into that run from here on."""
        self._write("run", run_id, name)

    def params(self, params: Mapping[str, str]) -> None:
        """These params were logged, as the strings MLflow keeps."""
        self._write("params", dict(params))

    def tags(self, tags: Mapping[str, str]) -> None:
        """These tags were set."""
        self._write("tags", dict(tags))

    def before(self, metrics: Mapping[str, float], step: int, timestamp: int) -> None:
        """This call is about to be made."""
        self._write("before", dict(metrics), step, timestamp)

    def after(self, nanoseconds: int) -> None:
        """The call returned after so long."""
        self._write("after", nanoseconds)


@dataclass
class Logged:
    """One ledger, read: what must be in MLflow, and what may be.

    Attributes:
        points: logged by calls that returned.
        perhaps: of the one call that had not returned when the process died.
        call_ns: how long each call took, in nanoseconds.
        entries: how many entries its calls put into the journal.
    """

    run_id: str = ""
    name: str = ""
    points: list[Point] = field(default_factory=list)
    perhaps: list[Point] = field(default_factory=list)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    call_ns: list[int] = field(default_factory=list)
    entries: int = 0

    def take(self, line: list[Any]) -> None:
        """Adds one line of the ledger."""
        kind, *rest = line
        self.entries += kind != "before"
        if kind == "run":
            self.run_id, self.name = rest
        elif kind == "before":
            metrics, step, timestamp = rest
            self.perhaps = [Point(key, value, step, timestamp) for key, value in metrics.items()]
        elif kind == "after":
            self.points += self.perhaps
            self.perhaps = []
            self.call_ns.append(rest[0])
        elif kind == "params":
            self.params |= rest[0]
        elif kind == "tags":
            self.tags |= rest[0]


class LedgerTail:
    """Reads a ledger while it grows."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.logged = Logged()
        self._position = 0

    def read(self) -> Logged:
        """All whole lines so far."""
        if self.path.exists():
            with self.path.open("rb") as file:
                file.seek(self._position)
                text = file.read()
            whole = text[: text.rfind(b"\n") + 1]
            self._position += len(whole)
            for line in whole.splitlines():
                self.logged.take(json.loads(line))
        return self.logged


def percentile(values: Iterable[float], share: float) -> float:
    """The value below which `share` (0 to 1) of the values lie; NaN of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")
