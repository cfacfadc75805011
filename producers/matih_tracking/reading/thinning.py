"""Fewer points of a curve that looks the same. Pure."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matih_tracking.reading.views import MetricPoint

_MIN_POINTS: Final = 4


def thinned(points: Sequence[MetricPoint], max_points: int) -> list[MetricPoint]:
    """At most `max_points` (4 or more) of the points: the first, the last, and the least and the greatest of each part.

    The points between the first and the last are cut into parts of nearly the same number of points, as in M4
    (Jugel et al., VLDB 2014). NaN counts as a part's least and greatest only where there is nothing else.
    """
    if len(points) <= max(max_points, _MIN_POINTS):
        return list(points)
    inner = len(points) - 2
    parts = (max(max_points, _MIN_POINTS) - 2) // 2
    kept = {0, len(points) - 1}
    for part in range(parts):
        places = range(1 - (-part * inner // parts), 1 - (-(part + 1) * inner // parts))
        numbers = [place for place in places if not isnan(points[place].value)] or places
        kept.add(min(numbers, key=lambda place: points[place].value))
        kept.add(max(numbers, key=lambda place: points[place].value))
    return [points[place] for place in sorted(kept)]
