"""What a segment's file is called, and the header that it begins with (pure: no I/O).

    offset  size  field
    0       8     magic, `MATIHJNL`
    8       2     format version
    10      2     bytes of the header, CRC included: the first frame begins there
    12      4     the journal's CRC seed
    16      8     hash of the spool's key
    24      8     producer id
    32      16    run id
    48      8     ordinal of the segment, from 0
    56      8     number of its first entry
    64      8     ms since the epoch when the journal was made
    72      16    boot id of the machine that wrote it
    88      8     bytes of the whole file
    96      28    zeros
    124     4     CRC-32 over everything before it

All integers are little endian. A header of zeros belongs to a segment that is prepared, but not begun.
"""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

MAGIC: Final = b"MATIHJNL"
VERSION: Final = 1
HEADER_BYTES: Final = 128
SUFFIX: Final = ".seg"

_PREFIX: Final = Struct("<8sHH")
_FIELDS: Final = Struct("<8sHHI8s8s16sQQQ16sQ28x")
_CRC: Final = Struct("<I")


class SegmentHeader(NamedTuple):
    """Who wrote a segment, and where it belongs.

    Attributes:
        seed: the journal's CRC seed, never 0.
        spool_key: hash of brokers, topic and user that the entries are for (16 hex characters).
        producer_id: 16 hex characters, one per journal.
        run_id: 32 hex characters.
        ordinal: place of the segment in the journal, from 0.
        first: number of its first entry.
        created_ms: when the journal was made, ms since the epoch.
        boot_id: 32 hex characters; zeros where the system has none.
        size: bytes of the whole file, so that a file that was cut shows.
    """

    seed: int
    spool_key: str
    producer_id: str
    run_id: str
    ordinal: int
    first: int
    created_ms: int
    boot_id: str
    size: int


class HeaderError(ValueError):
    """The bytes are no header of this format."""


class NewerHeader(HeaderError):
    """The bytes are a header of a later format."""


def file_name(ordinal: int) -> str:
    """The name of a segment's file: its ordinal, so that names sort as segments do."""
    return f"{ordinal:020d}{SUFFIX}"


def ordinal_of(name: str) -> int | None:
    """The ordinal of the segment that a file of this name holds, None if it is no segment."""
    stem, dot, suffix = name.rpartition(".")
    return int(stem) if dot + suffix == SUFFIX and stem.isdecimal() and stem.isascii() else None


def pack_header(header: SegmentHeader) -> bytes:
    """Make the first `HEADER_BYTES` of a segment."""
    body = _FIELDS.pack(
        MAGIC,
        VERSION,
        HEADER_BYTES,
        header.seed,
        bytes.fromhex(header.spool_key),
        bytes.fromhex(header.producer_id),
        bytes.fromhex(header.run_id),
        header.ordinal,
        header.first,
        header.created_ms,
        bytes.fromhex(header.boot_id),
        header.size,
    )
    return body + _CRC.pack(crc32(body))


def unpack_header(data: bytes) -> SegmentHeader | None:
    """Read the first `HEADER_BYTES` of a segment; None if it is prepared, but not begun.

    Raises:
        NewerHeader: a later release wrote it.
        HeaderError: anything else is wrong with it; the message says what.
    """
    if not any(data):
        return None
    if len(data) < HEADER_BYTES:
        raise HeaderError(f"the header has {len(data)} bytes instead of {HEADER_BYTES}")
    magic, version, header_bytes = _PREFIX.unpack_from(data)
    if magic != MAGIC:
        raise HeaderError(f"the file begins with {magic!r} instead of {MAGIC!r}")
    if _CRC.unpack_from(data, HEADER_BYTES - 4)[0] != crc32(data[: HEADER_BYTES - 4]):
        raise _unless_newer(version, HeaderError("the header's checksum is wrong"))
    if version != VERSION or header_bytes != HEADER_BYTES:
        raise _unless_newer(version, HeaderError(f"the header claims {header_bytes} bytes in format {version}"))
    _, _, _, seed, key, producer, run, ordinal, first, created_ms, boot, size = _FIELDS.unpack_from(data)
    return SegmentHeader(seed, key.hex(), producer.hex(), run.hex(), ordinal, first, created_ms, boot.hex(), size)


def _unless_newer(version: int, otherwise: HeaderError) -> HeaderError:
    if version > VERSION:
        return NewerHeader(f"format {version}; this release reads up to {VERSION}")
    return otherwise
