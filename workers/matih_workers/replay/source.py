"""Where records come from once more: the topic as it is now, an archive of it, or both, joined without a gap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from matih_workers.replay.ranges import Ranges, common, united, without

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from matih_workers.positions import Source
    from matih_workers.records import Received

Held = dict[int, Ranges]
"""Offsets by partition."""
Parts = dict[int, "AsyncIterator[Sequence[Received]]"]
"""Records by partition, some at a time."""


class RecordSource(Protocol):
    """The records of one topic, as they stood on it: key, value, headers, timestamp and place.

    Attributes:
        topic: which topic of all that ever had its name.
    """

    topic: Source

    async def held(self) -> Held:
        """What can be read now: each partition's offsets, for all partitions of the topic.

        Raises:
            KafkaError: it can't be told now.
        """

    def records(self, wanted: Mapping[int, Ranges]) -> Parts:
        """The records at these offsets, which are held: of each partition in order, each once.

        The iterators may be advanced in any order, one at a time; those of an earlier call end with the next call.
        While they are advanced they raise KafkaError if the records can't be had.
        """


class Joined:
    """Two sources of the same topic; what both hold comes of the first."""

    def __init__(self, first: RecordSource, second: RecordSource) -> None:
        if first.topic[:2] != second.topic[:2]:
            raise ValueError(f"{first.topic} and {second.topic} are not the same topic")
        self.topic = second.topic
        self._first = first
        self._second = second
        self._held_by_first: Held = {}

    async def held(self) -> Held:
        """What one of them holds; see `RecordSource`."""
        self._held_by_first = await self._first.held()
        second = await self._second.held()
        partitions = self._held_by_first.keys() | second.keys()
        return {
            number: united((*self._held_by_first.get(number, ()), *second.get(number, ()))) for number in partitions
        }

    def records(self, wanted: Mapping[int, Ranges]) -> Parts:
        """Of each offset the record from where it is; see `RecordSource`."""
        of_first = {number: common(some, self._held_by_first.get(number, ())) for number, some in wanted.items()}
        of_second = {number: without(some, of_first[number]) for number, some in wanted.items()}
        firsts, seconds = self._first.records(of_first), self._second.records(of_second)
        return {number: _in_order(firsts.get(number), seconds.get(number)) for number in wanted}


async def _in_order(
    first: AsyncIterator[Sequence[Received]] | None, second: AsyncIterator[Sequence[Received]] | None
) -> AsyncIterator[Sequence[Received]]:
    """The records of both by their offsets."""
    parts = [part for part in (first, second) if part is not None]
    heads = [await _next(part) for part in parts]
    while any(heads):
        index = min((i for i, head in enumerate(heads) if head), key=lambda i: heads[i][0].offset)
        others = [head[0].offset for i, head in enumerate(heads) if head and i != index]
        until = min(others, default=None)
        head = heads[index]
        now = [record for record in head if until is None or record.offset < until]
        yield now
        heads[index] = head[len(now) :] or await _next(parts[index])


async def _next(part: AsyncIterator[Sequence[Received]]) -> Sequence[Received]:
    """The next records that are any; empty at the end."""
    async for some in part:
        if some:
            return some
    return ()
