"""What the demo shows while it runs: a picture of the numbers, drawn anew; without a terminal, a line now and then."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from types import TracebackType

LINE_EVERY_SECONDS = 3.0


@dataclass(frozen=True)
class Numbers:
    """One moment.

    Attributes:
        seconds: since the demo began.
        logged, on_kafka, in_mlflow: entries so far: a run's start, its params, tags, each metrics call, its end.
        expected: entries in all, about.
        p50_us, p99_us: of the log call; NaN while there was none.
        training: names of the training processes that run.
        servers: part -> state.
    """

    seconds: float
    logged: int
    on_kafka: int
    in_mlflow: int
    expected: int
    p50_us: float
    p99_us: float
    training: tuple[str, ...]
    servers: tuple[tuple[str, str], ...]


def picture(now: Numbers) -> Group:
    """The numbers as bars and lines."""
    table = Table.grid(padding=(0, 2))
    for name, count in (("entries logged", now.logged), ("on Kafka", now.on_kafka), ("in MLflow", now.in_mlflow)):
        bar = ProgressBar(total=max(now.expected, 1), completed=min(count, now.expected), width=40)
        table.add_row(name, bar, f"{count:>7,}")
    states = Text("  ").join(
        Text(f"{name} {state}", style="green" if state == "running" else "red") for name, state in now.servers
    )
    return Group(
        table,
        Text(_log_call(now)),
        Text(f"training: {', '.join(now.training) or 'done'}"),
        states,
    )


def line(now: Numbers) -> str:
    """The numbers on one line."""
    servers = " ".join(f"{name}:{state}" for name, state in now.servers)
    return (
        f"{now.seconds:5.0f} s  entries logged {now.logged:,}  on Kafka {now.on_kafka:,}  in MLflow {now.in_mlflow:,}  "
        f"{_log_call(now)}  training {len(now.training)}  {servers}"
    )


def _log_call(now: Numbers) -> str:
    if math.isnan(now.p50_us):
        return "log call: none yet"
    return f"log call p50 {now.p50_us:.1f} us, p99 {now.p99_us:.1f} us"


class Screen:
    """Shows numbers and remarks on a console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=4, transient=True) if console.is_terminal else None
        self._last_line = float("-inf")

    def __enter__(self) -> Screen:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def show(self, now: Numbers) -> None:
        """Draws the numbers; without a terminal, a line every two seconds."""
        if self._live:
            self._live.update(picture(now))
        elif now.seconds - self._last_line >= LINE_EVERY_SECONDS:
            self._last_line = now.seconds
            self._console.print(line(now), soft_wrap=True)

    def say(self, text: str) -> None:
        """A remark that stays."""
        self._console.print(text, soft_wrap=True)
