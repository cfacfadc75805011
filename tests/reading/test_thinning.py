"""Thinning keeps the ends and the extremes."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from matih_tracking.reading.thinning import thinned
from matih_tracking.reading.views import MetricPoint


@given(st.lists(st.floats(), max_size=200), st.integers(4, 60))
def test_the_ends_and_the_extremes_stay_and_nothing_is_made_up(values, most):
    points = [MetricPoint("m", value, 0, step) for step, value in enumerate(values)]
    kept = thinned(points, most)
    assert len(kept) <= most
    steps = [point.step for point in kept]
    assert steps == sorted(set(steps))
    assert all(point is points[point.step] for point in kept)
    if len(points) <= most:
        assert len(kept) == len(points)
        return
    assert (kept[0], kept[-1]) == (points[0], points[-1])
    numbers = [value for value in values if not math.isnan(value)]
    left = [point.value for point in kept if not math.isnan(point.value)]
    if numbers:
        assert (min(left), max(left)) == (min(numbers), max(numbers))
