"""A file of records: an Avro object container file, whole in memory. Pure.

Every byte of it follows from its records, its partition and the topic's name, so that a range written again is the
same file (by the same release of zstd): the blocks are cut by size, and the sync marker is a hash of everything else.
The marker therefore also tells a damaged file, in bytes that no record's hash covers.

https://avro.apache.org/docs/1.12.0/specification/#object-container-files
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Final, NamedTuple

import cramjam

from matih_workers.audit import record as record_bytes
from matih_workers.audit.errors import Damaged
from matih_workers.audit.record import ArchivedRecord, long_bytes, next_place, read_long

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from matih_workers.audit.partition import PartitionId

MAGIC: Final = b"Obj\x01"
CODEC: Final = "zstandard"
BLOCK_BYTES: Final = 1 << 20
"""A block ends with the record that brings it to this size, before it is compressed."""
LEVEL: Final = 1
SYNC_BYTES: Final = 16


class Block(NamedTuple):
    """`size` records of a file, uncompressed."""

    size: int
    data: bytes


class Container(NamedTuple):
    """A file, read: who it says it is of, and its blocks, still compressed."""

    header: bytes
    blocks: Sequence[tuple[int, bytes]]

    def uncompressed(self) -> Iterator[Block]:
        """The blocks, one after the other.

        Raises:
            Damaged: one is no zstd frame.
        """
        for count, compressed in self.blocks:
            yield Block(count, _decompress(compressed))


def encode_file(partition: PartitionId, topic: str, encoded: Iterable[bytes]) -> bytes:
    """The file of these records' bytes, which are one after the other of one partition."""
    header = header_bytes(partition, topic)
    pieces = [
        long_bytes(count) + long_bytes(len(compressed)) + compressed
        for count, compressed in ((count, _compress(data)) for count, data in _cut(encoded))
    ]
    sync = _sync(header, pieces)
    return header + sync + b"".join(piece + sync for piece in pieces)


def header_bytes(partition: PartitionId, topic: str) -> bytes:
    """The file's head: magic and metadata, without the sync marker behind it."""
    metadata = {
        "avro.schema": json.dumps(record_bytes.SCHEMA, separators=(",", ":")).encode(),
        "avro.codec": CODEC.encode(),
        "matih.cluster_id": partition.cluster_id.encode(),
        "matih.topic_id": partition.topic_id.encode(),
        "matih.topic": topic.encode(),
        "matih.partition": str(partition.partition).encode(),
    }
    pairs = [long_bytes(len(name)) + name.encode() + long_bytes(len(value)) + value for name, value in metadata.items()]
    return MAGIC + long_bytes(len(pairs)) + b"".join(pairs) + long_bytes(0)


def topic_in(data: bytes) -> str:
    """The topic's name in a file's head.

    Raises:
        Damaged: there is none.
    """
    try:
        at = len(MAGIC)
        pairs, at = read_long(data, at)
        for _ in range(pairs):
            name, at = _read_bytes(data, at)
            value, at = _read_bytes(data, at)
            if name == b"matih.topic":
                return value.decode()
    except (IndexError, UnicodeDecodeError) as error:
        raise Damaged(f"its head is damaged: {error}") from error
    raise Damaged("its head names no topic")


def open_file(data: bytes, partition: PartitionId) -> Container:
    """The file, every byte of it checked against its sync marker; its records' hashes are not looked at.

    Raises:
        Damaged: it is torn, changed, or another partition's.
    """
    header = header_bytes(partition, topic_in(data))
    if not data.startswith(header):
        raise Damaged(f"its head is not that of a file of {partition}")
    at = len(header) + SYNC_BYTES
    sync = data[len(header) : at]
    pieces, blocks = [], []
    while at < len(data):
        begin = at
        try:
            count, at = read_long(data, at)
            size, at = read_long(data, at)
        except IndexError as error:
            raise Damaged("it is torn: a block has no end") from error
        end = at + size
        if count < 1 or size < 0 or data[end : end + SYNC_BYTES] != sync:
            raise Damaged(f"the block at byte {begin} is torn or changed")
        pieces.append(data[begin:end])
        blocks.append((count, data[at:end]))
        at = end + SYNC_BYTES
    if not blocks or _sync(header, pieces) != sync:
        raise Damaged("its bytes are not those that were written: its marker says otherwise")
    return Container(header, blocks)


def places(block: Block) -> Iterator[tuple[int, bytes]]:
    """The offset and the digest of each record of a block.

    Raises:
        Damaged: it is no block of records, or of another number of them.
    """
    at, data = 0, block.data
    for _ in range(block.size):
        offset, digest, at = next_place(data, at)
        yield offset, digest
    if at != len(data):
        raise Damaged(f"{len(data) - at} bytes behind the last record of a block")


def encoded(block: Block) -> Iterator[bytes]:
    """The bytes of each record of a block.

    Raises:
        Damaged: it is no block of records.
    """
    at = 0
    for _ in range(block.size):
        _, _, end = next_place(block.data, at)
        yield block.data[at:end]
        at = end


def records(block: Block) -> Iterator[ArchivedRecord]:
    """The records of a block.

    Raises:
        Damaged: it is no block of records, or of another number of them.
    """
    at = 0
    for _ in range(block.size):
        found, at = record_bytes.decode(block.data, at)
        yield found
    if at != len(block.data):
        raise Damaged(f"{len(block.data) - at} bytes behind the last record of a block")


def _cut(encoded: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    held: list[bytes] = []
    size = 0
    for one in encoded:
        held.append(one)
        size += len(one)
        if size >= BLOCK_BYTES:
            yield len(held), b"".join(held)
            held, size = [], 0
    if held:
        yield len(held), b"".join(held)


def _sync(header: bytes, pieces: Iterable[bytes]) -> bytes:
    hashing = hashlib.sha256(header)
    for piece in pieces:
        hashing.update(piece)
    return hashing.digest()[:SYNC_BYTES]


def _compress(data: bytes) -> bytes:
    return bytes(cramjam.zstd.compress(data, LEVEL))


def _decompress(data: bytes) -> bytes:
    try:
        return bytes(cramjam.zstd.decompress(data))
    except cramjam.DecompressionError as error:
        raise Damaged(f"a block can't be decompressed: {error}") from error


def _read_bytes(data: bytes, at: int) -> tuple[bytes, int]:
    length, at = read_long(data, at)
    if length < 0 or at + length > len(data):
        raise IndexError(f"{length} bytes at byte {at}")
    return data[at : at + length], at + length
