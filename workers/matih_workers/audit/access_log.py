"""Who has read an archive, by which command: one small object a command, beside what the log proves.

access/<day>/<ms>-<host>-<pid>.json is written when the reading begins, and again, with its rows, when it ends.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any, Final

from matih_console.output import note
from matih_kafka.operator import operator
from matih_schemas.clock import now_ms
from matih_workers.audit.errors import StorageUnavailable
from matih_workers.audit.log import CHECKPOINT
from matih_workers.audit.storage import Storage, open_storage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ACCESS: Final = "access"
OFF: Final = "off"
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]")


@dataclass
class Access:
    """One reading of an archive.

    Attributes:
        command: as `audit export`.
        asked: its options and arguments, those that were given.
        started_at, ended_at: ms since the epoch; no end was noted of a command that was killed.
        rows: how many records, events or gaps it gave out.
        outcome: `done`, or the name of the error that it ended with.
    """

    archive: str
    command: str
    asked: Mapping[str, Any]
    user: str
    host: str
    pid: int
    started_at: int
    ended_at: int | None = None
    rows: int | None = None
    outcome: str = ""

    @property
    def path(self) -> str:
        """Where it is noted."""
        day = datetime.fromtimestamp(self.started_at / 1000, timezone.utc).strftime("%Y-%m-%d")
        return f"{ACCESS}/{day}/{self.started_at}-{_UNSAFE.sub('_', self.host)}-{self.pid}.json"

    def encoded(self) -> bytes:
        """One line of JSON."""
        return json.dumps(vars(self), default=str, separators=(",", ":")).encode() + b"\n"


@contextmanager
def noted(place: str, archive: Storage, command: str, asked: Mapping[str, Any]) -> Iterator[Access]:
    """Notes a reading for the time of the block, which tells its rows. Where it can't be noted, it says so and goes on.

    Args:
        place: MATIH_AUDIT_ACCESS_LOG.
        archive: what is read.
        command: which command reads.
        asked: its options and arguments; those that are empty are left out.
    """
    who, given = operator(), {name: value for name, value in asked.items() if value}
    access = Access(str(archive), command, given, who.user, who.host, os.getpid(), now_ms())
    log = _write(_log(place, archive), access)
    access.outcome = "interrupted"
    try:
        yield access
        access.outcome = "done"
    except Exception as error:
        access.outcome = type(error).__name__
        raise
    finally:
        access.ended_at = now_ms()
        _write(log, access)


def accesses(log: Storage) -> Iterator[dict[str, Any]]:
    """What a log holds, in the order of its time, each with its `path`; what can't be read has no more than that.

    Raises:
        StorageUnavailable: it can't be read.
    """
    for path in log.paths(ACCESS):
        data = log.read(path)
        if data is not None:
            yield {"path": path, **_read(data)}


def _read(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        return {"outcome": "unreadable"}
    return found if isinstance(found, dict) else {"outcome": "unreadable"}


def _log(place: str, archive: Storage) -> Storage | None:
    """Where it is noted; nowhere if nobody wants it, or if there is no archive: a slip must not make a folder."""
    if place == OFF:
        return None
    try:
        if place:
            return open_storage(place)
        return None if archive.read(CHECKPOINT) is None else archive
    except StorageUnavailable as error:
        _tell(error)
        return None


def _write(log: Storage | None, access: Access) -> Storage | None:
    """Notes it; returns the log, None if it does not take it."""
    try:
        if log is not None:
            log.write({access.path: access.encoded()})
    except StorageUnavailable as error:
        _tell(error)
        return None
    return log


def _tell(error: StorageUnavailable) -> None:
    note(f"this reading is not noted: {error} (MATIH_AUDIT_ACCESS_LOG names another place, or off)")
