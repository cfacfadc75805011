"""The topic as it is now, as a source of records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matih_workers.positions import Source
from matih_workers.records import Received

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from matih_kafka.reading import TopicReader
    from matih_kafka.topic_ids import TopicId
    from matih_workers.replay.ranges import Ranges
    from matih_workers.replay.source import Held, Parts


class TopicSource:
    """`RecordSource` on Kafka, without a consumer group."""

    def __init__(self, reader: TopicReader, which: TopicId) -> None:
        self.topic = Source(which.cluster_id, which.topic_id, which.name)
        self._reader = reader

    async def held(self) -> Held:
        """What retention has left, and has come until now; see `RecordSource`."""
        bounds = await self._reader.bounds(self.topic.topic)
        return {number: (range(first, end),) if end > first else () for number, (first, end) in bounds.items()}

    def records(self, wanted: Mapping[int, Ranges]) -> Parts:
        """The records; see `RecordSource`."""
        parts = self._reader.parts(self.topic.topic, wanted)
        return {number: _received(part) for number, part in parts.items()}


async def _received(part: AsyncIterator[list[Any]]) -> AsyncIterator[Sequence[Received]]:
    async for records in part:
        yield [
            Received(one.topic, one.partition, one.offset, one.key, one.value, tuple(one.headers), one.timestamp)
            for one in records
        ]
