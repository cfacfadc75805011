"""The frame around each entry: magic, kind, length, payload and a CRC-32 over all of them.

    offset  size  field
    0       3     magic, `MJF`
    3       1     kind: 1 an entry, 2 the end of a sealed segment
    4       4     length of the payload in bytes, never 0
    8       4     CRC-32 of the payload, started with (the journal's seed xor magic and kind xor length)
    12      n     payload

All integers are little endian. Starting the CRC with the header's fields is how it covers them: any change of them
changes it, and a second call for the header would cost a tenth of the log call. Zeros are the end of what was written:
eight zero bytes would be a valid empty frame (a CRC-32 of nothing is 0), so there is a magic and no frame is empty. The
seed makes another journal's frames, left in a file by a damaged file system, invalid here.
"""

from __future__ import annotations

from enum import IntEnum
from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

MAGIC: Final = int.from_bytes(b"MJF\0", "little")
ENTRY: Final = MAGIC | 1 << 24
SEALED: Final = MAGIC | 2 << 24

HEAD: Final = Struct("<III")
"""Magic and kind, length, CRC."""
_SEAL: Final = Struct("<QB")

OVERHEAD: Final = HEAD.size
SEAL_BYTES: Final = OVERHEAD + _SEAL.size


class Seal(NamedTuple):
    """What the last frame of a segment says.

    Attributes:
        entries: entries in the journal up to here.
        final: no segment follows: the writer closed the journal.
    """

    entries: int
    final: bool


class Stop(IntEnum):
    """Why a scan ended."""

    MORE = 0
    """The bytes end before the frame does."""
    BLANK = 1
    """Zeros: nothing was written here yet."""
    BAD = 2
    """Bytes that are no valid frame: damaged, or not completely written yet."""
    SEALED = 3
    """The segment is complete."""


class Scan(NamedTuple):
    """The frames found in a piece of a segment.

    Attributes:
        payloads: one per entry.
        ends: offset behind each entry, in the same order.
        offset: where the scan ended: behind the last valid entry.
        stop: why it ended there.
        seal: what the SEALED frame says, if that is why.
    """

    payloads: list[bytes]
    ends: list[int]
    offset: int
    stop: Stop
    seal: Seal | None


def encode(payload: bytes, seed: int, kind: int = ENTRY) -> bytes:
    """Put a frame around a payload.

    Raises:
        ValueError: the payload is empty.
    """
    length = len(payload)
    if not length:
        raise ValueError("an entry can't be empty: a frame without payload is how damage looks")
    return HEAD.pack(kind, length, crc32(payload, seed ^ kind ^ length)) + payload


def encode_seal(seal: Seal, seed: int) -> bytes:
    """Make the frame that ends a segment."""
    return encode(_SEAL.pack(*seal), seed, SEALED)


def scan(data: bytes, seed: int, base: int = 0) -> Scan:
    """Read entries until something else comes.

    Args:
        data: bytes of a segment that begin with a frame.
        seed: the journal's CRC seed.
        base: offset of `data` in the segment; all offsets in the answer count from the segment's start.
    """
    payloads: list[bytes] = []
    ends: list[int] = []
    take, end_at, unpack = payloads.append, ends.append, HEAD.unpack_from
    at, size, entry_seed = 0, len(data), seed ^ ENTRY
    while at + OVERHEAD <= size:
        kind, length, crc = unpack(data, at)
        begin = at + OVERHEAD
        end = begin + length
        if kind != ENTRY or end > size or not length:
            break
        payload = data[begin:end]
        if crc32(payload, entry_seed ^ length) != crc:
            break
        take(payload)
        end_at(base + end)
        at = end
    return Scan(payloads, ends, base + at, *_why(data, at, seed))


def _why(data: bytes, at: int, seed: int) -> tuple[Stop, Seal | None]:
    """Why there is no entry at this place."""
    if at + OVERHEAD > len(data):
        return Stop.MORE, None
    kind, length, crc = HEAD.unpack_from(data, at)
    if kind not in {ENTRY, SEALED} or not length:
        return (Stop.BAD if any(data[at : at + OVERHEAD]) else Stop.BLANK), None
    payload = data[at + OVERHEAD : at + OVERHEAD + length]
    if len(payload) < length:
        return Stop.MORE, None
    if kind == SEALED and length == _SEAL.size and crc32(payload, seed ^ kind ^ length) == crc:
        entries, final = _SEAL.unpack(payload)
        return Stop.SEALED, Seal(entries, bool(final))
    return Stop.BAD, None
