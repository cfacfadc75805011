"""What the log says, entry by entry: bytes and back. Pure.

The first byte is the kind; numbers are big endian; a text stands behind one byte with its length.

    record     01  cluster id  topic id  partition (4 bytes)  offset (8)  SHA-256 of the record's bytes (32)
    gap        02  cluster id  topic id  partition (4)  first offset (8)  offset behind the last (8)  reason (the rest)
    statement  03  a JSON object with a "type": "topic" (a topic's name), "key" (a new key), "erasure"

An entry holds no payload: one that is erased leaves its hash, and the log stays as it is.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from matih_workers.audit.errors import Damaged
from matih_workers.audit.partition import PartitionId

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

RECORD: Final = 1
GAP: Final = 2
STATEMENT: Final = 3
_PARTITION: Final = struct.Struct(">I")
_RECORD: Final = struct.Struct(">Q32s")
_GAP: Final = struct.Struct(">QQ")

RETENTION: Final = "retention passed before the archiver came"
NO_RECORD: Final = "no record: Kafka's transaction markers, or compaction"


class RecordEntry(NamedTuple):
    """A record stands in the archive."""

    partition: PartitionId
    offset: int
    digest: bytes


class GapEntry(NamedTuple):
    """Offsets that the archive does not have, from `first` to `end` - 1, and why."""

    partition: PartitionId
    first: int
    end: int
    reason: str


class Statement(NamedTuple):
    """Something else that is to be kept for ever."""

    type: str
    body: dict[str, Any]


Entry = RecordEntry | GapEntry | Statement


def record_head(partition: PartitionId) -> bytes:
    """What all of a partition's record entries begin with."""
    return bytes((RECORD,)) + _place(partition)


def record_tail(offset: int, digest: bytes) -> bytes:
    """What a record's entry ends with."""
    return _RECORD.pack(offset, digest)


RECORD_TAIL_BYTES: Final = _RECORD.size


def encode(entry: Entry) -> bytes:
    """The entry's bytes."""
    if isinstance(entry, RecordEntry):
        return record_head(entry.partition) + _RECORD.pack(entry.offset, entry.digest)
    if isinstance(entry, GapEntry):
        place = bytes((GAP,)) + _place(entry.partition)
        return place + _GAP.pack(entry.first, entry.end) + entry.reason.encode()
    body = {"type": entry.type, **entry.body}
    return bytes((STATEMENT,)) + json.dumps(body, sort_keys=True, separators=(",", ":")).encode()


def decode(data: bytes) -> Entry:
    """The entry in these bytes.

    Raises:
        Damaged: there is none.
    """
    try:
        if data[0] == STATEMENT:
            body = json.loads(data[1:])
            return Statement(str(body.pop("type")), body)
        partition, at = _read_place(data)
        if data[0] == RECORD and len(data) == at + _RECORD.size:
            return RecordEntry(partition, *_RECORD.unpack_from(data, at))
        if data[0] == GAP:
            first, end = _GAP.unpack_from(data, at)
            return GapEntry(partition, first, end, data[at + _GAP.size :].decode())
    except (IndexError, KeyError, ValueError, TypeError, AttributeError, struct.error) as error:
        raise Damaged(f"an entry of the log can't be read: {error}") from error
    raise Damaged(f"an entry of the log of no known kind: {data[:1].hex()}, {len(data)} bytes")


def statements(entries: Iterable[bytes]) -> Iterator[tuple[int, Statement]]:
    """The statements among a log's entries, with their numbers; the others are not decoded.

    Raises:
        Damaged: one can't be read.
    """
    for number, encoded in enumerate(entries):
        found = decode(encoded) if not encoded or encoded[0] == STATEMENT else None
        if isinstance(found, Statement):
            yield number, found


def _place(partition: PartitionId) -> bytes:
    names = [name.encode() for name in (partition.cluster_id, partition.topic_id)]
    return b"".join(bytes((len(name),)) + name for name in names) + _PARTITION.pack(partition.partition)


def _read_place(data: bytes) -> tuple[PartitionId, int]:
    names, at = [], 1
    for _ in range(2):
        end = at + 1 + data[at]
        names.append(data[at + 1 : end].decode())
        at = end
    (partition,) = _PARTITION.unpack_from(data, at)
    return PartitionId(names[0], names[1], partition), at + _PARTITION.size
