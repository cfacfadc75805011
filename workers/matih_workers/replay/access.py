"""What a replay works with: a topic, perhaps with an archive, and a store."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matih_kafka.reading import topic_reader
from matih_kafka.topic_ids import topic_id
from matih_workers.replay.source import Joined
from matih_workers.replay.topic import TopicSource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from matih_kafka.settings import KafkaSettings
    from matih_workers.positions import Source
    from matih_workers.replay.source import RecordSource
    from matih_workers.settings import WorkerSettings
    from matih_workers.stores.protocol import RunStore


def no_archive(_topic: Source) -> RecordSource | None:
    """There is none."""
    return None


@dataclass(frozen=True)
class Access:
    """The two ends, not connected yet.

    Attributes:
        kafka: the connection's settings.
        settings: the worker's, which name the store.
        store: made of these.
        archive: the archive of a topic, None if there is none: what it holds comes from there, the rest of Kafka.
    """

    kafka: KafkaSettings
    settings: WorkerSettings
    store: RunStore
    archive: Callable[[Source], RecordSource | None] = no_archive

    @asynccontextmanager
    async def source(self) -> AsyncIterator[RecordSource]:
        """The topic's records, for the time of the block.

        Raises:
            KafkaError: Kafka does not answer, or the topic is missing.
        """
        which = await topic_id(self.kafka, self.kafka.events_topic)
        async with topic_reader(self.kafka) as reader:
            topic = TopicSource(reader, which)
            archive = self.archive(topic.topic)
            yield topic if archive is None else Joined(archive, topic)
