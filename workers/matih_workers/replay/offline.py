"""A replay without Kafka: everything comes from an archive, and the progress is kept in files."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matih_kafka.errors import WrongTopic
from matih_schemas import codec
from matih_workers.positions import Source
from matih_workers.replay.archive import ArchiveSource
from matih_workers.replay.progress import FileProgress
from matih_workers.replay.reframed import Reframed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from matih_schemas.codec import Reframe
    from matih_workers.audit.reading import ArchiveReader
    from matih_workers.replay.source import RecordSource
    from matih_workers.settings import WorkerSettings
    from matih_workers.stores.protocol import RunStore


@dataclass(frozen=True)
class OfflineAccess:
    """`Ends` on an archive alone.

    Attributes:
        reader: of the archive.
        topic: the name of the topic of events.
        settings: the worker's, which name the store.
        store: made of these.
        folder: where the progress is kept.
        reframe: reads both framings; may block.
    """

    reader: ArchiveReader
    topic: str
    settings: WorkerSettings
    store: RunStore
    folder: Path
    reframe: Reframe = codec.as_single_object

    @asynccontextmanager
    async def sources(self) -> AsyncIterator[list[RecordSource]]:
        """All topics that ever had the name, the oldest first; see `Ends`.

        Raises:
            WrongTopic: the archive has none.
        """
        names = self.reader.topics()
        found = [ArchiveSource(self.reader, Source(*ids, name)) for ids, name in names.items() if name == self.topic]
        if not found:
            others = ", ".join(sorted(set(names.values()))) or "none"
            raise WrongTopic(f"topic {self.topic} is not in the archive, which has {others}: set MATIH_EVENTS_TOPIC")
        begins = {source.topic: await _begin(source) for source in found} if len(found) > 1 else {}
        found.sort(key=lambda source: begins.get(source.topic, 0))
        yield [Reframed(source, self.reframe) for source in found]

    @asynccontextmanager
    async def progress(self, name: str, topic: Source) -> AsyncIterator[FileProgress]:
        """Kept in a file; see `Ends`."""
        yield FileProgress(self.folder, f"{name}-{topic.topic_id}")


async def _begin(source: ArchiveSource) -> int:
    """When the first of its records was received, in ms since the epoch."""
    times = [0]
    for part in source.records({number: some[:1] for number, some in (await source.held()).items()}).values():
        async for records in part:
            times.append(records[0].timestamp_ms)
            break
    return min(times[1:], default=0)
