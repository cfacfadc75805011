"""Which partition, of all that ever were, and where its files stand in an archive. Pure."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

RECORDS: Final = "records"
_FILE: Final = re.compile(r"(\d{20})-(\d{20})\.avro")
_SAFE: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")


class PartitionId(NamedTuple):
    """A partition by the ids of its cluster and topic: a topic made anew has another one."""

    cluster_id: str
    topic_id: str
    partition: int

    def __str__(self) -> str:
        return f"{self.cluster_id}/{self.topic_id}/{self.partition}"

    @property
    def folder(self) -> str:
        """Where its files stand, from the archive's root."""
        return f"{RECORDS}/{self}"


class RecordFile(NamedTuple):
    """A file of records, by its name.

    Attributes:
        first, last: the offsets of its first and its last record; between them every record that the topic had.
    """

    partition: PartitionId
    first: int
    last: int

    @property
    def path(self) -> str:
        """From the archive's root."""
        return f"{self.partition.folder}/{self.first:020}-{self.last:020}.avro"


def record_file(path: str) -> RecordFile | None:
    """What a path from the archive's root names; None if it is no file of records."""
    parts = path.split("/")
    if len(parts) != 5 or parts[0] != RECORDS or not parts[3].isdigit():
        return None
    match = _FILE.fullmatch(parts[4])
    if match is None or not (_SAFE.fullmatch(parts[1]) and _SAFE.fullmatch(parts[2])):
        return None
    found = RecordFile(PartitionId(parts[1], parts[2], int(parts[3])), int(match[1]), int(match[2]))
    return found if found.first <= found.last and found.path == path else None
