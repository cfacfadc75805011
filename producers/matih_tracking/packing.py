"""Log calls as entries: each small enough for a journal, however large the call. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from matih_schemas.limits import ENTRY_MAX_BYTES, METRICS_PER_ENTRY
from matih_tracking.journal import entries

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PAIRS_PER_ENTRY: Final = 100
"""Params, or tags, in one entry: as many as MLflow takes in one batch."""

_T = TypeVar("_T")


def metrics(values: dict[str, float], time_ms: int, step: int) -> Iterator[bytes]:
    """The payloads for metrics of one step."""
    return _split(values, METRICS_PER_ENTRY, lambda part: entries.encode(entries.Metrics(time_ms, step, part)))


def params(values: dict[str, str], time_ms: int) -> Iterator[bytes]:
    """The payloads for params."""
    return _split(values, PAIRS_PER_ENTRY, lambda part: entries.encode(entries.Params(time_ms, part)))


def tags(values: dict[str, str], time_ms: int) -> Iterator[bytes]:
    """The payloads for tags."""
    return _split(values, PAIRS_PER_ENTRY, lambda part: entries.encode(entries.Tags(time_ms, part)))


def _split(values: dict[str, _T], limit: int, encode: Callable[[dict[str, _T]], bytes]) -> Iterator[bytes]:
    items = list(values.items())
    for start in range(0, len(items), limit):
        yield from _halved(items[start : start + limit], encode)


def _halved(items: list[tuple[str, _T]], encode: Callable[[dict[str, _T]], bytes]) -> Iterator[bytes]:
    payload = encode(dict(items))
    if len(payload) <= ENTRY_MAX_BYTES or len(items) == 1:
        yield payload
        return
    middle = len(items) // 2
    yield from _halved(items[:middle], encode)
    yield from _halved(items[middle:], encode)
