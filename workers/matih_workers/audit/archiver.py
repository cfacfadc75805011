"""Carries the topic's records into the archive, batch by batch; the log's checkpoint is what makes one count.

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
from matih_kafka.topic_ids import topic_id
from matih_workers.audit.anchor import Anchor
from matih_workers.audit.batch import Batch, Topic
from matih_workers.audit.consuming import TopicConsumer, topic_consumer
from matih_workers.audit.errors import Damaged, StorageUnavailable
from matih_workers.audit.log import LogWriter
from matih_workers.audit.metrics import ArchiverMetrics
from matih_workers.audit.recovery import recover
from matih_workers.backoff import Backoff

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from matih_kafka.settings import KafkaSettings
    from matih_workers.audit.settings import AuditSettings
    from matih_workers.audit.storage import Storage

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
        async with topic_consumer(self._kafka, self._settings.audit_group) as consumer:
            topic, bounds = await self._topic(), await consumer.bounds()
            writer = await asyncio.to_thread(self._open, topic, bounds)
            consumer.begin(await self._first_batch(writer, topic, bounds))
            self.problem = None
            backoff.reset()
            await self._archive(consumer, writer, topic)

    def _open(self, topic: Topic, bounds: Mapping[int, tuple[int, int]]) -> LogWriter:
        writer = LogWriter(self._storage, self._key, self._accepted)
        recover(self._storage, writer, {topic.partition(number): first for number, (first, _) in bounds.items()})
        self.metrics.checkpointed(writer.checkpoint.size)
        size = writer.checkpoint.size
        logger.info("archive %s: %d entries, key %s", self._storage, size, self._key.public)
        return writer

    async def _first_batch(
        self, writer: LogWriter, topic: Topic, bounds: Mapping[int, tuple[int, int]]
    ) -> Mapping[int, int]:
        """Notes what went away before we came; returns where each partition is read from.

        Raises:
            Damaged: the topic ends before the archive does.
        """
        batch = Batch(topic, writer.state)
        for number, (first, end) in bounds.items():
            archived = writer.state.ends.get(topic.partition(number), 0)
            if archived > end:
                raise Damaged(
                    f"topic {topic.name}/{number} ends at {end}, the archive at {archived}: the topic has lost records "
                    "(an unclean leader election?): restore it, or archive into a new folder"
                )
            if archived < first:
                logger.warning("%s/%d: offsets %d to %d are gone from Kafka", topic.name, number, archived, first - 1)
                self.metrics.gaps.inc(first - archived)
            batch.gap(number, first)
        await self._write(writer, batch)
        return {
            number: max(first, writer.state.ends.get(topic.partition(number), 0))
            for number, (first, _) in bounds.items()
        }

    async def _archive(self, consumer: TopicConsumer, writer: LogWriter, topic: Topic) -> None:
        """Batch after batch, until it is told to stop."""
        while not self._stopping.is_set():
            batch = Batch(topic, writer.state)
            try:
                await self._fill(consumer, batch)
            except OffsetOutOfRangeError:
                await self._commit(consumer, writer, batch)  # its records may be gone from Kafka too
                raise
            await self._commit(consumer, writer, batch)

    async def _fill(self, consumer: TopicConsumer, batch: Batch) -> None:
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

    async def _commit(self, consumer: TopicConsumer, writer: LogWriter, batch: Batch) -> None:
        if not batch:
            return
        if await self._topic() != batch.topic:
            raise BrokerUnavailable(
                f"topic {batch.topic.name} was made anew: {batch.records} records that were read meanwhile may be of "
                "either topic, and are read again if the topic still has them"
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

    async def _topic(self) -> Topic:
        found = await topic_id(self._kafka, self._kafka.events_topic)
        return Topic(found.cluster_id, found.topic_id, found.name)
