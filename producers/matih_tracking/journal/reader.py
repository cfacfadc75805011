"""Reads a journal from a position on, while its writer lives and after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from matih_tracking.journal.cursor import START, Position
from matih_tracking.journal.errors import JournalDamaged, JournalForeign
from matih_tracking.journal.frames import Scan, Stop, scan
from matih_tracking.journal.readable_segment import Leftover, ReadableSegment, leftover, open_segment, ordinals
from matih_tracking.journal.segment import HEADER_BYTES, SegmentHeader, file_name

if TYPE_CHECKING:
    from pathlib import Path

_PEEK: Final = 512
_LEFT: Final = "Left as it is; docs/guides/journals.md says what to do"


class Batch(NamedTuple):
    """Consecutive entries of one segment.

    Attributes:
        start: the position before the first of them.
        payloads: one per entry.
        ends: offset behind each entry.
        after: the position that the next read goes on from.
        ended: nothing will ever follow: the writer closed the journal, or it's dead and this is all it left.
        lost_bytes: what a dead writer left behind the last whole entry (an entry that it was killed in, or damage).
    """

    start: Position
    payloads: list[bytes]
    ends: list[int]
    after: Position
    ended: bool = False
    lost_bytes: int = 0

    def position_after(self, index: int) -> Position:
        """The position behind the entry `payloads[index]`."""
        return Position(self.start.segment, self.ends[index], self.start.number + index + 1)


class JournalReader:
    """Hands out a journal's entries in order, without ever skipping one.

    Attributes:
        path: the journal's folder.
        position: where the next read begins.
        unknown_before: entries before it that nothing is known about: the cursor is lost, and the segments that held
            them are deleted, as they are once their entries are acknowledged.
    """

    def __init__(self, path: Path, position: Position = START, *, spool_key: str | None = None) -> None:
        """Open a journal.

        Args:
            path: its folder.
            position: where to begin: what its cursor says.
            spool_key: the hash that the journal must have been written for; None takes any.

        Raises:
            JournalForeign: it was written for another spool.
            JournalNewer: a later release wrote it.
            JournalDamaged: the segment that the position lies in is missing or unreadable. While the writer lives it
                may be making a removed folder anew: try again.
            FileNotFoundError: there is no such folder.
        """
        self.path = path
        self.position = position
        self._spool_key = spool_key
        self.unknown_before = 0
        self._chunk = _PEEK
        segment = self._open(position.segment) or self._open_lowest(position)
        if segment is None:
            raise JournalDamaged(path, f"{file_name(position.segment)} is missing, or its header is bad. {_LEFT}")
        self._segment: ReadableSegment = segment

    @property
    def header(self) -> SegmentHeader:
        """The header of the segment that the position lies in."""
        return self._segment.header

    def read(self, limit_bytes: int = 1 << 20, *, owner_gone: bool = False) -> Batch:
        """Read the entries that follow, as many as fit, at least one if there is one.

        Args:
            limit_bytes: how much to read at once.
            owner_gone: the writer was found dead (`owner_state(path) is State.FREE`) BEFORE this call. Only then are
                bad bytes the end; as long as it lives they are an entry that isn't complete yet.

        Raises:
            JournalNewer: a later release wrote what follows.
            JournalForeign: what follows belongs to another journal.
            JournalDamaged: the writer is gone, and what follows is missing or unreadable.
            FileNotFoundError: the writer is gone, and so is the folder.
        """
        while True:
            found = self._scan(limit_bytes)
            if found.payloads:
                return self._advance(found)
            if found.seal is not None and found.seal.final:
                return self._nothing(ended=True)
            if not (self._cross() if found.seal is not None else self._follow()):
                return self._at_end(found) if owner_gone else self._nothing()

    def close(self) -> None:
        """Close the file. May be repeated."""
        self._segment.close()

    def _scan(self, limit_bytes: int) -> Scan:
        offset = self.position.offset
        rest = max(0, self._segment.size - offset)
        chunk = min(self._chunk, limit_bytes)
        while True:
            data = self._segment.read(min(chunk, rest), offset)
            found = scan(data, self.header.seed, offset)
            if found.payloads or found.stop is not Stop.MORE or chunk >= rest:
                # A busy journal is read in large pieces; a look at an idle one stays cheap.
                self._chunk = limit_bytes if found.payloads and found.stop is Stop.MORE else _PEEK
                return found
            chunk *= 16

    def _advance(self, found: Scan) -> Batch:
        start = self.position
        self.position = Position(start.segment, found.offset, start.number + len(found.payloads))
        return Batch(start, found.payloads, found.ends, self.position)

    def _nothing(self, *, ended: bool = False, lost_bytes: int = 0) -> Batch:
        return Batch(self.position, [], [], self.position, ended, lost_bytes)

    def _open(self, ordinal: int) -> ReadableSegment | None:
        """Open a segment; None if it's missing, not begun, or its header isn't whole."""
        segment = open_segment(self.path, ordinal)
        if segment is not None and self._spool_key not in {None, segment.header.spool_key}:
            segment.close()
            raise JournalForeign(
                self.path,
                f"written for {segment.header.spool_key}, this is {self._spool_key}: ship it with the settings "
                "(Kafka's, or MATIH_API_URL and MATIH_TENANT) of the job that wrote it. Left as it is",
            )
        return segment

    def _open_lowest(self, position: Position) -> ReadableSegment | None:
        """Where the position's segment is gone, go on in the lowest if nothing lies between."""
        lowest = min(ordinals(self.path), default=0)
        segment = self._open(lowest) if lowest > position.segment else None
        if segment is None:
            return None
        first = segment.header.first
        if position != START and position.number != first:
            segment.close()
            return None
        self.unknown_before = first - position.number
        self.position = Position(lowest, HEADER_BYTES, first)
        return segment

    def _cross(self) -> bool:
        """Go on in the next segment, if it's begun."""
        following = self._open(self.position.segment + 1)
        if following is None:
            return False
        number = self.position.number
        expected = self.header._replace(ordinal=self.position.segment + 1, first=number, size=following.header.size)
        if following.header != expected:
            following.close()
            raise JournalDamaged(
                self.path,
                f"{file_name(expected.ordinal)} begins with entry {following.header.first} of journal "
                f"{following.header.producer_id}, entry {number} of {expected.producer_id} comes next. {_LEFT}",
            )
        self._segment.close()
        self._segment = following
        self.position = Position(expected.ordinal, HEADER_BYTES, number)
        return True

    def _follow(self) -> bool:
        """Reopen the segment's file if somebody removed it and the living writer has made it anew."""
        if self._segment.is_linked():
            return False
        again = self._open(self.position.segment)
        if again is None:
            return False
        self._segment.close()
        self._segment = again
        return True

    def _at_end(self, found: Scan) -> Batch:
        """What a writer that is gone has left behind the last entry."""
        following = self.position.segment + 1
        later = [leftover(self.path, ordinal) for ordinal in ordinals(self.path) if ordinal >= following]
        if found.seal is None:
            return self._at_torn_end(found.offset, later)
        if not later or later[0].ordinal != following or later[0].size < HEADER_BYTES:
            raise JournalDamaged(self.path, f"{file_name(following)} is missing, or cut. {_LEFT}")
        # A header that isn't whole: the writer died while it began the segment.
        self._refuse_entries([later[0]._replace(header=0), *later[1:]])
        return self._nothing(ended=True, lost_bytes=later[0].header)

    def _at_torn_end(self, offset: int, later: list[Leftover]) -> Batch:
        self._refuse_entries(later)
        return self._nothing(ended=True, lost_bytes=self._segment.lost_bytes(offset))

    def _refuse_entries(self, later: list[Leftover]) -> None:
        """Segments behind the end may have been made in advance, but hold nothing."""
        used = [file_name(left.ordinal) for left in later if left.header or left.body]
        if used:
            raise JournalDamaged(
                self.path,
                f"bad bytes at {self.position.offset} of {file_name(self.position.segment)}, but there is more in "
                f"{', '.join(used)}. {_LEFT}",
            )
