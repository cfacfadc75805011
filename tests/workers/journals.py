"""Producers as the tests need them: entries with numbers, cut into events as a shipper would, and published again."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from matih_schemas import events, identity
from matih_schemas.events import EntryGroup, Pair, TrackingEvent

if TYPE_CHECKING:
    from collections.abc import Sequence

START = 1_700_000_000_000


@dataclass(frozen=True)
class Entry:
    """One log call."""

    metrics: dict[str, float] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    step: int = 0
    time: int = START


@dataclass
class Producer:
    """One process's part in a run; the entry with number 0 is its creation."""

    tenant: str = "default"
    experiment: str = "experiment"
    run_id: str = field(default_factory=identity.new_run_id)
    producer_id: str = field(default_factory=identity.new_producer_id)
    owner: bool = True
    rank: int | None = None
    attempt: int = START
    entries: list[Entry] = field(default_factory=list)

    def created(self, **changed: object) -> TrackingEvent:
        """Its first event."""
        payload = {
            "run_id": self.run_id,
            "producer_id": self.producer_id,
            "sequence": 0,
            "experiment_id": identity.experiment_id(self.tenant, self.experiment),
            "experiment_name": self.experiment,
            "run_name": "",
            "attempt": self.attempt,
            "owner": self.owner,
            "rank": self.rank,
        }
        return self._event(events.RunCreated(**{**payload, **changed}), 0, self.attempt)  # type: ignore[arg-type]

    def logged(self, first: int, count: int) -> TrackingEvent:
        """The event of `count` entries from number `first` on (the first after the creation has number 1)."""
        return self._event(group_event(self, first, self.entries[first - 1 : first - 1 + count]), first, START)

    def log(self, *entries: Entry) -> TrackingEvent:
        """Writes entries and gives their event."""
        first = len(self.entries) + 1
        self.entries += entries
        return self.logged(first, len(entries))

    def ended(self, status: str = "FINISHED", *, inferred: bool = False, after: int = 1000) -> TrackingEvent:
        """Its last event."""
        sequence = len(self.entries) + 1
        payload = events.RunEnded(
            run_id=self.run_id,
            producer_id=self.producer_id,
            sequence=sequence,
            status=status,  # type: ignore[arg-type]
            attempt=self.attempt,
            owner=self.owner,
            rank=self.rank,
            inferred=inferred,
            end_time=self.attempt + after,
        )
        return self._event(payload, sequence, self.attempt + after)

    def deleted(self) -> TrackingEvent:
        return self._event(events.RunDeleted(self.run_id), secrets.randbelow(2**31), START)

    def restored(self) -> TrackingEvent:
        return self._event(events.RunRestored(self.run_id), secrets.randbelow(2**31), START)

    def _event(self, payload: events.Payload, sequence: int, occurred_at: int) -> TrackingEvent:
        event_id = identity.event_id(self.run_id, self.producer_id, sequence, type(payload).__name__)
        return TrackingEvent(event_id, self.tenant, occurred_at, payload)


def group_event(producer: Producer, first: int, entries: Sequence[Entry]) -> events.RunLogged:
    """Entries in columns."""
    shapes = [list(entry.metrics) for entry in entries]
    return events.RunLogged(
        producer.run_id,
        [
            EntryGroup(
                producer.producer_id,
                first,
                shapes=shapes,
                shape=list(range(len(entries))),
                time=[entry.time for entry in entries],
                step=[entry.step for entry in entries],
                value=[value for entry in entries for value in entry.metrics.values()],
                params=[Pair(i, key, value) for i, entry in enumerate(entries) for key, value in entry.params.items()],
                tags=[Pair(i, key, value) for i, entry in enumerate(entries) for key, value in entry.tags.items()],
            )
        ],
    )


def experiment_event(tenant: str, payload: events.Payload) -> TrackingEvent:
    """An event on an experiment, as the API makes them."""
    return TrackingEvent(secrets.token_hex(16), tenant, START, payload)
