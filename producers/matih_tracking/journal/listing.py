"""The journals of a spool, and what of them may be deleted."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from matih_tracking.journal.creation import UNFINISHED
from matih_tracking.journal.cursor import Cursor, Position
from matih_tracking.journal.errors import JournalError
from matih_tracking.journal.files import remove_folder
from matih_tracking.journal.ownership import LOCK_FILE, State, state
from matih_tracking.journal.readable_segment import ordinals
from matih_tracking.journal.reader import JournalReader
from matih_tracking.journal.segment import file_name
from matih_tracking.spool import JOURNALS

if TYPE_CHECKING:
    from pathlib import Path

_REMOVED: Final = ".old-"
_UNFINISHED_SECONDS: Final = 60.0


def journals(spool: Path) -> list[Path]:
    """The folders of a spool's journals, by producer id; those that are just being made, or removed, are left out."""
    try:
        with os.scandir(spool / JOURNALS) as entries:
            names = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
    return [spool / JOURNALS / name for name in sorted(names) if not name.startswith(".")]


def owner_state(journal: Path) -> State:
    """Whether the journal's writer lives. Ask BEFORE reading to the end, never after: see `JournalReader.read`."""
    return state(journal / LOCK_FILE)


def delete_acked(journal: Path, acked: Position) -> int:
    """Delete the segments that lie wholly before the position, which must be stored in the cursor already.

    Returns:
        How many segments were deleted.
    """
    done = [ordinal for ordinal in ordinals(journal) if ordinal < acked.segment]
    return sum(_delete(journal / file_name(ordinal)) for ordinal in done)


def _delete(file: Path) -> bool:
    try:
        file.unlink()
    except (FileNotFoundError, PermissionError):  # on Windows it stays while its writer keeps it open: another time
        return False
    return True


def remove(journal: Path) -> None:
    """Delete a journal that is over: its writer closed it or is dead, and every entry is acknowledged.

    Raises:
        JournalError: its writer may live, or entries aren't acknowledged. Nothing is deleted.
        JournalUnreadable: it can't be read to its end. Nothing is deleted.
    """
    if owner_state(journal) is not State.FREE:
        raise JournalError(f"{journal}: its writer may still live; not deleted")
    left = _unacked(journal)
    if left:
        raise JournalError(f"{journal}: {left} entries or more aren't on Kafka; not deleted")
    gone = journal.with_name(f"{_REMOVED}{journal.name}")
    journal.rename(gone)
    remove_folder(gone)


def _unacked(journal: Path) -> int:
    cursor = Cursor(journal)
    try:
        reader = JournalReader(journal, cursor.load())
    finally:
        cursor.close()
    try:
        return len(reader.read(owner_gone=True).payloads)
    finally:
        reader.close()


def sweep(spool: Path) -> int:
    """Delete what writers and shippers that were killed left half made or half removed.

    Returns:
        How many folders were deleted.
    """
    try:
        hidden = [folder for folder in (spool / JOURNALS).iterdir() if folder.name.startswith((UNFINISHED, _REMOVED))]
    except FileNotFoundError:
        return 0
    stale = [folder for folder in hidden if _is_stale(folder)]
    for folder in stale:
        remove_folder(folder)
    return len(stale)


def _is_stale(folder: Path) -> bool:
    try:
        return time.time() - folder.stat().st_mtime > _UNFINISHED_SECONDS and owner_state(folder) is not State.HELD
    except FileNotFoundError:
        return False
