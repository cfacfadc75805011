"""How much the journals of a spool may take on the disk."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from matih_tracking.journal.errors import JournalFull
from matih_tracking.journal.segment import SUFFIX
from matih_tracking.spool import JOURNALS

if TYPE_CHECKING:
    from pathlib import Path

_KEPT_FOR_NEW_JOURNALS: Final = 16
"""One part in so many of the bound is kept for the first segments of new journals: they hold start and end of a run."""


def used_bytes(spool: Path) -> int:
    """The bytes that all segments of all journals of a spool take. Costs a call per file."""
    return sum(_folder_bytes(folder.path) for folder in _scan(spool / JOURNALS) if folder.is_dir(follow_symlinks=False))


def _folder_bytes(folder: str) -> int:
    return sum(_file_bytes(entry) for entry in _scan(folder) if entry.name.endswith(SUFFIX))


def _scan(folder: Path | str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:  # deleted by the shipper meanwhile
        return []


def _file_bytes(entry: os.DirEntry[str]) -> int:
    try:
        return entry.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return 0


class Bound:
    """The bound on a spool's segments, counted when one is made: rarely, so nothing is cached."""

    def __init__(self, spool: Path, max_bytes: int) -> None:
        """Bound `spool` to `max_bytes` bytes; 0 is no bound."""
        self._spool = spool
        self._max_bytes = max_bytes

    def check(self, size: int, *, first: bool = False) -> None:
        """Refuse a new segment that would break the bound.

        Args:
            size: the segment's bytes.
            first: it's a journal's first, which may use what is kept for those.

        Raises:
            JournalFull: it would.
        """
        if not self._max_bytes:
            return
        allowed = self._max_bytes if first else self._max_bytes - self._max_bytes // _KEPT_FOR_NEW_JOURNALS
        used = used_bytes(self._spool)
        if used + size > allowed:
            raise JournalFull(
                "bound",
                f"the spool {self._spool} holds {used} bytes and may hold {self._max_bytes} (MATIH_SPOOL_MAX_BYTES). "
                "Let a shipper reach Kafka (`matih sync`), or raise the bound",
            )
