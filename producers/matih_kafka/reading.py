"""Reading a topic's records as they stand there, without a consumer group: for commands and audits, not for ingest."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.errors import KafkaError as AioKafkaError
from aiokafka.errors import OffsetOutOfRangeError

from matih_kafka.admin import admin_client, partition_counts, unreachable
from matih_kafka.errors import BrokerUnavailable, WrongTopic
from matih_kafka.logs import only_errors_of_ours

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from matih_kafka.settings import KafkaSettings

SILENCE_SECONDS: Final = 30.0
"""Seconds without a record, before the end is reached, after which the broker counts as unavailable."""
_POLL_MS: Final = 500
_TOGETHER: Final = 64
"""Records unpacked at once: a fetch of a megabyte may hold hundreds of megabytes, compressed."""


class TopicReader:
    """Reads records by their place. One call at a time."""

    def __init__(self, consumer: AIOKafkaConsumer, settings: KafkaSettings) -> None:
        self._consumer = consumer
        self._settings = settings
        self._next: tuple[TopicPartition, int] | None = None
        self._bounds: dict[TopicPartition, range] = {}

    async def ends(self, topic: str) -> dict[int, int]:
        """Each partition's end: the offset of the next record.

        Raises:
            WrongTopic: there is no such topic.
        """
        return {place.partition: end for place, end in (await self._ends(topic)).items()}

    async def bounds(self, topic: str) -> dict[int, tuple[int, int]]:
        """Each partition's first offset, and its end.

        Raises:
            WrongTopic: there is no such topic.
        """
        found = await bounds(self._consumer, await self._ends(topic))
        return {place.partition: one for place, one in found.items()}

    async def scan(self, topic: str, since_ms: int | None = None) -> AsyncIterator[Any]:
        """All records that stand in the topic now, each partition's in order.

        Args:
            topic: its name.
            since_ms: only from the first on that has this timestamp or a later one, in ms since the epoch.

        Raises:
            WrongTopic: there is no such topic.
            BrokerUnavailable: nothing came for a while, and it is not the end.
        """
        ends = await self._ends(topic)
        self._next = None
        self._consumer.assign(list(ends))
        if since_ms is None:
            await self._consumer.seek_to_beginning(*ends)
        else:
            await self._seek_to(since_ms, ends)
        heard = time.monotonic()
        while left := [place for place, end in ends.items() if await self._consumer.position(place) < end]:
            batches = await self._consumer.getmany(*left, timeout_ms=_POLL_MS)
            for place, records in batches.items():
                for record in records:
                    if record.offset < ends[place]:
                        yield record
            heard = time.monotonic() if batches else heard
            self._check_silence(heard)

    def parts(self, topic: str, wanted: Mapping[int, Sequence[range]]) -> dict[int, AsyncIterator[list[Any]]]:
        """The records at these offsets, by partition, each partition's in order and some at a time.

        The iterators may be advanced in any order, one at a time; those of an earlier call end here.

        Raises, while they are advanced:
            BrokerUnavailable: nothing came for a while.
        """
        starts = {TopicPartition(topic, number): some[0].start for number, some in wanted.items() if some}
        self._next = None
        self._consumer.assign(list(starts))
        for place, start in starts.items():
            self._consumer.seek(place, start)
        return {number: self._part(TopicPartition(topic, number), some) for number, some in wanted.items()}

    async def _part(self, place: TopicPartition, wanted: Sequence[range]) -> AsyncIterator[list[Any]]:
        for one in wanted:
            if await self._consumer.position(place) != one.start:
                self._consumer.seek(place, one.start)
            heard = time.monotonic()
            while await self._consumer.position(place) < one.stop:
                records = (await self._consumer.getmany(place, timeout_ms=_POLL_MS, max_records=_TOGETHER)).get(place)
                if records:
                    yield [record for record in records if record.offset < one.stop]
                    heard = time.monotonic()
                self._check_silence(heard)

    async def record_at(self, topic: str, partition: int, offset: int) -> Any | None:
        """The record at a place; None if it is not there any more, or not yet.

        Raises:
            BrokerUnavailable: no answer.
        """
        place = TopicPartition(topic, partition)
        if not await self._holds(place, offset):
            return None
        if self._next != (place, offset):
            self._consumer.assign([place])
            self._consumer.seek(place, offset)
        self._next = (place, offset + 1)
        heard = time.monotonic()
        while True:
            batches = await self._consumer.getmany(place, timeout_ms=_POLL_MS, max_records=1)
            if found := batches.get(place):
                return found[0] if found[0].offset == offset else None
            self._check_silence(heard)

    async def _seek_to(self, since_ms: int, ends: dict[TopicPartition, int]) -> None:
        found = await self._consumer.offsets_for_times(dict.fromkeys(ends, since_ms))
        for place, end in ends.items():
            first = found.get(place)
            self._consumer.seek(place, end if first is None else min(first.offset, end))

    async def _holds(self, place: TopicPartition, offset: int) -> bool:
        """Whether the partition held the offset when it was asked last; it is asked again only if it did not."""
        if offset not in self._bounds.get(place, range(0)):
            first, end = await self._consumer.beginning_offsets([place]), await self._consumer.end_offsets([place])
            self._bounds[place] = range(first[place], end[place])
        return offset in self._bounds[place]

    async def _ends(self, topic: str) -> dict[TopicPartition, int]:
        count = (await partition_counts(self._consumer._client, [topic]))[topic]
        if not count:
            raise WrongTopic(f"topic {topic}: there is no such topic; `matih topics create` makes it")
        places = [TopicPartition(topic, number) for number in range(count)]
        found: dict[TopicPartition, int] = await self._consumer.end_offsets(places)
        return found

    def _check_silence(self, heard: float) -> None:
        if time.monotonic() - heard > SILENCE_SECONDS:
            raise BrokerUnavailable(unreachable(self._settings, asyncio.TimeoutError()))


async def bounds(consumer: AIOKafkaConsumer, places: Iterable[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
    """Each partition's first offset that Kafka has, and its end: the offset of the next record."""
    asked = list(places)
    firsts, ends = await consumer.beginning_offsets(asked), await consumer.end_offsets(asked)
    return {place: (firsts[place], ends[place]) for place in asked}


@asynccontextmanager
async def topic_reader(settings: KafkaSettings) -> AsyncIterator[TopicReader]:
    """A reader for the time of the block.

    Raises:
        BrokerUnavailable: no broker answers, or it refuses.
    """
    consumer = AIOKafkaConsumer(
        enable_auto_commit=False, auto_offset_reset="none", request_timeout_ms=10_000, **settings.client_options()
    )
    async with broker_errors(settings):
        try:
            await consumer.start()
            yield TopicReader(consumer, settings)
        finally:
            await consumer.stop()


@asynccontextmanager
async def broker_errors(settings: KafkaSettings) -> AsyncIterator[None]:
    """Translates what aiokafka raises within the block.

    Raises:
        BrokerUnavailable: no broker answers, or it refuses.
    """
    only_errors_of_ours()
    try:
        yield
    except OffsetOutOfRangeError as error:
        raise BrokerUnavailable(f"records went away while they were read: {error}; try again") from error
    except (AioKafkaError, asyncio.TimeoutError, OSError) as error:
        raise BrokerUnavailable(unreachable(settings, error)) from error


async def delete_before(settings: KafkaSettings, topic: str, offsets: dict[int, int]) -> None:
    """Removes the records before these offsets, by partition, for good.

    Raises:
        BrokerUnavailable: no broker answers, or it refuses.
    """
    async with admin_client(settings) as admin:
        wanted = {TopicPartition(topic, number): RecordsToDelete(offset) for number, offset in offsets.items()}
        await admin.delete_records(wanted)
