"""Segments while their writer has them open."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from matih_tracking.journal.errors import JournalFull
from matih_tracking.journal.files import CLOSED_WINDOW, WrittenWindow, create_file, is_same_file, map_file, populate
from matih_tracking.journal.frames import SEAL_BYTES
from matih_tracking.journal.segment import HEADER_BYTES, SegmentHeader, file_name, pack_header

if TYPE_CHECKING:
    from pathlib import Path

    from matih_tracking.journal.files import Window
    from matih_tracking.journal.space import Bound

RESERVE_BYTES: Final = 4096
"""Kept free in each segment for the entries that have to fit on a full disk: the end of the run."""
_PAGE: Final = 4096
_POPULATE_BYTES: Final = 64 << 10
_AROUND: Final = HEADER_BYTES + SEAL_BYTES + RESERVE_BYTES
SMALLEST_BYTES: Final = 4 * _PAGE


class WritableSegment:
    """One segment's file, allocated to its full size."""

    __slots__ = ("_populated", "fd", "first", "name", "ordinal", "size", "window")

    def __init__(self, fd: int, ordinal: int, size: int, window: Window) -> None:
        self.fd = fd
        self.name = file_name(ordinal)
        self.ordinal = ordinal
        self.size = size
        self.window = window
        self.first = 0
        self._populated = 0

    @property
    def end(self) -> int:
        """Where the room for ordinary entries ends."""
        return self.size - SEAL_BYTES - RESERVE_BYTES

    @property
    def reserve_end(self) -> int:
        """Where the room for the entries that have to fit ends."""
        return self.size - SEAL_BYTES

    @property
    def limit(self) -> int:
        """Up to where ordinary entries may be written for now: what is populated, or all."""
        return min(self._populated, self.end)

    def populate(self, end: int) -> None:
        """Get the pages up to offset `end`, and some more, ready for writing."""
        start = self._populated
        self._populated = min(max(start + _POPULATE_BYTES, _pages(end)), self.size)
        if self._populated > start:
            populate(self.window, start, self._populated)

    def is_half_populated(self) -> bool:
        """Whether it's time to think of the next segment."""
        return self._populated * 2 > self.size

    def drop_window(self) -> None:
        """Unmap the file; it stays open."""
        self.window = CLOSED_WINDOW

    def fits(self, frame_bytes: int) -> bool:
        """Whether a frame of this size fits into the segment while it's empty."""
        return HEADER_BYTES + frame_bytes <= self.end

    def is_in_place(self, folder: Path) -> bool:
        """Whether the file is still there; what is written to a removed one is gone with this process."""
        return is_same_file(self.fd, folder / self.name)

    def close(self) -> None:
        """Close the file. May be repeated."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            os.close(fd)

    def __del__(self) -> None:
        # A signal handler that raises may have kept anybody from closing it, or even from making it.
        if hasattr(self, "fd"):
            self.close()


class SegmentMaker:
    """Makes the files of one journal's segments: small ones first, each twice as large as the one before."""

    def __init__(self, header: SegmentHeader, bound: Bound, *, first_bytes: int, max_bytes: int, mapped: bool) -> None:
        self.header = header
        self._bound = bound
        self._first_bytes = max(SMALLEST_BYTES, _pages(first_bytes))
        self._max_bytes = max(self._first_bytes, _pages(max_bytes))
        self.mapped = mapped

    def create(self, folder: Path, ordinal: int, frame_bytes: int = 0) -> WritableSegment:
        """Make a segment's file, smaller than usual if there is no room for more.

        Args:
            folder: the journal's folder.
            ordinal: the segment's.
            frame_bytes: what has to fit in one piece.

        Raises:
            JournalFull: not even the smallest fits.
            OSError: the file can't be made for another reason.
        """
        least = max(SMALLEST_BYTES, _pages(frame_bytes + _AROUND))
        size = max(least, min(self._first_bytes << min(ordinal, 40), self._max_bytes))
        return self._create_up_to(folder, ordinal, size, least)

    def _create_up_to(self, folder: Path, ordinal: int, size: int, least: int) -> WritableSegment:
        try:
            return self.create_sized(folder, ordinal, size)
        except JournalFull:
            if size == least:
                raise
        return self._create_up_to(folder, ordinal, max(least, _pages(size // 4)), least)

    def create_sized(self, folder: Path, ordinal: int, size: int, *, prefix: str = "") -> WritableSegment:
        """Make a segment's file of exactly this size; one that was left unfinished is replaced.

        Args:
            folder: the journal's folder.
            ordinal: the segment's.
            size: its bytes, whole pages.
            prefix: put before the file's name.

        Raises:
            JournalFull: there is no room for it.
            OSError: the file can't be made for another reason.
        """
        self._bound.check(size, first=ordinal == 0)
        path = folder / f"{prefix}{file_name(ordinal)}"
        path.unlink(missing_ok=True)
        fd = create_file(path, size)
        segment = WritableSegment(fd, ordinal, size, WrittenWindow(fd))
        if self.mapped:
            segment.window = map_file(fd, size)
        return segment

    def begin(self, segment: WritableSegment, first: int) -> None:
        """Write the header, from which on the segment is part of the journal."""
        segment.first = first
        header = pack_header(self.header._replace(ordinal=segment.ordinal, first=first, size=segment.size))
        segment.window[0:HEADER_BYTES] = header


def _pages(size: int) -> int:
    return -(-size // _PAGE) * _PAGE
