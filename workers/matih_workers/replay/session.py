"""One `matih replay`, from its arguments to its report: the I/O, in its order. What is decided stands elsewhere."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

from matih_kafka.progress import group_progress
from matih_schemas.errors import MatihError
from matih_workers.replay.order import merged
from matih_workers.replay.ranges import Ranges, common, count, text
from matih_workers.replay.rate import Rate
from matih_workers.replay.run import Replay, Unsaved, report_of
from matih_workers.replay.selection import Chooser, Selection
from matih_workers.replay.survey import Survey
from matih_workers.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping

    from matih_kafka.progress import GroupProgress
    from matih_workers.positions import Source
    from matih_workers.replay.access import Access
    from matih_workers.replay.source import Held, RecordSource
    from matih_workers.stores.memory import MemoryRun

GROUP: Final = "matih-replay-"
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


class Session:
    """A replay on one topic and one store."""

    def __init__(self, access: Access) -> None:
        """Connects nothing yet."""
        self._access = access

    async def survey(self, order: Order, begin: Callable[[int], Callable[[int], None]]) -> dict[str, Any]:
        """What `run` would do.

        Raises:
            KafkaError: Kafka does not answer, or the topic is missing.
            StoreUnavailable: the store does not answer.
        """
        async with self._access.source() as source, self._progress(order, source) as progress:
            held = await source.held()
            wanted = _left(held, progress)
            chooser, found = Chooser(order.selection), Survey()
            await self._learn(source, held, wanted, chooser)
            told = begin(_total(wanted))
            async for record in merged(source.records(wanted)):
                told(1)
                if chooser.wants(record):
                    found.count(record)
            there = await asyncio.to_thread(self._access.store.present, found.runs)
            if order.mode == "full" and not progress.found:
                await self._check_empty()
        return {
            **self._head(order, source, progress),
            **found.as_json(),
            "runs_missing": len(found.runs - there),
            "gone": _gone(held),
            "dry_run": True,
        }

    async def run(self, order: Order, begin: Callable[[int], Callable[[int], None]]) -> dict[str, Any]:
        """Replays; what was interrupted goes on if the order is the same.

        Raises:
            NotEmpty: a full replay, and the store has experiments.
            KafkaError: Kafka does not answer, or the topic is missing.
            StoreUnavailable: the store does not answer, before anything was done; later it is waited for.
        """
        async with self._access.source() as source, self._progress(order, source) as progress:
            held = await source.held()
            wanted = _left(held, progress)
            if order.mode == "full" and not progress.found:
                await self._check_empty()
            await progress.save(_starts(wanted))
            chooser = Chooser(order.selection)
            await self._learn(source, held, wanted, chooser)
            replay = Replay(
                self._access.store,
                self._access.settings,
                Rate(order.rate),
                fill=self._name(order, source.topic) if order.mode == "fill" else None,
                positions_of=source.topic if order.mode == "full" and order.selection.is_all else None,
            )
            await replay.run(source, wanted, chooser.wants, progress, begin(_total(wanted)))
            await progress.finish({number: some[-1].stop for number, some in held.items() if some})
        return {**self._head(order, source, progress), "gone": _gone(held), **report_of([replay.outcome])}

    async def from_events(self, run_ids: Iterable[str]) -> dict[str, MemoryRun]:
        """What the events alone say of these runs: those that they make.

        Raises:
            KafkaError: Kafka does not answer, or the topic is missing.
        """
        memory, chooser = MemoryStore(), Chooser(Selection(runs=frozenset(run_ids)))
        async with self._access.source() as source:
            replay = Replay(memory, self._access.settings, Rate(None))
            await replay.run(source, await source.held(), chooser.wants, Unsaved())
        return memory.runs

    async def _check_empty(self) -> None:
        if not await asyncio.to_thread(self._access.store.is_empty):
            raise NotEmpty(
                "a full replay goes into an empty store only, and this one has experiments: set MATIH_STORE_URI to an "
                "empty MLflow (a new database, `mlflow db upgrade URI`), or fill what is missing without --full"
            )

    async def _learn(self, source: RecordSource, held: Held, wanted: Mapping[int, Ranges], chooser: Chooser) -> None:
        """Goes through what was replayed before it was interrupted: whose runs these are stands there."""
        before = {
            number: common(some, (range(wanted[number][0].start),)) for number, some in held.items() if wanted[number]
        }
        if chooser.selection.experiments and any(before.values()):
            async for record in merged(source.records(before)):
                chooser.learn(record)

    def _name(self, order: Order, topic: Source) -> str:
        """The replay's name; the same arguments on the same topic and store have the same."""
        if order.name is not None:
            return order.name
        parts = urlsplit(self._access.settings.store_uri)
        address = f"{parts.scheme}://{parts.hostname or ''}:{parts.port or ''}{parts.path}"
        told = "\n".join((*topic, address, order.mode, order.selection.text()))
        return hashlib.sha256(told.encode()).hexdigest()[:12]

    @asynccontextmanager
    async def _progress(self, order: Order, source: RecordSource) -> AsyncIterator[GroupProgress]:
        group = GROUP + self._name(order, source.topic)
        async with group_progress(self._access.kafka, group, source.topic.topic) as progress:
            if order.anew:
                progress.found = {}
            yield progress

    def _head(self, order: Order, source: RecordSource, progress: GroupProgress) -> dict[str, Any]:
        name = self._name(order, source.topic)
        return {
            "mode": order.mode,
            "topic": source.topic.topic,
            "replay": name,
            "group": GROUP + name,
            "resumed": bool(progress.found),
        }


def _left(held: Held, progress: GroupProgress) -> dict[int, Ranges]:
    """What is to be read: from the progress on, if there is any."""
    return {
        number: common(ranges, (range(progress.found.get(number, 0), ranges[-1].stop),)) if ranges else ()
        for number, ranges in held.items()
    }


def _starts(wanted: Mapping[int, Ranges]) -> dict[int, int]:
    return {number: some[0].start for number, some in wanted.items() if some}


def _total(wanted: Mapping[int, Ranges]) -> int:
    return sum(map(count, wanted.values()))


def _gone(held: Held) -> dict[str, str]:
    """What nobody holds any more, before the first record and between: retention took it."""
    gone: dict[str, str] = {}
    for number, ranges in sorted(held.items()):
        ends = [0, *(one.stop for one in ranges)]
        before = [range(end, one.start) for end, one in zip(ends, ranges, strict=False) if end < one.start]
        if before:
            gone[str(number)] = text(before)
    return gone
