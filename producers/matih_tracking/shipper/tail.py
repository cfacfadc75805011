"""One journal on its way to Kafka: read to its end, acknowledged up to its cursor, deleted behind it."""

from __future__ import annotations

from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Final

from matih_tracking.journal import listing, origin
from matih_tracking.journal.cursor import START, Cursor, Position
from matih_tracking.journal.entries import Created, Ended, Entry, Experiment, UnknownEntry, decode
from matih_tracking.journal.errors import JournalDamaged
from matih_tracking.journal.ownership import State
from matih_tracking.journal.reader import JournalReader
from matih_tracking.journal.segment import HEADER_BYTES
from matih_tracking.shipper.pace import Pace
from matih_tracking.shipper.prefix import Prefix
from matih_tracking.shipper.sources import Source, experiment_source, run_source

if TYPE_CHECKING:
    from pathlib import Path

    from matih_tracking.journal.reader import Batch
    from matih_tracking.journal.segment import SegmentHeader

READ_BYTES: Final = 256 << 10
"""How much of a journal is read in one turn."""


class Tail:
    """Reads one journal and keeps its cursor.

    Every method may raise `JournalUnreadable`: then the journal is left as it is. `FileNotFoundError`: it is gone.

    Attributes:
        path: the journal's folder.
        source: whose entries they are; None before the first one is written.
        prefix: what was read, and what of it is on Kafka.
        owner_gone: the writer is known to be dead, so that what can be read now is all there will be.
        ended: everything was read, and nothing will follow.
        stuck: what follows can't be read; what was read before is still to be delivered.
        lost_bytes: what the dead writer left behind its last whole entry.
        lost_told, told_upto: what was told of lost bytes, and up to which entry of skipped ones.
        died_told: the end of a writer that died without one was handed over.
        pace: when to look next.
        at_end: nothing more was there at the last look.
        look_at: when to look for the writer next.
    """

    def __init__(self, path: Path, spool_key: str | None) -> None:
        self.path = path
        self._spool_key = spool_key
        with ExitStack() as opened:
            self._cursor = Cursor(path)
            opened.callback(self._cursor.close)
            self._reader = self._open(self._cursor.load())
            opened.callback(self._reader.close)
            self._first = origin.load(path) or self._read_first()
            self.source = self._identify(self._first) if self._first is not None else None
            opened.pop_all()
        self.prefix = Prefix(self._reader.position)
        self._stored = self.prefix.acked.number
        self._kept_from = 0
        self.owner_gone = False
        self.pace = Pace()
        self.look_at = 0.0
        self.lost_told = False
        self.told_upto = 0
        self._restart()

    def _restart(self) -> None:
        self._last: bytes | None = None
        self.ended = False
        self.at_end = False
        self.stuck = False
        self.died_told = False
        self.lost_bytes = 0

    @property
    def header(self) -> SegmentHeader:
        """The header of the segment read last: run, producer, when it was made."""
        return self._reader.header

    @property
    def producer_id(self) -> str:
        """The journal's producer."""
        return self._reader.header.producer_id

    @property
    def has_more(self) -> bool:
        """Whether it is worth looking for more entries."""
        return not (self.ended or self.stuck)

    @property
    def is_over(self) -> bool:
        """Whether the journal can be removed: read to its end, all on Kafka, the writer's end among it."""
        return self.ended and self.prefix.is_complete and (self.died_told or not self.needs_end())

    @property
    def next_number(self) -> int:
        """How many entries were read so far."""
        return self._reader.position.number

    def look_for_owner(self) -> None:
        """Finds out whether the writer still lives. Only what is read after this counts as all that it wrote."""
        if not self.owner_gone:
            self.owner_gone = listing.owner_state(self.path) is State.FREE

    def read(self) -> Batch:
        """The entries that follow, some or none."""
        batch = self._reader.read(READ_BYTES, owner_gone=self.owner_gone)
        if batch.payloads:
            if self.source is None:
                self._first = batch.payloads[0]
                self.source = self._identify(self._first)
            self._last = batch.payloads[-1]
            self.prefix.read(batch)
        self.at_end = not batch.payloads
        if batch.ended and not self.ended:
            self.ended, self.lost_bytes = True, batch.lost_bytes
        return batch

    def read_to_end(self) -> None:
        """Reads the rest without delivering it: to count."""
        while self.read().payloads:
            self.prefix = Prefix(self._reader.position)

    def needs_end(self) -> bool:
        """Whether the journal has ended without a word on how the run did. Ask once `ended` is set."""
        return self.source is not None and self.source.has_run and not isinstance(self.last_entry(), Ended)

    def last_entry(self) -> Entry | None:
        """The last entry read, now or by an earlier shipper; None if it can't be decoded."""
        if self._last is None:
            self._last = self._read_again(self.prefix.acked)
        try:
            return decode(self._last)
        except UnknownEntry:
            return None

    def last_time(self) -> int:
        """When the writer was last heard of, ms since the epoch."""
        entry = self.last_entry()
        assert self.source is not None
        return entry.time if entry is not None else self.source.attempt

    def store_cursor(self) -> int:
        """Stores how far it is acknowledged; returns how many entries more than before.

        Raises:
            OSError: it can't be stored now; the next call tries again.
        """
        self.prefix.advance()
        acked, before = self.prefix.acked, self._stored
        if acked.number == before:
            return 0
        self._cursor.store(acked)
        self._stored = acked.number
        return acked.number - before

    def delete_acked(self) -> None:
        """Deletes the segments that are on Kafka, but for the one with the last acknowledged entry."""
        acked = self.prefix.acked
        if acked.offset > HEADER_BYTES and acked.segment > self._kept_from and self._first is not None:
            origin.store(self.path, self._first)
            listing.delete_acked(self.path, acked)
            self._kept_from = acked.segment

    def rewind(self) -> None:
        """Goes back to the cursor: all behind it is read and sent again."""
        position = self.prefix.acked
        self._reader.close()
        self._reader = self._open(position)
        self.prefix = Prefix(position)
        self._restart()

    def close(self) -> None:
        """Closes the files."""
        self._reader.close()
        self._cursor.close()

    def _read_first(self) -> bytes | None:
        with closing(self._open(START)) as reader:
            if reader.position.number:
                raise JournalDamaged(self.path, "its first entry is lost, which says whose it is: left as it is")
            payloads = reader.read().payloads
            return payloads[0] if payloads else None

    def _identify(self, first: bytes) -> Source:
        header = self._reader.header
        try:
            entry = decode(first)
        except UnknownEntry as error:
            raise JournalDamaged(self.path, f"its first entry can't be read ({error}): left as it is") from error
        if isinstance(entry, Created):
            return run_source(header.run_id, header.producer_id, entry)
        if isinstance(entry, Experiment):
            return experiment_source(header.run_id, header.producer_id, entry)
        kind = type(entry).__name__
        raise JournalDamaged(self.path, f"it begins with {kind}, so nobody knows whose it is: left as it is")

    def _read_again(self, behind: Position) -> bytes:
        """The payload of the entry before a position. Its segment is still there: see `delete_acked`."""
        with closing(self._open(behind)) as there:
            start = Position(behind.segment, HEADER_BYTES, there.header.first)
        last = b""
        with closing(self._open(start)) as reader:
            while reader.position.number < behind.number:
                batch = reader.read(READ_BYTES)
                if not batch.payloads:
                    break
                last = batch.payloads[min(len(batch.payloads), behind.number - batch.start.number) - 1]
        return last

    def _open(self, position: Position) -> JournalReader:
        return JournalReader(self.path, position, spool_key=self._spool_key)
