"""The events in an archive, and their dead letters: each with its place and its times, and which of them are wanted."""

from __future__ import annotations

from dataclasses import dataclass
from heapq import merge
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from matih_schemas import codec
from matih_schemas.admin_details import EXPERIMENTS, RUNS, names_in
from matih_schemas.errors import InvalidEvent
from matih_schemas.events import AdminAction
from matih_schemas.identity import ADMIN
from matih_schemas.topics import dead_letter_names
from matih_workers.dead_letters import headers
from matih_workers.of_experiments import OfExperiments

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from matih_schemas.codec import Reframe
    from matih_schemas.events import TrackingEvent
    from matih_workers.audit.partition import PartitionId
    from matih_workers.audit.reading import RecordSource
    from matih_workers.audit.record import ArchivedRecord


ERASED: Final = "erased"


class ArchivedEvent(NamedTuple):
    """A record of the archive, and the event in it.

    Attributes:
        event: None if there is none to be read; `unreadable` says why then.
        dead_letter: what a record of the topic of dead letters says; empty for one of the events.
    """

    partition: PartitionId
    record: ArchivedRecord
    event: TrackingEvent | None
    unreadable: str = ""
    dead_letter: str = ""

    @property
    def place(self) -> str:
        """Its place on the topic, as `matih audit prove --record` takes it."""
        return f"{self.partition.partition}@{self.record.offset}"

    @property
    def received_at(self) -> int | None:
        """When Kafka received it, in ms since the epoch; None where the topic keeps the producer's clock.

        A dead letter keeps the time at which its event was received.
        """
        return self.record.timestamp if self.record.timestamp_type == 1 or self.dead_letter else None

    @property
    def run_id(self) -> str | None:
        """The run that it is about, if it is about one."""
        return getattr(self.event.payload, "run_id", None) if self.event else None


@dataclass(frozen=True)
class Selection:
    """Which events are wanted, but for their experiments; None or empty leaves a thing out of account.

    Attributes:
        since, until: by the record's timestamp, in ms since the epoch, `until` not among them.
        actors: authenticated principals; of an event that none sent, the user whom it claims.
        runs: what an event is about, also an admin's.
        dead_letters: records of the topic of dead letters, in place of events; None wants both.
        erased: erased records too, whosever they were: their tenants and runs are not known any more.
    """

    tenants: frozenset[str] = frozenset()
    runs: frozenset[str] = frozenset()
    actors: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    since: int | None = None
    until: int | None = None
    dead_letters: bool | None = False
    erased: bool = False

    def may_hold(self, record: ArchivedRecord) -> bool:
        """Whether the record's event may be wanted, by what is seen without decoding it."""
        if not (-1 if self.since is None else self.since) <= record.timestamp < (self.until or 1 << 63):
            return False
        if self.erased and record.erased is not None:
            return True
        tenant, subject = _key(record)
        of_run = not self.runs or subject in self.runs or subject == ADMIN
        return of_run and (not self.tenants or tenant in self.tenants)

    def wants(self, one: ArchivedEvent) -> bool:
        """Whether the event is wanted; one that can't be read is where nothing is asked of its content."""
        event, (_, subject) = one.event, _key(one.record)
        if event is None:
            return not (self.actors or self.kinds) and (not self.runs or subject in self.runs)
        return (
            (not self.tenants or event.tenant_id in self.tenants)
            and (not self.actors or (event.actor or event.claimed_user) in self.actors)
            and (not self.kinds or event.kind in self.kinds)
            and (not self.runs or subject in self.runs or bool(_named(event.payload, RUNS) & self.runs))
        )


class Experiments:
    """Which of an archive's events are about some experiments, their runs' events and an admin's among them.

    Only a run's creation says whose it is, wherever and whenever that came: so first it looks through the events.
    """

    def __init__(self, wanted: Iterable[str] = ()) -> None:
        """Begins; names or ids. None at all leaves experiments out of account."""
        self._of = OfExperiments(wanted)
        self._learned: dict[PartitionId, int] = {}

    def learn(self, source: RecordSource, reframe: Reframe) -> None:
        """Looks for their runs among the events that have come since it looked last; raises as `archived_events`."""
        if not self._of.wanted:
            return
        of_letters = dead_letter_topics(source.topics())
        ends = {partition: end for partition, end in source.ends().items() if partition[:2] not in of_letters}
        for partition, end in ends.items():
            for record in source.records(*partition, self._learned.get(partition, 0), end):
                event = _event(partition, record, reframe).event
                if event is not None:
                    self._of.takes(event)
            self._learned[partition] = end

    def has(self, one: ArchivedEvent) -> bool:
        """Whether the event is about one of them, or has a run's key if it can't be read; erased ones are not."""
        event = one.event
        if not self._of.wanted:
            return True
        if event is None:
            return _key(one.record) in self._of.runs
        if not isinstance(event.payload, AdminAction):
            return self._of.takes(event)
        runs = {run_id for _, run_id in self._of.runs}
        return bool(_named(event.payload, EXPERIMENTS) & self._of.wanted or _named(event.payload, RUNS) & runs)


def archived_events(
    source: RecordSource,
    selection: Selection = Selection(),
    after: dict[PartitionId, int] | None = None,
    reframe: Reframe = codec.as_single_object,
    experiments: Experiments | None = None,
) -> Iterator[ArchivedEvent]:
    """The wanted events, partition by partition, each one's in their order.

    Args:
        source: the archive.
        selection: which are wanted.
        after: by partition the offset to begin at; that which is not among them begins at its first.
        reframe: reads both framings.
        experiments: those that events have to be about.

    Raises:
        Damaged: a file can't be read; the message names it.
        RegistryUnavailable: the schema registry does not answer, and an event's schema is known to it alone.
    """
    experiments = experiments or Experiments()
    experiments.learn(source, reframe)
    of_letters = dead_letter_topics(source.topics())
    for partition, end in sorted(source.ends().items()):
        is_letter = partition[:2] in of_letters
        if selection.dead_letters not in (None, is_letter):
            continue
        for record in source.records(*partition, (after or {}).get(partition, 0), end):
            if not selection.may_hold(record):
                continue
            found = archived_event(partition, record, reframe, is_letter=is_letter)
            if selection.wants(found) and experiments.has(found):
                yield found


def archived_event(
    partition: PartitionId, record: ArchivedRecord, reframe: Reframe = codec.as_single_object, *, is_letter: bool
) -> ArchivedEvent:
    """The event in a record of the topic of events, or of that of dead letters.

    Raises:
        RegistryUnavailable: the schema registry does not answer, and the event's schema is known to it alone.
    """
    return _letter(partition, record, reframe) if is_letter else _event(partition, record, reframe)


def in_time(events: Iterable[ArchivedEvent]) -> Iterator[ArchivedEvent]:
    """Events that come partition by partition, merged by their times: each partition's stay in their order."""
    parts = [list(some) for _, some in groupby(events, key=lambda one: one.partition)]
    parts.sort(key=lambda some: bool(some[0].dead_letter))  # a letter has its event's time, and follows it
    return merge(*parts, key=lambda one: one.record.timestamp)


def dead_letter_topics(topics: Mapping[tuple[str, str], str]) -> set[tuple[str, str]]:
    """The ids of the topics of dead letters, among those of an archive by their ids."""
    names = dead_letter_names(topics.values())
    return {ids for ids, name in topics.items() if name in names}


def _key(record: ArchivedRecord) -> tuple[str, str]:
    """The tenant and what it is about: `tenant/run`, `tenant/experiment`, `tenant/admin`."""
    tenant, _, subject = (record.key or b"").decode("utf-8", "replace").partition("/")
    return tenant, subject


def _named(payload: Any, what: str) -> frozenset[str]:
    """What an admin's event names; what others are about stands in their keys and fields."""
    return names_in(payload.details, what) if isinstance(payload, AdminAction) else frozenset()


def _event(partition: PartitionId, record: ArchivedRecord, reframe: Reframe) -> ArchivedEvent:
    if record.erased is not None:
        return ArchivedEvent(partition, record, None, ERASED)
    try:
        headers = [(name, value or b"") for name, value in record.headers]
        return ArchivedEvent(partition, record, codec.decode(reframe(record.value or b"", headers)))
    except InvalidEvent as error:
        return ArchivedEvent(partition, record, None, str(error))


def _letter(partition: PartitionId, record: ArchivedRecord, reframe: Reframe) -> ArchivedEvent:
    """A record of the topic of dead letters: an event that never reached the store, or what became of one."""
    said = tuple((name, value or b"") for name, value in record.headers)
    if record.erased is not None:
        return ArchivedEvent(partition, record, None, ERASED, ERASED)
    if (outcome := headers.text(said, headers.SETTLED)) is not None:
        of, by = headers.text(said, headers.LETTER), headers.text(said, headers.SETTLED_BY)
        return ArchivedEvent(partition, record, None, dead_letter=f"letter {of} {outcome} by {by}")
    reason = f"{headers.text(said, headers.REASON)}: {headers.text(said, headers.MESSAGE)}"
    place = "/".join(headers.text(said, name) or "?" for name in (headers.TOPIC, headers.PARTITION))
    told = f"{reason} (was {place}@{headers.text(said, headers.OFFSET)})"
    return _event(partition, record, reframe)._replace(dead_letter=told)
