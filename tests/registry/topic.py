"""A topic with Confluent's framing, and what stands on it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matih_kafka.framing import environment_ids, framer, reframer
from matih_kafka.idempotent import KafkaPublisher
from matih_kafka.reading import topic_reader
from matih_kafka.settings import KafkaSettings
from matih_schemas import codec
from matih_schemas.topics import catalogue

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from tests.workers.doorkeeper import Doorkeeper

    from matih_kafka.publisher import Record
    from matih_schemas.events import TrackingEvent


@dataclass
class ConfluentTopic:
    """One test's topic, and a registry whose door can be shut: `registry` is its URL through that."""

    brokers: str
    name: str
    registry: str
    cache: Path
    door: Doorkeeper

    def environment(self) -> dict[str, str]:
        """For all that write and read it."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.brokers,
            "MATIH_EVENTS_TOPIC": self.name,
            "MATIH_EVENTS_FRAMING": "confluent",
            "SCHEMA_REGISTRY_URL": self.registry,
            "SCHEMA_REGISTRY_CACHE_DIR": str(self.cache),
        }

    @property
    def settings(self) -> KafkaSettings:
        return KafkaSettings()

    def publish(self, events: Iterable[TrackingEvent], *, headers: bool = True) -> None:
        """As a producer does; without headers as somebody else's."""
        asyncio.run(self._publish(list(events), headers=headers))

    async def _publish(self, events: list[TrackingEvent], *, headers: bool) -> None:
        frame = framer(self.settings)
        await frame.connect()
        made = [frame.record(event) for event in events]
        await self.send(made if headers else [type(one)(one.key, one.value) for one in made])

    async def send(self, records: list[Record]) -> None:
        publisher = KafkaPublisher(self.settings, catalogue(self.name)[0])
        await publisher.connect()
        await asyncio.gather(*[publisher.send(record) for record in records])
        await publisher.close()

    async def records(self) -> list[Any]:
        """All records, as they stand there."""
        async with topic_reader(self.settings) as reader:
            return [record async for record in reader.scan(self.name)]

    def events(self) -> list[TrackingEvent]:
        """What they say."""
        reframe = reframer(environment_ids())
        return [codec.decode(reframe(one.value, one.headers)) for one in asyncio.run(self.records())]
