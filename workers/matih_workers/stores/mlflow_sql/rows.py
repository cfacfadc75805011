"""Points as MLflow's tables hold them, and which of them is a metric's latest: pure.

NaN is stored as 0 with a mark, infinities as the greatest double: mlflow/store/tracking/sqlalchemy_store.py,
`_log_metrics_once` and `_update_latest_metrics_if_necessary`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matih_workers.changes import Metric

GREATEST: Final = 1.7976931348623157e308


class MetricRow(NamedTuple):
    """A row of `metrics`; the timestamp in ms since the epoch."""

    key: str
    value: float
    timestamp: int
    step: int
    is_nan: bool
    run_uuid: str


def metric_rows(run_uuid: str, metrics: Iterable[Metric]) -> list[MetricRow]:
    """The rows of a run's points."""
    return [
        MetricRow(key, value, timestamp, step, False, run_uuid)
        if math.isfinite(value)
        else MetricRow(key, _stored(value), timestamp, step, value != value, run_uuid)
        for key, value, timestamp, step in metrics
    ]


def _stored(value: float) -> float:
    return 0.0 if value != value else math.copysign(GREATEST, value)


def latest(rows: Iterable[MetricRow]) -> list[MetricRow]:
    """Of each run and key the row with the greatest (step, timestamp, value), the first of equal ones; ordered."""
    best: dict[tuple[str, str], MetricRow] = {}
    for row in rows:
        place = (row.run_uuid, row.key)
        other = best.get(place)
        if other is None or (row.step, row.timestamp, row.value) > (other.step, other.timestamp, other.value):
            best[place] = row
    return [best[place] for place in sorted(best)]


def halves(fixed: int, groups: Sequence[Sequence[MetricRow]]) -> tuple[list[MetricRow], list[MetricRow]]:
    """The groups' rows in two parts for two connections, as even as they come, the first bearing `fixed` rows already.

    A part has whole groups (runs); the rows of an only group are parted by key.
    """
    first: list[MetricRow] = []
    second: list[MetricRow] = []
    units = groups if len(groups) > 1 else _by_key(groups)
    for unit in sorted(units, key=len, reverse=True):
        (first if len(first) + fixed < len(second) else second).extend(unit)
    return first, second


def _by_key(groups: Sequence[Sequence[MetricRow]]) -> list[list[MetricRow]]:
    keys: dict[str, list[MetricRow]] = {}
    for group in groups:
        for row in group:
            keys.setdefault(row.key, []).append(row)
    return list(keys.values())
