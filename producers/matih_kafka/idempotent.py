"""The publisher to real Kafka: aiokafka's idempotent producer, kept within the contract."""

from __future__ import annotations

import asyncio
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError as AioKafkaError
from aiokafka.errors import MessageSizeTooLargeError, RecordListTooLargeError

from matih_kafka.admin import partition_counts, unreachable
from matih_kafka.errors import BrokerUnavailable, KafkaError, RecordRejected, WrongTopic
from matih_kafka.lanes import Lane, Waiting
from matih_kafka.logs import only_errors_of_ours
from matih_kafka.tasks import end
from matih_schemas.identity import partition_of

if TYPE_CHECKING:
    from matih_kafka.publisher import Record
    from matih_kafka.settings import KafkaSettings
    from matih_schemas.topics import Topic

BATCH_BYTES: Final = 900_000
"""Bytes of a batch before compression: below the 1 MiB that a broker takes by default."""
REQUEST_TIMEOUT: Final = 15.0
STALLED: Final = 60.0
"""Seconds without an answer after which we start over: aiokafka never asks the bootstrap servers again by itself."""

_TOO_LARGE = (MessageSizeTooLargeError, RecordListTooLargeError)
_partition_of = lru_cache(maxsize=4096)(partition_of)


class KafkaPublisher:
    """One connection at a time, one batch per partition on its way, the next one filled meanwhile.

    aiokafka's own queue would let a batch pass one that failed before it: it never holds more than one of ours here.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topic: Topic,
        client_id: str = "matih",
        request_timeout: float = REQUEST_TIMEOUT,
        stalled: float = STALLED,
    ) -> None:
        self._settings = settings
        self._topic = topic
        self._client_id = client_id
        self._request_timeout = request_timeout
        self._stalled = stalled
        self._batch_bytes = BATCH_BYTES
        self._producer: Any = None
        self._failure: Exception | None = BrokerUnavailable("not connected")
        self._lanes = [Lane(partition) for partition in range(topic.partitions)]
        self._carriers: dict[int, asyncio.Task[None]] = {}
        only_errors_of_ours()

    @property
    def waiting_since(self) -> float | None:
        """See `Publisher.waiting_since`."""
        return min((lane.since for lane in self._lanes if lane.since is not None), default=None)

    async def connect(self) -> None:
        """See `Publisher.connect`."""
        await self.close()
        producer = self._new_producer()
        try:
            await asyncio.wait_for(self._start(producer), 2 * self._request_timeout)
        except (AioKafkaError, asyncio.TimeoutError, OSError) as error:
            raise BrokerUnavailable(unreachable(self._settings, error)) from error
        finally:
            if self._producer is not producer:
                await _abandon(producer)
        self._failure = None

    def send(self, record: Record) -> asyncio.Future[None]:
        """See `Publisher.send`."""
        if self._failure:
            raise BrokerUnavailable(f"connect first: {self._failure}")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        partition = _partition_of(record.key, len(self._lanes))
        self._lanes[partition].put(Waiting(record, future))
        if partition not in self._carriers:
            self._carriers[partition] = loop.create_task(self._carry(self._lanes[partition]))
        return future

    async def close(self) -> None:
        """See `Publisher.close`."""
        self._fail(BrokerUnavailable("closed"))
        await end(self._carriers.values())
        self._carriers.clear()
        producer, self._producer = self._producer, None
        if producer is not None:
            await _abandon(producer)

    def _new_producer(self) -> Any:
        return AIOKafkaProducer(
            client_id=self._client_id,
            acks="all",
            enable_idempotence=True,
            compression_type="zstd",
            max_batch_size=self._batch_bytes,
            request_timeout_ms=int(self._request_timeout * 1000),
            **self._settings.client_options(),
        )

    async def _start(self, producer: Any) -> None:
        await producer.start()
        name, wanted = self._topic.name, self._topic.partitions
        found = (await partition_counts(producer.client, [name]))[name]
        if not found:
            raise WrongTopic(
                f"topic {name} is not on {self._settings.bootstrap_servers}: `matih topics create` makes it"
            )
        if found != wanted:
            raise WrongTopic(
                f"topic {name} has {found} partitions, the contract says {wanted}: "
                "make a new topic with `matih topics create` and name it in MATIH_EVENTS_TOPIC"
            )
        self._producer = producer

    async def _carry(self, lane: Lane) -> None:
        """Carries one partition's records, batch by batch, until none waits."""
        while lane.queue:
            batch = self._fill(lane)
            try:
                sent = await self._producer.send_batch(batch, self._topic.name, partition=lane.partition)
                await asyncio.wait_for(sent, self._stalled)
            except (AioKafkaError, asyncio.TimeoutError, AssertionError) as error:
                self._give_up(lane, error)
                break
            lane.acknowledge()
        self._carriers.pop(lane.partition, None)

    def _fill(self, lane: Lane) -> Any:
        batch = self._producer.create_batch()
        while lane.queue:
            record = lane.queue[0].record
            room = batch.append(
                key=record.key, value=record.value, timestamp=record.timestamp_ms, headers=list(record.headers)
            )
            if room is None:
                break
            lane.on_its_way.append(lane.queue.popleft())
        batch.close()
        return batch

    def _give_up(self, lane: Lane, error: Exception) -> None:
        if not isinstance(error, _TOO_LARGE):
            self._fail(BrokerUnavailable(unreachable(self._settings, error)))
        elif len(lane.on_its_way) > 1:
            # Smaller batches from now on, until a batch is one record: then we know which one it is.
            self._batch_bytes //= 2
            self._fail(
                BrokerUnavailable(f"a batch of {len(lane.on_its_way)} records is too large for {self._topic.name}")
            )
        else:
            culprit = lane.on_its_way[0]
            self._fail(BrokerUnavailable("a record before this one was rejected"), culprit)

    def _fail(self, error: KafkaError, culprit: Waiting | None = None) -> None:
        self._failure = error
        reason = None
        if culprit is not None:
            size = len(culprit.record)
            reason = RecordRejected(f"{size} bytes are too many for {self._topic.name}: raise its max.message.bytes")
        for lane in self._lanes:
            lane.fail(error, culprit, reason)


async def _abandon(producer: Any) -> None:
    """Ends a producer now. Its own stop() waits until the broker has taken what it holds, which may be never."""
    sender = producer._sender.sender_task
    producer._closed = True
    if sender is not None:
        sender.cancel()
    await producer.client.close()
    if sender is not None:
        await end([sender], again=0.5)
