"""What the agent does with what it takes: when `settle` returns, all of it is in the store or among the dead letters.

| what happens | what is done |
|---|---|
| an event is invalid, or the store refuses it | dead letter, the others go on |
| the store is unavailable | everything is kept and tried again, for ever; no dead letter |
| the store is too slow for a batch, but works | the batch is halved, the next ones are smaller |
| anything else fails | if the store takes a probing write, the batch is halved until one event is left; that one is a \
dead letter (`poison`) after some tries, or after one if several others have just failed alike |
| the process dies | the next one takes the same events one by one; the one that kills is a dead letter (`poison`) |
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from matih_schemas.clock import now_ms
from matih_schemas.errors import InvalidEvent
from matih_workers import traces
from matih_workers.backoff import Backoff
from matih_workers.batch import metric_count
from matih_workers.bisection import Bisection
from matih_workers.dead_letters import DeadLetter
from matih_workers.floods import Floods
from matih_workers.lanes import points_at_most
from matih_workers.pace import Pace
from matih_workers.positions import Spans, spans_of
from matih_workers.records import Read, read
from matih_workers.stores.protocol import StoreTooSlow, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from matih_workers.ingest_ports import Letters, Notes, Watcher
    from matih_workers.positions import Source
    from matih_workers.records import Received
    from matih_workers.settings import WorkerSettings
    from matih_workers.stores.protocol import RunStore

logger = logging.getLogger(__name__)


class Ingest:
    """Carries records into the store. One call of `settle` at a time.

    Attributes:
        source: the topic that the records come from; None: how far it is applied is not noted.
    """

    def __init__(
        self,
        store: RunStore,
        dead_letters: Letters,
        attempts: Notes,
        health: Watcher,
        settings: WorkerSettings,
        reader: Callable[[Received], Read] = read,
    ) -> None:
        self._store = store
        self._dead_letters = dead_letters
        self._attempts = attempts
        self._health = health
        self._settings = settings
        self._pace = Pace(settings.worker_batch_metrics)
        self._floods = Floods(settings.worker_batch_events)
        self._read = reader
        self._idle = asyncio.Event()
        self._idle.set()
        self._store_is_free = asyncio.Lock()
        self._stopping = False
        self.source: Source | None = None

    def stop(self) -> None:
        """Lets no further `settle` begin: it waits to be cancelled instead."""
        self._stopping = True

    async def idle(self) -> None:
        """Waits until no `settle` is under way."""
        await self._idle.wait()

    @property
    def points(self) -> int:
        """How many points the store takes at once, now."""
        return self._pace.points

    @property
    def events(self) -> int:
        """How many events go together, now."""
        return self._floods.events

    def alone(self, record: Received) -> bool:
        """Whether the record has to be settled by itself: a process died over it."""
        return self._attempts.deaths(record) > 0

    async def settle(self, records: Sequence[Received]) -> int:
        """Settles the first of these records, all of them if none is poison; returns how many.

        When it returns each of those is durable in the store or among the dead letters. What stands behind a poisonous
        one is left, so that others get their turn before the next one is found.
        """
        if self._stopping:
            await asyncio.Event().wait()
        self._idle.clear()
        try:
            async with self._store_is_free:
                with self._health.in_flight(len(records)):
                    settled = await self._settle_or_give_up(records)
            self._attempts.settled(records[:settled])
        finally:
            self._idle.set()
        return settled

    async def look_again(self, partitions: Iterable[int]) -> None:
        """Reads these partitions' positions: what was missing may have been brought by a replay meanwhile.

        Raises:
            StoreUnavailable: not now.
        """
        async with self._store_is_free:
            if self.source is not None:
                await asyncio.to_thread(self._store.positions, self.source, list(partitions))
                self._health.noticed(self._store.noticed)

    async def _settle_or_give_up(self, records: Sequence[Received]) -> int:
        deaths = self._attempts.deaths(records[0])
        if len(records) > 1 or deaths < self._settings.worker_attempts:
            return await self._settle(records)
        await self._poison(records[0], _Failure(_Killed(f"{deaths} worker processes died while applying it"), deaths))
        return 1

    async def _settle(self, records: Sequence[Received]) -> int:
        search = Bisection(len(records))
        while not search.is_over:
            some = records[search.next]
            failure = await self._try(some)
            if failure is None:
                search.passed()
            elif len(some) > 1:
                self._halving(some, failure.error)
                search.failed()
            else:
                await self._poison(some[0], failure)
                return search.begin + 1
        return len(records)

    async def _try(self, records: Sequence[Received]) -> _Failure | None:
        """Tries through outages until they pass; several that fail together once, one by itself several times."""
        backoff = Backoff(self._settings.worker_backoff, self._settings.worker_backoff_max)
        failed, first_failed_at, before = 0, now_ms(), None
        while (error := await self._failure(records)) is not None:
            outage = await self._outage_behind(error, records)
            if outage is not None:
                await self._wait(outage, backoff)
                continue
            failed, before = failed + 1, error
            if len(records) > 1 or failed >= self._settings.worker_attempts or self._floods.is_known(error):
                return _Failure(error, failed, first_failed_at)
            await self._retry(backoff)
        self._floods.passed(len(records), before)
        return None

    async def _failure(self, records: Sequence[Received]) -> Exception | None:
        """Tries once; what went wrong, None if nothing."""
        try:
            await self._apply(records)
        except Exception as error:  # noqa: BLE001  # anything may be wrong with one event; the rest must go on
            return error
        return None

    async def _apply(self, records: Sequence[Received]) -> None:
        """One try.

        Raises:
            StoreUnavailable: of the store.
            Exception: anything else of the store, or of an event.
        """
        started = time.monotonic()
        with traces.batch(records), self._attempts.noted(records):
            reads, letters = await asyncio.to_thread(self._apply_blocking, records)
        self._pace.kept_up(_most_points(records))
        self._health.store_works()
        self._health.noticed(self._store.noticed)
        if letters:
            await self._dead_letters.publish(letters)
        points = metric_count(one.change for one in reads if one.change is not None)
        self._health.applied(len(records), points, time.monotonic() - started)
        self._health.took(records, points, now_ms())
        self._health.dead(letters, len(records))

    def _apply_blocking(self, records: Sequence[Received]) -> tuple[list[Read], list[DeadLetter]]:
        """Decodes and applies, in a thread; returns the dead letters."""
        reads = [self._read(record) for record in records]
        wanted = [one for one in reads if one.change is not None]
        spans = self._spans(records)
        changes = [one.change for one in wanted if one.change is not None]
        refusals = self._store.apply(changes, spans) if changes or spans else {}
        letters = [DeadLetter(one.record, one.invalid) for one in reads if one.invalid is not None]
        letters += [DeadLetter(wanted[index].record, refusal) for index, refusal in refusals.items()]
        refused = set(refusals)
        letters += [letter for index, one in enumerate(wanted) if index not in refused for letter in _partial(one)]
        return reads, letters

    def _spans(self, records: Iterable[Received]) -> Spans:
        return Spans(self.source, spans_of((record.partition, record.offset) for record in records), now_ms())

    async def _outage_behind(self, error: Exception, records: Sequence[Received]) -> StoreUnavailable | None:
        """The outage that is to be waited for; None if it is these records that do not pass."""
        too_much = isinstance(error, StoreTooSlow) and len(records) > 1
        if isinstance(error, StoreUnavailable) and not too_much:
            return error
        outage = await self._outage()
        if too_much and outage is None:
            self._pace.too_slow(_most_points(records))
        return outage

    async def _outage(self) -> StoreUnavailable | None:
        """Why the store takes nothing at all; None if it does."""
        try:
            await asyncio.to_thread(self._store.probe)
        except StoreUnavailable as error:
            return error
        self._health.store_works()
        return None

    async def _wait(self, error: StoreUnavailable, backoff: Backoff) -> None:
        self._health.store_fails(str(error), error.what)
        await asyncio.sleep(backoff.next(error.retry_after))

    async def _retry(self, backoff: Backoff) -> None:
        self._health.retried()
        await asyncio.sleep(backoff.next())

    def _halving(self, records: Sequence[Received], error: Exception) -> None:
        logger.info("%d events failed together, trying the first half: %s", len(records), _one_line(error))
        self._health.retried()

    async def _poison(self, record: Received, failure: _Failure) -> None:
        why = InvalidEvent("poison", f"failed {failure.attempts} times, the store works: {_one_line(failure.error)}")
        why.__cause__ = failure.error
        letter = DeadLetter(record, why, failure.attempts, failure.first_at)
        await self._dead_letters.publish([letter])
        await asyncio.to_thread(self._pass, record)
        self._health.dead([letter])
        self._floods.poisoned(failure.error)

    def _pass(self, record: Received) -> None:
        """Notes that the record is done although nothing of it was applied, if the store takes that now."""
        spans = self._spans([record])
        if spans:
            with suppress(StoreUnavailable):  # the next batch tells of one event that is missing: better than waiting
                self._store.apply([], spans)


class _Failure(NamedTuple):
    """Why one event, or several together, can't be applied; `first_at` in ms since the epoch, 0 if nobody knows."""

    error: Exception
    attempts: int
    first_at: int = 0


class _Killed(Exception):  # it names what happened to the worker
    """The worker did not survive the event."""


def _partial(one: Read) -> list[DeadLetter]:
    """The dead letter of an event that was applied but for some entries."""
    problems = one.change.problems if one.change is not None else ()
    return [DeadLetter(one.record, InvalidEvent("invalid_entry", "; ".join(problems)))] if problems else []


def _most_points(records: Iterable[Received]) -> int:
    return sum(map(points_at_most, records))


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:1000]
