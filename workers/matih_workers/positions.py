"""How far each partition was applied to the store, kept with the data: to notice what is missing there. Pure.

Nothing is skipped by a position. A partition's offsets have no holes, so a batch that begins behind the position tells
that the store has not seen what is between: its database was restored from a backup, is another one, or the events were
gone before a worker came to them. Another topic id tells that the topic was made anew.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from matih_workers.position_times import Times

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

GAPS_MAX: Final = 50
_IF_ANY: Final = ("gaps", "anew", "anew_gaps", "anew_end")
Gap = tuple[int, int]
"""Offsets that were not applied: from the first to the one before the second."""


class Source(NamedTuple):
    """Where the events come from."""

    cluster_id: str
    topic_id: str
    topic: str


@dataclass(frozen=True)
class Span:
    """The offsets of one partition that a batch applies.

    Attributes:
        first, last: both are among them; with `last` before `first` there are none.
        settles: the id of a former topic of this name of which nothing more will be looked for.
    """

    partition: int
    first: int
    last: int
    settles: str | None = None


@dataclass(frozen=True)
class Spans:
    """What a batch applies, by partition.

    Attributes:
        source: None where nobody knows it, and nothing is kept then.
        at_ms: when, in ms since the epoch; 0 if that is not to be kept.
    """

    source: Source | None = None
    spans: tuple[Span, ...] = ()
    at_ms: int = 0

    def __bool__(self) -> bool:
        return self.source is not None and bool(self.spans)


@dataclass(frozen=True)
class Position:
    """What the store has of one partition.

    Attributes:
        topic_id: of the topic that the offsets are of.
        end: the offset behind the last that was applied.
        gaps: offsets before `end` that were not applied, in order.
        anew: the id of the topic that had the name before, if it was made anew.
        anew_gaps: the offsets of that topic that were not applied.
        anew_end: the offset behind the last of that topic that was applied.
        times: when the offsets before `end` were applied.
    """

    topic_id: str
    end: int
    gaps: tuple[Gap, ...] = ()
    anew: str | None = None
    anew_gaps: tuple[Gap, ...] = ()
    anew_end: int = 0
    times: Times = field(default_factory=Times)

    @property
    def missing(self) -> int:
        """How many offsets were not applied."""
        return sum(end - first for first, end in self.gaps)

    def text(self) -> str:
        """The form in which it is stored."""
        kept: dict[str, object] = {"topic_id": self.topic_id, "end": self.end}
        kept |= {name: value for name in _IF_ANY if (value := getattr(self, name))}
        kept |= {name: value for name, value in (("times", self.times.marks), ("late", self.times.late)) if value}
        return json.dumps(kept)

    @classmethod
    def parse(cls, text: str | None) -> Position | None:
        """The position in a stored text; None if there is none, or if somebody else wrote something else there."""
        try:
            kept = json.loads(text or "")
            gaps, anew_gaps = _gaps(kept.get("gaps", ())), _gaps(kept.get("anew_gaps", ()))
            anew_end = int(kept.get("anew_end", 0))
            times = Times(_gaps(kept.get("times", ())), _late(kept.get("late")))
            return cls(str(kept["topic_id"]), int(kept["end"]), gaps, kept.get("anew"), anew_gaps, anew_end, times)
        except (ValueError, LookupError, TypeError, AttributeError):
            return None


def advanced(stored: Position | None, source: Source, span: Span, at_ms: int = 0) -> Position:
    """The position after the span is applied, at that time (ms since the epoch; 0: nobody says)."""
    before = on_topic(stored, source.topic_id)
    if span.settles is not None and span.settles == before.anew:
        before = replace(before, anew=None, anew_gaps=(), anew_end=0)
    if span.last < span.first:
        return before
    gaps = before.gaps if span.first <= before.end else (*before.gaps, (before.end, span.first))
    times = _timed(before, span, at_ms) if at_ms else before.times
    return replace(before, end=max(before.end, span.last + 1), gaps=_without(gaps, span)[-GAPS_MAX:], times=times)


def _timed(before: Position, span: Span, at_ms: int) -> Times:
    times = before.times
    if any(first <= span.last and span.first < end for first, end in before.gaps):
        times = times.filled(span.first, min(span.last + 1, before.end), at_ms)
    return times.advanced(span.last + 1, at_ms) if span.last >= before.end else times


def on_topic(stored: Position | None, topic_id: str) -> Position:
    """The position on the topic of this id; of one that was made anew the beginning, with what the old one lacked."""
    if stored is None:
        return Position(topic_id, 0)
    if stored.topic_id == topic_id:
        return stored
    return Position(topic_id, 0, anew=stored.topic_id, anew_gaps=stored.gaps, anew_end=stored.end)


def spans_of(places: Iterable[tuple[int, int]]) -> tuple[Span, ...]:
    """The spans of records, given as (partition, offset), each partition's in order and without holes."""
    found: dict[int, Span] = {}
    for partition, offset in places:
        first = found[partition].first if partition in found else offset
        found[partition] = Span(partition, first, offset)
    return tuple(found.values())


def warnings(position: Position, source: Source, partition: int) -> list[str]:
    """What people should know of a position, and what mends it."""
    where = f"{source.topic}/{partition}"
    found = [
        f"{where}: MLflow's database has not seen the events {first} to {end - 1} (restored from a backup, another "
        f"database, or they went away before a worker came): `matih replay --missing` brings them while the workers run"
        for first, end in position.gaps
    ]
    if position.anew is not None:
        found.append(
            f"{where}: the topic was made anew (its id was {position.anew}, now {position.topic_id}): what stood on "
            f"the old one only, from offset {position.anew_end} on, is not here: `matih replay --missing` brings it "
            "from an archive, or settles that it is gone"
        )
    return found


def _gaps(stored: Iterable[Sequence[int]]) -> tuple[tuple[int, int], ...]:
    return tuple((int(first), int(second)) for first, second in stored)


def _late(stored: Sequence[int] | None) -> tuple[int, int, int] | None:
    return None if stored is None else (int(stored[0]), int(stored[1]), int(stored[2]))


def _without(gaps: Iterable[Gap], span: Span) -> tuple[Gap, ...]:
    """The gaps without what the span has applied."""
    left: list[Gap] = []
    for first, end in gaps:
        left += [
            part for part in ((first, min(end, span.first)), (max(first, span.last + 1), end)) if part[0] < part[1]
        ]
    return tuple(left)


@dataclass
class Noticed:
    """What a store has noticed while it applied: warnings by partition, of those that it has touched."""

    by_partition: dict[int, list[str]] = field(default_factory=dict)
    missing: dict[int, int] = field(default_factory=dict)

    def put(self, source: Source, positions: Mapping[int, Position]) -> None:
        """Takes the positions after a batch."""
        for partition, position in positions.items():
            self.by_partition[partition] = warnings(position, source, partition)
            self.missing[partition] = position.missing
