"""The records in an archive's files, held against those that its log tells of, partition by partition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from matih_workers.audit.file_cursor import FileCursor
from matih_workers.audit.log import CHECKPOINT
from matih_workers.audit.reading import record_files
from matih_workers.audit.record import DIGEST_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matih_workers.audit.entries import GapEntry
    from matih_workers.audit.erasure import Erasures
    from matih_workers.audit.findings import Report
    from matih_workers.audit.partition import PartitionId, RecordFile
    from matih_workers.audit.storage import Storage

_ERASED_BYTES: Final = 2 * DIGEST_BYTES
"""Bytes of the two digests of an erased record."""


class Comparison:
    """Takes the log's entries of records and gaps, in order; what differs goes to the report.

    Attributes:
        ends: by partition the offset behind what was taken.
        topics: by cluster id and topic id the name that the log gives the topic.
        unknown: partitions of which entries could not be read since.
    """

    def __init__(self, storage: Storage, report: Report, since: int) -> None:
        """Reads nothing yet.

        Args:
            storage: the archive.
            report: is told what differs.
            since: entries of the log that are left out; 0 if none are.
        """
        self._storage, self._report, self._since = storage, report, since
        self._cursors: dict[PartitionId, FileCursor] = {}
        self._files: dict[PartitionId, list[RecordFile]] = {}
        self._erased: list[tuple[PartitionId, int, bytes, str]] = []
        self.ends: dict[PartitionId, int] = {}
        self.topics: dict[tuple[str, str], str] = {}
        self.unknown: set[PartitionId] = set()

    def begin(self, paths: Iterable[str]) -> None:
        """Takes the files of records that are there."""
        for file in record_files(paths):
            self._files.setdefault(file.partition, []).append(file)

    def lost(self) -> None:
        """Entries could not be read: nobody knows what they said of any partition."""
        self.unknown |= set(self.ends)

    def gap(self, entry: GapEntry) -> None:
        """Takes offsets that are not there, as the log says."""
        self._report.gaps.append(entry)
        self._continue(entry.partition, entry.first, entry.end)
        self._compare_offsets(entry.partition, [], entry.end - 1)

    def records(self, partition: PartitionId, expected: list[tuple[int, bytes]]) -> None:
        """Holds the log's next records of a partition against the next in its files."""
        self._continue(partition, expected[0][0], expected[-1][0] + 1)
        if expected[-1][0] - expected[0][0] != len(expected) - 1:
            self._report.add(
                "hole", CHECKPOINT, f"{partition}: offsets {expected[0][0]} to {expected[-1][0]} have holes"
            )
        self._compare_offsets(partition, expected, expected[-1][0])

    def rest(self) -> None:
        """What stands in files behind the log's end: whole files do not count, parts of one should not be there."""
        for partition, files in self._files.items():
            end = self.ends.get(partition, 0)
            if self._since and partition not in self.ends:
                continue
            beyond = [file.path for file in files if file.first >= end]
            self._report.uncounted += beyond
            if partition not in self._cursors:
                continue
            for file, offset in self._cursors[partition].rest_until(end):
                detail = "it is behind the end of the log"
                self._report.add_offsets("surplus", file.path if file else "", partition, [offset], detail)

    def check_erased(self, erasures: Erasures) -> None:
        """Whether a certificate says of each erased record that it was erased."""
        for partition, offset, now, path in self._erased:
            if erasures.allow(partition, offset, now):
                self._report.erased += 1
            else:
                detail = "its payload is gone, and no certificate in the log says so"
                self._report.add_offsets("erased without a certificate", path, partition, [offset], detail)

    def _continue(self, partition: PartitionId, first: int, end: int) -> None:
        """An entry's offsets have to begin where those before them end."""
        before = self.ends.get(partition)
        if before is None and self._since:
            self._cursor(partition).begin(first)
        elif partition in self.unknown:
            self.unknown.discard(partition)  # what is between stands in the bundle that could not be read
            self._cursor(partition).take(first - 1)
        elif (before or 0) != first:
            missing = range(min(before or 0, first), max(before or 0, first))
            self._report.add_offsets(
                "hole", "", partition, missing, "the log has neither a record nor a gap here, or two"
            )
        self.ends[partition] = end

    def _compare_offsets(self, partition: PartitionId, expected: list[tuple[int, bytes]], last: int) -> None:
        cursor = self._cursor(partition)
        found = cursor.take(last)
        if found != expected:
            self._differences(cursor, partition, expected, found)

    def _differences(
        self,
        cursor: FileCursor,
        partition: PartitionId,
        expected: list[tuple[int, bytes]],
        found: list[tuple[int, bytes]],
    ) -> None:
        """Says what differs, by file and offset."""
        there, wanted, before = dict(found), dict(expected), len(self._report.findings)
        for offset, digest in expected:
            path = file.path if (file := cursor.file_of(offset)) else ""
            if offset not in there:
                if not cursor.is_lost(offset):
                    why = "it is not in the file any more" if path else "no file has it"
                    self._report.add_offsets("missing", path, partition, [offset], why)
            elif len(there[offset]) == _ERASED_BYTES and there[offset][:DIGEST_BYTES] == digest:
                self._erased.append((partition, offset, there[offset][DIGEST_BYTES:], path))
            elif there[offset] != digest:
                self._report.add_offsets("changed", path, partition, [offset], "its hash is not the one in the log")
        for offset, _ in found:
            if offset not in wanted:
                path = file.path if (file := cursor.file_of(offset)) else ""
                self._report.add_offsets("surplus", path, partition, [offset], "the log has no such record here")
        offsets = [offset for offset, _ in found]
        if len(self._report.findings) == before and offsets != sorted(set(offsets)):
            path = file.path if (file := cursor.file_of(offsets[0])) else ""
            self._report.add_offsets("out of order", path, partition, offsets, "records are swapped, or there twice")

    def _cursor(self, partition: PartitionId) -> FileCursor:
        if partition not in self._cursors:
            ids = (partition.cluster_id, partition.topic_id)
            files = self._files.get(partition, [])
            self._cursors[partition] = FileCursor(
                self._storage, partition, files, self._report, lambda: self.topics.get(ids)
            )
        return self._cursors[partition]
