"""What `matih doctor` asks of an archiver's environment, or of an auditor's, who has no key to sign with."""

from __future__ import annotations

import asyncio
import stat
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from matih_console.checks import Finding
from matih_kafka.errors import InvalidSettings, KafkaError
from matih_kafka.settings import kafka_settings
from matih_workers.audit import checkpoint as checkpoints
from matih_workers.audit.consuming import topics_consumer
from matih_workers.audit.errors import AuditError
from matih_workers.audit.log import CHECKPOINT
from matih_workers.audit.reading import ArchiveReader
from matih_workers.audit.settings import audit_settings
from matih_workers.audit.storage import open_storage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matih_console.checks import Check
    from matih_workers.audit.settings import AuditSettings
    from matih_workers.audit.storage import Storage

PROBE: Final = "doctor"
STALE_SECONDS: Final = 600.0
"""A checkpoint as old as this, with records that wait, means that nobody archives them."""
_MOUNTED: Final = Path("/run/secrets")
"""Where containers get secrets: nobody else is in there, whatever the files' modes."""
_NONE: Final = Finding("skipped", "MATIH_AUDIT_ARCHIVE is not set: there is no archive here")


def checks() -> Mapping[str, Check]:
    """The archive, its key, how far it is."""
    return {"archive": _archive, "archive key": _key, "archiver": _archiver}


def _archive() -> Finding:
    """Whether it can be read, and written by whoever has a key."""
    try:
        settings = audit_settings()
        if not settings.audit_archive:
            return _NONE
        storage = open_storage(settings.audit_archive)
        if _signs(settings):
            storage.write({PROBE: b""})
            storage.delete(PROBE)
        size = _size(storage)
    except InvalidSettings as error:
        return Finding("failed", str(error), "change that variable: docs/settings.md lists all of them")
    except AuditError as error:
        return Finding("failed", str(error), "docs/operating.md#the-archiver-does-not-archive")
    written = "written" if _signs(settings) else "read"
    return Finding("ok", f"{storage}: {size} entries, can be {written}")


def _key() -> Finding:
    """Whether the key signs this archive, and nobody else can read it."""
    try:
        settings = audit_settings()
        if not settings.audit_archive:
            return _NONE
        if not _signs(settings):
            return Finding("skipped", "no key here: this environment can verify, and not archive")
        key, storage = settings.signing_key(), open_storage(settings.audit_archive)
        if (signed := storage.read(CHECKPOINT)) is not None:
            checkpoints.open_checkpoint(signed, [key.public, *settings.accepted_keys()])
    except InvalidSettings as error:
        return Finding("failed", str(error), "is MATIH_AUDIT_KEY_FILE the key that `matih audit keygen` made?")
    except AuditError as error:
        return Finding(
            "failed", str(error), "name the archive's own key; after a rotation also MATIH_AUDIT_PUBLIC_KEYS"
        )
    return _badly_kept(settings) or Finding("ok", f"signs as {key.public}")


def _badly_kept(settings: AuditSettings) -> Finding | None:
    file = settings.audit_key_file
    if file is None or _MOUNTED in file.absolute().parents:
        return None
    if (mode := stat.S_IMODE(file.stat().st_mode)) & 0o077:
        return Finding("warning", f"{file}: mode {mode:o}: others can read it, and sign", f"chmod 600 {file}")
    if Path(settings.audit_archive).absolute() in file.absolute().parents:
        remedy = "move it: whoever copies the archive gets what signs it"
        return Finding("warning", f"{file} stands in the archive", remedy)
    return None


def _archiver() -> Finding:
    """How many records are not archived yet, and since when."""
    try:
        settings = audit_settings()
        if not settings.audit_archive:
            return _NONE
        storage = open_storage(settings.audit_archive)
        waiting, gone = asyncio.run(_waiting(settings, storage))
        age = time.time() - (storage.written_at(CHECKPOINT) or 0)
    except (InvalidSettings, AuditError, KafkaError) as error:
        return Finding("skipped", str(error))
    if gone:
        detail = f"{gone} records went from Kafka before they were archived; {waiting} wait"
        return Finding("warning", detail, "docs/operating.md#records-are-missing-from-the-archive")
    if waiting and age > STALE_SECONDS:
        since = f"the last checkpoint is {age / 3600:.1f} h old" if _size(storage) else "nothing is archived yet"
        return Finding("warning", f"{waiting} records wait, and {since}", "start it: `matih audit archive`")
    return Finding("ok", f"{waiting} records wait")


async def _waiting(settings: AuditSettings, storage: Storage) -> tuple[int, int]:
    """Records that Kafka has and the archive has not, and those that neither has."""
    ends = ArchiveReader(storage).ends()
    async with topics_consumer(kafka_settings(), settings.audit_group) as consumer:
        bounds = await consumer.bounds()
    waiting = sum(end - max(first, ends.get(where, 0)) for where, (first, end) in bounds.items())
    return max(0, waiting), sum(max(0, first - ends.get(where, 0)) for where, (first, _) in bounds.items())


def _signs(settings: AuditSettings) -> bool:
    return settings.audit_key_file is not None or bool(settings.audit_key.get_secret_value())


def _size(storage: Storage) -> int:
    found = ArchiveReader(storage).checkpoint
    return 0 if found is None else found.size
