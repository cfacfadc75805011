"""The events in an archive: each with its place and the times that it knows, and which of them are wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from matih_schemas import codec
from matih_schemas.errors import InvalidEvent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matih_schemas.events import TrackingEvent
    from matih_workers.audit.partition import PartitionId
    from matih_workers.audit.reading import RecordSource
    from matih_workers.audit.record import ArchivedRecord


class ArchivedEvent(NamedTuple):
    """A record of the archive, and the event in it.

    Attributes:
        event: None if there is none to be read; `unreadable` says why then.
    """

    partition: PartitionId
    record: ArchivedRecord
    event: TrackingEvent | None
    unreadable: str = ""

    @property
    def place(self) -> str:
        """Its place on the topic, as `matih audit prove --record` takes it."""
        return f"{self.partition.partition}@{self.record.offset}"

    @property
    def received_at(self) -> int | None:
        """When Kafka received it, in ms since the epoch; None where the topic keeps the producer's clock."""
        return self.record.timestamp if self.record.timestamp_type == 1 else None

    @property
    def run_id(self) -> str | None:
        """The run that it is about, if it is about one."""
        return getattr(self.event.payload, "run_id", None) if self.event else None


@dataclass(frozen=True)
class Selection:
    """Which events are wanted; None or empty leaves a thing out of account.

    Attributes:
        since, until: by the record's timestamp, in ms since the epoch, `until` not among them.
        experiments: ids or names.
    """

    tenants: frozenset[str] = frozenset()
    runs: frozenset[str] = frozenset()
    actors: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()
    experiments: frozenset[str] = frozenset()
    since: int | None = None
    until: int | None = None

    def may_hold(self, record: ArchivedRecord) -> bool:
        """Whether the record's event may be wanted, by what is seen without decoding it."""
        if not (self.since or 0) <= record.timestamp < (self.until or 1 << 63):
            return False
        tenant, _, subject = (record.key or b"").decode("utf-8", "replace").partition("/")
        return (not self.tenants or tenant in self.tenants) and (not self.runs or subject in self.runs)

    def wants(self, event: TrackingEvent | None) -> bool:
        """Whether the event is wanted; one that can't be read is where nothing is asked of its content."""
        if event is None:
            return not (self.actors or self.kinds or self.experiments)
        payload: Any = event.payload
        about = {getattr(payload, "experiment_id", None), getattr(payload, "experiment_name", None)}
        return (
            (not self.tenants or event.tenant_id in self.tenants)
            and (not self.actors or event.actor in self.actors)
            and (not self.kinds or event.kind in self.kinds)
            and (not self.experiments or bool(about & self.experiments))
        )


def archived_events(
    source: RecordSource, selection: Selection = Selection(), after: dict[PartitionId, int] | None = None
) -> Iterator[ArchivedEvent]:
    """The wanted events, partition by partition, each one's in their order.

    Args:
        source: the archive.
        selection: which are wanted.
        after: by partition the offset to begin at; that which is not among them begins at its first.

    Raises:
        Damaged: a file can't be read; the message names it.
    """
    for partition, end in sorted(source.ends().items()):
        for record in source.records(*partition, (after or {}).get(partition, 0), end):
            if not selection.may_hold(record):
                continue
            found = _event(partition, record)
            if selection.wants(found.event):
                yield found


def _event(partition: PartitionId, record: ArchivedRecord) -> ArchivedEvent:
    if record.erased is not None:
        return ArchivedEvent(partition, record, None, "erased")
    try:
        return ArchivedEvent(partition, record, codec.decode(record.value or b""))
    except InvalidEvent as error:
        return ArchivedEvent(partition, record, None, str(error))
