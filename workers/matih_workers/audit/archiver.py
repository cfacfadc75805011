"""Carries the topics' records into the archive, batch by batch; the log's checkpoint is what makes one count.

A batch: the record files, then the log's bundles and tiles, then the checkpoint, then the group's offsets. Where it is
killed, what is before the last checkpoint stays, what is behind it is removed and read again (`recovery.py`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from aiokafka.errors import OffsetOutOfRangeError

from matih_kafka.errors import BrokerUnavailable
from matih_workers.audit.anchor import Anchor
from matih_workers.audit.batch import Batch
from matih_workers.audit.consuming import TopicsConsumer, archived_topics, topics_consumer
from matih_workers.audit.errors import Damaged, StorageUnavailable
from matih_workers.audit.log import LogWriter
from matih_workers.audit.metrics import ArchiverMetrics
from matih_workers.audit.recovery import recover
from matih_workers.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

    from matih_kafka.settings import KafkaSettings
    from matih_workers.audit.batch import Topic
    from matih_workers.audit.partition import PartitionId
    from matih_workers.audit.settings import AuditSettings
    from matih_workers.audit.storage import Storage

    Bounds = Mapping[PartitionId, tuple[int, int]]
    """By partition the first offset that Kafka has, and its end."""

logger = logging.getLogger(__name__)

STOP_SECONDS: Final = 7.0
"""Seconds for the batch under way when it is told to stop."""
_STARTING: Final = "not connected yet"


class Archiver:
    """The one writer of an archive.

    Attributes:
        problem: why nothing is archived now; None while all is well.
        metrics: what it counts.
    """

    def __init__(self, settings: AuditSettings, kafka: KafkaSettings, storage: Storage) -> None:
        """Connects nothing yet.

        Raises:
            InvalidSettings: there is no key to sign with, or a key is none.
        """
        self._settings, self._kafka, self._storage = settings, kafka, storage
        self._key, self._accepted = settings.signing_key(), settings.accepted_keys()
        self._anchor = Anchor(settings.audit_anchor)
        self._stopping = asyncio.Event()
        self.problem: str | None = _STARTING
        self.metrics = ArchiverMetrics()

    def stop(self) -> None:
        """Lets `run` end with what has come written."""
        self._stopping.set()

    async def run(self) -> None:
        """Archives until it is stopped; outages of Kafka and of the storage are waited out.

        Raises:
            Busy: another archiver writes this archive.
            Damaged, InvalidNote: the archive is not what was written, or was signed with another key.
        """
        backoff = Backoff(1.0, 30.0)
        with self._storage.lock():
            while not self._stopping.is_set():
                try:
                    await self._stoppable(self._session(backoff))
                except (BrokerUnavailable, StorageUnavailable) as error:  # noqa: PERF203 - it lasts for hours
                    await self._wait(backoff, str(error))

    async def _stoppable(self, work: Awaitable[None]) -> None:
        """Waits for the work; when it is to stop, for STOP_SECONDS at most."""
        session, stopped = asyncio.ensure_future(work), asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait([session, stopped], return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        await asyncio.wait([session], timeout=STOP_SECONDS)
        if not session.done():
            session.cancel()
            await asyncio.wait([session], timeout=1.0)
            logger.warning("not finished in time: what was not written is read again at the next start")
        elif not session.cancelled():
            session.result()

    async def _wait(self, backoff: Backoff, why: str) -> None:
        if backoff.tries == 0:
            logger.warning("nothing is archived now: %s", why)
        self.problem = why
        stopped = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait([stopped], timeout=backoff.next())
        stopped.cancel()

    async def _session(self, backoff: Backoff) -> None:
        async with topics_consumer(self._kafka, self._settings.audit_group) as consumer:
            bounds = await consumer.bounds()
            writer = await asyncio.to_thread(self._open, bounds)
            consumer.begin(await self._first_batch(writer, consumer.topics, bounds))
            self.problem = None
            backoff.reset()
            await self._archive(consumer, writer)

    def _open(self, bounds: Bounds) -> LogWriter:
        writer = LogWriter(self._storage, self._key, self._accepted)
        recover(self._storage, writer, {where: first for where, (first, _) in bounds.items()})
        self.metrics.checkpointed(writer.checkpoint.size)
        size = writer.checkpoint.size
        logger.info("archive %s: %d entries, key %s", self._storage, size, self._key.public)
        return writer

    async def _first_batch(
        self, writer: LogWriter, topics: Sequence[Topic], bounds: Bounds
    ) -> Mapping[PartitionId, int]:
        """Notes what went away before we came; returns where each partition is read from.

        Raises:
            Damaged: a topic ends before the archive does.
        """
        batch, names = Batch(topics, writer.state), {(topic.cluster_id, topic.topic_id): topic.name for topic in topics}
        for where, (first, end) in bounds.items():
            archived, told = writer.state.ends.get(where, 0), f"{names[where[:2]]}/{where.partition}"
            if archived > end:
                raise Damaged(
                    f"topic {told} ends at {end}, the archive at {archived}: the topic has lost records "
                    "(an unclean leader election?): restore it, or archive into a new folder"
                )
            if archived < first:
                logger.warning("%s: offsets %d to %d are gone from Kafka", told, archived, first - 1)
                self.metrics.gaps.inc(first - archived)
            batch.gap(where, first)
        await self._write(writer, batch)
        return {where: max(first, writer.state.ends.get(where, 0)) for where, (first, _) in bounds.items()}

    async def _archive(self, consumer: TopicsConsumer, writer: LogWriter) -> None:
        """Batch after batch, until it is told to stop."""
        while not self._stopping.is_set():
            batch = Batch(consumer.topics, writer.state)
            try:
                await self._fill(consumer, batch)
            except OffsetOutOfRangeError:
                await self._commit(consumer, writer, batch)  # its records may be gone from Kafka too
                raise
            await self._commit(consumer, writer, batch)

    async def _fill(self, consumer: TopicsConsumer, batch: Batch) -> None:
        """Takes what comes, until there is enough, or for long enough, or we are told to stop."""
        until: float | None = None
        while not self._stopping.is_set() and batch.bytes < self._settings.audit_batch_bytes:
            now = time.monotonic()
            if until is None and batch:
                until = now + self._settings.audit_batch_seconds
            if until is not None and now >= until:
                return
            for partition, records in (await consumer.next()).items():
                batch.add(partition, records)
            self.metrics.lag(batch.records + await consumer.lag(), lambda: batch.oldest_ms)

    async def _commit(self, consumer: TopicsConsumer, writer: LogWriter, batch: Batch) -> None:
        if not batch:
            return
        if anew := set(await archived_topics(self._kafka)).difference(batch.topics):
            raise BrokerUnavailable(
                f"topic {', '.join(sorted(topic.name for topic in anew))} was made anew: {batch.records} records that "
                "were read meanwhile may be of either topic, and are read again if the topic still has them"
            )
        await self._write(writer, batch)
        self.metrics.lag(await consumer.lag(), lambda: batch.newest_ms)
        await consumer.commit(batch.ends())

    async def _write(self, writer: LogWriter, batch: Batch) -> None:
        if batch:
            # To its end also when we are cancelled: a thread goes on anyway.
            await asyncio.shield(asyncio.to_thread(self._write_now, writer, batch))

    def _write_now(self, writer: LogWriter, batch: Batch) -> None:
        files = batch.files()
        self._storage.write(files)
        signed = writer.commit(batch.entries())
        self.metrics.records.inc(batch.records)
        self.metrics.bytes.inc(batch.bytes)
        self.metrics.files.inc(len(files))
        self.metrics.checkpointed(writer.checkpoint.size)
        if not self._anchor.put(writer.checkpoint.size, signed):
            self.metrics.anchor_failures.inc()
