"""Reading an archive's records, for whoever replays, exports or verifies it."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Protocol

from matih_workers.audit import checkpoint, container
from matih_workers.audit.errors import Damaged
from matih_workers.audit.log import Log
from matih_workers.audit.partition import RECORDS, PartitionId, RecordFile, record_file
from matih_workers.audit.state import LogState

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from matih_workers.audit.record import ArchivedRecord
    from matih_workers.audit.storage import Storage


class RecordSource(Protocol):
    """Archived records, by their place."""

    def ends(self) -> dict[PartitionId, int]:
        """By partition the offset behind the last that counts.

        Raises:
            Damaged: the log can't be read.
        """

    def topics(self) -> dict[tuple[str, str], str]:
        """By cluster id and topic id the topic's name."""

    def records(self, cluster_id: str, topic_id: str, partition: int, first: int, end: int) -> Iterator[ArchivedRecord]:
        """The records with offsets from `first` to `end` - 1 that the archive has, in order.

        Offsets that are missing are simply not there: whoever needs them looks at the offsets that come. Erased
        records come with `erased` set and without payload.

        Raises:
            Damaged: a file is torn or changed; the message names it. Hashes are not compared: `verify` does that.
        """


class ArchiveReader:
    """A `RecordSource` on an archive's files. What its checkpoint does not cover is not there for it.

    It is a view of one moment: what the archiver adds later is seen by another reader.

    Attributes:
        given: how many records it has given out.
    """

    def __init__(self, storage: Storage) -> None:
        """Reads the log's checkpoint.

        Raises:
            InvalidNote: it is no checkpoint.
            Damaged: the log can't be read.
        """
        self._storage = storage
        log = Log(storage)
        signed = log.checkpoint()
        self.checkpoint = checkpoint.parse(signed) if signed is not None else None
        self._log = log
        self._state = None if self.checkpoint else LogState()
        self._files: dict[PartitionId, list[RecordFile]] | None = None
        self.given = 0

    def ends(self) -> dict[PartitionId, int]:
        """By partition the offset behind the last that counts."""
        return dict(self._known().ends)

    def topics(self) -> dict[tuple[str, str], str]:
        """By cluster id and topic id the topic's name."""
        return dict(self._known().topics)

    def records(self, cluster_id: str, topic_id: str, partition: int, first: int, end: int) -> Iterator[ArchivedRecord]:
        """The records with offsets from `first` to `end` - 1 that the archive has, in order."""
        where = PartitionId(cluster_id, topic_id, partition)
        until = min(end, self._known().ends.get(where, 0))
        for file in self._of(where):
            if file.last < first or file.first >= until:
                continue
            for record in read_file(self._storage, file):
                if first <= record.offset < until:
                    self.given += 1
                    yield record

    def held(self, cluster_id: str, topic_id: str) -> dict[int, list[range]]:
        """By partition the offsets of each of its files, as far as they count; a topic's own holes are not told."""
        return {
            where.partition: [range(file.first, min(file.last + 1, end)) for file in self._of(where)]
            for where, end in self._known().ends.items()
            if (where.cluster_id, where.topic_id) == (cluster_id, topic_id)
        }

    def _of(self, where: PartitionId) -> list[RecordFile]:
        if self._files is None:
            self._files = _by_partition(self._storage)
        return self._files.get(where, [])

    def _known(self) -> LogState:
        if self._state is None:
            assert self.checkpoint is not None
            self._state = self._log.state(self.checkpoint.size)
        return self._state


def read_file(storage: Storage, file: RecordFile) -> Iterator[ArchivedRecord]:
    """The records of one file.

    Raises:
        Damaged: it is not there, torn, changed or another's; the message names it.
    """
    data = storage.read(file.path)
    if data is None:
        raise Damaged(f"{file.path}: there is no such file")
    yield from records_in(data, file)


def records_in(data: bytes, file: RecordFile) -> Iterator[ArchivedRecord]:
    """The records in a file's bytes.

    Raises:
        Damaged: they are torn, changed or another file's; the message names it.
    """
    try:
        for block in container.open_file(data, file.partition).uncompressed():
            yield from container.records(block)
    except Damaged as error:
        raise Damaged(f"{file.path}: {error}") from error


def record_files(paths: Iterable[str]) -> list[RecordFile]:
    """The files of records among the paths, by partition and place; a longer one before those that it covers."""
    found = [file for file in map(record_file, paths) if file is not None]
    return sorted(found, key=lambda file: (file.partition, file.first, -file.last))


def current_files(storage: Storage) -> list[RecordFile]:
    """All files of records but those that longer ones cover, by partition and place."""
    return [file for files in _by_partition(storage).values() for file in files]


def _by_partition(storage: Storage) -> dict[PartitionId, list[RecordFile]]:
    files = groupby(record_files(storage.paths(RECORDS)), lambda file: file.partition)
    return {partition: without_covered(some) for partition, some in files}


def without_covered(files: Iterable[RecordFile]) -> list[RecordFile]:
    """One partition's files without those that a longer one covers: what a compaction leaves when it is killed."""
    left: list[RecordFile] = []
    for file in files:
        if not left or file.last > left[-1].last:
            left.append(file)
    return left
