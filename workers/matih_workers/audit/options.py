"""What the commands of `matih audit` have in common."""

from __future__ import annotations

from typing import Annotated

import typer

from matih_console.errors import WrongUse
from matih_workers.audit.settings import AuditSettings, audit_settings

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
