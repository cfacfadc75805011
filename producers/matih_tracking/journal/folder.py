"""A journal's folder as its writer keeps it: lock, cursor, sealed segments; made anew if somebody removes it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NamedTuple

from matih_tracking.journal import origin
from matih_tracking.journal.creation import take_lock
from matih_tracking.journal.cursor import Cursor, Position
from matih_tracking.journal.files import read_at
from matih_tracking.journal.frames import scan
from matih_tracking.journal.readable_segment import ordinals
from matih_tracking.journal.segment import HEADER_BYTES
from matih_tracking.spool import open_spool

if TYPE_CHECKING:
    from pathlib import Path

    from matih_tracking.journal.creation import NewJournal
    from matih_tracking.journal.writable_segment import SegmentMaker, WritableSegment

_KEPT_SEGMENTS: Final = 16
_COPY_BYTES: Final = 1 << 20
_ORIGIN_BYTES: Final = 1 << 12
_CLOCK_TICK_NS: Final = 50_000_000


class Health(NamedTuple):
    """What became of the files since the last `JournalWriter.check`.

    Attributes:
        recreated: somebody had removed files of the journal; they are made anew.
        relogged: entries that were written again.
        lost: entries that were neither acknowledged nor could be written again.
    """

    recreated: bool = False
    relogged: int = 0
    lost: int = 0

    def merged(self, later: Health) -> Health:
        """Both together."""
        return Health(self.recreated or later.recreated, self.relogged + later.relogged, self.lost + later.lost)


class _Sealed(NamedTuple):
    segment: WritableSegment
    end: int
    """Number behind its last entry."""


class JournalFolder:
    """Holds the files that a removed folder is made anew from.

    Sealed segments are kept open until they are acknowledged, but no more than a few: each costs a file descriptor.

    Attributes:
        path: the folder.
        cursor: the acknowledged prefix.
    """

    def __init__(self, spool: Path, maker: SegmentMaker, new: NewJournal) -> None:
        self.path = new.path
        self.cursor = new.cursor
        self._lock = new.lock
        self._spool = spool
        self._maker = maker
        self._sealed: list[_Sealed] = []
        self._first: WritableSegment | None = None
        self._intact_stamp: tuple[int, int] | None = None

    def add_sealed(self, segment: WritableSegment, end: int) -> None:
        """Keep a segment that was sealed before entry number `end`."""
        segment.drop_window()
        if segment.ordinal == 0:
            self._first = segment
        self._sealed.append(_Sealed(segment, end))
        self._let_go(self._sealed[:-_KEPT_SEGMENTS])

    def trim(self) -> None:
        """Let go of what is acknowledged."""
        acked = self.cursor.acked
        self._let_go([sealed for sealed in self._sealed if sealed.end <= acked])

    def is_intact(self, current: WritableSegment) -> bool:
        """Whether all files are where they were made; deleted segments must be acknowledged."""
        stamp = self._stamp()
        if stamp is not None and stamp == self._intact_stamp:
            return True
        intact = self._has_all(current)
        self._intact_stamp = stamp if intact else None
        return intact

    def _stamp(self) -> tuple[int, int] | None:
        """What changes when a file of the folder is made or removed; None if that can't be relied on."""
        try:
            status = self.path.stat()
        except OSError:
            return None
        # The kernel's clock for files is coarse: a change a moment later may carry the same time.
        settled = abs(time.time_ns() - status.st_mtime_ns) > _CLOCK_TICK_NS
        return (status.st_ino, status.st_mtime_ns) if settled else None

    def _has_all(self, current: WritableSegment) -> bool:
        if not (current.is_in_place(self.path) and self._lock.is_in_place() and self.cursor.is_in_place()):
            return False
        # The shipper stores the cursor before it deletes: so look at the files first, then at the cursor.
        missing = [sealed for sealed in self._sealed if not sealed.segment.is_in_place(self.path)]
        return not missing or max(sealed.end for sealed in missing) <= self.cursor.acked

    def restore(self) -> int:
        """Make everything anew that is missing, but for the current segment; returns how many entries were rewritten.

        Raises:
            JournalFull: there is no room.
            JournalError: another process has taken the lock.
            SpoolUnusable: the spool can't be made or trusted.
            OSError: anything else that the file system answers.
        """
        open_spool(self._spool)
        self.path.mkdir(mode=0o700, exist_ok=True)
        if not self._lock.is_in_place():
            lock = take_lock(self.path)
            self._lock.close()
            self._lock = lock
        if not self.cursor.is_in_place():
            self._restore_cursor()
        relogged = sum(self._restore_sealed(nth) for nth in range(len(self._sealed)))
        if self._first is not None and not (self.path / self._first.name).exists():
            self._restore_origin(self._first)
        return relogged

    def skip_lost(self) -> int:
        """Move the cursor over entries that are neither acknowledged nor in any file; returns how many."""
        acked = self.cursor.load()
        lowest = min(ordinals(self.path), default=0)
        first = next(
            (sealed.segment.first for sealed in self._sealed if sealed.segment.ordinal == lowest), acked.number
        )
        if lowest <= acked.segment or first <= acked.number:
            return 0
        self.cursor.store(Position(lowest, HEADER_BYTES, first))
        return first - acked.number

    def copy(self, segment: WritableSegment, used: int) -> WritableSegment:
        """Make a removed segment's file anew with its first `used` bytes.

        Raises:
            JournalFull: there is no room.
            OSError: anything else that the file system answers.
        """
        copy = self._maker.create_sized(self.path, segment.ordinal, segment.size, prefix=".")
        copy.first = segment.first
        for start in range(0, used, _COPY_BYTES):
            data = read_at(segment.fd, min(_COPY_BYTES, used - start), start)
            copy.window[start : start + len(data)] = data
        (self.path / f".{copy.name}").replace(self.path / copy.name)
        return copy

    def close(self) -> None:
        """Close all files, which frees the lock, unless another process has inherited it. May be repeated."""
        first, self._first = self._first, None
        if first is not None:
            first.close()
        self._let_go(self._sealed)
        self.cursor.close()
        self._lock.close()

    def _let_go(self, gone: list[_Sealed]) -> None:
        self._sealed = [sealed for sealed in self._sealed if sealed not in gone]
        for sealed in gone:
            if sealed.segment is not self._first:
                sealed.segment.close()

    def _restore_sealed(self, nth: int) -> int:
        segment, end = self._sealed[nth]
        acked = self.cursor.acked
        if end <= acked or segment.is_in_place(self.path):
            return 0
        copy = self.copy(segment, segment.size)
        copy.drop_window()
        self._sealed[nth] = _Sealed(copy, end)
        segment.close()
        return end - max(acked, segment.first)

    def _restore_origin(self, first: WritableSegment) -> None:
        """Keep the first entry, which says whose all others are: its segment is on Kafka, and stays deleted."""
        payloads: list[bytes] = []
        size = _ORIGIN_BYTES
        while not payloads and size < 4 * first.size:
            payloads = scan(read_at(first.fd, size, HEADER_BYTES), self._maker.header.seed).payloads
            size *= 4
        if payloads:
            origin.store(self.path, payloads[0])

    def _restore_cursor(self) -> None:
        cursor = Cursor(self.path)
        cursor.store(self.cursor.load())
        self.cursor.close()
        self.cursor = cursor
