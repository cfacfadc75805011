"""What the demo prints in the end, for people and as JSON. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.table import Table

from matih_local.demo.ledger import percentile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matih_local.demo.api_call import ApiCall
    from matih_local.demo.comparison import Comparison

SHOWN = 5


@dataclass(frozen=True)
class Result:
    """Everything the demo found out.

    Attributes:
        call_ns: the durations of all log calls, in nanoseconds.
        to_mlflow_ms: times from a log call until MLflow's API showed it, in ms.
        unexpected_ends: training processes that did not end as they should, with their exit code.
        seconds: from the command to the count.
        api: one call of the REST API, really made.
    """

    comparison: Comparison
    call_ns: Sequence[int]
    to_mlflow_ms: Sequence[float]
    unexpected_ends: dict[str, int]
    seconds: float
    ui_url: str
    logs: str
    api: ApiCall

    @property
    def holds(self) -> bool:
        """Nothing lost, nothing twice, all as it should be."""
        return self.comparison.holds and not self.unexpected_ends and self.api.problem is None

    def as_json(self) -> dict[str, Any]:
        """What `--json` prints."""
        found = self.comparison
        return {
            "logged": found.logged,
            "in_mlflow": found.in_mlflow,
            "lost": found.points_lost + len(found.runs_lost),
            "duplicated": found.points_duplicated,
            "statuses": dict(sorted(found.statuses.items())),
            "wrong_statuses": found.wrong_statuses,
            "unexpected_ends": self.unexpected_ends,
            "log_calls": len(self.call_ns),
            "log_call_p50_us": round(percentile(self.call_ns, 0.5) / 1000, 2),
            "log_call_p99_us": round(percentile(self.call_ns, 0.99) / 1000, 2),
            "to_mlflow_p50_ms": round(percentile(self.to_mlflow_ms, 0.5), 1),
            "to_mlflow_max_ms": round(percentile(self.to_mlflow_ms, 1.0), 1),
            "seconds": round(self.seconds, 1),
            "ui_url": self.ui_url,
            "logs": self.logs,
            "api_command": self.api.command,
            "api_answer": self.api.answer,
            "ok": self.holds,
        }


def table(result: Result) -> Table:
    """The result as a table."""
    found, numbers = result.comparison, result.as_json()
    grid = Table(
        title="what was logged, against what MLflow's own client reads", title_justify="left", show_header=False
    )
    grid.add_row(
        "logged", f"{found.logged:,} metric points in {numbers['log_calls']:,} log calls, {len(found.statuses)} runs"
    )
    grid.add_row("arrived", f"{found.in_mlflow:,}")
    grid.add_row("lost", _count(numbers["lost"]))
    grid.add_row("duplicated", _count(numbers["duplicated"]))
    grid.add_row("statuses", ", ".join(f"{n} {status}" for status, n in _tally(found.statuses).items()))
    grid.add_row("", f"FAILED: {', '.join(sorted(n for n, s in found.statuses.items() if s == 'FAILED')) or 'none'}")
    grid.add_row("log call", f"p50 {numbers['log_call_p50_us']} us, p99 {numbers['log_call_p99_us']} us")
    grid.add_row(
        "log call to MLflow",
        f"p50 {numbers['to_mlflow_p50_ms']} ms, longest {numbers['to_mlflow_max_ms']} ms (through the outage)",
    )
    grid.add_row("time", f"{result.seconds:.0f} s")
    return grid


def problems(result: Result) -> list[str]:
    """A line for each thing that is not as it should be; the first few points of each run."""
    found = result.comparison
    lines = [f"run {name} is not in MLflow" for name in found.runs_lost]
    lines += [f"run {name} is in MLflow twice, or nobody logged it" for name in found.runs_twice]
    for what, runs in (("lost", found.lost), ("nobody logged", found.duplicated)):
        lines += [f"{name}: {len(points)} points {what}, {points[:SHOWN]}" for name, points in runs.items()]
    lines += found.wrong_values
    lines += [f"run {name}: status {what}" for name, what in found.wrong_statuses.items()]
    lines += [f"process {name} ended with exit code {code}" for name, code in result.unexpected_ends.items()]
    return lines if result.api.problem is None else [*lines, result.api.problem]


def _count(number: int) -> str:
    return "[green]0[/]" if number == 0 else f"[red]{number:,}[/]"


def _tally(statuses: dict[str, str]) -> dict[str, int]:
    return {status: list(statuses.values()).count(status) for status in sorted(set(statuses.values()))}
