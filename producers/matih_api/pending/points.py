"""A metric's points that are acknowledged and not in MLflow yet: pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matih_schemas import events, tags
from matih_tracking.reading.thinning import thinned
from matih_tracking.reading.views import History, MetricPoint

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from matih_schemas.events import EntryGroup, TrackingEvent


def with_pending(
    stored: History,
    run_tags: Mapping[str, str],
    pending: Iterable[TrackingEvent],
    key: str,
    most: int,
    steps: tuple[int | None, int | None] = (None, None),
) -> History:
    """The history with the points that these events add.

    Args:
        stored: what MLflow has, perhaps thinned out.
        run_tags: of the run as it was read before the history: they say which entries MLflow had by then.
        pending: the run's events, in their order.
        key: the metric's.
        most: points that the answer may have.
        steps: the least and the greatest wanted; None is open.
    """
    there = set(stored.points)
    low, high = steps
    new = [
        point
        for point in _points(pending, run_tags, key)
        if point not in there and (low is None or point.step >= low) and (high is None or point.step <= high)
    ]
    if not new:
        return stored
    points = sorted([*stored.points, *dict.fromkeys(new)], key=lambda point: (point.step, point.timestamp))
    return History(thinned(points, most), stored.total + len(dict.fromkeys(new)))


def _points(pending: Iterable[TrackingEvent], run_tags: Mapping[str, str], key: str) -> Iterator[MetricPoint]:
    for event in pending:
        payload: Any = event.payload
        if isinstance(payload, events.RunLogged):
            for group in payload.groups:
                if int(run_tags.get(tags.applied(group.producer_id), "-1")) < group.last_sequence:
                    yield from _points_of(group, key)


def _points_of(group: EntryGroup, key: str) -> Iterator[MetricPoint]:
    start = 0
    for shape, time, step in zip(group.shape, group.time, group.step, strict=True):
        keys = group.shapes[shape]
        if key in keys:
            yield MetricPoint(key, group.value[start + keys.index(key)], time, step)
        start += len(keys)
