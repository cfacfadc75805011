"""The topic's records for the archiver: every partition, from where the log ends, in no one's group but for its lag."""

from __future__ import annotations

import asyncio
import logging
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError as AioKafkaError
from aiokafka.errors import OffsetOutOfRangeError

from matih_kafka.admin import partition_counts
from matih_kafka.errors import BrokerUnavailable, WrongTopic
from matih_kafka.reading import broker_errors
from matih_workers.audit.record import ArchivedRecord

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from matih_kafka.settings import KafkaSettings

logger = logging.getLogger(__name__)

POLL_MS: Final = 500
FETCH_BYTES: Final = 4 << 20
_RECORDS: Final = 2_000
_STOP_SECONDS: Final = 2.0


class TopicConsumer:
    """Reads all partitions of a topic."""

    def __init__(self, consumer: AIOKafkaConsumer, topic: str, count: int) -> None:
        self._consumer = consumer
        self._places = [TopicPartition(topic, number) for number in range(count)]

    async def bounds(self) -> dict[int, tuple[int, int]]:
        """Each partition's first offset that Kafka has, and its end."""
        firsts = await self._consumer.beginning_offsets(self._places)
        ends = await self._consumer.end_offsets(self._places)
        return {place.partition: (firsts[place], ends[place]) for place in self._places}

    def begin(self, starts: Mapping[int, int]) -> None:
        """Reads each partition from its offset on."""
        self._consumer.assign(self._places)
        for place in self._places:
            self._consumer.seek(place, starts[place.partition])

    async def next(self) -> dict[int, Iterator[ArchivedRecord]]:
        """What has come, by partition; after a while without anything it is empty.

        Raises:
            OffsetOutOfRangeError: what should come next is not in Kafka any more.
        """
        found = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=_RECORDS)
        return {place.partition: map(archived, records) for place, records in found.items()}

    async def lag(self) -> int:
        """Records on the topic behind those that have come."""
        left = 0
        for place in self._places:
            end = self._consumer.highwater(place)
            left += 0 if end is None else max(0, end - await self._consumer.position(place))
        return left

    async def commit(self, ends: Mapping[int, int]) -> None:
        """Tells the group's coordinator how far we are: for people who look at lags. A failure is told, no more."""
        offsets = {place: ends[place.partition] for place in self._places if place.partition in ends}
        try:
            await asyncio.wait_for(self._consumer.commit(offsets), _STOP_SECONDS)
        except (AioKafkaError, asyncio.TimeoutError) as error:
            logger.warning("the group's offsets were not committed, its lag will look greater: %s", error)


def archived(record: Any) -> ArchivedRecord:
    """A consumed record, as it is kept."""
    return ArchivedRecord(
        record.offset, record.timestamp, record.timestamp_type, record.key, record.value, tuple(record.headers)
    )


@asynccontextmanager
async def topic_consumer(settings: KafkaSettings, group: str) -> AsyncIterator[TopicConsumer]:
    """A consumer of the events topic for the time of the block.

    Raises:
        BrokerUnavailable: no broker answers, or it refuses, then or within the block.
        WrongTopic: there is no such topic.
    """
    consumer = AIOKafkaConsumer(
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="none",
        request_timeout_ms=10_000,
        max_partition_fetch_bytes=FETCH_BYTES,
        **settings.client_options(),
    )
    topic = settings.events_topic
    async with broker_errors(settings):
        try:
            await consumer.start()
            count = (await partition_counts(consumer._client, [topic]))[topic]
            if not count:
                raise WrongTopic(f"topic {topic}: there is no such topic; `matih topics create` makes it")
            yield TopicConsumer(consumer, topic, count)
        except OffsetOutOfRangeError:
            raise BrokerUnavailable("records went away before they were read: it begins anew") from None
        finally:
            with suppress(AioKafkaError, asyncio.TimeoutError, OSError):
                await asyncio.wait_for(consumer.stop(), _STOP_SECONDS)
