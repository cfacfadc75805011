"""Records that are archived together: the files and the log's entries that they make. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from matih_schemas.topics import dead_letter_names
from matih_workers.audit import container
from matih_workers.audit import record as record_bytes
from matih_workers.audit.entries import NO_RECORD, RETENTION, GapEntry, encode, record_head, record_tail
from matih_workers.audit.partition import PartitionId, RecordFile
from matih_workers.audit.state import topic_statement

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from matih_workers.audit.record import ArchivedRecord
    from matih_workers.audit.state import LogState


class Topic(NamedTuple):
    """Which topic the records are of."""

    cluster_id: str
    topic_id: str
    name: str

    def partition(self, number: int) -> PartitionId:
        """One of its partitions."""
        return PartitionId(self.cluster_id, self.topic_id, number)


@dataclass
class _Part:
    """What came of one partition; `next` is the offset that comes next."""

    next: int
    entries: list[bytes] = field(default_factory=list)
    encoded: list[bytes] = field(default_factory=list)
    first: int | None = None
    last: int = -1


class Batch:
    """Takes each partition's records in their order, from where the log ends."""

    def __init__(self, topics: Iterable[Topic], state: LogState) -> None:
        """Begins empty.

        Args:
            topics: whose records come.
            state: the log's; what it has already is left out.

        Attributes:
            oldest_ms, newest_ms: when Kafka received the first and the last event, in ms since the epoch; 0 if there
                is none. A dead letter tells when its event was received, long before it became one.
        """
        self.topics = tuple(topics)
        self.bytes = 0
        self.records = 0
        self.oldest_ms = self.newest_ms = 0
        self._names = {(topic.cluster_id, topic.topic_id): topic.name for topic in self.topics}
        self._of_letters = dead_letter_names(self._names.values())
        self._parts: dict[PartitionId, _Part] = {}
        self._state = state

    def __bool__(self) -> bool:
        return any(part.entries for part in self._parts.values())

    def add(self, partition: PartitionId, records: Iterable[ArchivedRecord]) -> None:
        """Takes the partition's next records. Offsets that are skipped become a gap; those that it has are left out."""
        part, head = self._part(partition), record_head(partition)
        of_letters = self._names.get(partition[:2]) in self._of_letters
        add_entry, add_bytes = part.entries.append, part.encoded.append
        for record in records:
            if record.offset < part.next:
                continue
            if record.offset > part.next:
                self.gap(partition, record.offset, NO_RECORD)
            encoded = record_bytes.encode(record)
            add_entry(head + record_tail(record.offset, record_bytes.digest_of(encoded)))
            add_bytes(encoded)
            part.first = record.offset if part.first is None else part.first
            part.last, part.next = record.offset, record.offset + 1
            self.bytes += len(encoded)
            self.records += 1
            if not of_letters:
                self.oldest_ms = self.oldest_ms or record.timestamp
                self.newest_ms = max(self.newest_ms, record.timestamp)

    def gap(self, partition: PartitionId, end: int, reason: str = RETENTION) -> None:
        """The partition has nothing before `end` that is not there yet, and never will."""
        part = self._part(partition)
        if end > part.next:
            part.entries.append(encode(GapEntry(partition, part.next, end, reason)))
            part.next = end

    def files(self) -> dict[str, bytes]:
        """The files of records, by path."""
        found = {}
        for where, part in sorted(self._parts.items()):
            if part.first is not None:
                path = RecordFile(where, part.first, part.last).path
                found[path] = container.encode_file(where, self._names[where[:2]], part.encoded)
        return found

    def entries(self) -> list[bytes]:
        """The log's entries: what topics are called that are new to it, then each partition's together."""
        parts = [(where, part.entries) for where, part in sorted(self._parts.items()) if part.entries]
        new = sorted({where[:2] for where, _ in parts} - self._state.topics.keys())
        names = [encode(topic_statement(*ids, self._names[ids])) for ids in new]
        return names + [entry for _, entries in parts for entry in entries]

    def ends(self) -> Mapping[PartitionId, int]:
        """By partition the offset that comes next."""
        return {where: part.next for where, part in self._parts.items()}

    def _part(self, partition: PartitionId) -> _Part:
        if partition not in self._parts:
            self._parts[partition] = _Part(self._state.ends.get(partition, 0))
        return self._parts[partition]
