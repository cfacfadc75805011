"""How far a reading of a topic has come, kept in a consumer group that has no members."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from matih_kafka.admin import admin_client
from matih_kafka.groups import coordinator_of
from matih_kafka.reading import broker_errors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from matih_kafka.settings import KafkaSettings

_OPEN: Final = "open"
_DONE: Final = "done"


class GroupProgress:
    """The offsets that a group has committed of one topic; the name of a reading is its group's."""

    def __init__(self, consumer: AIOKafkaConsumer, settings: KafkaSettings, topic: str, found: dict[int, int]) -> None:
        self._consumer = consumer
        self._settings = settings
        self._topic = topic
        self.found = found
        """Where a reading of this name that did not come to its end has to go on, by partition; else empty."""

    async def save(self, offsets: Mapping[int, int]) -> None:
        """Notes the next offset of each of these partitions; a process that is killed later goes on there.

        Raises:
            BrokerUnavailable: no broker answers, or it refuses.
        """
        await self._commit(offsets, _OPEN)

    async def finish(self, offsets: Mapping[int, int]) -> None:
        """Notes that the reading came to its end: the next one of this name begins anew.

        Raises:
            BrokerUnavailable: no broker answers, or it refuses.
        """
        await self._commit(offsets, _DONE)

    async def _commit(self, offsets: Mapping[int, int], state: str) -> None:
        places = {TopicPartition(self._topic, number): offset for number, offset in offsets.items()}
        if not places:
            return
        if not places.keys() <= self._consumer.assignment():
            self._consumer.assign(list(self._consumer.assignment() | places.keys()))
            self._consumer.pause(*self._consumer.assignment())  # it commits only, and reads nothing
        async with broker_errors(self._settings):
            await self._consumer.commit({place: OffsetAndMetadata(offset, state) for place, offset in places.items()})


async def committed(settings: KafkaSettings, group: str, topic: str) -> dict[int, int]:
    """The next offset of each partition of which the group has committed any.

    Raises:
        BrokerUnavailable: no broker answers, or it may not tell us.
    """
    return {number: found.offset for number, found in (await _offsets(settings, group, topic)).items()}


@asynccontextmanager
async def group_progress(settings: KafkaSettings, group: str, topic: str) -> AsyncIterator[GroupProgress]:
    """The progress of the reading of that name, for the time of the block.

    Raises:
        BrokerUnavailable: no broker answers, or it refuses.
    """
    offsets = await _offsets(settings, group, topic)
    found = {number: one.offset for number, one in offsets.items() if one.metadata == _OPEN}
    consumer = AIOKafkaConsumer(group_id=group, enable_auto_commit=False, **settings.client_options())
    try:
        async with broker_errors(settings):
            await consumer.start()
        yield GroupProgress(consumer, settings, topic, found)
    finally:
        await consumer.stop()


async def _offsets(settings: KafkaSettings, group: str, topic: str) -> dict[int, OffsetAndMetadata]:
    async with admin_client(settings) as admin:
        found = await admin.list_consumer_group_offsets(group, await coordinator_of(admin, group))
    return {place.partition: one for place, one in found.items() if place.topic == topic and one.offset >= 0}
