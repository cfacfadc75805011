"""How a journal comes to be: complete, begun and locked before anybody can see it."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from matih_schemas.clock import now_ms
from matih_tracking.journal.cursor import CURSOR_FILE, Cursor
from matih_tracking.journal.errors import JournalError
from matih_tracking.journal.files import remove_folder, write_error
from matih_tracking.journal.ownership import LOCK_FILE, Lock
from matih_tracking.journal.segment import HEADER_BYTES, SegmentHeader
from matih_tracking.spool import JOURNALS, boot_id, open_spool

if TYPE_CHECKING:
    from pathlib import Path

    from matih_tracking.journal.writable_segment import SegmentMaker, WritableSegment

UNFINISHED: Final = ".new-"
"""Prefix of a journal's folder until it's complete."""


class NewJournal(NamedTuple):
    """The open files of a journal without entries."""

    path: Path
    lock: Lock
    cursor: Cursor
    segment: WritableSegment


def new_header(run_id: str, producer_id: str, spool_key: str) -> SegmentHeader:
    """What all headers of a new journal have in common, a seed of its own among them."""
    seed = int.from_bytes(os.urandom(4), "little") or 1
    return SegmentHeader(seed, spool_key, producer_id, run_id, 0, 0, now_ms(), boot_id(), 0)


def create_journal(spool: Path, maker: SegmentMaker) -> NewJournal:
    """Make a journal's folder with its lock held and its first segment begun. If it fails, nothing is left.

    Raises:
        JournalFull: there is no room for the first segment.
        SpoolUnusable: the spool can't be made, written or trusted.
        JournalError: there is such a journal already, or the file system refuses.
    """
    journals = open_spool(spool) / JOURNALS
    path = journals / maker.header.producer_id
    if path.exists():
        raise JournalError(f"{path}: there is a journal of this producer id already; use a new one")
    # Windows doesn't rename a folder in which files are open; there a shipper may meet a journal that is half made.
    unfinished = path if sys.platform == "win32" else journals / f"{UNFINISHED}{path.name}"
    try:
        unfinished.mkdir(mode=0o700)
        new = _fill(unfinished, maker)
        if unfinished != path:
            unfinished.rename(path)
    except OSError as error:
        remove_folder(unfinished)
        raise write_error(path, error) from error
    except BaseException:
        remove_folder(unfinished)
        raise
    new.lock.path = path / LOCK_FILE
    new.cursor.path = path / CURSOR_FILE
    return new._replace(path=path)


def _fill(folder: Path, maker: SegmentMaker) -> NewJournal:
    lock = take_lock(folder)
    cursor = Cursor(folder)
    segment = maker.create(folder, 0)
    segment.populate(HEADER_BYTES)
    maker.begin(segment, 0)
    return NewJournal(folder, lock, cursor, segment)


def take_lock(journal: Path) -> Lock:
    """Take a journal's lock for its writer.

    Raises:
        JournalError: another process holds it.
    """
    lock = Lock.acquire(journal / LOCK_FILE)
    if lock is None:
        raise JournalError(f"{journal}: another process holds this journal's lock; use a new producer id")
    return lock
