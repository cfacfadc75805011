"""The order of runs, as the contract has it. Pure."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from matih_tracking.reading.errors import NotReadable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matih_tracking.reading.queries import SortKey
    from matih_tracking.reading.views import RunView

_ATTRIBUTES: Final = ("start_time", "end_time", "status", "name")


def ordered(runs: Iterable[RunView], sort: SortKey) -> list[RunView]:
    """The runs in this order: those that have no such value come last, NaN is none.

    Raises:
        NotReadable: there is no such attribute.
    """
    some: list[tuple[Any, int, str, RunView]] = []
    without: list[tuple[Any, int, str, RunView]] = []
    for run in runs:
        value = _value(run, sort)
        (without if value is None else some).append((value, run.start_time, run.run_id, run))
    return [item[-1] for group in (some, without) for item in sorted(group, key=_place, reverse=sort.descending)]


def _place(item: tuple[Any, int, str, RunView]) -> tuple[Any, ...]:
    value, start_time, run_id, _ = item
    return (start_time, run_id) if value is None else (value, start_time, run_id)


def _value(run: RunView, sort: SortKey) -> float | str | None:
    if sort.kind == "metric":
        found = run.metrics.get(sort.key)
        return None if found is None or math.isnan(found.value) else found.value
    if sort.kind == "param":
        return run.params.get(sort.key)
    if sort.kind == "tag":
        return run.tags.get(sort.key)
    if sort.key == "duration":
        return None if run.end_time is None else run.end_time - run.start_time
    if sort.key not in _ATTRIBUTES:
        known = ", ".join([*_ATTRIBUTES, "duration"])
        raise NotReadable(f"runs have no attribute {sort.key[:80]!r} to sort by: use one of {known}")
    found_attribute: float | str | None = getattr(run, sort.key)
    return found_attribute
