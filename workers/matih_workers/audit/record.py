"""One record as the archive keeps it: its bytes, and their hash. Pure.

A record's bytes are the Avro binary encoding of `SCHEMA`, with one freedom of Avro's taken away: the headers are one
array block that is preceded by its size in bytes (a negative count), and none at all if there are no headers. So a
record has exactly one encoding, and a reader finds its end without looking into its headers. What the log holds is
the SHA-256 of these bytes: whoever has an Avro library can compute it.

https://avro.apache.org/docs/1.12.0/specification/#binary-encoding
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any, Final, NamedTuple

from matih_workers.audit.errors import Damaged

SCHEMA: Final[dict[str, Any]] = {
    "type": "record",
    "name": "ArchivedRecord",
    "namespace": "matih.audit",
    "doc": "A Kafka record as it stood on the topic.",
    "fields": [
        {"name": "offset", "type": "long"},
        {"name": "timestamp", "type": "long", "doc": "ms since the epoch"},
        {"name": "timestamp_type", "type": "int", "doc": "0: the producer's clock, 1: the broker's"},
        {"name": "key", "type": ["null", "bytes"]},
        {"name": "value", "type": ["null", "bytes"]},
        {
            "name": "headers",
            "type": {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "Header",
                    "fields": [{"name": "name", "type": "string"}, {"name": "value", "type": ["null", "bytes"]}],
                },
            },
        },
        {
            "name": "erased",
            "type": ["null", "bytes"],
            "doc": "SHA-256 of the record's bytes before its key, value and headers were erased; null if they were not",
        },
    ],
}
DIGEST_BYTES: Final = 32
_NULL: Final = b"\x00"
_BYTES: Final = b"\x02"
_MORE: Final = 0x80
_BYTES_BRANCH: Final = 2
_ONE_BYTE: Final = [bytes((number,)) for number in range(_MORE)]
_sha256 = hashlib.sha256
_LONG_BITS: Final = 64

Headers = tuple[tuple[str, bytes | None], ...]


class ArchivedRecord(NamedTuple):
    """A record of one partition.

    Attributes:
        timestamp: ms since the epoch.
        timestamp_type: 0 the producer's clock, 1 the broker's (when Kafka received it).
        erased: the digest of what it was, if its payload was erased; key, value and headers are empty then.
    """

    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()
    erased: bytes | None = None


def long_bytes(number: int) -> bytes:
    """Avro's long: zigzag, then 7 bits a byte, the lowest first."""
    left = (number << 1) ^ (number >> 63)
    if left < _MORE:
        return _ONE_BYTE[left]
    if left < _MORE << 7:
        return bytes((left & 0x7F | _MORE, left >> 7))
    if left < _MORE << 14:
        return bytes((left & 0x7F | _MORE, left >> 7 & 0x7F | _MORE, left >> 14))
    out = bytearray()
    while left >= _MORE:
        out.append(left & 0x7F | _MORE)
        left >>= 7
    out.append(left)
    return bytes(out)


_HEADS: Final = 1024
_BYTES_HEADS: Final = [_BYTES + long_bytes(length) for length in range(_HEADS)]
"""What stands before bytes of each small length: nearly all that there are."""


def read_long(data: bytes, at: int) -> tuple[int, int]:
    """The long that begins there, and where it ends.

    Raises:
        IndexError: the bytes end before it does.
        Damaged: it is longer than a long can be.
    """
    first = data[at]
    at += 1
    if first < _MORE:
        return (first >> 1) ^ -(first & 1), at
    left, shift = first & 0x7F, 7
    while True:
        byte = data[at]
        at += 1
        left |= (byte & 0x7F) << shift
        if byte < _MORE:
            return (left >> 1) ^ -(left & 1), at
        shift += 7
        if shift >= _LONG_BITS:
            raise Damaged(f"a number at byte {at} never ends")


def encode(record: ArchivedRecord) -> bytes:
    """The record's bytes."""
    offset, timestamp, timestamp_type, key, value, headers, erased = record
    return b"".join(
        (
            long_bytes(offset),
            _times(timestamp, timestamp_type),
            _optional(key),
            _optional(value),
            _headers(headers),
            _optional(erased),
        )
    )


def digest_of(encoded: bytes) -> bytes:
    """The SHA-256 of a record's bytes: what the log holds of a record that is not erased."""
    return _sha256(encoded).digest()


def digest(record: ArchivedRecord) -> bytes:
    """What the log holds of the record."""
    return record.erased if record.erased is not None else digest_of(encode(record))


def erase(record: ArchivedRecord) -> ArchivedRecord:
    """The record without what it said. Its place, its times and the hash of what it was stay."""
    return record._replace(key=None, value=None, headers=(), erased=digest(record))


def decode(data: bytes, at: int = 0) -> tuple[ArchivedRecord, int]:
    """The record that begins there, and where it ends.

    Raises:
        Damaged: the bytes are no record.
    """
    try:
        offset, at = read_long(data, at)
        timestamp, at = read_long(data, at)
        timestamp_type, at = read_long(data, at)
        key, at = _read_optional(data, at)
        value, at = _read_optional(data, at)
        headers, at = _read_headers(data, at)
        erased, at = _read_optional(data, at)
    except (IndexError, UnicodeDecodeError) as error:
        raise Damaged(f"no record at byte {at}: {error}") from error
    return ArchivedRecord(offset, timestamp, timestamp_type, key, value, headers, erased), at


def next_place(data: bytes, at: int) -> tuple[int, bytes, int]:
    """The offset of the record that begins there, its digest, and where it ends; decodes nothing else.

    Of an erased record it is two: the digest of what it was, as it says, and behind it that of the bytes it has now.

    Raises:
        Damaged: the bytes are no record.
    """
    begin = at
    try:
        offset, at = read_long(data, at)
        while data[at] >= _MORE:
            at += 1
        at += 2
        for _ in range(2):  # key and value; written out here, for this is where verifying spends its time
            branch = data[at]
            at += 1
            if branch == _BYTES_BRANCH:
                length = data[at]
                at += 1
                if length < _MORE:
                    at += length >> 1
                elif (high := data[at]) < _MORE:
                    at += 1 + ((length & 0x7F | high << 7) >> 1)
                else:
                    length, at = read_long(data, at - 1)
                    at += length
            elif branch:
                raise Damaged(f"no such branch of a union at byte {at - 1}: {branch}")
        at = _behind_headers(data, at)
        end = at + 1
        digest = b""
        if data[at]:
            erased, end = _read_optional(data, at)
            digest = erased or b""
    except IndexError as error:
        raise Damaged(f"the record at byte {begin} has no end") from error
    if end <= begin:
        raise Damaged(f"the record at byte {begin} has a negative length")
    return offset, digest + _sha256(data[begin:end]).digest(), end


def _optional(value: bytes | None) -> bytes:
    if value is None:
        return _NULL
    length = len(value)
    return (_BYTES_HEADS[length] if length < _HEADS else _BYTES + long_bytes(length)) + value


def _headers(headers: Headers) -> bytes:
    if not headers:
        return _NULL
    pieces: list[bytes] = []
    for name, value in headers:
        if value is None:
            pieces += (_name(name, -1), _NULL)
        else:
            pieces += (_name(name, len(value)), value)
    block = b"".join(pieces)
    return long_bytes(-len(headers)) + long_bytes(len(block)) + block + _NULL


@lru_cache(maxsize=1024)
def _name(name: str, length: int) -> bytes:
    """What stands before a header's value of this length (-1: null); a topic has a few of them, on every record."""
    encoded = name.encode()
    before = b"" if length < 0 else _BYTES + long_bytes(length)
    return long_bytes(len(encoded)) + encoded + before


@lru_cache(maxsize=256)
def _times(timestamp: int, timestamp_type: int) -> bytes:
    """The times of a record: those that came together have the same."""
    return long_bytes(timestamp) + long_bytes(timestamp_type)


def _read_bytes(data: bytes, at: int) -> tuple[bytes, int]:
    length, at = read_long(data, at)
    end = at + length
    if not at <= end <= len(data):
        raise Damaged(f"{length} bytes at byte {at} of {len(data)}")
    return data[at:end], end


def _read_optional(data: bytes, at: int) -> tuple[bytes | None, int]:
    branch = data[at]
    if branch == 0:
        return None, at + 1
    if branch != _BYTES_BRANCH:
        raise Damaged(f"no such branch of a union at byte {at}: {branch}")
    return _read_bytes(data, at + 1)


def _read_headers(data: bytes, at: int) -> tuple[Headers, int]:
    count, at = read_long(data, at)
    if count == 0:
        return (), at
    size, at = read_long(data, at)
    end, found = at + size, []
    for _ in range(-count):
        name, at = _read_bytes(data, at)
        value, at = _read_optional(data, at)
        found.append((name.decode(), value))
    if at != end or data[at] != 0:
        raise Damaged(f"headers that do not end where they say, at byte {at}")
    return tuple(found), at + 1


def _behind_headers(data: bytes, at: int) -> int:
    if data[at] == 0:
        return at + 1
    count, at = read_long(data, at)
    if count > 0:
        raise Damaged(f"headers without their size at byte {at}")
    size, at = read_long(data, at)
    if size < 0 or data[at + size]:
        raise Damaged(f"headers that do not end where they say, at byte {at}")
    return at + size + 1
