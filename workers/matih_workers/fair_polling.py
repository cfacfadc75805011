"""Each partition gets its turn in every poll: one tenant's backlog must not stand before another's run.

aiokafka hands over all that it has fetched of one partition before it comes to the next. A fetch is a megabyte, and
holds a hundred thousand points or more, for they compress well: a run on the last of twelve partitions waited a minute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from aiokafka.consumer.fetcher import FetchResult
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

TURN_BYTES: Final = 4 << 10
"""Bytes of values that a partition may give in a turn, at least: one record goes in any case."""
TURN_BYTES_MAX: Final = 64 << 10


class FairConsumer(Consumer):
    """Faust's consumer, with turns."""

    def _new_consumer_thread(self) -> AIOKafkaConsumerThread:
        return FairThread(self, loop=self.loop, beacon=self.beacon)


class FairThread(AIOKafkaConsumerThread):
    """Polls as Faust's does; where several partitions have records, in turns of as many bytes (deficit round robin)."""

    _turn_bytes: int = TURN_BYTES

    async def _fetch_records(
        self,
        consumer: Any,
        active_partitions: Any,
        timeout: float | None = None,
        max_records: int | None = None,
    ) -> Any:
        waiting = waiting_partitions(consumer._fetcher._records, active_partitions)
        if len(waiting) > 1 and self.consumer.flow_active:
            found = {one: some for one in waiting if (some := await self._turn(consumer, one, max_records))}
            if found:
                self._turn_bytes = next_turn(found)
                return found
        return await super()._fetch_records(consumer, active_partitions, timeout=timeout, max_records=max_records)

    async def _turn(self, consumer: Any, partition: Any, max_records: int | None) -> list[Any]:
        found: list[Any] = []
        size = 0
        while size < self._turn_bytes and (max_records is None or len(found) < max_records):
            records = await super()._fetch_records(consumer, {partition}, timeout=0, max_records=1)
            if not records:
                break
            found += records[partition]
            size += len(records[partition][0].value or b"")
        return found


def waiting_partitions(fetched: Mapping[Any, Any], active: Collection[Any] | None) -> list[Any]:
    """The partitions of which records are here."""
    return [one for one, result in fetched.items() if type(result) is FetchResult and (active is None or one in active)]


def next_turn(found: Mapping[Any, Sequence[Any]]) -> int:
    """How many bytes each partition gives in the next turn: as many as the largest record of this one.

    Who has large records gives one of them; who has small ones gives as many as make up for it.
    """
    largest = max((len(record.value or b"") for records in found.values() for record in records), default=0)
    return min(max(largest, TURN_BYTES), TURN_BYTES_MAX)
