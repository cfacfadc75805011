"""Records that are archived together: the files and the log's entries that they make. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

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

    def __init__(self, topic: Topic, state: LogState) -> None:
        """Begins empty.

        Args:
            topic: whose records come.
            state: the log's; what it has already is left out.
        """
        self.topic = topic
        self.bytes = 0
        self.records = 0
        self.oldest_ms = self.newest_ms = 0
        self._parts: dict[int, _Part] = {}
        self._state = state

    def __bool__(self) -> bool:
        return any(part.entries for part in self._parts.values())

    def add(self, partition: int, records: Iterable[ArchivedRecord]) -> None:
        """Takes the partition's next records. Offsets that are skipped become a gap; those that it has are left out."""
        part, head = self._part(partition), record_head(self.topic.partition(partition))
        for record in records:
            if record.offset < part.next:
                continue
            if record.offset > part.next:
                self.gap(partition, record.offset, NO_RECORD)
            encoded = record_bytes.encode(record)
            part.entries.append(head + record_tail(record.offset, record_bytes.digest_of(encoded)))
            part.encoded.append(encoded)
            part.first = record.offset if part.first is None else part.first
            part.last, part.next = record.offset, record.offset + 1
            self.bytes += len(encoded)
            self.records += 1
            self.oldest_ms = self.oldest_ms or record.timestamp
            self.newest_ms = max(self.newest_ms, record.timestamp)

    def gap(self, partition: int, end: int, reason: str = RETENTION) -> None:
        """The partition has nothing before `end` that is not there yet, and never will."""
        part = self._part(partition)
        if end > part.next:
            part.entries.append(encode(GapEntry(self.topic.partition(partition), part.next, end, reason)))
            part.next = end

    def files(self) -> dict[str, bytes]:
        """The files of records, by path."""
        found = {}
        for number, part in sorted(self._parts.items()):
            if part.first is not None:
                where = self.topic.partition(number)
                path = RecordFile(where, part.first, part.last).path
                found[path] = container.encode_file(where, self.topic.name, part.encoded)
        return found

    def entries(self) -> list[bytes]:
        """The log's entries: each partition's together."""
        found = [entry for _, part in sorted(self._parts.items()) for entry in part.entries]
        ids = (self.topic.cluster_id, self.topic.topic_id)
        if found and ids not in self._state.topics:
            found.insert(0, encode(topic_statement(*ids, self.topic.name)))
        return found

    def ends(self) -> Mapping[int, int]:
        """By partition the offset that comes next."""
        return {number: part.next for number, part in self._parts.items()}

    def _part(self, partition: int) -> _Part:
        if partition not in self._parts:
            self._parts[partition] = _Part(self._state.ends.get(self.topic.partition(partition), 0))
        return self._parts[partition]
