"""How far each partition was applied to the store, kept with the data: to notice what is missing there. Pure.

Nothing is skipped by a position. A partition's offsets have no holes, so a batch that begins behind the position tells
that the store has not seen what is between: its database was restored from a backup, is another one, or the events were
gone before a worker came to them. Another topic id tells that the topic was made anew.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

GAPS_MAX: Final = 50
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
        first, last: both are among them.
    """

    partition: int
    first: int
    last: int


@dataclass(frozen=True)
class Spans:
    """What a batch applies, by partition; `source` is None where nobody knows it, and nothing is kept then."""

    source: Source | None = None
    spans: tuple[Span, ...] = ()

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
    """

    topic_id: str
    end: int
    gaps: tuple[Gap, ...] = ()
    anew: str | None = None

    @property
    def missing(self) -> int:
        """How many offsets were not applied."""
        return sum(end - first for first, end in self.gaps)

    def text(self) -> str:
        """The form in which it is stored."""
        kept: dict[str, object] = {"topic_id": self.topic_id, "end": self.end}
        return json.dumps(kept | {name: value for name in ("gaps", "anew") if (value := getattr(self, name))})

    @classmethod
    def parse(cls, text: str | None) -> Position | None:
        """The position in a stored text; None if there is none, or if somebody else wrote something else there."""
        try:
            kept = json.loads(text or "")
            gaps = tuple((int(first), int(end)) for first, end in kept.get("gaps", ()))
            return cls(str(kept["topic_id"]), int(kept["end"]), gaps, kept.get("anew"))
        except (ValueError, KeyError, TypeError, AttributeError):
            return None


def advanced(stored: Position | None, source: Source, span: Span) -> Position:
    """The position after the span is applied."""
    if stored is None or stored.topic_id != source.topic_id:
        before = Position(source.topic_id, 0, anew=stored.topic_id if stored else None)
    else:
        before = stored
    gaps = before.gaps if span.first <= before.end else (*before.gaps, (before.end, span.first))
    return Position(
        source.topic_id,
        max(before.end, span.last + 1),
        _without(gaps, span)[-GAPS_MAX:],
        before.anew,
    )


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
        f"database, or they went away before a worker came): stop the workers and set the group's offset of partition "
        f"{partition} back to {first}; what is there already stays as it is"
        for first, end in position.gaps
    ]
    if position.anew is not None:
        found.append(
            f"{where}: the topic was made anew (its id was {position.anew}, now {position.topic_id}): what stood on "
            "the old one only, and was not applied, is gone but for archives and journals"
        )
    return found


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
