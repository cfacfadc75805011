"""Takes records of those partitions only whose lane has room: a lane that is full holds up no other.

aiokafka hands over all that it has fetched of one partition before it comes to the next. A fetch is a megabyte, and
holds a hundred thousand points or more, for they compress well: a run on the last of twelve partitions waited a minute.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, Final

from aiokafka.consumer.fetcher import FetchResult

from matih_workers.seeking import SeekingConsumer, SeekingThread

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from matih_workers.lanes import Lanes

LOOK_AGAIN: Final = 0.05
"""Seconds after which it is looked whether a full lane has room again. Ten times as often took a third of the speed:
each look takes CPU from the batch that is being applied."""
FETCH_WAIT_MS: Final = 200
"""How long a broker may hold back the answer to a fetch: aiokafka asks it for nothing else meanwhile, so when the
records of one partition have all been taken, the next ones wait for as long as the others are idle. Faust has 1500."""
AT_ONCE: Final = 8
"""Records that are taken on the word of those before them: each may have a megabyte, however small these were."""


def fair_consumer(lanes: Lanes) -> type[SeekingConsumer]:
    """Faust's consumer, for these lanes."""

    class FairConsumer(SeekingConsumer):
        def _new_consumer_thread(self) -> SeekingThread:
            return FairThread(lanes, self, loop=self.loop, beacon=self.beacon)

    return FairConsumer


class FairThread(SeekingThread):
    """Polls as Faust's does, but only for what has room."""

    def __init__(self, lanes: Lanes, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lanes = lanes

    def _create_consumer(self, *args: Any, **kwargs: Any) -> Any:
        consumer = super()._create_consumer(*args, **kwargs)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        return consumer

    async def _fetch_records(
        self, consumer: Any, active_partitions: Any, timeout: float | None = None, max_records: int | None = None
    ) -> Any:
        if not self.consumer.flow_active or not active_partitions:
            return await super()._fetch_records(consumer, active_partitions, timeout=timeout, max_records=max_records)
        wanted = {pair for pair in active_partitions if self._lanes.room(pair.partition)}
        turns = [(pair, await self._turn(consumer, pair, max_records)) for pair in fetched(consumer, wanted)]
        found = {pair: records for pair, records in turns if records}
        if not found:
            found = await self._wait(consumer, wanted, timeout if wanted == set(active_partitions) else LOOK_AGAIN)
        for pair, records in found.items():
            size = sum(len(record.value or b"") for record in records)
            left = (consumer.highwater(pair) or 0) - records[-1].offset - 1
            self._lanes.polled(pair.partition, size, left)
        return found

    async def _turn(self, consumer: Any, pair: Any, max_records: int | None) -> list[Any]:
        """As many of the records that are here as fill the partition's lane."""
        records: list[Any] = []
        room, left = self._lanes.room(pair.partition), max_records or sys.maxsize
        at_once, largest = 1, 1
        while room > 0 and left > 0:
            some = await super()._fetch_records(consumer, {pair}, timeout=0, max_records=min(at_once, left))
            if not some:
                break
            sizes = [len(record.value or b"") for record in some[pair]]
            records += some[pair]
            room, left, largest = room - sum(sizes), left - len(sizes), max(largest, *sizes)
            at_once = min(2 * at_once, AT_ONCE, room // largest + 1)
        return records

    async def _wait(self, consumer: Any, wanted: set[Any], timeout: float | None) -> Any:
        """The first record that comes within so many seconds, if one does."""
        if wanted:
            return await super()._fetch_records(consumer, wanted, timeout=timeout, max_records=1)
        await asyncio.sleep(LOOK_AGAIN)
        return {}


def fetched(consumer: Any, wanted: Collection[Any]) -> list[Any]:
    """The partitions among these of which records are here."""
    results: Mapping[Any, Any] = consumer._fetcher._records
    return [pair for pair, result in results.items() if type(result) is FetchResult and pair in wanted]
