"""A journal's first entry, kept beside its segments: it says whose entries these are after its segment is deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from zlib import crc32

if TYPE_CHECKING:
    from pathlib import Path

ORIGIN_FILE: Final = "origin"
_CRC_BYTES: Final = 4


def store(journal: Path, payload: bytes) -> None:
    """Keeps the first entry's payload; there is always a whole file, or none.

    Raises:
        OSError: it can't be written.
    """
    unfinished = journal / f".{ORIGIN_FILE}"
    unfinished.write_bytes(crc32(payload).to_bytes(_CRC_BYTES, "little") + payload)
    unfinished.replace(journal / ORIGIN_FILE)


def load(journal: Path) -> bytes | None:
    """The first entry's payload, if it was kept and is whole."""
    try:
        data = (journal / ORIGIN_FILE).read_bytes()
    except FileNotFoundError:
        return None
    payload = data[_CRC_BYTES:]
    return payload if data[:_CRC_BYTES] == crc32(payload).to_bytes(_CRC_BYTES, "little") else None
