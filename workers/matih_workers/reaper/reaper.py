"""Reads the events topic in a group of its own and publishes the ends of runs that fell silent. I/O only.

It keeps nothing: the offset that it commits is the first that one who begins anew has to read (`Partition.needed`).
What goes wrong is told once, and it begins anew: an end that is published twice is one event.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError
from aiokafka.errors import KafkaError as AioKafkaError

from matih_kafka.admin import unreachable
from matih_kafka.errors import KafkaError
from matih_kafka.framing import SINGLE_OBJECT
from matih_kafka.idempotent import KafkaPublisher
from matih_schemas import codec
from matih_schemas.clock import now_ms
from matih_schemas.errors import InvalidEvent
from matih_schemas.schema import NAMESPACE
from matih_workers.backoff import Backoff
from matih_workers.reaper.silence import STEP_MAX_MS, Partition, Sign
from matih_workers.reaper.ticks import tick

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matih_kafka.framing import EventFramer
    from matih_kafka.settings import KafkaSettings
    from matih_schemas.codec import Reframe
    from matih_schemas.events import TrackingEvent
    from matih_schemas.topics import Topic

logger = logging.getLogger(__name__)

_DECODED: Final = tuple(f"{NAMESPACE}.{kind}".encode() for kind in ("Heartbeat", "RunEnded", "RunDeleted"))
_POLL_MS: Final = 500
_TOGETHER: Final = 32  # an event may have a megabyte, and they come compressed
_COMMIT_SECONDS: Final = 5.0
_FETCH_BYTES: Final = 1 << 20


class Reaper(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka is untyped
    """One member of the reapers' group."""

    def __init__(
        self,
        settings: KafkaSettings,
        topic: Topic,
        group: str,
        silence: float,
        framer: EventFramer = SINGLE_OBJECT,
        reframe: Reframe = codec.as_single_object,
        reaped: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Connects nothing yet.

        Args:
            settings: the connection's.
            topic: the events topic.
            group: the reapers' consumer group.
            silence: seconds after which a run counts as dead.
            framer: makes records of events.
            reframe: reads both framings; may block.
            reaped: told how many runs were ended.
        """
        self._settings, self._topic, self._group = settings, topic, group
        self._silence_ms = round(silence * 1000)
        self._tick_ms = min(STEP_MAX_MS, max(100, self._silence_ms // 10))
        self._framer, self._reframe = framer, reframe
        self._reaped = reaped
        self._partitions: dict[int, Partition] = {}
        self._ticked: dict[int, int] = {}
        self._committed_at = 0.0

    async def run(self) -> None:
        """Works until it is cancelled; an outage is waited out."""
        backoff = Backoff(1.0, 30.0)
        while True:
            try:
                await self._session(backoff)
            except (AioKafkaError, KafkaError, OSError, asyncio.TimeoutError) as error:  # noqa: PERF203 - it lasts for hours
                why = str(error) if isinstance(error, KafkaError) else unreachable(self._settings, error)
                await self._wait(backoff, why)
            except Exception as error:  # whatever it is: ingest must go on, so it is told and tried again
                logger.debug("the reaper", exc_info=True)
                await self._wait(backoff, f"{type(error).__name__}: {error}")

    async def _wait(self, backoff: Backoff, why: str) -> None:
        if backoff.tries == 0:
            logger.warning("the reaper waits, silent runs stay as they are: %s", why)
        await asyncio.sleep(backoff.next())

    def on_partitions_revoked(self, revoked: Sequence[TopicPartition]) -> None:  # noqa: ARG002 - aiokafka's signature
        """Forgets what goes to another reaper."""
        self._partitions.clear()

    def on_partitions_assigned(self, assigned: Sequence[TopicPartition]) -> None:
        """Begins anew, where the group has committed."""
        self._partitions = {
            place.partition: Partition(self._silence_ms, min(STEP_MAX_MS, self._silence_ms)) for place in assigned
        }

    async def _session(self, backoff: Backoff) -> None:
        """One connection.

        Raises:
            AioKafkaError, KafkaError, OSError: it is at its end.
        """
        consumer = AIOKafkaConsumer(
            group_id=self._group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_partition_fetch_bytes=_FETCH_BYTES,
            client_id="matih-reaper",
            **self._settings.client_options(),
        )
        publisher = KafkaPublisher(self._settings, self._topic, client_id="matih-reaper")
        try:
            await self._framer.connect()
            await publisher.connect()
            consumer.subscribe([self._topic.name], listener=self)
            await consumer.start()
            while True:
                await self._step(consumer, publisher)
                backoff.reset()
        finally:
            await publisher.close()
            await consumer.stop()

    async def _step(self, consumer: Any, publisher: KafkaPublisher) -> None:
        batches = await consumer.getmany(timeout_ms=_POLL_MS, max_records=_TOGETHER)
        signs = await asyncio.to_thread(self._signs, batches)
        ends = [
            end for number, sign in signs if number in self._partitions for end in self._partitions[number].take(sign)
        ]
        await self._publish(publisher, ends)
        if ends:
            self._reaped(len(ends))
            logger.info("%d runs have had no sign of life for %d s: FAILED", len(ends), self._silence_ms // 1000)
        await self._publish(publisher, self._due_ticks(consumer))
        await self._commit(consumer)

    def _signs(self, batches: Mapping[TopicPartition, Sequence[Any]]) -> list[tuple[int, Sign]]:
        """What the records say, by partition. Blocks while a registry is asked for an id.

        Raises:
            RegistryUnavailable: it does not answer.
        """
        return [
            (place.partition, _sign(record, self._reframe)) for place, records in batches.items() for record in records
        ]

    async def _publish(self, publisher: KafkaPublisher, ends: Sequence[TrackingEvent]) -> None:
        await asyncio.gather(*(publisher.send(self._framer.record(event)) for event in ends))

    def _due_ticks(self, consumer: Any) -> list[TrackingEvent]:
        """A tick for each partition that is read to its end, is watched, and has not moved for a while.

        However busy the others are: a host may be gone while the rest of the cluster goes on.
        """
        now = now_ms()
        due = [
            number
            for number, partition in self._partitions.items()
            if partition.watches
            and now - max(partition.last_received_at, self._ticked.get(number, 0)) >= self._tick_ms
            and self._is_at_end(consumer, number, partition)
        ]
        self._ticked |= dict.fromkeys(due, now)
        return [tick(number, self._topic.partitions, now) for number in due]

    def _is_at_end(self, consumer: Any, number: int, partition: Partition) -> bool:
        """Whether all that the broker has told of is read."""
        place = TopicPartition(self._topic.name, number)
        if place not in consumer.assignment():
            return False
        return partition.end >= (consumer.highwater(place) or 0)

    async def _commit(self, consumer: Any) -> None:
        if time.monotonic() - self._committed_at < _COMMIT_SECONDS:
            return
        self._committed_at = time.monotonic()
        offsets = {
            TopicPartition(self._topic.name, number): partition.needed
            for number, partition in self._partitions.items()
            if partition.end
        }
        if not offsets:
            return
        try:
            await consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError):
            logger.debug("the partitions went to another reaper meanwhile")


def _sign(record: Any, reframe: Reframe) -> Sign:
    tenant, _, run_id = (record.key or b"").decode("utf-8", "replace").partition("/")
    return Sign((tenant, run_id), record.offset, record.timestamp, _event(record, reframe))


def _event(record: Any, reframe: Reframe) -> TrackingEvent | None:
    """The event if it is of a kind that matters: most are not, and decoding them would cost."""
    if dict(record.headers).get("ce_type") not in _DECODED:
        return None
    try:
        return codec.decode(reframe(record.value or b"", record.headers))
    except InvalidEvent:
        return None  # the worker makes a dead letter of it
