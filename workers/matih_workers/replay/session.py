"""One `matih replay`, from its arguments to its report: the I/O, in its order. What is decided stands elsewhere."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import urlsplit

from matih_kafka.progress import committed, group_progress
from matih_kafka.reading import topic_reader
from matih_kafka.topic_ids import topic_id
from matih_schemas.errors import MatihError
from matih_workers.replay.gaps import missing
from matih_workers.replay.mending import Mending
from matih_workers.replay.order import merged
from matih_workers.replay.ranges import Ranges, common, count, text
from matih_workers.replay.rate import Rate
from matih_workers.replay.run import Replay, Unsaved
from matih_workers.replay.selection import Chooser, Selection
from matih_workers.replay.source import Joined
from matih_workers.replay.survey import Survey
from matih_workers.replay.topic import TopicSource
from matih_workers.replay.watching import Refusals
from matih_workers.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping

    from matih_kafka.progress import GroupProgress
    from matih_kafka.settings import KafkaSettings
    from matih_workers.positions import Source
    from matih_workers.replay.gaps import Missing
    from matih_workers.replay.run import Outcome
    from matih_workers.replay.source import Held, RecordSource
    from matih_workers.settings import WorkerSettings
    from matih_workers.stores.memory import MemoryRun
    from matih_workers.stores.protocol import RunStore, StoreUnavailable

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

    def __init__(
        self,
        kafka: KafkaSettings,
        settings: WorkerSettings,
        store: RunStore,
        archive: Callable[[Source], RecordSource | None] = lambda _: None,
    ) -> None:
        """Connects nothing yet.

        Args:
            kafka: the connection's settings.
            settings: the worker's, which name the store.
            store: made of these.
            archive: the archive of a topic, None if there is none: what it holds comes from there, the rest of Kafka.
        """
        self._kafka = kafka
        self._settings = settings
        self._store = store
        self._archive = archive

    async def survey(self, order: Order, begin: Callable[[int], Callable[[int], None]]) -> dict[str, Any]:
        """What `run` would do.

        Raises:
            KafkaError: Kafka does not answer, or the topic is missing.
            StoreUnavailable: the store does not answer.
        """
        async with self._source() as source, self._progress(order, source) as progress:
            held = await source.held()
            wanted = _left(held, progress)
            chooser, found = Chooser(order.selection), Survey()
            await self._learn(source, held, wanted, chooser)
            told = begin(_total(wanted))
            async for record in merged(source.records(wanted)):
                told(1)
                if chooser.wants(record):
                    found.count(record)
            there = await asyncio.to_thread(self._store.present, found.runs)
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
        async with self._source() as source, self._progress(order, source) as progress:
            held = await source.held()
            wanted = _left(held, progress)
            if order.mode == "full" and not progress.found:
                await self._check_empty()
            await progress.save(_starts(wanted))
            chooser = Chooser(order.selection)
            await self._learn(source, held, wanted, chooser)
            replay = Replay(
                self._store,
                self._settings,
                Rate(order.rate),
                fill=self._name(order, source.topic) if order.mode == "fill" else None,
                positions_of=source.topic if order.mode == "full" and order.selection.is_all else None,
            )
            await replay.run(source, wanted, chooser.wants, progress, begin(_total(wanted)))
            await progress.finish({number: some[-1].stop for number, some in held.items() if some})
        return {**self._head(order, source, progress), "gone": _gone(held), **_done([replay.outcome])}

    async def missing(self) -> tuple[Missing, dict[str, Any]]:
        """What the store lacks of the topic, by its positions.

        Raises:
            KafkaError: Kafka does not answer, or the topic is missing.
            StoreUnavailable: the store does not answer.
        """
        async with self._source() as source:
            found = await self._missing(source)
        return found, {"mode": "missing", "topic": source.topic.topic, **found.as_json(), "dry_run": True}

    async def mend(
        self, rate: float | None, begin: Callable[[int], Callable[[int], None]], *, give_up: bool
    ) -> dict[str, Any]:
        """Brings what is missing, and closes the gaps in the positions.

        Args:
            rate: events per second at most.
            begin: for the progress.
            give_up: what is nowhere any more is settled as lost.

        Raises:
            KafkaError: Kafka does not answer, or the topic is missing.
            StoreUnavailable: the store does not answer at the beginning or the end; in between it is waited for.
        """
        async with self._source() as source:
            found = await self._missing(source)
            mending = Mending(self._store, self._settings, Rate(rate), source)
            told = begin(found.events)
            settled = await self._bring_former(source.topic, mending, found, told)
            await mending.bring(found.there, told)
            if give_up:
                settled |= {number: one.topic_id for number, one in found.former.items()}
            done = _joined(found.there, found.lost if give_up else {})
            await asyncio.to_thread(mending.close, done, settled)
            left = await asyncio.to_thread(mending.still_open, done)
        lost = {} if give_up else found.lost
        return {
            "mode": "missing",
            "topic": source.topic.topic,
            **found.as_json(),
            **_done(mending.outcomes),
            "given_up": bool(give_up and (found.lost or found.former)),
            "left": {str(number): text(some) for number, some in sorted(_joined(lost, left).items())},
            "former_left": sorted(found.former.keys() - settled.keys()),
        }

    async def from_events(self, run_ids: Iterable[str]) -> dict[str, MemoryRun]:
        """What the events alone say of these runs: those that they make.

        Raises:
            KafkaError: Kafka does not answer, or the topic is missing.
        """
        memory, chooser = MemoryStore(), Chooser(Selection(runs=frozenset(run_ids)))
        async with self._source() as source:
            replay = Replay(memory, self._settings, Rate(None))
            await replay.run(source, await source.held(), chooser.wants, Unsaved())
        return memory.runs

    async def _bring_former(
        self, topic: Source, mending: Mending, found: Missing, told: Callable[[int], None]
    ) -> dict[int, str]:
        """Brings what an archive holds of former topics; returns those of which it held all."""
        settled: dict[int, str] = {}
        ids = {one.topic_id for one in found.former.values()}
        formers = [self._archive(topic._replace(topic_id=one)) for one in sorted(ids)]
        for former in filter(None, formers):
            whole = await mending.bring_former(former, found, told)
            settled |= dict.fromkeys(whole, former.topic.topic_id)
        return settled

    async def _missing(self, source: RecordSource) -> Missing:
        acknowledged = await committed(self._kafka, self._settings.worker_group, source.topic.topic)
        held = await source.held()
        positions = await asyncio.to_thread(self._store.positions, source.topic, list(held))
        return missing(positions, acknowledged, held, source.topic.topic_id)

    async def _check_empty(self) -> None:
        if not await asyncio.to_thread(self._store.is_empty):
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
        parts = urlsplit(self._settings.store_uri)
        address = f"{parts.scheme}://{parts.hostname or ''}:{parts.port or ''}{parts.path}"
        told = "\n".join((*topic, address, order.mode, order.selection.text()))
        return hashlib.sha256(told.encode()).hexdigest()[:12]

    @asynccontextmanager
    async def _source(self) -> AsyncIterator[RecordSource]:
        which = await topic_id(self._kafka, self._kafka.events_topic)
        async with topic_reader(self._kafka) as reader:
            topic = TopicSource(reader, which)
            archive = self._archive(topic.topic)
            yield topic if archive is None else Joined(archive, topic)

    @asynccontextmanager
    async def _progress(self, order: Order, source: RecordSource) -> AsyncIterator[GroupProgress]:
        group = GROUP + self._name(order, source.topic)
        async with group_progress(self._kafka, group, source.topic.topic) as progress:
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


def _joined(some: Mapping[int, Ranges], others: Mapping[int, Ranges]) -> dict[int, Ranges]:
    return {number: (*some.get(number, ()), *others.get(number, ())) for number in some.keys() | others.keys()}


def _done(outcomes: Iterable[Outcome]) -> dict[str, Any]:
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


def explained(error: StoreUnavailable) -> str:
    """The store's outage with what to do."""
    return f"the store is unavailable: {error}; check MATIH_STORE_URI, and run the same command again"
