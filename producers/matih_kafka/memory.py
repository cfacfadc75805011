"""A topic in memory, for tests of what publishes: the same contract, and failures on demand."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from matih_kafka.errors import BrokerUnavailable, RecordRejected
from matih_kafka.lanes import Lane, Waiting
from matih_schemas.identity import partition_of
from matih_schemas.topics import PARTITIONS

if TYPE_CHECKING:
    from matih_kafka.publisher import Record


class MemoryPublisher:
    """Appends to `partitions`, one event-loop turn after `send`.

    Attributes:
        partitions: what arrived, per partition.
        up: False is an outage: nothing arrives, and `connect` fails.
        max_bytes: a larger value is rejected.
    """

    def __init__(self, partitions: int = PARTITIONS, max_bytes: int = 1024 * 1024) -> None:
        self.partitions: list[list[Record]] = [[] for _ in range(partitions)]
        self.up = True
        self.max_bytes = max_bytes
        self._lanes = [Lane(partition) for partition in range(partitions)]
        self._failure: Exception | None = BrokerUnavailable("not connected")

    @property
    def waiting_since(self) -> float | None:
        """See `Publisher.waiting_since`."""
        return min((lane.since for lane in self._lanes if lane.since is not None), default=None)

    async def connect(self) -> None:
        """See `Publisher.connect`."""
        await self.close()
        if not self.up:
            raise BrokerUnavailable("down on purpose")
        self._failure = None

    def send(self, record: Record) -> asyncio.Future[None]:
        """See `Publisher.send`."""
        if self._failure:
            raise BrokerUnavailable(f"connect first: {self._failure}")
        loop = asyncio.get_running_loop()
        waiting = Waiting(record, loop.create_future())
        self._lanes[partition_of(record.key, len(self._lanes))].put(waiting)
        loop.call_soon(self.arrive)
        return waiting.future

    def arrive(self) -> None:
        """Lets what waits arrive, unless there is an outage."""
        for lane in self._lanes if self.up else []:
            while lane.queue:
                waiting = lane.queue.popleft()
                lane.on_its_way = [waiting]
                if len(waiting.record.value) > self.max_bytes:
                    self.fail(BrokerUnavailable("a record was rejected"), waiting)
                    return
                self.partitions[lane.partition].append(waiting.record)
                lane.acknowledge()

    def fail(self, error: Exception, culprit: Waiting | None = None) -> None:
        """Fails everything that waits, as a broken connection does."""
        self._failure = error
        for lane in self._lanes:
            lane.fail(error, culprit, RecordRejected(f"more than {self.max_bytes} bytes"))

    async def close(self) -> None:
        """See `Publisher.close`."""
        self.fail(BrokerUnavailable("closed"))
