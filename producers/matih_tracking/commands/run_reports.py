"""Experiments and runs as JSON and as tables."""

from __future__ import annotations

from collections import Counter
from math import isfinite, isnan
from typing import TYPE_CHECKING, Any, Final

from rich import box
from rich.table import Table
from rich.text import Text

from matih_schemas.clock import now_ms
from matih_schemas.rfc3339 import rfc3339

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matih_tracking.comparison import Comparison
    from matih_tracking.reading.queries import SortKey
    from matih_tracking.reading.views import ExperimentSummary, ExperimentView, RunView

_COLOURS: Final = {"RUNNING": "cyan", "FINISHED": "green", "FAILED": "red", "KILLED": "yellow", "SCHEDULED": "dim"}
_METRICS: Final = 4
_SPANS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def number(value: float | None) -> float | str | None:
    """A number as JSON has one; NaN and the infinities are words."""
    if value is None or isfinite(value):
        return value
    return "NaN" if isnan(value) else "Infinity" if value > 0 else "-Infinity"


def instant(ms: int | None) -> str | None:
    """RFC 3339, UTC."""
    return None if ms is None else rfc3339(ms)


def user_tags(stored: dict[str, str]) -> dict[str, str]:
    """The tags that are the user's own."""
    return {key: value for key, value in stored.items() if not key.startswith(("matih.", "mlflow."))}


def run_json(run: RunView) -> dict[str, Any]:
    """A run."""
    return {
        "run_id": run.run_id,
        "name": run.name,
        "status": run.status,
        "experiment_id": run.experiment_id,
        "start_time": instant(run.start_time),
        "end_time": instant(run.end_time),
        "duration_seconds": None if run.end_time is None else (run.end_time - run.start_time) / 1000,
        "params": run.params,
        "metrics": {key: number(point.value) for key, point in run.metrics.items()},
        "tags": user_tags(run.tags),
    }


def experiment_json(view: ExperimentView, summary: ExperimentSummary | None) -> dict[str, Any]:
    """An experiment; `run_count` is None where the runs can't be counted."""
    return {
        "id": view.experiment_id,
        "name": view.name,
        "description": view.description,
        "lifecycle_stage": view.stage,
        "created_at": instant(view.created_at),
        "run_count": None if summary is None else summary.run_count,
        "tags": user_tags(view.tags),
    }


def experiments_table(views: Sequence[ExperimentView], summaries: dict[str, ExperimentSummary]) -> Table:
    """Experiments, one in a line."""
    table = _table("experiment", "id", "runs", "created", "description")
    table.columns[1].no_wrap, table.columns[2].justify = True, "right"
    for view in views:
        summary = summaries.get(view.experiment_id)
        name = Text(view.name, "dim strike" if view.stage == "deleted" else "bold")
        count = "-" if summary is None else str(summary.run_count)
        table.add_row(name, view.experiment_id, count, ago(view.created_at), Text(view.description[:60]))
    return table


def runs_table(runs: Sequence[RunView], metrics: Sequence[str], params: Sequence[str]) -> Table:
    """Runs, one in a line."""
    table = _table("run", "name", "status", "started", "took", *metrics, *params)
    table.columns[0].no_wrap = True
    for column in table.columns[5 : 5 + len(metrics)]:
        column.justify = "right"
    for run in runs:
        numbers = [_number(run.metrics[key].value) if key in run.metrics else "-" for key in metrics]
        texts = [Text(run.params.get(key, "-")[:30]) for key in params]
        took = span((run.end_time or now_ms()) - run.start_time)
        table.add_row(run.run_id, Text(run.name[:40], "bold"), status(run), ago(run.start_time), took, *numbers, *texts)
    return table


def comparison_table(found: Comparison) -> Table:
    """Runs side by side, a column each; params that differ stand out."""
    table = _table("", *(row["name"] or row["run_id"][:8] for row in found.rows))
    table.add_row("run", *(row["run_id"] for row in found.rows), style="dim")
    table.add_row("status", *(Text(row["status"], _COLOURS.get(row["status"], "")) for row in found.rows))
    table.add_section()
    for key in found.metrics:
        table.add_row(Text(key), *(_number(row["metrics"][key]) for row in found.rows))
    table.add_section()
    for key in found.params:
        values = [row["params"][key] for row in found.rows]
        style = "bold yellow" if len(set(values)) > 1 else "dim"
        table.add_row(Text(key), *(Text("-" if value is None else value[:60], style) for value in values))
    return table


def run_tables(run: RunView) -> list[Any]:
    """All of one run."""
    head = Text.assemble((run.name, "bold"), "  ", status(run), f"  {run.run_id}")
    times = f"started {instant(run.start_time)}, took {span((run.end_time or now_ms()) - run.start_time)}"
    parts: list[Any] = [head, Text(times, "dim")]
    points = _table("metric", "latest", "step", "at")
    for key, point in sorted(run.metrics.items()):
        points.add_row(Text(key), _number(point.value), str(point.step), str(instant(point.timestamp)))
    for title, pairs in (("param", run.params), ("tag", user_tags(run.tags))):
        table = _table(title, "value")
        for key, value in sorted(pairs.items()):
            table.add_row(Text(key), Text(value))
        parts += [table] if pairs else []
    return [*parts[:2], *([points] if run.metrics else []), *parts[2:]]


def chosen_metrics(runs: Sequence[RunView], sort: SortKey) -> list[str]:
    """The metrics that a table shows if none are named: the one it is sorted by, and those that most runs have."""
    counts = Counter(key for run in runs for key in run.metrics if not key.startswith("system/"))
    common = [key for key, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    first = [sort.key] if sort.kind == "metric" else []
    return list(dict.fromkeys(first + common))[:_METRICS]


def status(run: RunView) -> Text:
    """The status in its colour; of a deleted run, that."""
    word = f"{run.status} (deleted)" if run.stage == "deleted" else run.status
    return Text(word, _COLOURS.get(run.status, ""))


def ago(ms: int) -> str:
    """How long ago, in one unit."""
    return f"{span(now_ms() - ms)} ago"


def span(ms: int) -> str:
    """A duration, in one or two units."""
    seconds = max(0, ms) / 1000
    if seconds < 10:
        return f"{seconds:.1f} s"
    for place, (size, unit) in enumerate(_SPANS):
        if seconds >= size:
            smaller, its = _SPANS[min(place + 1, len(_SPANS) - 1)]
            rest = int(seconds % size // smaller)
            return f"{int(seconds // size)} {unit}" + (f" {rest} {its}" if rest and unit != "s" else "")
    return "0 s"


def _table(*columns: str) -> Table:
    return Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"


def comparison_json(found: Comparison) -> dict[str, Any]:
    """Runs side by side."""
    rows = [{**row, "metrics": {key: number(value) for key, value in row["metrics"].items()}} for row in found.rows]
    return {**found.to_dict(), "runs": rows}
