"""What can go wrong with an archive, by what the caller does about it."""

from __future__ import annotations

from matih_schemas.errors import MatihError


class AuditError(MatihError):
    """The root of this package's errors."""


class Damaged(AuditError):
    """Bytes of the archive are not what was written: find out by whom, restore from a copy; never go on writing."""


class Busy(AuditError):
    """Another archiver writes this archive, or has written it meanwhile: let one of them work."""


class StorageUnavailable(AuditError):
    """The archive's folder or bucket does not take it, now: nothing is counted, try again."""


class InvalidKey(AuditError):
    """A key that is none, or that is not this archive's: give the right one."""


class InvalidNote(AuditError):
    """A text that is no signed note, or that nobody signed whose key is accepted."""
