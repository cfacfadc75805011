"""How the system's state looks in a terminal."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.live import Live
from rich.table import Table

from matih_local.runner import State

if TYPE_CHECKING:
    from types import TracebackType

    from matih_local.state import PartState, SystemState

_COLOURS: Final = {
    State.RUNNING: "green",
    State.STARTING: "yellow",
    State.RESTARTING: "yellow",
    State.STOPPING: "yellow",
    State.STOPPED: "dim",
    State.FAILED: "red",
}


def table(state: SystemState) -> Table:
    """All parts, one in a row."""
    grid = Table(box=None, pad_edge=False)
    for column in ("part", "state", "pid", "restarts"):
        grid.add_column(column)
    grid.add_column("url", overflow="fold")
    for part in state.parts:
        pid = "" if part.pid is None else str(part.pid)
        grid.add_row(part.name, _state(part), pid, str(part.restarts), part.url)
    return grid


def _state(part: PartState) -> str:
    ended = f" (last exit {part.last_exit})" if part.restarts and part.last_exit is not None else ""
    problem = f": {part.problem}" if part.problem else ended
    return f"[{_COLOURS[part.state]}]{part.state.value}[/]{problem}"


class Progress:
    """Shows on stderr how parts come and go: live in a terminal, else a line for each change."""

    def __init__(self) -> None:
        self._console = Console(file=sys.stderr, highlight=False)
        self._live = Live(console=self._console, transient=True) if self._console.is_terminal else None
        self._begin = time.monotonic()
        self._seen: dict[str, State] = {}

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, state: SystemState) -> None:
        """Takes note of a new state."""
        if self._live is None:
            self._print_changes(state)
            return
        self._live.start()  # not before there is something to show: a download has a bar of its own
        self._live.update(table(state))

    def _print_changes(self, state: SystemState) -> None:
        first_look = not self._seen
        for part in state.parts:
            if not first_look and part.state not in (self._seen.get(part.name), State.STARTING):
                self._console.print(f"{time.monotonic() - self._begin:5.1f} s  {part.name} {_state(part)}")
            self._seen[part.name] = part.state
