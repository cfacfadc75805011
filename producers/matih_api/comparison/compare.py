"""Runs beside one another: what the compare endpoints answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from matih_api.comparison.direction import (
    PRIMARY_METRIC,
    Direction,
    direction,
    goal_direction,
    preferred,
    tagged_goal,
)
from matih_api.comparison.impact import Impact, impact_of
from matih_api.comparison.numbers import numbers
from matih_api.jsonable import plain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matih_api.comparison.numbers import Value
    from matih_tracking.reading.views import RunTable

TAKEN: Final = frozenset({"run_id", "metrics", "parameters"})
"""Keys of a compared run; a metric of such a name stands in its `metrics` only."""


@dataclass(frozen=True)
class Comparison:
    """Runs beside one another.

    Attributes:
        runs: one JSON object per run, in the table's order: run_id, each metric that it has (but for `TAKEN` names),
            and both kinds again in `metrics` and `parameters`. NaN and infinities are strings already.
        best_run: its id; None if no run has a number for the first metric.
        metric: what the best run and the impact are by: the first of the metrics that were asked for.
        direction: of that metric.
        impact: of params on that metric.
    """

    runs: list[dict[str, Any]]
    best_run: str | None
    metric: str | None
    direction: Direction
    impact: dict[str, Impact]

    def answer(self) -> dict[str, Any]:
        """The body of the answer, ready for any JSON encoder."""
        impact = {param: found.answer() for param, found in self.impact.items()}
        return {"comparison": {"runs": self.runs, "best_run": self.best_run, "parameter_impact": impact}}


def compare(
    table: RunTable,
    metrics: Sequence[str] | None = None,
    params: Sequence[str] | None = None,
    goal: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> Comparison:
    """Compares all runs of a table.

    Args:
        table: the runs, newest first.
        metrics: keys; the first decides which run is best. None or none: all that the runs have, the one of the tag
            `matih.primary_metric` first, else the first of `metric_words.ORDER`, else of the alphabet.
        params: keys; None is all.
        goal: whether to minimise or maximise the first metric, in words; None: the experiment's tag, if it speaks of
            this metric, else the metric's name decides.
        tags: of the experiment.

    Raises:
        UnknownGoal: the goal is neither.
    """
    wanted = list(dict.fromkeys(metrics)) if metrics else _all_metrics(table, tags or {})
    chosen = dict.fromkeys(table.params if params is None else params)
    given = {param: numbers(table.params[param]) for param in chosen if param in table.params}
    first = wanted[0] if wanted else None
    towards = goal_direction(goal) if goal else _direction(first, tags or {})
    logged = [metric for metric in wanted if _is_logged(table, metric)]
    return Comparison(
        runs=_runs(table, logged, given),
        best_run=best_run(table, first, towards),
        metric=first,
        direction=towards,
        impact=impact_of(given, table.run_ids, first, table.metrics[first]) if first in logged else {},
    )


def best_run(table: RunTable, metric: str | None, towards: Direction) -> str | None:
    """The run with the best value of a metric; of several equal ones the one that started first. NaN is never best."""
    values = np.array(table.metrics.get(metric or "", ()), dtype=np.float64)
    if not len(values) or np.isnan(values).all():
        return None
    best = np.nanmax(values) if towards == "maximize" else np.nanmin(values)
    return table.run_ids[int(np.flatnonzero(values == best)[-1])]


def _all_metrics(table: RunTable, tags: Mapping[str, str]) -> list[str]:
    named = tags.get(PRIMARY_METRIC)
    logged = sorted(metric for metric in table.metrics if _is_logged(table, metric))
    first = named if named in logged else preferred(logged)
    return logged if first is None else [first, *(metric for metric in logged if metric != first)]


def _direction(metric: str | None, tags: Mapping[str, str]) -> Direction:
    about_it = metric is not None and tags.get(PRIMARY_METRIC) == metric
    return direction(metric or "", tagged_goal(tags) if about_it else None)


def _is_logged(table: RunTable, metric: str) -> bool:
    return any(value is not None for value in table.metrics.get(metric, ()))


def _runs(table: RunTable, metrics: Sequence[str], params: Mapping[str, Sequence[Value]]) -> list[dict[str, Any]]:
    columns = {metric: _plain(table.metrics[metric]) for metric in metrics}
    logged = _rows(columns, len(table.run_ids))
    given = _rows(params, len(table.run_ids))
    free = {metric: columns[metric] for metric in metrics if metric not in TAKEN}
    at_top = logged if len(free) == len(columns) else _rows(free, len(table.run_ids))
    return [
        {"run_id": run_id, **top, "metrics": values, "parameters": parameters}
        for run_id, top, values, parameters in zip(table.run_ids, at_top, logged, given, strict=True)
    ]


def _rows(columns: Mapping[str, Sequence[Any]], count: int) -> list[dict[str, Any]]:
    """Columns as one dict per row, without what a row does not have."""
    if not columns:
        return [{} for _ in range(count)]
    keys = tuple(columns)
    rows = (zip(keys, row) for row in zip(*columns.values(), strict=True))  # noqa: B905 - as long as each other
    if not any(None in column for column in columns.values()):
        return [dict(row) for row in rows]
    return [{key: value for key, value in row if value is not None} for row in rows]


def _plain(values: Sequence[float | None]) -> Sequence[Any]:
    """A column with the names of NaN and infinities; looked at one by one only if there are any."""
    if np.isfinite(np.array([value for value in values if value is not None], dtype=np.float64)).all():
        return values
    return [plain(value) for value in values]
