"""Whether anything is missing among the events themselves, by the numbers that their producers gave them. Pure.

A producer counts its entries from 0, its run's creation, and its shipper publishes each number at least once. So a
number that no event has was lost on its way, or stands where the archive has a gap or was erased: between the offsets
of its neighbours. What a producer dropped itself has no number: it says so by the tag `matih.dropped`. What comes
behind a producer's last number is known by its end alone. The API's processes count through all their runs, and a
request that was refused leaves its number unused: their numbers prove nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from matih_schemas.events import Heartbeat, RunCreated, RunEnded, RunLogged
from matih_schemas.identity import event_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from matih_schemas.events import TrackingEvent
    from matih_workers.audit.entries import GapEntry
    from matih_workers.audit.events import ArchivedEvent
    from matih_workers.audit.partition import PartitionId

Place = tuple["PartitionId", int]
"""A record's partition and offset."""

DROPPED_TAG: Final = "matih.dropped"
API: Final = "numbers of an API's process: requests that were refused leave theirs unused, so this proves nothing"
ERASED: Final = "erased"
NO_END: Final = "it has no end yet: it runs, or its host died"
SILENT: Final = "its host fell silent: only the reaper has ended it"
_SPANS_MAX: Final = 1000
_FAR: Final = 1 << 63


@dataclass(frozen=True)
class SequenceGap:
    """Numbers from `first` to `end` - 1 that no event of the archive has; `reason` is empty if nobody knows why.

    Attributes:
        unproven: the reason says how it may have come, and whether it came so nobody can know.
    """

    tenant: str
    run_id: str
    producer_id: str
    first: int
    end: int
    reason: str = ""
    unproven: bool = False

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


@dataclass(frozen=True)
class UnprovenRun:
    """A producer's part in a run whose end no event tells: its `host` may hold entries that nobody has seen."""

    tenant: str
    run_id: str
    producer_id: str
    host: str
    why: str

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


class _Span(NamedTuple):
    """Numbers from `first` to `end` - 1 that are there, and where the first and the last of them came first."""

    first: int
    end: int
    begins: Place
    ends: Place


@dataclass(slots=True)
class _Producer:
    tenant: str
    run_id: str
    host: str
    has_journal: bool
    shared: bool = False
    ended: bool = False
    spans: list[_Span] = field(default_factory=list)
    spans_max: int = _SPANS_MAX

    def of(self, run_id: str) -> None:
        """It has written to this run."""
        self.shared = self.shared or run_id != self.run_id
        self.run_id = min(self.run_id, run_id)

    def add(self, first: int, end: int, place: Place) -> None:
        """Its numbers from `first` to `end` - 1 are there; most come one behind the other."""
        last = self.spans[-1] if self.spans else None
        if last is None or not last.first <= first <= last.end:
            self.spans.append(_Span(first, end, place, place))
            self._make_room()
        elif end > last.end:
            self.spans[-1] = _Span(last.first, end, last.begins, place)

    def gaps(self) -> Iterator[tuple[int, int, Place | None, Place]]:
        """The numbers that are missing, and where those before (None if there are none) and behind them are."""
        reached, before = 0, None
        for span in _united(self.spans):
            if span.first > reached:
                yield reached, span.first, before, span.begins
            reached, before = span.end, span.ends

    def _make_room(self) -> None:
        if len(self.spans) > self.spans_max:
            self.spans = _united(self.spans)
            self.spans_max = max(_SPANS_MAX, 2 * len(self.spans))


class Sequences:
    """Takes an archive's events and tells which of their producers' numbers are missing."""

    def __init__(self) -> None:
        self._producers: dict[str, _Producer] = {}
        self._silent: set[str] = set()
        self._erased: dict[PartitionId, list[tuple[int, int]]] = {}
        self.erased = 0
        """Records that were erased: whose nobody knows."""
        self.dropped: dict[str, str] = {}
        """By run, what its producers say that they have dropped themselves."""

    def take(self, one: ArchivedEvent) -> None:
        """Takes an event; of each partition in their order, and any number of times."""
        if one.record.erased is not None:
            self._take_erased(one.partition, one.record.offset)
        elif one.event is not None:
            self._take_event(one.event, (one.partition, one.record.offset))

    def gaps(self, absent: Iterable[GapEntry]) -> list[SequenceGap]:
        """The numbers that are missing, each with its reason if one is known.

        Args:
            absent: the offsets that the archive does not have.
        """
        reasons = _Reasons(absent, self._erased)
        return [
            SequenceGap(found.tenant, found.run_id, name, first, end, API if found.shared else why, found.shared)
            for name, found in self._producers.items()
            for first, end, before, behind in found.gaps()
            for why in (reasons.between(before, behind),)
        ]

    def unproven(self) -> list[UnprovenRun]:
        """The parts in runs that have no end of their own, by tenant and run; the API's processes hold nothing back."""
        parts = [
            UnprovenRun(one.tenant, one.run_id, name, one.host, SILENT if one.run_id in self._silent else NO_END)
            for name, one in self._producers.items()
            if one.has_journal and not (one.shared or one.ended)
        ]
        return sorted(parts, key=lambda one: (one.tenant, one.run_id, one.producer_id))

    def _take_erased(self, partition: PartitionId, offset: int) -> None:
        self.erased += 1
        spans = self._erased.setdefault(partition, [])
        if spans and spans[-1][1] == offset:
            spans[-1] = (spans[-1][0], offset + 1)
        else:
            spans.append((offset, offset + 1))

    def _take_event(self, event: TrackingEvent, place: Place) -> None:
        payload = event.payload
        if isinstance(payload, RunLogged):
            self._take_logged(event, payload, place)
        elif isinstance(payload, RunEnded) and payload.silent:
            self._silent.add(payload.run_id)
        elif isinstance(payload, Heartbeat):
            self._producer(event, payload.producer_id, payload.run_id)
            self._silent.discard(payload.run_id)
        elif isinstance(payload, (RunCreated, RunEnded)):
            producer = self._producer(event, payload.producer_id, payload.run_id)
            producer.add(payload.sequence, payload.sequence + 1, place)
            producer.ended = producer.ended or isinstance(payload, RunEnded)

    def _take_logged(self, event: TrackingEvent, payload: RunLogged, place: Place) -> None:
        for group in payload.groups:
            producer = self._producer(event, group.producer_id, payload.run_id)
            producer.add(group.first_sequence, group.last_sequence + 1, place)
            for tag in group.tags:
                if tag.key.startswith(DROPPED_TAG):
                    self.dropped[payload.run_id] = tag.value

    def _producer(self, event: TrackingEvent, name: str, run_id: str) -> _Producer:
        if name not in self._producers:
            self._producers[name] = _Producer(event.tenant_id, run_id, event.host, _is_of_journal(event))
        self._producers[name].of(run_id)
        return self._producers[name]


class _Reasons:
    """Why the archive lacks what stood on the topic, by partition and offsets."""

    def __init__(self, absent: Iterable[GapEntry], erased: dict[PartitionId, list[tuple[int, int]]]) -> None:
        self._spans: dict[PartitionId, list[tuple[int, int, str]]] = {}
        for partition, spans in erased.items():
            self._spans[partition] = [(*span, ERASED) for span in spans]
        for gap in absent:
            why = f"the archive lacks offsets of its partition: {gap.reason}"
            self._spans.setdefault(gap.partition, []).append((gap.first, gap.end, why))
        for found in self._spans.values():
            found.sort()

    def between(self, before: Place | None, behind: Place) -> str:
        """Why something that stood between these places is not there; empty if all that stood there is."""
        found = (self._within(*window) for window in _windows(before, behind))
        return next(filter(None, found), "")

    def _within(self, partition: PartitionId, low: int, high: int) -> str:
        """Of the offsets above `low` and below `high`."""
        spans = self._spans.get(partition, [])
        at = bisect_left(spans, (high,)) - 1
        return spans[at][2] if at >= 0 and spans[at][1] > low + 1 else ""


def _windows(before: Place | None, behind: Place) -> list[tuple[PartitionId, int, int]]:
    """Where numbers may have stood whose neighbours are there: each partition, and the offsets around it."""
    if before is None:
        return [(behind[0], -1, behind[1])]
    if before[0] == behind[0] and before[1] <= behind[1]:
        return [(behind[0], before[1], behind[1])]
    # Another topic, or a neighbour that is there only as it was published again.
    return [(before[0], before[1], _FAR), (behind[0], -1, behind[1])]


def _united(spans: Iterable[_Span]) -> list[_Span]:
    """The same numbers in as few spans as can be, in order."""
    found: list[_Span] = []
    for span in sorted(spans, key=lambda one: (one.first, one.begins)):
        last = found[-1] if found else None
        if last is None or span.first > last.end:
            found.append(span)
        elif span.end > last.end:
            found[-1] = last._replace(end=span.end, ends=span.ends)
        elif span.end == last.end:
            found[-1] = last._replace(ends=min(last.ends, span.ends))
    return found


def _is_of_journal(event: TrackingEvent) -> bool:
    """Whether a shipper made the event of a journal: its id comes of its entry's place there; the API's are random."""
    payload: Any = event.payload
    if isinstance(payload, Heartbeat):
        return True
    first = payload.groups[0] if isinstance(payload, RunLogged) else payload
    number = getattr(first, "first_sequence" if isinstance(payload, RunLogged) else "sequence")
    return event.event_id == event_id(payload.run_id, first.producer_id, number, event.kind)
