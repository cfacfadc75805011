"""What can be wrong with a journal, by what the caller does with it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matih_schemas.errors import MatihError

if TYPE_CHECKING:
    from pathlib import Path


class JournalError(MatihError):
    """The root of all errors of the journal."""


class JournalFull(JournalError):
    """There is no room for the entry; nothing was written. What to do (drop, wait, raise) is the caller's policy.

    Attributes:
        reason: `disk` (the file system is full), `quota` (the user's or the process's limit on files is reached)
            or `bound` (the spool has reached its own bound, MATIH_SPOOL_MAX_BYTES).
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class JournalClosed(JournalError):
    """The journal was sealed or closed, or this process is a fork of the one that owns it; nothing was written."""


class JournalBusy(JournalError):
    """Another thread (or the code that a signal interrupted) holds the journal just now; nothing was written."""


class JournalUnreadable(JournalError):
    """A journal that is left untouched, because to go on would be a guess.

    Attributes:
        path: the journal's folder.
    """

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path


class JournalForeign(JournalUnreadable):
    """The journal was written for another Kafka, topic or user than the reader ships to."""


class JournalNewer(JournalUnreadable):
    """The journal was written by a newer release, in a format that this one doesn't know."""


class JournalDamaged(JournalUnreadable):
    """Segments are missing, or bytes in the middle of the journal are not what the writer wrote."""
