"""How far a journal's entries are acknowledged by Kafka: a small file, written by the shipper, read by the writer.

Two slots are written in turn, each with a checksum, so that there is always a whole one, whenever its writer dies.
"""

from __future__ import annotations

import os
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple
from zlib import crc32

from matih_tracking.journal.files import is_same_file, open_to_write, read_at, write_at
from matih_tracking.journal.segment import HEADER_BYTES

if TYPE_CHECKING:
    from pathlib import Path

CURSOR_FILE: Final = "cursor"
_SLOT: Final = Struct("<QQQQ")
_CRC: Final = Struct("<I")
_SLOT_BYTES: Final = 64
_FILE_BYTES: Final = 2 * _SLOT_BYTES


class Position(NamedTuple):
    """A place between two entries.

    Attributes:
        segment: ordinal of the segment.
        offset: byte in the segment where the next frame begins.
        number: number of the next entry; as a cursor, how many entries are acknowledged.
    """

    segment: int
    offset: int
    number: int


START: Final = Position(0, HEADER_BYTES, 0)
"""Before a journal's first entry."""


class Cursor:
    """The contiguous prefix of a journal that is acknowledged.

    One process writes it (the shipper), any number read it. The file is made by the journal's writer.
    """

    def __init__(self, journal: Path) -> None:
        """Open the cursor of the journal in the folder `journal`.

        Raises:
            FileNotFoundError: the journal isn't there.
        """
        self.path = journal / CURSOR_FILE
        self._fd = open_to_write(self.path)
        self.load()

    @property
    def acked(self) -> int:
        """How many entries, from the first on without a gap, are on Kafka. Costs one small read: fit for polling."""
        return self.load().number

    def load(self) -> Position:
        """Read the position; `START` if none was ever stored, or the file is damaged (then all is sent again)."""
        self._generation, position = _newest(read_at(self._fd, _FILE_BYTES, 0))
        return position

    def store(self, position: Position) -> None:
        """Write the position, which must not be behind the one stored.

        Raises:
            OSError: it can't be written; the one stored before is still there.
        """
        if not os.fstat(self._fd).st_nlink:
            self._reopen()
        generation = self._generation + 1
        slot = _SLOT.pack(generation, *position)
        write_at(self._fd, slot + _CRC.pack(crc32(slot)), generation % 2 * _SLOT_BYTES)
        self._generation = generation

    def is_in_place(self) -> bool:
        """Whether the open file is still the one at its path."""
        return is_same_file(self._fd, self.path)

    def _reopen(self) -> None:
        """Follow the path: the folder was removed under a living writer, which has made a new one."""
        fd = open_to_write(self.path)
        os.close(self._fd)
        self._fd = fd
        self.load()

    def close(self) -> None:
        """Close the file. May be repeated."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _newest(data: bytes) -> tuple[int, Position]:
    slots = [_slot(data[at : at + _SLOT_BYTES]) for at in (0, _SLOT_BYTES)]
    return max((slot for slot in slots if slot is not None), default=(0, START))


def _slot(data: bytes) -> tuple[int, Position] | None:
    if len(data) < _SLOT.size + _CRC.size or not any(data):
        return None
    if _CRC.unpack_from(data, _SLOT.size)[0] != crc32(data[: _SLOT.size]):
        return None
    generation, segment, offset, number = _SLOT.unpack_from(data)
    return generation, Position(segment, offset, number)
