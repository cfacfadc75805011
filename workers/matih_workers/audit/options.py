"""What the commands of `matih audit` have in common."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from matih_console.errors import CommandFailed, WrongUse
from matih_kafka.errors import InvalidSettings
from matih_schemas.errors import MatihError
from matih_workers.audit.access_log import OFF, noted
from matih_workers.audit.log import CHECKPOINT, LogWriter
from matih_workers.audit.settings import AuditSettings, audit_settings
from matih_workers.audit.storage import COMPACTION, open_storage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matih_workers.audit.access_log import Access
    from matih_workers.audit.storage import Storage

Archive = Annotated[
    str | None, typer.Argument(metavar="[ARCHIVE]", help="A folder, or s3://bucket/folder (MATIH_AUDIT_ARCHIVE).")
]


def settings_for(archive: str | None) -> AuditSettings:
    """The environment's settings, with the archive that was named.

    Raises:
        WrongUse: no archive is named.
        InvalidSettings: a variable can't be.
    """
    settings = audit_settings()
    if archive is not None:
        settings = settings.model_copy(update={"audit_archive": archive})
    if not settings.audit_archive:
        raise WrongUse("which archive? name a folder or s3://bucket/folder, or set MATIH_AUDIT_ARCHIVE")
    return settings


class Opened(NamedTuple):
    """What a command works with; it tells `access` how many rows it gives out."""

    settings: AuditSettings
    storage: Storage
    access: Access


@contextmanager
def opened(command: str, archive: str | None, **asked: Any) -> Iterator[Opened]:
    """The archive that was named, or the environment's, for who reads it.

    Args:
        command: as it is noted.
        archive: as it was named.
        asked: the command's other options, as they are noted.

    Raises:
        WrongUse: no archive is named, or a setting can't be.
        CommandFailed: whatever is wrong with the archive.
    """
    with _told():
        settings = settings_for(archive)
        storage = open_storage(settings.audit_archive)
        with noted(settings.audit_access_log, storage, command, asked) as access:
            yield Opened(settings, storage, access)


@contextmanager
def opened_access_log(archive: str | None) -> Iterator[Storage]:
    """Where readings of the archive are noted: the place that MATIH_AUDIT_ACCESS_LOG names, else the archive itself.

    Raises:
        WrongUse, CommandFailed: as `opened`.
    """
    with _told():
        settings = settings_for(archive)
        place = settings.audit_access_log
        yield open_storage(settings.audit_archive if place in ("", OFF) else place)


@contextmanager
def written(archive: str | None) -> Iterator[tuple[Storage, LogWriter]]:
    """The archive and its log, for the one who changes what was archived.

    Raises:
        WrongUse: no archive is named, or a setting can't be.
        CommandFailed: there is none, an archiver works on it, or whatever else is wrong with it.
    """
    with _told():
        settings = settings_for(archive)
        storage = open_storage(settings.audit_archive)
        if storage.read(CHECKPOINT) is None:
            raise CommandFailed(f"{storage} is no archive: it has no {CHECKPOINT}; is it the right one?")
        with storage.lock(), storage.lock(COMPACTION):
            yield storage, LogWriter(storage, settings.signing_key(), settings.accepted_keys())


@contextmanager
def _told() -> Iterator[None]:
    """Errors as a command tells them."""
    try:
        yield
    except InvalidSettings as error:
        raise WrongUse(str(error)) from error
    except MatihError as error:
        raise CommandFailed(str(error)) from error
