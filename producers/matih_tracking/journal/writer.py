"""The journal of one run in one process."""

from __future__ import annotations

import os
from functools import partial
from threading import RLock
from typing import TYPE_CHECKING, Final, TypeVar

from matih_tracking.journal.appender import Appender
from matih_tracking.journal.creation import create_journal, new_header
from matih_tracking.journal.errors import JournalBusy, JournalClosed, JournalError
from matih_tracking.journal.files import read_at
from matih_tracking.journal.folder import Health, JournalFolder
from matih_tracking.journal.segment import HEADER_BYTES
from matih_tracking.journal.space import Bound
from matih_tracking.journal.supply import SegmentSupply
from matih_tracking.journal.writable_segment import RESERVE_BYTES, SegmentMaker
from matih_tracking.mounts import is_safe_to_map
from matih_tracking.spool import spool_key_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matih_tracking.journal.creation import NewJournal
    from matih_tracking.journal.writable_segment import WritableSegment

__all__ = ["FIRST_SEGMENT_BYTES", "MAX_SEGMENT_BYTES", "RESERVE_BYTES", "Health", "JournalWriter"]

FIRST_SEGMENT_BYTES: Final = 64 << 10
MAX_SEGMENT_BYTES: Final = 16 << 20
MAX_WRITTEN_SEGMENT_BYTES: Final = 1 << 20

_T = TypeVar("_T")


class JournalWriter:
    """Appends entries; safe to call from any thread, and from signal handlers and destructors.

    An entry that has got its number survives the death of this process (not that of the machine).

    Attributes:
        path: the journal's folder.
        run_id: the run that the entries are for (32 hex characters).
        producer_id: this journal's (16 hex characters).
        mapped: whether an entry is copied into mapped memory; else each is written by a system call.
    """

    def __init__(self, spool: Path, maker: SegmentMaker, new: NewJournal) -> None:
        """Use `create`."""
        self.path = new.path
        self.run_id = maker.header.run_id
        self.producer_id = maker.header.producer_id
        self.mapped = maker.mapped
        self._maker = maker
        self._folder = JournalFolder(spool, maker, new)
        self._supply = SegmentSupply(new.path, maker)
        self._pid = os.getpid()
        self._room = RLock()
        self._making_room = False
        self._closed = False
        self._health = Health()
        self._appender = Appender(new.path, maker.header.seed, new.segment, self._make_room)
        self.append = self._appender.append  # so that a log call costs one call, not two

    @classmethod
    def create(
        cls,
        spool: Path,
        run_id: str,
        producer_id: str | None = None,
        *,
        spool_key: str | None = None,
        first_segment_bytes: int = FIRST_SEGMENT_BYTES,
        max_segment_bytes: int | None = None,
        max_bytes: int = 0,
        journal: str = "auto",
    ) -> JournalWriter:
        """Make a new journal in a spool, and hold its lock.

        Args:
            spool: the spool's folder, made if it isn't there.
            run_id: 32 hex characters.
            producer_id: 16 hex characters; None makes one.
            spool_key: hash of the spool's key; None takes it from the spool's path.
            first_segment_bytes: size of the first segment; each later one is twice as large.
            max_segment_bytes: size at which that ends; None is 16 MiB mapped, 1 MiB written.
            max_bytes: bound on all journals of the spool (MATIH_SPOOL_MAX_BYTES), 0 for none.
            journal: MATIH_JOURNAL: `auto`, `mmap` or `write`.

        Raises:
            JournalFull: there is no room for its first segment.
            SpoolUnusable: the spool can't be made, written or trusted.
            JournalError: there is a journal of that producer id, or the file system refuses.
        """
        mapped = journal == "mmap" or (journal == "auto" and is_safe_to_map(spool))
        header = new_header(run_id, producer_id or os.urandom(8).hex(), spool_key or spool_key_of(spool))
        largest = max_segment_bytes or (MAX_SEGMENT_BYTES if mapped else MAX_WRITTEN_SEGMENT_BYTES)
        maker = SegmentMaker(
            header, Bound(spool, max_bytes), first_bytes=first_segment_bytes, max_bytes=largest, mapped=mapped
        )
        return cls(spool, maker, create_journal(spool, maker))

    @property
    def count(self) -> int:
        """Entries so far."""
        return self._appender.count

    def acked(self) -> int:
        """How many entries, from the first on without a gap, are on Kafka. One small read: fit for polling.

        Raises:
            OSError: the journal is closed.
        """
        return self._folder.cursor.acked

    append: Callable[[bytes], int]
    """Write one entry, of at least one byte.

    Returns:
        The entry's number: how many came before it. It's on Kafka when `acked() > number`.

    Raises:
        ValueError: the payload is empty.
        JournalFull: there is no room; nothing was written. Cheap to try again.
        JournalBusy: a signal handler or destructor interrupted this journal while it made room; nothing was written.
        JournalClosed: it's closed, or this process is a fork of its owner; nothing was written.
        JournalError: the file system refuses; nothing was written.
    """

    def append_reserved(self, payload: bytes, timeout: float = -1) -> int:
        """Write an entry that has to fit: the end of the run. It may use the reserve that each segment keeps.

        Args:
            payload: at most `RESERVE_BYTES` less 12, or it may not fit on a full disk.
            timeout: seconds to wait for another thread that is appending; -1 waits for as long as it takes. A signal
                handler gives one: that thread may never go on.

        Returns:
            The entry's number.

        Raises:
            JournalFull: the reserve is used up, and there is no room.
            JournalBusy: the other thread didn't finish in time.
            JournalClosed: as for `append`.
            JournalError: as for `append`.
        """
        return self._appender.append_reserved(payload, timeout)

    def check(self) -> Health:
        """Look after the files, about once a second: make them anew if somebody removed them, and room in advance.

        Raises:
            JournalError: the files are gone and can't be made anew now. Entries are still taken until the segment is
                full, but survive only as long as this process does. JournalFull if it's for want of space.
            SpoolUnusable: the same, for the spool's folder.
            JournalBusy: called by what interrupted this journal's own making of room.
            JournalClosed: the journal is closed, or this process is a fork of its owner.
        """
        return self._exclusively(self._check)

    def seal(self) -> None:
        """Say in the journal that nothing follows; further appends raise JournalClosed. May be repeated.

        Raises:
            JournalBusy: called by what interrupted this journal's own making of room.
            JournalError: the file system refuses.
        """
        if not self._closed:
            self._exclusively(self._seal)

    def close(self) -> None:
        """Seal the journal and give its lock and files back. What isn't on Kafka stays on disk. May be repeated.

        Raises:
            JournalBusy: called by what interrupted this journal's own making of room.
            JournalError: the file system refuses.
        """
        if os.getpid() == self._pid:
            self.seal()
            self._supply.discard(self._segment.ordinal)
        self._close_files()

    def after_fork_in_child(self) -> None:
        """Let go of everything that the child of a fork has inherited. The parent keeps its lock and its journal."""
        # Another thread of the parent may have held the locks at the moment of the fork; nobody would free the copies.
        self._appender.renew_lock()
        self._room = RLock()
        self._making_room = False
        self._closed = True
        self._close_files()

    def _close_files(self) -> None:
        self._appender.leave()
        self._segment.close()
        self._supply.close()
        self._folder.close()

    def _exclusively(self, work: Callable[[], _T]) -> _T:
        """Do what one thread at a time may do, and no signal handler in the middle of it."""
        with self._room:
            if self._making_room:
                raise JournalBusy(f"{self.path}: a signal handler or destructor interrupted a change of segments")
            try:
                self._making_room = True
                self._check_open()
                return work()
            finally:
                self._making_room = False

    def _check_open(self) -> None:
        if os.getpid() != self._pid:
            # C code has forked this process without telling Python.
            self.after_fork_in_child()
        if self._closed:
            raise JournalClosed(f"{self.path}: the journal is closed; start a new run to log more")

    @property
    def _segment(self) -> WritableSegment:
        return self._appender.segment

    def _make_room(self, need: int) -> None:
        self._exclusively(partial(self._populate_or_rotate, need))

    def _populate_or_rotate(self, need: int) -> None:
        end = self._appender.position + need
        if self._appender.is_shut() or end > self._segment.end:
            self._rotate(need)
        else:
            self._populate(end)

    def _populate(self, end: int) -> None:
        segment = self._segment
        segment.populate(end)
        with self._appender.lock:
            self._appender.open_up(segment.limit)
        if segment.is_half_populated():
            self._supply.prepare(segment.ordinal + 1)

    def _rotate(self, need: int) -> None:
        if not self._segment.is_in_place(self.path):
            self._repair()
        old = self._segment
        new = self._supply.take(old.ordinal + 1, need)
        new.populate(HEADER_BYTES + need)
        with self._appender.lock:
            self._appender.seal(final=False)
            self._maker.begin(new, self._appender.count)
            self._appender.enter(new)
        self._folder.add_sealed(old, new.first)

    def _seal(self) -> None:
        with self._appender.lock:
            self._appender.seal(final=True)
            self._closed = True

    def _check(self) -> Health:
        self._repair()
        self._folder.trim()
        if self._appender.position > self._segment.size // 2:
            self._supply.prepare(self._segment.ordinal + 1)
        health, self._health = self._health, Health()
        return health

    def _repair(self) -> None:
        if self._folder.is_intact(self._segment):
            return
        try:
            relogged = self._folder.restore() + self._restore_current()
            self._health = self._health.merged(Health(True, relogged, self._folder.skip_lost()))
        except OSError as error:
            raise JournalError(
                f"{self.path} was removed while the run goes on, and can't be made anew: {error}. Make it writable"
            ) from error

    def _restore_current(self) -> int:
        old = self._segment
        if old.is_in_place(self.path):
            return 0
        copied = self._appender.position
        new = self._folder.copy(old, copied)
        new.populate(copied)
        with self._appender.lock:
            end = self._appender.position
            if end > copied:
                new.window[copied:end] = read_at(old.fd, end - copied, copied)
            self._appender.enter(new, end)
        return self._appender.count - max(self.acked(), new.first)
