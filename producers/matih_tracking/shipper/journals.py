"""The tails of all journals that a shipper carries, and those that it leaves alone."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from matih_tracking.journal import listing
from matih_tracking.journal.errors import JournalError, JournalUnreadable
from matih_tracking.shipper.tail import Tail
from matih_tracking.spool import JOURNALS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from matih_tracking.shipper.prefix import Prefix

LIST_SECONDS: Final = 1.0
RETRY_SECONDS: Final = 10.0
"""A journal that can't be read is looked at again: its writer may just be making a deleted folder anew."""
_log = logging.getLogger(__name__)


class Journals:
    """Opens a tail for each journal of the spools, and closes those that are over.

    Attributes:
        tails: by producer id.
        unreadable: journals that are left as they are, with the reason; said once each.
        removed: how many journals were delivered and deleted.
    """

    def __init__(self, spools: Sequence[Path], spool_key: str | None) -> None:
        self.tails: dict[str, Tail] = {}
        self.unreadable: dict[Path, str] = {}
        self.removed = 0
        self._spools = spools
        self._spool_key = spool_key
        self._paths: set[Path] = set()
        self._said: set[str] = set()
        self._seen: dict[Path, int] = {}
        self._list_at = 0.0
        self._trouble = ""
        self._retry_at = 0.0

    def refresh(self, now: float, *, at_once: bool = False) -> None:
        """Opens what is new. Cheap: folders are listed when they have changed, once a second, or `at_once`."""
        all_of_them = at_once or now >= self._list_at
        if all_of_them:
            self._list_at = now + LIST_SECONDS
        retry = now >= self._retry_at
        if retry:
            self._retry_at = now + RETRY_SECONDS
        for spool in self._spools:
            changed = _changed_at(spool)
            if retry or all_of_them or changed != self._seen.get(spool):
                self._seen[spool] = changed
                try:
                    self._open_new(spool, retry=retry)
                except OSError as error:
                    self._tell_trouble(f"{spool}: {error}; trying again")

    def guarded(self, tail: Tail, work: Callable[[Tail], None]) -> None:
        """Does something with a tail; what can't be read, or is gone, is left alone, and the others go on."""
        try:
            work(tail)
        except JournalUnreadable as error:
            self._leave(tail.path, str(error))
            tail.stuck = True
        except FileNotFoundError:
            _log.warning("%s is gone: somebody has deleted it", tail.path)
            self.drop(tail)
        except OSError as error:
            self._tell_trouble(f"{tail.path}: {error}; trying again")

    def remove(self, tail: Tail) -> None:
        """Deletes a journal that is over and closes its tail."""
        try:
            listing.remove(tail.path)
        except JournalError:
            return  # its writer has not let go of it yet: asked again later
        self.removed += 1
        self.drop(tail)

    def drop(self, tail: Tail) -> None:
        """Closes a tail."""
        tail.close()
        self.tails.pop(tail.producer_id, None)
        self._paths.discard(tail.path)

    def close(self) -> None:
        """Closes all tails."""
        for tail in list(self.tails.values()):
            self.drop(tail)

    def prefix_of(self, producer_id: str) -> Prefix | None:
        """The acknowledged prefix of a producer's journal; None if its tail was dropped."""
        tail = self.tails.get(producer_id)
        return tail.prefix if tail is not None else None

    def __iter__(self) -> Iterator[Tail]:
        return iter(list(self.tails.values()))

    def _open_new(self, spool: Path, *, retry: bool) -> None:
        for path in listing.journals(spool):
            if path not in self._paths and (retry or path not in self.unreadable):
                try:
                    self._add(Tail(path, self._spool_key))
                except JournalUnreadable as error:
                    self._leave(path, str(error))
                except FileNotFoundError:
                    continue  # removed since it was listed

    def _add(self, tail: Tail) -> None:
        other = self.tails.setdefault(tail.producer_id, tail)
        if other is tail:
            self._paths.add(tail.path)
            self.unreadable.pop(tail.path, None)
        else:
            tail.close()
            self._leave(tail.path, f"{tail.path}: a copy of {other.path}: left as it is")

    def _tell_trouble(self, line: str) -> None:
        """Says it once, until there is other trouble."""
        if line != self._trouble:
            self._trouble = line
            _log.error("%s", line)

    def _leave(self, path: Path, reason: str) -> None:
        if reason not in self._said:
            self._said.add(reason)
            _log.error("a journal is left alone: %s", reason)
        self.unreadable[path] = reason


def _changed_at(spool: Path) -> int:
    try:
        return (spool / JOURNALS).stat().st_mtime_ns
    except FileNotFoundError:
        return 0
