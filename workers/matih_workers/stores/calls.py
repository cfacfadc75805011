"""What has to be written to a run, cut into calls that MLflow takes whole."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from matih_workers.changes import Metric
    from matih_workers.merge import RunWrites

ITEMS_MAX: Final = 1000
CHARACTERS_MAX: Final = 400_000
"""Of one call: servers in front of MLflow often stop at 1 MB, and JSON can more than double a text."""

_Kind = Literal["metrics", "params", "tags"]
_MAX: Final[dict[_Kind, int]] = {"metrics": ITEMS_MAX, "params": 100, "tags": 100}
_PER_ITEM: Final = 60


@dataclass
class LogBatch:
    """The arguments of one log_batch: at most 1000 items, 100 params and 100 tags, so that MLflow never splits it."""

    metrics: list[Metric] = field(default_factory=list)
    params: list[tuple[str, str]] = field(default_factory=list)
    tags: list[tuple[str, str]] = field(default_factory=list)
    items: int = 0
    characters: int = 0

    def take(self, kind: _Kind, item: Any, characters: int) -> bool:
        """Adds the item; False if it does not fit."""
        of_kind: list[Any] = getattr(self, kind)
        if self.items >= ITEMS_MAX or len(of_kind) >= _MAX[kind] or self.characters + characters > CHARACTERS_MAX:
            return False
        of_kind.append(item)
        self.items += 1
        self.characters += characters
        return True


def without_stored_nans(batch: LogBatch, history: Callable[[str], Iterable[Metric]]) -> LogBatch | None:
    """The batch without NaN points that are stored, or that it has twice; None if that takes nothing away.

    Args:
        batch: what a server refused.
        history: the stored points of a metric, by its key.
    """
    keys = {metric.key for metric in batch.metrics if math.isnan(metric.value)}
    seen = {_place(point) for key in keys for point in history(key) if math.isnan(point.value)}
    kept = []
    for metric in batch.metrics:
        if not math.isnan(metric.value):
            kept.append(metric)
        elif _place(metric) not in seen:
            seen.add(_place(metric))
            kept.append(metric)
    return replace(batch, metrics=kept) if len(kept) < len(batch.metrics) else None


def _place(metric: Metric) -> tuple[str, int, int]:
    return metric.key, metric.timestamp, metric.step


def first_calls(writes: RunWrites) -> list[LogBatch]:
    """The calls before the status is set: all of them, if it stays."""
    last = {} if writes.status else writes.last_tags()
    return list(_packed(_items(writes, last)))


def last_calls(writes: RunWrites) -> list[LogBatch]:
    """The calls after the status was set: they say that everything is written."""
    return list(_packed(_pairs("tags", writes.last_tags()))) if writes.status else []


_Item = tuple[_Kind, Any, int]


def _items(writes: RunWrites, last: dict[str, str]) -> Iterator[_Item]:
    yield from _pairs("params", writes.params)
    for metric in writes.metrics:
        yield "metrics", metric, len(metric.key) + _PER_ITEM
    yield from _pairs("tags", writes.tags)
    yield from _pairs("tags", last)


def _pairs(kind: _Kind, pairs: dict[str, str]) -> Iterator[_Item]:
    for pair in pairs.items():
        yield kind, pair, len(pair[0]) + len(pair[1]) + _PER_ITEM


def _packed(items: Iterable[_Item]) -> Iterator[LogBatch]:
    """Fills call after call, in the order given."""
    call = LogBatch()
    for item in items:
        if not call.take(*item):
            yield call
            call = LogBatch()
            call.take(*item)
    if call.items:
        yield call
