"""What a replay works with: a topic, perhaps with an archive, and a store."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from matih_kafka.progress import group_progress
from matih_kafka.reading import topic_reader
from matih_kafka.topic_ids import topic_id
from matih_schemas import codec
from matih_workers.replay.reframed import Reframed
from matih_workers.replay.source import Joined
from matih_workers.replay.topic import TopicSource

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from matih_kafka.progress import GroupProgress
    from matih_kafka.settings import KafkaSettings
    from matih_schemas.codec import Reframe
    from matih_workers.positions import Source
    from matih_workers.replay.progress import Progress
    from matih_workers.replay.source import RecordSource
    from matih_workers.settings import WorkerSettings
    from matih_workers.stores.protocol import RunStore

GROUP: Final = "matih-replay-"
"""What the groups' names begin with that keep a replay's progress."""


class Ends(Protocol):
    """Where records come from, and where they go to; not connected yet."""

    @property
    def settings(self) -> WorkerSettings:
        """The worker's, which name the store."""

    @property
    def store(self) -> RunStore:
        """Made of these."""

    def sources(self) -> AbstractAsyncContextManager[Sequence[RecordSource]]:
        """The topics' records for the time of the block, the oldest topic first; the last is the one of today.

        Raises:
            KafkaError, AuditError: they can't be had, or there is no such topic.
        """

    def progress(self, name: str, topic: Source) -> AbstractAsyncContextManager[Progress]:
        """The progress of a replay of that name on that topic. Raises as `sources`."""


def no_archive(_topic: Source) -> RecordSource | None:
    """There is none."""
    return None


@dataclass(frozen=True)
class Access:
    """`Ends` on Kafka, perhaps with an archive.

    Attributes:
        kafka: the connection's settings.
        settings: the worker's, which name the store.
        store: made of these.
        reframe: reads both framings; may block.
        archive: the archive of a topic, None if there is none: what it holds comes from there, the rest of Kafka.
    """

    kafka: KafkaSettings
    settings: WorkerSettings
    store: RunStore
    archive: Callable[[Source], RecordSource | None] = no_archive
    reframe: Reframe = codec.as_single_object

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
            yield Reframed(topic if archive is None else Joined(archive, topic), self.reframe)

    @asynccontextmanager
    async def sources(self) -> AsyncIterator[list[RecordSource]]:
        """The topic as it is now; see `Ends`."""
        async with self.source() as source:
            yield [source]

    @asynccontextmanager
    async def progress(self, name: str, topic: Source) -> AsyncIterator[GroupProgress]:
        """Kept by a consumer group; see `Ends`."""
        async with group_progress(self.kafka, GROUP + name, topic.topic) as progress:
            yield progress

    def archived(self, topic: Source) -> RecordSource | None:
        """What the archive has of a topic; None for nothing."""
        found = self.archive(topic)
        return None if found is None else Reframed(found, self.reframe)
