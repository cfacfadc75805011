"""One process's part in one run: its journal, opened when it is needed, and the answers when it can't be written."""

from __future__ import annotations

import os
import time
from threading import RLock
from typing import TYPE_CHECKING, Final, NamedTuple

from matih_tracking.errors import TrackingUnavailable
from matih_tracking.journal.cursor import Cursor
from matih_tracking.journal.errors import JournalClosed, JournalError, JournalFull
from matih_tracking.journals import TROUBLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from matih_tracking.journal.writer import JournalWriter
    from matih_tracking.settings import Settings
    from matih_tracking.tally import Tally

REOPEN_SECONDS: Final = 5.0
_ROOM_POLL_SECONDS: Final = 0.05
_SMALL_BYTES: Final = 2048
"""Tags up to this size may use the journal's reserve: half of it, so that the end fits too."""


class Last(NamedTuple):
    """What a journal ends with: tags, which may be left out, and the end itself."""

    tags: list[bytes]
    end: bytes


class Recorder:
    """Appends a run's entries to this process's journal. Trouble is counted and told, and raised only if asked for.

    Attributes:
        append: writes a payload, or raises JournalError; the journal's own method once it is open.
        in_child: this process is a fork of the one that began; the journal, if any, is its own.
    """

    def __init__(
        self,
        open_journal: Callable[[], JournalWriter],
        first_entries: Callable[[bool], Iterable[bytes]],
        tally: Tally,
        settings: Settings,
    ) -> None:
        """Prepares; nothing is opened.

        Args:
            open_journal: makes a new journal, or raises one of `journals.TROUBLE`.
            first_entries: what every journal of this run begins with; told whether it is that of a forked child.
            tally: where losses are counted.
            settings: what to do when the spool is full.
        """
        self.append: Callable[[bytes], object] = self._open_and_append
        self._open_journal = open_journal
        self._first_entries = first_entries
        self._tally = tally
        self._settings = settings
        self.in_child = False
        self._start_over()

    def _start_over(self) -> None:
        self.append = self._open_and_append
        self._pid = os.getpid()
        self._opening = RLock()
        self._writer: JournalWriter | None = None
        self._closed_journal: Path | None = None
        self._producer_id: str | None = None
        self._count = 0
        self._ended = False
        self._reopen_at = 0.0
        self._why_not = ""

    @property
    def count(self) -> int:
        """Entries written so far."""
        return self._writer.count if self._writer is not None else self._count

    @property
    def last_sequence(self) -> int:
        """The number of the last entry written; -1 before the first."""
        return self.count - 1

    @property
    def producer_id(self) -> str | None:
        """The journal's, None if there was never one."""
        return self._producer_id

    @property
    def path(self) -> Path | None:
        """The journal's folder; None if there was never one."""
        return self._writer.path if self._writer is not None else self._closed_journal

    def acked(self) -> int:
        """How many entries, from the first on, are on Kafka."""
        try:
            return self._writer.acked() if self._writer is not None else self._acked_after_close()
        except OSError:  # the cursor can't be read: nothing is known to be there
            return 0

    def _acked_after_close(self) -> int:
        if self._closed_journal is None:
            return 0
        if not self._closed_journal.is_dir():
            # The shipper has removed it, having delivered it; unless somebody has removed the whole spool.
            return self._count if self._closed_journal.parent.is_dir() else 0
        cursor = Cursor(self._closed_journal)
        try:
            return cursor.acked
        finally:
            cursor.close()

    @property
    def why_not(self) -> str:
        """Why the journal could not be opened, for people; empty if it could."""
        return self._why_not

    def open(self) -> bool:
        """Opens the journal, unless it is open, or could not be opened a moment ago.

        Raises:
            TrackingUnavailable: in strict mode, it can't be.
        """
        with self._opening:
            if self._writer is None and not self._ended and time.monotonic() >= self._reopen_at:
                try:
                    self._open()
                except TROUBLE as error:
                    self._reopen_at = time.monotonic() + REOPEN_SECONDS
                    self._why_not = str(error)
            return self._writer is not None

    def _open(self) -> None:
        writer = self._open_journal()
        for payload in self._first_entries(self.in_child):
            writer.append(payload)
        self._producer_id = writer.producer_id
        self._why_not = ""
        self._writer = writer
        self.append = writer.append

    def record(self, payload: bytes) -> None:
        """Writes an entry, or counts it as lost.

        Raises:
            TrackingUnavailable: it can't be written, and the policy is to raise.
        """
        try:
            self.append(payload)
        except JournalError as error:
            self.answer(payload, error)

    def answer(self, payload: bytes, error: Exception) -> None:
        """What to do about an entry that could not be written.

        Raises:
            TrackingUnavailable: the policy is to raise.
            Exception: the error, if it is not one of the journal's.
        """
        if not isinstance(error, JournalError):
            raise error
        if isinstance(error, JournalFull):
            if self._settings.full_policy == "block" and self._wait_for_room(payload):
                return
            if self._settings.full_policy == "raise":
                raise TrackingUnavailable(str(error)) from error
            self._tally.lose("spool_full", f"{error}. Until then entries are dropped")
        elif isinstance(error, JournalClosed):
            self._tally.lose("after_end", "something was logged into a run that has ended here; it is dropped")
        else:
            self._tally.lose("journal_refused", f"{error}. An entry is lost")

    def keep_house(self) -> None:
        """Looks after the journal's files; called about once a second."""
        if os.getpid() != self._pid:  # forked by C code, which calls no hooks
            self.after_fork_in_child()
        writer = self._writer
        if writer is None:
            return
        try:
            health = writer.check()
        except TROUBLE as error:
            message = f"{error}. Until then entries survive only as long as this process"
            self._tally.warn_once("journal_removed", message)
            return
        if health.recreated:
            message = f"files of the journal {writer.path} were removed; they are made anew"
            self._tally.warn_once("journal_removed", message)
        if health.lost:
            self._tally.lose("journal_removed", f"entries were removed with {writer.path}", health.lost)

    def end(self, last: Callable[[], Last], *, needed: bool = True) -> None:
        """Writes what the run ends with, and closes the journal. May be repeated.

        Args:
            last: what that is; asked when the journal is open.
            needed: open a journal for it if there is none yet.
        """
        if not self._ended and (self._writer is not None or (needed and self.open())):
            self._write_last(last())
        self.close()

    def end_from_signal_handler(self, last: Callable[[], Last], timeout: float) -> None:
        """Writes what the run ends with, if that needs no waiting for interrupted code; this process is about to die.

        Args:
            last: what that is.
            timeout: seconds that another thread may take to finish its entry.
        """
        if not self._ended and self._writer is not None:
            self._write_last(last(), timeout)
            self._ended = True

    def after_fork_in_child(self) -> None:
        """Lets go of the parent's journal; the child gets one of its own when it logs."""
        if self._writer is not None:
            self._writer.after_fork_in_child()
        self.in_child = True
        self._tally.start_over()
        self._start_over()

    def _write_last(self, last: Last, timeout: float = -1) -> None:
        assert self._writer is not None
        try:
            for payload in last.tags:
                if len(payload) <= _SMALL_BYTES:
                    self._writer.append_reserved(payload, timeout)
                else:
                    self._writer.append(payload)
            self._writer.append_reserved(last.end, timeout)
        except JournalError as error:
            self._tally.lose("journal_refused", f"{error}. The end of the run could not be written")

    def close(self) -> None:
        """Closes the journal without another word. May be repeated."""
        self._ended = True
        self.append = _refuse
        if self._writer is not None:
            self._count, self._closed_journal = self._writer.count, self._writer.path
            self._writer.close()
            self._writer = None

    def _open_and_append(self, payload: bytes) -> None:
        if self._ended:
            _refuse(payload)
        if self.open():
            self.append(payload)
        else:
            self._tally.lose("no_spool", f"nothing can be kept on this machine: {self._why_not}")

    def _wait_for_room(self, payload: bytes) -> bool:
        deadline = time.monotonic() + self._settings.full_timeout
        while time.monotonic() < deadline:
            time.sleep(_ROOM_POLL_SECONDS)
            try:
                self.append(payload)
            except JournalFull:
                continue
            return True
        return False


class NoRecorder(Recorder):
    """MATIH_MODE=disabled: takes everything, keeps nothing."""

    def _start_over(self) -> None:
        super()._start_over()
        self.append = _ignore

    def open(self) -> bool:
        """Opens nothing."""
        return False

    def close(self) -> None:
        """Closes nothing."""


def _ignore(payload: bytes) -> None:
    del payload


def _refuse(payload: bytes) -> None:
    raise JournalClosed(f"the run has ended in this process; {len(payload)} bytes were not written")
