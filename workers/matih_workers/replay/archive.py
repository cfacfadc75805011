"""An archive as a source of records: what Kafka's retention has taken comes from there."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING, Final

from matih_workers.records import Received
from matih_workers.replay.ranges import united

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence

    from matih_workers.audit.reading import ArchiveReader
    from matih_workers.audit.record import ArchivedRecord
    from matih_workers.positions import Source
    from matih_workers.replay.ranges import Ranges
    from matih_workers.replay.source import Held, Parts, RecordSource

_AT_ONCE: Final = 500


class ArchiveSource:
    """`RecordSource` on one topic's part of an archive, as it was when the reader was made.

    Hashes are not compared on the way: `matih audit verify` does that. What was erased comes without a value.
    """

    def __init__(self, reader: ArchiveReader, topic: Source) -> None:
        self.topic = topic
        self._reader = reader

    async def held(self) -> Held:
        """What the archive has of the topic; see `RecordSource`.

        Raises:
            Damaged, StorageUnavailable: it can't be told.
        """
        files = await asyncio.to_thread(self._reader.held, self.topic.cluster_id, self.topic.topic_id)
        return {number: united(some) for number, some in files.items()}

    def records(self, wanted: Mapping[int, Ranges]) -> Parts:
        """The records; see `RecordSource`. They raise Damaged or StorageUnavailable where those can't be had."""
        return {number: self._part(number, some) for number, some in wanted.items()}

    async def _part(self, partition: int, wanted: Ranges) -> AsyncIterator[Sequence[Received]]:
        for one in wanted:
            found = self._reader.records(self.topic.cluster_id, self.topic.topic_id, partition, one.start, one.stop)
            while some := await asyncio.to_thread(_next, found):
                yield [self._received(partition, record) for record in some]

    def _received(self, partition: int, record: ArchivedRecord) -> Received:
        headers = tuple((name, value or b"") for name, value in record.headers)
        return Received(self.topic.topic, partition, record.offset, record.key, record.value, headers, record.timestamp)


def archived_topics(reader: ArchiveReader) -> Callable[[Source], RecordSource | None]:
    """What finds a topic, also one that had the name before, in an archive."""

    def find(topic: Source) -> RecordSource | None:
        return ArchiveSource(reader, topic) if (topic.cluster_id, topic.topic_id) in reader.topics() else None

    return find


def _next(records: Iterator[ArchivedRecord]) -> list[ArchivedRecord]:
    return list(islice(records, _AT_ONCE))
