"""In which order, and how many at once, records are applied again."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final

from matih_kafka.usage import kind_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from matih_workers.records import Received

_EXPERIMENT: Final = "Experiment"


async def merged(parts: Mapping[int, AsyncIterator[Sequence[Received]]]) -> AsyncIterator[Received]:
    """All partitions' records as Kafka received them: each partition in its order, between them by their timestamps.

    An experiment's events stand in another partition than those of its runs: it has to be made before it is renamed,
    and to take its runs before it is deleted.
    """
    heads: list[tuple[int, int, int]] = []
    waiting: dict[int, Sequence[Received]] = {}
    for number, part in parts.items():
        await _refill(number, part, waiting, heads)
    while heads:
        _, number, index = heapq.heappop(heads)
        some = waiting[number]
        yield some[index]
        if index + 1 < len(some):
            heapq.heappush(heads, (some[index + 1].timestamp_ms, number, index + 1))
        else:
            await _refill(number, parts[number], waiting, heads)


async def _refill(
    number: int,
    part: AsyncIterator[Sequence[Received]],
    waiting: dict[int, Sequence[Received]],
    heads: list[tuple[int, int, int]],
) -> None:
    async for some in part:
        if some:
            waiting[number] = some
            heapq.heappush(heads, (some[0].timestamp_ms, number, 0))
            return
    waiting.pop(number, None)


class Batch:
    """Records that are applied together."""

    def __init__(self, most: int) -> None:
        self.records: list[Received] = []
        self._most = most
        self._next: dict[int, int] = {}
        self._has_runs = False

    def takes(self, record: Received) -> bool:
        """Whether the record may be among them.

        Within a batch experiments come before runs, so one that follows a run has to wait for the next. And the
        offsets of a partition have no holes, for the store notes the first to the last as applied.
        """
        follows = self._next.get(record.partition, record.offset) == record.offset
        return len(self.records) < self._most and follows and not (self._has_runs and _of_experiment(record))

    def add(self, record: Received) -> None:
        """Adds a record that it takes."""
        self.records.append(record)
        self._next[record.partition] = record.offset + 1
        self._has_runs |= not _of_experiment(record)


def _of_experiment(record: Received) -> bool:
    return kind_of(record.headers).startswith(_EXPERIMENT)
