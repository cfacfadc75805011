"""A partition's records, file after file, as hashes: what stands in the archive, to be held against its log."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from matih_workers.audit import container
from matih_workers.audit.errors import Damaged
from matih_workers.audit.reading import without_covered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from matih_workers.audit.findings import Report
    from matih_workers.audit.partition import PartitionId, RecordFile
    from matih_workers.audit.storage import Storage


class Place(NamedTuple):
    """A record's offset and digest, as they stand in a file; of an erased record two digests."""

    offset: int
    digest: bytes


class FileCursor:
    """Goes through one partition's files once; one block of one file is in memory."""

    def __init__(
        self,
        storage: Storage,
        partition: PartitionId,
        files: Sequence[RecordFile],
        report: Report,
        topic: Callable[[], str | None],
    ) -> None:
        """Reads nothing yet.

        Args:
            storage: the archive.
            partition: whose files they are.
            files: all of them; those that a longer one covers are told in the report.
            report: is told what can't be read.
            topic: the name that the log gives the topic.
        """
        self.files = without_covered(files)
        report.superseded += [file.path for file in files if file not in set(self.files)]
        self.lost: list[tuple[int, int]] = []
        self._firsts = [file.first for file in self.files]
        self._storage, self._partition, self._report, self._topic = storage, partition, report, topic
        self._held: list[tuple[int, bytes]] = []
        self._at = self._opened = 0
        self._blocks = self._all_blocks()

    def begin(self, offset: int) -> None:
        """Leaves out what is before the offset, without reading files that end before it."""
        self.files = [file for file in self.files if file.last >= offset]
        self._firsts = [file.first for file in self.files]
        self._blocks = self._all_blocks()
        self.take(offset - 1)

    def take(self, last: int) -> list[tuple[int, bytes]]:
        """The next records up to this offset: those before the first that has a greater one."""
        found: list[tuple[int, bytes]] = []
        while not found or found[-1][0] < last:
            held, at = self._held, self._at
            if at == len(held):
                block = next(self._blocks, None)
                if block is None:
                    return found
                self._held, self._at = block, 0
                continue
            if held[-1][0] <= last and not found and at == 0:
                found, self._at = held, len(held)
                continue
            end = at
            while end < len(held) and held[end][0] <= last:
                end += 1
            found = found + held[at:end]
            self._at = end
            if end < len(held):
                break
        return found

    def rest_until(self, end: int) -> Iterator[tuple[RecordFile | None, int]]:
        """The records that nobody has asked for, in files that begin before the offset, with their files."""
        rest = [held[0] for held in self._held[self._at :]]
        for file in self._unread(end):
            rest += [offset for block in self._blocks_of(file) for offset, _ in block]
        for offset in rest:
            of = self.file_of(offset)
            if of is None or of.first < end:
                yield of, offset

    def file_of(self, offset: int) -> RecordFile | None:
        """The file that should have the offset, by its name."""
        at = bisect_right(self._firsts, offset) - 1
        return self.files[at] if at >= 0 and self.files[at].last >= offset else None

    def is_lost(self, offset: int) -> bool:
        """Whether a file that could not be read should have had it: that is told already."""
        return any(first <= offset <= last for first, last in self.lost)

    def _unread(self, end: int) -> list[RecordFile]:
        return [file for file in self.files[self._opened :] if file.first < end]

    def _all_blocks(self) -> Iterator[list[tuple[int, bytes]]]:
        for number, file in enumerate(self.files):
            self._opened = number + 1
            yield from self._blocks_of(file)

    def _blocks_of(self, file: RecordFile) -> Iterator[list[tuple[int, bytes]]]:
        next_offset, first = file.first, None
        try:
            for block in self._open(file).uncompressed():
                found = list(container.places(block))
                first = found[0][0] if first is None else first
                next_offset = found[-1][0] + 1
                self._report.records += len(found)
                self._report.bytes += len(block.data)
                yield found
        except Damaged as error:
            self.lost.append((next_offset, file.last))
            self._report.add_offsets(
                "unreadable", file.path, self._partition, range(next_offset, file.last + 1), str(error)
            )
            return
        if (first, next_offset - 1) != (file.first, file.last):
            detail = f"it holds offsets {first} to {next_offset - 1}, and its name says others: another file's content?"
            self._report.add("changed", file.path, detail)

    def _open(self, file: RecordFile) -> container.Container:
        data = self._storage.read(file.path)
        if data is None:
            raise Damaged("there is no such file any more")
        self._report.files += 1
        topic, told = container.topic_in(data), self._topic()
        if told is not None and topic != told:
            raise Damaged(f"its head says topic {topic}, the log says {told}")
        return container.open_file(data, self._partition)
