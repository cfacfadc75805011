"""Points as MLflow's tables hold them, and which of them is a metric's latest: pure.

NaN is stored as 0 with a mark, infinities as the greatest double: mlflow/store/tracking/sqlalchemy_store.py,
`_log_metrics_once` and `_update_latest_metrics_if_necessary`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from matih_workers.changes import Metric

GREATEST: Final = 1.7976931348623157e308

MetricRow = tuple[str, float, int, int, bool, str]
"""A row of `metrics`: key, value, timestamp (ms since the epoch), step, is_nan, run_uuid."""


class RunPoints(NamedTuple):
    """Points of one run, no two of which come to the same row."""

    run_uuid: str
    metrics: Sequence[Metric]


def run_points(run_uuid: str, metrics: Sequence[Metric]) -> RunPoints:
    """The points without those that differ only as infinity and the greatest double do, which is one row in MLflow."""
    if all(map(math.isfinite, (metric.value for metric in metrics))):
        return RunPoints(run_uuid, metrics)
    places = {(metric.key, metric.timestamp, metric.step, *stored_value(metric.value)): metric for metric in metrics}
    return RunPoints(run_uuid, list(places.values()))


def stored_value(value: float) -> tuple[float, bool]:
    """The value as it stands in the table, and whether it is NaN."""
    if math.isfinite(value):
        return value, False
    return (0.0, True) if math.isnan(value) else (math.copysign(GREATEST, value), False)


def metric_rows(points: Iterable[RunPoints]) -> Iterator[MetricRow]:
    """The rows of the points."""
    for run_uuid, metrics in points:
        for key, value, timestamp, step in metrics:
            stored, is_nan = stored_value(value)
            yield key, stored, timestamp, step, is_nan, run_uuid


def copy_text(points: RunPoints) -> str:
    """The rows in the text format of COPY. A metric's key holds nothing that it would have to escape (checks.py)."""
    end = f"\tf\t{points.run_uuid}\n"
    finite = math.isfinite
    return "".join(
        [
            f"{key}\t{value!r}\t{timestamp}\t{step}{end}"
            if finite(value)
            else _copy_line(key, value, timestamp, step, points.run_uuid)
            for key, value, timestamp, step in points.metrics
        ]
    )


def _copy_line(key: str, value: float, timestamp: int, step: int, run_uuid: str) -> str:
    stored, is_nan = stored_value(value)
    return f"{key}\t{stored!r}\t{timestamp}\t{step}\t{'t' if is_nan else 'f'}\t{run_uuid}\n"


def latest(points: RunPoints) -> list[Metric]:
    """Of each key the metric with the greatest (step, timestamp, value), the first of equal ones; ordered by key."""
    best: dict[str, Metric] = {}
    for metric in points.metrics:
        other = best.get(metric[0])
        if other is None or metric[3] > other[3] or (metric[3] == other[3] and _is_later(metric, other)):
            best[metric[0]] = metric
    return [best[key] for key in sorted(best)]


def _is_later(metric: Metric, other: Metric) -> bool:
    """Of two of one step; NaN counts as the 0 that it is stored as."""
    return (metric.timestamp, stored_value(metric.value)[0]) > (other.timestamp, stored_value(other.value)[0])


def halves(fixed: int, points: Sequence[RunPoints]) -> tuple[list[RunPoints], list[RunPoints]]:
    """The points in two parts for two connections, as even as they come, the first bearing `fixed` points already.

    At most one run is in both.
    """
    left = (sum(len(some.metrics) for some in points) + fixed) // 2
    first: list[RunPoints] = []
    second: list[RunPoints] = []
    for run_uuid, metrics in points:
        beside, here = metrics[:left], metrics[left:]
        left -= len(beside)
        if beside:
            second.append(RunPoints(run_uuid, beside))
        if here:
            first.append(RunPoints(run_uuid, here))
    return first, second


def blocks(points: Iterable[RunPoints], size: int) -> Iterator[RunPoints]:
    """The points in pieces of at most `size`."""
    for run_uuid, metrics in points:
        for start in range(0, len(metrics), size):
            yield RunPoints(run_uuid, metrics[start : start + size])
