"""The topics' records for the archiver: every partition, from where the log ends, in no one's group but for its lag."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError as AioKafkaError
from aiokafka.errors import OffsetOutOfRangeError

from matih_kafka.admin import partition_counts
from matih_kafka.errors import BrokerUnavailable
from matih_kafka.reading import bounds, broker_errors
from matih_kafka.topic_ids import topic_ids
from matih_schemas.topics import catalogue
from matih_workers.audit.batch import Topic
from matih_workers.audit.record import ArchivedRecord

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from matih_kafka.settings import KafkaSettings
    from matih_workers.audit.partition import PartitionId

logger = logging.getLogger(__name__)

POLL_MS: Final = 500
FETCH_BYTES: Final = 4 << 20
_RECORDS: Final = 2_000
_STOP_SECONDS: Final = 2.0


class TopicsConsumer:
    """Reads all partitions of some topics."""

    def __init__(self, consumer: AIOKafkaConsumer, topics: Sequence[Topic], counts: Mapping[str, int]) -> None:
        self.topics = tuple(topics)
        self._consumer = consumer
        self._ids = {
            TopicPartition(topic.name, number): topic.partition(number)
            for topic in topics
            for number in range(counts[topic.name])
        }
        self._places = {where: place for place, where in self._ids.items()}

    async def bounds(self) -> dict[PartitionId, tuple[int, int]]:
        """Each partition's first offset that Kafka has, and its end."""
        return {self._ids[place]: found for place, found in (await bounds(self._consumer, self._ids)).items()}

    def begin(self, starts: Mapping[PartitionId, int]) -> None:
        """Reads each partition from its offset on."""
        self._consumer.assign(list(self._ids))
        for place, where in self._ids.items():
            self._consumer.seek(place, starts[where])

    async def next(self) -> dict[PartitionId, Iterator[ArchivedRecord]]:
        """What has come, by partition; after a while without anything it is empty.

        Raises:
            OffsetOutOfRangeError: what should come next is not in Kafka any more.
        """
        found = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=_RECORDS)
        return {self._ids[place]: map(archived, records) for place, records in found.items()}

    async def lag(self) -> int:
        """Records on the topics behind those that have come."""
        left = 0
        for place in self._ids:
            end = self._consumer.highwater(place)
            left += 0 if end is None else max(0, end - await self._consumer.position(place))
        return left

    async def commit(self, ends: Mapping[PartitionId, int]) -> None:
        """Tells the group's coordinator how far we are: for people who look at lags. A failure is told, no more."""
        offsets = {self._places[where]: end for where, end in ends.items()}
        try:
            await asyncio.wait_for(self._consumer.commit(offsets), _STOP_SECONDS)
        except (AioKafkaError, asyncio.TimeoutError) as error:
            logger.warning("the group's offsets were not committed, its lag will look greater: %s", error)


def archived(record: Any) -> ArchivedRecord:
    """A consumed record, as it is kept."""
    return ArchivedRecord(
        record.offset, record.timestamp, record.timestamp_type, record.key, record.value, tuple(record.headers)
    )


async def archived_topics(settings: KafkaSettings) -> tuple[Topic, ...]:
    """The topics that an archive is of, as they are now: the events, and their dead letters.

    Raises:
        BrokerUnavailable: no broker answers, or it refuses.
        WrongTopic: one of them is not there.
    """
    names = [topic.name for topic in catalogue(settings.events_topic)]
    found = await topic_ids(settings, names)
    return tuple(Topic(one.cluster_id, one.topic_id, one.name) for one in found)


@asynccontextmanager
async def topics_consumer(settings: KafkaSettings, group: str) -> AsyncIterator[TopicsConsumer]:
    """A consumer of the topics that are archived, for the time of the block.

    Raises:
        BrokerUnavailable: no broker answers, or it refuses, then or within the block.
        WrongTopic: one of them is not there.
    """
    topics = await archived_topics(settings)
    consumer = AIOKafkaConsumer(
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="none",
        request_timeout_ms=10_000,
        max_partition_fetch_bytes=FETCH_BYTES,
        **settings.client_options(),
    )
    async with broker_errors(settings):
        try:
            await consumer.start()
            counts = await partition_counts(consumer._client, [topic.name for topic in topics])
            yield TopicsConsumer(consumer, topics, counts)
        except OffsetOutOfRangeError:
            raise BrokerUnavailable("records went away before they were read: it begins anew") from None
        finally:
            with suppress(AioKafkaError, asyncio.TimeoutError, OSError):
                await asyncio.wait_for(consumer.stop(), _STOP_SECONDS)
