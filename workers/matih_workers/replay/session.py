"""One `matih replay`, from its arguments to its report: the I/O, in its order. What is decided stands elsewhere."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from matih_kafka.rate import Rate
from matih_schemas.errors import MatihError
from matih_workers.replay.access import GROUP
from matih_workers.replay.deeds import Recorded, address_of, unrecorded
from matih_workers.replay.order import merged
from matih_workers.replay.ranges import Ranges, common, count, text
from matih_workers.replay.run import Replay, Unsaved, report_of
from matih_workers.replay.selection import Chooser, Selection, bringing
from matih_workers.replay.survey import Survey
from matih_workers.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence

    from matih_workers.positions import Source
    from matih_workers.replay.access import Ends
    from matih_workers.replay.progress import Progress
    from matih_workers.replay.source import Held, RecordSource

Mode = Literal["fill", "full"]


class NotEmpty(MatihError):
    """A full replay was asked for into a store that has experiments."""


@dataclass(frozen=True)
class Order:
    """What was asked for.

    Attributes:
        name: of the replay, under which its progress is kept; None makes it of all the rest.
        anew: forget the progress of a replay of that name.
        rate: events per second at most; None for no bound.
    """

    mode: Mode = "fill"
    selection: Selection = field(default_factory=Selection)
    name: str | None = None
    anew: bool = False
    rate: float | None = None


class _Part(NamedTuple):
    """One topic's share of a replay: what it has, and what of that is to be read."""

    source: RecordSource
    progress: Progress
    held: Held
    wanted: dict[int, Ranges]


class Session:
    """A replay of a topic's records, and of those that had its name before if they are there, into one store."""

    def __init__(self, access: Ends) -> None:
        """Connects nothing yet."""
        self._access = access

    async def survey(self, order: Order, begin: Callable[[int], Callable[[int], None]]) -> dict[str, Any]:
        """What `run` would do.

        Raises:
            KafkaError, AuditError: the records can't be had, or the topic is missing.
            StoreUnavailable: the store does not answer.
        """
        async with self._parts(order) as parts:
            chooser, found = Chooser(order.selection), Survey()
            told = begin(_total(parts))
            for part in parts:
                await self._learn(part, chooser)
                async for record in merged(part.source.records(part.wanted)):
                    told(1)
                    if chooser.wants(record):
                        found.count(record)
            there = await asyncio.to_thread(self._access.store.present, found.runs)
            await self._check_empty(order, parts)
        return {
            **self._head(order, parts),
            **found.as_json(),
            "runs_missing": len(found.runs - there),
            "gone": _gone(parts),
            "dry_run": True,
        }

    async def run(
        self, order: Order, begin: Callable[[int], Callable[[int], None]], recorded: Recorded = unrecorded
    ) -> dict[str, Any]:
        """Replays; what was interrupted goes on if the order is the same.

        Args:
            order: what is asked for.
            begin: for the progress.
            recorded: records the deed, when it can begin; its event is behind those that are replayed.

        Raises:
            NotEmpty: a full replay, and the store has experiments.
            KafkaError, AuditError: the records can't be had, or the topic is missing.
            StoreUnavailable: the store does not answer, before anything was done; later it is waited for.
        """
        async with self._parts(order) as parts:
            await self._check_empty(order, parts)
            await recorded()
            for part in parts:
                await part.progress.save(_starts(part.wanted))
            chooser, told = Chooser(order.selection), begin(_total(parts))
            replays = [self._replay(order, parts[-1].source.topic, last=part is parts[-1]) for part in parts]
            for part, replay in zip(parts, replays, strict=True):
                await self._learn(part, chooser)
                await replay.run(part.source, part.wanted, chooser.wants, part.progress, told)
            for part in parts:
                await part.progress.finish({number: some[-1].stop for number, some in part.held.items() if some})
        outcomes = [replay.outcome for replay in replays]
        return {**self._head(order, parts), "gone": _gone(parts), **report_of(outcomes)}

    async def from_events(self, run_ids: Iterable[str], experiment_ids: Iterable[str] = ()) -> MemoryStore:
        """What the events alone say of these runs, and of these experiments by our ids: those that they make.

        Raises:
            KafkaError, AuditError: the records can't be had, or the topic is missing.
        """
        memory, wants = MemoryStore(), bringing(frozenset(run_ids), frozenset(experiment_ids))
        async with self._access.sources() as sources:
            for source in sources:
                replay = Replay(memory, self._access.settings, Rate(None))
                await replay.run(source, await source.held(), wants, Unsaved())
        return memory

    def _replay(self, order: Order, topic: Source, *, last: bool) -> Replay:
        """Applies one topic's part; positions are noted of today's topic only."""
        return Replay(
            self._access.store,
            self._access.settings,
            Rate(order.rate),
            fill=self._name(order, topic) if order.mode == "fill" else None,
            positions_of=topic if last and order.mode == "full" and order.selection.is_all else None,
        )

    @asynccontextmanager
    async def _parts(self, order: Order) -> AsyncIterator[list[_Part]]:
        async with self._access.sources() as sources, AsyncExitStack() as open_ones:
            parts = []
            for source in sources:
                progress = self._access.progress(self._name(order, sources[-1].topic), source.topic)
                found = await open_ones.enter_async_context(progress)
                if order.anew:
                    found.found = {}
                held = await source.held()
                parts.append(_Part(source, found, held, _left(held, found)))
            yield parts

    async def _check_empty(self, order: Order, parts: Sequence[_Part]) -> None:
        """Before a full replay that begins.

        Raises:
            NotEmpty: the store is not.
        """
        if order.mode != "full" or any(part.progress.found for part in parts):
            return
        if not await asyncio.to_thread(self._access.store.is_empty):
            raise NotEmpty(
                "a full replay goes into an empty store only, and this one has experiments: set MATIH_STORE_URI to an "
                "empty MLflow (a new database, `mlflow db upgrade URI`), or fill what is missing without --full"
            )

    async def _learn(self, part: _Part, chooser: Chooser) -> None:
        """Goes through what was replayed before it was interrupted: whose runs these are stands there."""
        before = {number: _before(some, part.wanted[number]) for number, some in part.held.items()}
        if chooser.selection.experiments and any(before.values()):
            async for record in merged(part.source.records(before)):
                chooser.learn(record)

    def _name(self, order: Order, topic: Source) -> str:
        """The replay's name; the same arguments on the same topic and store have the same."""
        if order.name is not None:
            return order.name
        address = address_of(self._access.settings.store_uri)
        told = "\n".join((*topic, address, order.mode, order.selection.text()))
        return hashlib.sha256(told.encode()).hexdigest()[:12]

    def _head(self, order: Order, parts: Sequence[_Part]) -> dict[str, Any]:
        topic = parts[-1].source.topic
        name = self._name(order, topic)
        return {
            "mode": order.mode,
            "topic": topic.topic,
            "former_topics": [part.source.topic.topic_id for part in parts[:-1]],
            "replay": name,
            "group": GROUP + name,
            "resumed": any(part.progress.found for part in parts),
        }


def _left(held: Held, progress: Progress) -> dict[int, Ranges]:
    """What is to be read: from the progress on, if there is any."""
    return {
        number: common(ranges, (range(progress.found.get(number, 0), ranges[-1].stop),)) if ranges else ()
        for number, ranges in held.items()
    }


def _before(held: Ranges, wanted: Ranges) -> Ranges:
    """What was read before: all of it, where nothing is left to be read."""
    return common(held, (range(wanted[0].start),)) if wanted else held


def _starts(wanted: Mapping[int, Ranges]) -> dict[int, int]:
    return {number: some[0].start for number, some in wanted.items() if some}


def _total(parts: Iterable[_Part]) -> int:
    return sum(count(ranges) for part in parts for ranges in part.wanted.values())


def _gone(parts: Sequence[_Part]) -> dict[str, str]:
    """What nobody holds any more, before the first record and between: retention took it."""
    gone: dict[str, str] = {}
    for part in parts:
        where = "" if part is parts[-1] else f"{part.source.topic.topic_id}/"
        for number, ranges in sorted(part.held.items()):
            ends = [0, *(one.stop for one in ranges)]
            before = [range(end, one.start) for end, one in zip(ends, ranges, strict=False) if end < one.start]
            if before:
                gone[f"{where}{number}"] = text(before)
    return gone
