"""Where Faust goes back to what is committed, it does: what it had dropped comes again.

Faust stops its flow in a rebalance, drops the records that come meanwhile, and seeks back. Two things were lost that
way: aiokafka's seek leaves a partition where it is of which nothing was ever committed; and where Faust's seek fails,
it says so and goes on behind what it has dropped, whose offsets it takes for a gap and commits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiokafka.errors import IllegalStateError
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer

if TYPE_CHECKING:
    from collections.abc import Mapping


class SeekingConsumer(Consumer):
    """Takes no records before the last seek to the committed offsets has succeeded.

    A seek that fails again ends the worker, which begins at what is committed.
    """

    _asked = _done = 0
    """Seeks that were asked for, and the last one that was done; two may be under way."""

    def verify_event_path(self, now: float, tp: Any) -> None:
        """Nothing: Faust's watch over slow partitions crashes if it looks while one has no position yet."""

    async def perform_seek(self) -> None:
        """Faust's, counted."""
        self._asked += 1
        mine = self._asked
        await super().perform_seek()
        self._done = max(self._done, mine)

    async def _wait_next_records(self, timeout: float) -> Any:
        if self.flow_active and self._done < self._asked and self.assignment():
            try:
                await self.perform_seek()
            except IllegalStateError:  # the partitions are being given out anew, and it is sought after that
                return {}, set()
        return await super()._wait_next_records(timeout)


class SeekingThread(AIOKafkaConsumerThread):
    """Seeks partitions of which nothing is committed as well."""

    async def seek_to_committed(self) -> Mapping[Any, Any]:
        """Seeks all assigned partitions to what is committed, or else to their beginning; gives what is."""
        committed: Mapping[Any, Any] = await self.call_thread(_seek_to_committed, self._ensure_consumer())
        return committed


async def _seek_to_committed(consumer: Any) -> Mapping[Any, Any]:
    committed: Mapping[Any, Any] = await consumer.seek_to_committed()
    new = [pair for pair, offset in committed.items() if not offset or offset < 0]
    for pair, offset in (await consumer.beginning_offsets(new)).items() if new else ():
        consumer.seek(pair, offset)
    return committed
