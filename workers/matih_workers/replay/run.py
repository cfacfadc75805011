"""Records through the ingest's own chain into a store, with the progress noted."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from matih_workers.changes import filling
from matih_workers.ingest import Ingest
from matih_workers.lanes import first_part
from matih_workers.records import Read, read
from matih_workers.replay.order import Batch, merged
from matih_workers.replay.watching import NoNotes, Refusals, Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from matih_kafka.rate import Rate
    from matih_workers.positions import Source
    from matih_workers.records import Received
    from matih_workers.replay.ranges import Ranges
    from matih_workers.replay.source import RecordSource
    from matih_workers.settings import WorkerSettings
    from matih_workers.stores.protocol import RunStore

SAVE_SECONDS: Final = 1.0


class Saving(Protocol):
    """Where the progress goes."""

    async def save(self, offsets: Mapping[int, int]) -> None:
        """Notes the next offset of each of these partitions."""


class Unsaved:
    """`Saving` for what is short enough to begin anew."""

    async def save(self, _offsets: Mapping[int, int]) -> None:
        """Keeps nothing."""


@dataclass
class Outcome:
    """What a replay has done.

    Attributes:
        seen: records that were read.
        skipped: those of them that were not meant.
    """

    seen: int = 0
    skipped: int = 0
    watch: Watch = field(default_factory=Watch)
    refusals: Refusals = field(default_factory=Refusals)


class Replay:
    """Applies records of a source to a store; the store is opened by the first batch."""

    def __init__(
        self,
        store: RunStore,
        settings: WorkerSettings,
        rate: Rate,
        *,
        fill: str | None = None,
        positions_of: Source | None = None,
    ) -> None:
        """Does nothing yet.

        Args:
            store: where to.
            settings: the worker's: how much at once, and how outages are waited out.
            rate: how fast at most.
            fill: the id of the replay if it only fills; None applies as the worker does.
            positions_of: the topic whose partitions' positions the store notes with the data; None notes none.
        """
        self.outcome = Outcome()
        self._rate = rate
        self._most = rate.together(settings.worker_batch_events)
        self._fill = fill
        self._tenants = settings.worker_tenants
        self._ingest = Ingest(store, self.outcome.refusals, NoNotes(), self.outcome.watch, settings, reader=self._read)
        self._ingest.source = positions_of

    async def run(
        self,
        source: RecordSource,
        wanted: Mapping[int, Ranges],
        wants: Callable[[Received], bool],
        progress: Saving,
        told: Callable[[int], None] = lambda _: None,
    ) -> None:
        """Applies the wanted records; when it returns, all are in the store or among the refusals.

        Args:
            source: holds them.
            wanted: which, by partition.
            wants: which of these are meant; the others count as done.
            progress: told at least once a second up to where everything is done.
            told: how many more records were read.

        Raises:
            KafkaError: the records can't be had, or the progress not be noted.
        """
        batch, done, saved = Batch(self._most), _Done(), time.monotonic()
        async for record in merged(source.records(wanted)):
            self.outcome.seen += 1
            told(1)
            done.read(record)
            wanted_one = wants(record)
            self.outcome.skipped += not wanted_one
            if wanted_one and not batch.takes(record):
                await self._settle(batch.records)
                batch = Batch(self._most)
            if not batch.records and time.monotonic() - saved > SAVE_SECONDS:
                await progress.save(done.before(record))
                saved = time.monotonic()
            if wanted_one:
                batch.add(record)
        await self._settle(batch.records)
        await progress.save(done.next)

    async def _settle(self, records: Sequence[Received]) -> None:
        if records:
            await asyncio.sleep(self._rate.wait(len(records), time.monotonic()))
        while part := first_part(records, self._ingest.points, self._ingest.events, self._ingest.alone):
            records = records[await self._ingest.settle(part) :]

    def _read(self, record: Received) -> Read:
        found = read(record, self._tenants)
        if self._fill is None or found.change is None:
            return found
        return Read(record, filling(found.change, self._fill))


class _Done:
    """The next offset of each partition."""

    def __init__(self) -> None:
        self.next: dict[int, int] = {}

    def read(self, record: Received) -> None:
        self.next[record.partition] = record.offset + 1

    def before(self, record: Received) -> dict[int, int]:
        """The next offsets with this record, which was read, still to be done."""
        return {**self.next, record.partition: record.offset}


def report_of(outcomes: Iterable[Outcome]) -> dict[str, Any]:
    """What was done, of one or several goes."""
    some, refusals = list(outcomes), Refusals()
    for outcome in some:
        refusals.by_reason.update(outcome.refusals.by_reason)
        refusals.listed += outcome.refusals.listed
    return {
        "seen": sum(one.seen for one in some),
        "events": sum(one.watch.events for one in some),
        "metrics": sum(one.watch.points for one in some),
        "retries": sum(one.watch.retries for one in some),
        "refused": dict(refusals.by_reason.most_common()),
        "refused_records": refusals.listed,
    }
