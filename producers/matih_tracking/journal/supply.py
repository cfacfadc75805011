"""The next segment, made in advance, so that a log call seldom waits for the file system."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from matih_tracking.journal.errors import JournalError, JournalFull
from matih_tracking.journal.files import write_error

if TYPE_CHECKING:
    from pathlib import Path

    from matih_tracking.journal.writable_segment import SegmentMaker, WritableSegment

_RETRY_SECONDS: Final = 1.0


class SegmentSupply:
    """Makes one journal's segments, at most one ahead. Not thread safe: the writer calls it under its room lock."""

    def __init__(self, folder: Path, maker: SegmentMaker) -> None:
        self._folder = folder
        self._maker = maker
        self._ahead: WritableSegment | None = None
        self._full: JournalFull | None = None
        self._retry_at = 0.0

    def prepare(self, ordinal: int) -> None:
        """Make this segment ahead, if there is room; if not, it is `take` that says so."""
        if not self._is_ready(ordinal) and self._may_try():
            with suppress(JournalError):
                self._ahead = self._create(ordinal, 0)

    def take(self, ordinal: int, frame_bytes: int) -> WritableSegment:
        """The segment of this ordinal, with room for a frame of this size; the same if it is asked for again.

        Raises:
            JournalFull: there is no room. It's looked for again after a second; until then this is cheap.
            JournalError: the file can't be made.
        """
        ahead = self._ahead
        if ahead is not None and self._is_ready(ordinal) and ahead.fits(frame_bytes):
            return ahead
        if self._full is not None and not self._may_try():
            raise JournalFull(self._full.reason, str(self._full))
        self._ahead = self._create(ordinal, frame_bytes)
        return self._ahead

    def discard(self, current: int) -> None:
        """Delete what was made ahead of the current segment, of this ordinal."""
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead.ordinal > current and ahead.is_in_place(self._folder):
            (self._folder / ahead.name).unlink(missing_ok=True)

    def close(self) -> None:
        """Let go of the file that was made ahead, and leave it where it is."""
        self._ahead = None

    def _is_ready(self, ordinal: int) -> bool:
        ahead = self._ahead
        return ahead is not None and ahead.ordinal == ordinal and ahead.is_in_place(self._folder)

    def _may_try(self) -> bool:
        return self._full is None or time.monotonic() >= self._retry_at

    def _create(self, ordinal: int, frame_bytes: int) -> WritableSegment:
        self._full = None
        try:
            return self._maker.create(self._folder, ordinal, frame_bytes)
        except JournalFull as error:
            self._full, self._retry_at = error, time.monotonic() + _RETRY_SECONDS
            raise
        except OSError as error:
            raise write_error(self._folder, error) from error
