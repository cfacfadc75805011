"""The log call's last step: one frame copied into the current segment."""

from __future__ import annotations

from contextlib import suppress
from threading import RLock
from typing import TYPE_CHECKING, Final
from zlib import crc32

from matih_tracking.journal.errors import JournalBusy
from matih_tracking.journal.files import CLOSED_WINDOW, write_error
from matih_tracking.journal.frames import ENTRY, HEAD, OVERHEAD, Seal, encode_seal
from matih_tracking.journal.segment import HEADER_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matih_tracking.journal.writable_segment import WritableSegment

_SHUT: Final = -1
_pack_head = HEAD.pack


class Appender:
    """Gives each entry its place and number, and writes it there.

    Whatever a signal handler, a destructor or another thread does between any two steps of it, the frames stay whole,
    in order and without holes.

    Attributes:
        count: entries so far.
        segment: the current one.
        position: where the next frame begins in it.
        lock: held for each append; whoever changes segments holds it too. It is reentrant: a signal handler may log.
    """

    __slots__ = (
        "_acquire", "_entry_seed", "_limit", "_make_room", "_path", "_release", "_reserve_limit", "_window", "count",
        "lock", "position", "segment",
    )  # fmt: skip

    def __init__(self, path: Path, seed: int, segment: WritableSegment, make_room: Callable[[int], None]) -> None:
        """Begin in the journal's first segment.

        Args:
            path: the journal's folder, for messages.
            seed: the journal's CRC seed.
            segment: empty, but begun.
            make_room: called without the lock when a frame of so many bytes doesn't fit: it calls `open_up` or `enter`
                under the lock, or raises.
        """
        self._path = path
        self._entry_seed = seed ^ ENTRY
        self._make_room = make_room
        self.segment = segment
        self._window = segment.window
        self._limit = segment.limit
        self._reserve_limit = segment.reserve_end
        self.position = HEADER_BYTES
        self.count = 0
        self.renew_lock()

    def append(self, payload: bytes) -> int:
        """Write an entry and return its number; see `JournalWriter.append`."""
        length = len(payload)
        if not length:
            raise ValueError("an entry can't be empty")
        # frames.encode, inline: calling it would cost more than the copy does.
        frame = _pack_head(ENTRY, length, crc32(payload, self._entry_seed ^ length)) + payload
        while True:
            number = -1
            try:
                self._acquire()  # costs half of what `with` does
                start = self.position
                end = start + OVERHEAD + length
                if end <= self._limit:
                    # The place is taken before it's written, without a call between: if something interrupts this
                    # thread and logs, it gets the place behind.
                    self.position = end
                    number = self.count
                    self.count = number + 1
                    self._window[start:end] = frame
            except BaseException as error:
                self._settle(error, number, frame)
                raise
            self._release()
            if number >= 0:
                return number
            self._make_room(end - start)

    def append_reserved(self, payload: bytes, timeout: float) -> int:
        """Write an entry that may use the segment's reserve; see `JournalWriter.append_reserved`."""
        number = -1
        held = True
        try:
            held = self._acquire(timeout=timeout)
            limit = self._limit
            if held and limit < self.position + OVERHEAD + len(payload) <= self._reserve_limit:
                self._limit = self._reserve_limit
                number = self.append(payload)
                self._limit = min(limit, self._limit)
        finally:
            self._free(held=held)
        if not held:
            raise JournalBusy(f"{self._path}: another thread is appending; the entry wasn't written")
        return number if number >= 0 else self.append(payload)

    def enter(self, segment: WritableSegment, position: int = HEADER_BYTES) -> None:
        """Go on in another segment. Called under the lock.

        Args:
            segment: a new one whose header is written, or a copy of the current one.
            position: where the next frame begins in it.
        """
        window, limit, reserve_limit = segment.window, segment.limit, segment.reserve_end
        # No calls from here on: a signal handler that raises must find all of it changed, or nothing.
        self.segment = segment
        self.position = position
        self._window = window
        self._reserve_limit = reserve_limit
        self._limit = limit

    def open_up(self, limit: int) -> None:
        """Let ordinary entries be written up to this offset. Called under the lock."""
        self._limit = limit

    def is_shut(self) -> bool:
        """Whether the segment is sealed, so that a new one has to be entered."""
        return self._limit == _SHUT

    def seal(self, *, final: bool) -> None:
        """Write the frame that ends the segment, and let nothing in any more. Called under the lock. May be repeated.

        Raises:
            JournalError: the file system refuses.
        """
        self._limit = self._reserve_limit = _SHUT
        frame = encode_seal(Seal(self.count, final), self._entry_seed ^ ENTRY)
        try:
            self._window[self.position : self.position + len(frame)] = frame
        except OSError as error:
            raise write_error(self._path, error) from error

    def leave(self) -> None:
        """Let go of the segment."""
        self._limit = self._reserve_limit = _SHUT
        self._window = CLOSED_WINDOW

    def renew_lock(self) -> None:
        """Forget who holds the lock: in a forked child it may be a thread that isn't there."""
        self.lock = RLock()
        self._acquire = self.lock.acquire
        self._release = self.lock.release

    def _settle(self, error: BaseException, number: int, frame: bytes) -> None:
        """After an append that failed or was interrupted: leave neither a hole nor the lock held."""
        try:
            if number >= 0:
                self._settle_place(error, number, frame)
        finally:
            self._free()
        if isinstance(error, OSError):
            raise write_error(self._path, error) from error

    def _free(self, *, held: bool = True) -> None:
        if held:
            with suppress(RuntimeError):  # interrupted while it waited for the lock: it isn't held
                self._release()

    def _settle_place(self, error: BaseException, number: int, frame: bytes) -> None:
        if number != self.count - 1:
            return
        start = self.position - len(frame)
        if isinstance(error, OSError):
            self.position, self.count = start, number
        else:
            # It may be written already, and read: it can't be taken back.
            self._window[start : self.position] = frame
