"""Many small entries into few events, within the contract's limits; pure: no I/O, and the clock is an argument."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, get_args

from matih_schemas.events import Status
from matih_schemas.limits import EVENT_MAX_BYTES, METRICS_PER_EVENT, STEP_MAX, STEP_MIN
from matih_tracking.journal.entries import (
    Created,
    Ended,
    Entry,
    Experiment,
    Metrics,
    Params,
    Tags,
    UnknownEntry,
    decode,
)
from matih_tracking.shipper import events
from matih_tracking.shipper.groups import GroupBuilder, Logged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from matih_schemas.events import TrackingEvent
    from matih_tracking.shipper.sources import Source

_ENVELOPE_BYTES: Final = 8 * 1024
_ENTRY_BYTES: Final = 64
_ITEM_BYTES: Final = 16
"""An entry's Avro form is never larger than its payload plus these, for the entry and for each metric, param or tag."""


STATUSES: Final = get_args(Status)

_EVENT_OF: Final[dict[type[Entry], Callable[[Source, int, Any], TrackingEvent]]] = {
    Created: events.run_created,
    Ended: events.run_ended,
    Experiment: events.experiment_created,
}


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An event ready to be published.

    Attributes:
        event: None where nothing is left to publish: the entries were skipped.
        upto: per producer, the number of its last entry that is dealt with once this and all before it are on Kafka.
    """

    event: TrackingEvent | None
    upto: dict[str, int]


@dataclass(frozen=True, slots=True)
class Skipped:
    """An entry that no event can be made of."""

    number: int
    reason: str


@dataclass(slots=True)
class _Draft:
    """The entries of one run, from all of its producers, that wait to become an event."""

    source: Source
    since: float
    builders: list[GroupBuilder] = field(default_factory=list)
    latest: dict[str, GroupBuilder] = field(default_factory=dict)
    upto: dict[str, int] = field(default_factory=dict)
    metrics: int = 0
    size: int = _ENVELOPE_BYTES

    def add(self, producer_id: str, number: int, entry: Logged, metrics: int, size: int) -> None:
        builder = self.latest.get(producer_id)
        if builder is None or builder.next_number != number:
            builder = self.latest[producer_id] = GroupBuilder(producer_id, number)
            self.builders.append(builder)
        builder.add(entry)
        self.upto[producer_id] = number
        self.metrics += metrics
        self.size += size

    def close(self) -> Outgoing:
        groups = [builder.group for builder in self.builders]
        return Outgoing(events.run_logged(self.source, groups), self.upto)


class Coalescer:
    """Collects entries per run. Each producer's entries come in the order of their numbers, and leave in it."""

    def __init__(self) -> None:
        self._ready: list[Outgoing] = []
        self._drafts: dict[tuple[str, str], _Draft] = {}

    def add(self, source: Source, first: int, payloads: Iterable[bytes], now: float) -> list[Skipped]:
        """Takes consecutive entries of one producer.

        Args:
            source: whose they are.
            first: the first one's number.
            payloads: as they stand in the journal.
            now: the moment, in seconds of any clock that `take` gets too.

        Returns:
            Those that no event can be made of; they count as delivered.
        """
        skipped = []
        for number, payload in enumerate(payloads, first):
            try:
                self._add(source, number, decode(payload), len(payload), now)
            except UnknownEntry as error:  # noqa: PERF203 - one bad entry must not take the others with it
                skipped.append(Skipped(number, str(error)))
                self._skip(source, number)
        return skipped

    def died(self, source: Source, last_number: int, last_time: int) -> None:
        """The producer is dead, its last entry was added, and it was no end."""
        self._single(source, last_number, events.run_died(source, last_number, last_time))

    def take(self, now: float, window: float) -> list[Outgoing]:
        """What is to be published now: full events, ends and beginnings, and what has waited for `window` seconds."""
        due = [key for key, draft in self._drafts.items() if now - draft.since >= window]
        for key in due:
            self._close(key)
        ready, self._ready = self._ready, []
        return ready

    def next_due(self, window: float) -> float | None:
        """The moment at which `take` has more to give; None if nothing waits."""
        return min((draft.since + window for draft in self._drafts.values()), default=None)

    def clear(self) -> None:
        """Forgets everything: it will be read again."""
        self._ready.clear()
        self._drafts.clear()

    def _add(self, source: Source, number: int, entry: Entry, size: int, now: float) -> None:
        if not 0 <= entry.time <= STEP_MAX:
            raise UnknownEntry(f"time {entry.time} is outside int64, or before 1970")
        if isinstance(entry, Metrics):
            if not STEP_MIN <= entry.step <= STEP_MAX:
                raise UnknownEntry(f"step {entry.step} is outside int64")
            items = metrics = len(entry.metrics)
        elif isinstance(entry, Params):
            items, metrics = len(entry.params), 0
        elif isinstance(entry, Tags):
            items, metrics = len(entry.tags), 0
        else:
            if isinstance(entry, Ended) and entry.status not in STATUSES:
                raise UnknownEntry(f"status {entry.status!r} is none of {', '.join(STATUSES)}")
            self._single(source, number, _EVENT_OF[type(entry)](source, number, entry))
            return
        size += _ENTRY_BYTES + _ITEM_BYTES * items
        self._draft(source, metrics, size, now).add(source.producer_id, number, entry, metrics, size)

    def _draft(self, source: Source, metrics: int, size: int, now: float) -> _Draft:
        """The run's draft, with room for the entry."""
        key = (source.tenant_id, source.run_id)
        draft = self._drafts.get(key)
        if draft is not None and (draft.metrics + metrics > METRICS_PER_EVENT or draft.size + size > EVENT_MAX_BYTES):
            self._close(key)
            draft = None
        if draft is None:
            draft = self._drafts[key] = _Draft(source, now)
        return draft

    def _skip(self, source: Source, number: int) -> None:
        draft = self._drafts.get((source.tenant_id, source.run_id))
        if draft is not None and source.producer_id in draft.upto:
            draft.upto[source.producer_id] = number
        else:
            self._ready.append(Outgoing(None, {source.producer_id: number}))

    def _single(self, source: Source, number: int, event: TrackingEvent) -> None:
        key = (source.tenant_id, source.run_id)
        if key in self._drafts and source.producer_id in self._drafts[key].upto:
            self._close(key)
        self._ready.append(Outgoing(event, {source.producer_id: number}))

    def _close(self, key: tuple[str, str]) -> None:
        self._ready.append(self._drafts.pop(key).close())
