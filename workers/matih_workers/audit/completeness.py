"""Whether anything is missing among the events themselves, by the numbers that their producers gave them. Pure.

A producer counts its entries from 0, its run's creation, and its shipper publishes each number at least once. So a
number that no event has was lost on its way, or stands where the archive has a gap. What a producer dropped itself has
no number: it says so by the tag `matih.dropped`. The API's processes count through all their runs, and a request that
was refused leaves its number unused.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from matih_schemas.events import RunCreated, RunEnded, RunLogged

if TYPE_CHECKING:
    from matih_schemas.events import TrackingEvent
    from matih_workers.audit.entries import GapEntry
    from matih_workers.audit.events import ArchivedEvent
    from matih_workers.audit.partition import PartitionId

DROPPED_TAG: Final = "matih.dropped"
API: Final = "numbers of an API's process: requests that were refused leave theirs unused"


@dataclass(frozen=True)
class SequenceGap:
    """Numbers from `first` to `end` - 1 that no event of the archive has; `reason` is empty if nobody knows why."""

    tenant: str
    run_id: str
    producer_id: str
    first: int
    end: int
    reason: str = ""

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return vars(self).copy()


@dataclass
class _Producer:
    tenant: str
    partition: PartitionId
    runs: set[str] = field(default_factory=set)
    spans: list[tuple[int, int]] = field(default_factory=list)

    def add(self, first: int, end: int) -> None:
        """Its numbers from `first` to `end` - 1 are there; most come one behind the other."""
        if self.spans and first == self.spans[-1][1]:
            self.spans[-1] = (self.spans[-1][0], end)
        else:
            self.spans.append((first, end))

    def gaps(self) -> list[tuple[int, int]]:
        found, reached = [], 0
        for first, end in sorted(self.spans):
            if first > reached:
                found.append((reached, first))
            reached = max(reached, end)
        return found


class Sequences:
    """Takes an archive's events and tells which of their producers' numbers are missing."""

    def __init__(self) -> None:
        self._producers: dict[str, _Producer] = {}
        self.dropped: dict[str, str] = {}
        """By run, what its producers say that they have dropped themselves."""

    def take(self, one: ArchivedEvent) -> None:
        """Takes an event; in any order, and any number of times."""
        if one.event is None:
            return
        payload = one.event.payload
        if isinstance(payload, RunLogged):
            for group in payload.groups:
                producer = self._producer(one, one.event, group.producer_id, payload.run_id)
                producer.add(group.first_sequence, group.last_sequence + 1)
                for tag in group.tags:
                    if tag.key.startswith(DROPPED_TAG):
                        self.dropped[payload.run_id] = tag.value
        elif isinstance(payload, RunCreated) or (isinstance(payload, RunEnded) and not payload.silent):
            producer = self._producer(one, one.event, payload.producer_id, payload.run_id)
            producer.add(payload.sequence, payload.sequence + 1)

    def gaps(self, absent: list[GapEntry]) -> list[SequenceGap]:
        """The numbers that are missing, each with its reason if one is known.

        Args:
            absent: the offsets that the archive does not have.
        """
        reasons = {gap.partition: gap.reason for gap in absent}
        return [
            SequenceGap(found.tenant, min(found.runs), name, first, end, self._reason(found, reasons))
            for name, found in self._producers.items()
            for first, end in found.gaps()
        ]

    def _reason(self, found: _Producer, reasons: dict[PartitionId, str]) -> str:
        if len(found.runs) > 1:
            return API
        return f"the archive lacks offsets of its partition: {why}" if (why := reasons.get(found.partition)) else ""

    def _producer(self, one: ArchivedEvent, event: TrackingEvent, name: str, run_id: str) -> _Producer:
        if name not in self._producers:
            self._producers[name] = _Producer(event.tenant_id, one.partition)
        self._producers[name].runs.add(run_id)
        return self._producers[name]
