"""Segments as their reader opens them: by system calls, as another process may remove or damage the files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

from matih_tracking.journal.errors import JournalNewer
from matih_tracking.journal.files import open_to_read, read_at
from matih_tracking.journal.segment import (
    HEADER_BYTES,
    HeaderError,
    NewerHeader,
    SegmentHeader,
    file_name,
    ordinal_of,
    unpack_header,
)

if TYPE_CHECKING:
    from pathlib import Path

_PIECE: Final = 1 << 20


class ReadableSegment(NamedTuple):
    """An open segment with a valid header."""

    fd: int
    size: int
    header: SegmentHeader

    def read(self, size: int, offset: int) -> bytes:
        """Read up to `size` bytes from `offset`."""
        return read_at(self.fd, size, offset)

    def lost_bytes(self, offset: int) -> int:
        """How many bytes lie between `offset` and the last one that isn't zero, or were cut off the file."""
        return _used_bytes(self.fd, offset, self.size) + max(0, self.header.size - self.size)

    def is_linked(self) -> bool:
        """Whether the file still has a name."""
        return os.fstat(self.fd).st_nlink > 0

    def close(self) -> None:
        """Close the file."""
        os.close(self.fd)


def ordinals(journal: Path) -> list[int]:
    """The ordinals of the segments in a journal's folder, in order."""
    return sorted(ordinal for file in journal.iterdir() if (ordinal := ordinal_of(file.name)) is not None)


def open_segment(journal: Path, ordinal: int) -> ReadableSegment | None:
    """Open a segment; None if it's missing, prepared but not begun, or its header isn't whole, or another segment's.

    Raises:
        JournalNewer: a later release wrote it.
    """
    fd = open_to_read(journal / file_name(ordinal))
    if fd is None:
        return None
    try:
        header = unpack_header(read_at(fd, HEADER_BYTES, 0))
    except NewerHeader as error:
        os.close(fd)
        raise JournalNewer(journal, f"{error}. Ship it with a later release. Left as it is") from error
    except HeaderError:
        header = None
    if header is None or header.ordinal != ordinal:
        os.close(fd)
        return None
    return ReadableSegment(fd, os.fstat(fd).st_size, header)


class Leftover(NamedTuple):
    """A segment's file without a valid header.

    Attributes:
        ordinal: the segment's.
        size: bytes of the file.
        header: bytes of the header up to the last one that isn't zero.
        body: the same of what is behind the header.
    """

    ordinal: int
    size: int
    header: int
    body: int


def leftover(journal: Path, ordinal: int) -> Leftover:
    """What is in a segment that can't be opened; nothing if there is no file."""
    fd = open_to_read(journal / file_name(ordinal))
    if fd is None:
        return Leftover(ordinal, 0, 0, 0)
    try:
        size = os.fstat(fd).st_size
        return Leftover(ordinal, size, _used_bytes(fd, 0, HEADER_BYTES), _used_bytes(fd, HEADER_BYTES, size))
    finally:
        os.close(fd)


def _used_bytes(fd: int, start: int, end: int) -> int:
    used = 0
    for offset in range(start, end, _PIECE):
        piece = read_at(fd, min(_PIECE, end - offset), offset).rstrip(b"\0")
        if piece:
            used = offset - start + len(piece)
    return used
