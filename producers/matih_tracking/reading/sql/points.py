"""Points of metrics as MLflow's tables hold them: NaN is a flag beside 0, infinities are the greatest numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from matih_tracking.reading.sql.tables import GREATEST
from matih_tracking.reading.views import MetricPoint

if TYPE_CHECKING:
    from collections.abc import Iterable


def number(value: float, is_nan: bool) -> float:  # a row's column
    """The value that was logged."""
    if is_nan:
        return math.nan
    return value if -GREATEST < value < GREATEST else math.copysign(math.inf, value)


def point(key: str, value: float, timestamp: int, step: int, is_nan: bool) -> MetricPoint:
    """The point of a row."""
    return MetricPoint(key, number(value, is_nan), timestamp, step)


def points(key: str, rows: Iterable[Any]) -> list[MetricPoint]:
    """The points of rows of value, timestamp, step, is_nan: there may be very many."""
    return [
        MetricPoint(
            key, number(value, is_nan) if is_nan or not -GREATEST < value < GREATEST else value, timestamp, step
        )
        for value, timestamp, step, is_nan in rows
    ]
