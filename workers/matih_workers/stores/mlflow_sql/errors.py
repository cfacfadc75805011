"""What a database's errors mean. Only what is sure is named; all else stays as it is, for `probe` to judge.

PostgreSQL says it by SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html; SQLite by a result code.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Final

from matih_schemas.errors import MatihError
from matih_workers.stores.protocol import StoreUnavailable

if TYPE_CHECKING:
    from sqlalchemy.exc import DBAPIError


class Outdated(MatihError):
    """Another worker made the same run or experiment meanwhile: read again and start over."""


_OUTAGE_CLASSES: Final = {
    "08": "no connection",
    "25": "read-only, or a transaction that was given up",
    "28": "not let in",
    "3D": "no such database",
    "40": "given up for another transaction",
    "53": "out of disk, memory or connections",
    "55": "locked",
    "57": "shut down or cancelled",
    "58": "the system under it failed",
}
_OUTAGE_STATES: Final = {
    "42501": "not allowed",
    "42P01": "MLflow's tables are not there: start MLflow's server on it once, or run `mlflow db upgrade`",
    "42703": "no such column: is MLflow's schema of a known release?",
}
_OUTAGE_CODES: Final = {
    3: "not allowed",
    5: "locked by another process",
    6: "locked",
    7: "out of memory",
    8: "read-only",
    10: "the disk failed",
    11: "the file is damaged",
    13: "the disk is full",
    14: "the file can't be opened",
    26: "the file is no database",
}
"""SQLite's primary result codes (https://www.sqlite.org/rescode.html); Python has names for them from 3.11 only."""
_PRIMARY_CODE: Final = 0xFF  # an extended code holds the primary one in its low byte


def outage(error: DBAPIError, where: str) -> StoreUnavailable | None:
    """The outage that the error tells of; None if it may be about what was written."""
    why = _postgres(error) or _sqlite(error)
    if why is None and error.connection_invalidated:
        why = "the connection broke"
    if why is None:
        return None
    return StoreUnavailable(f"MLflow's database {where}: {why}: {_one_line(error.orig)}")


def _postgres(error: DBAPIError) -> str | None:
    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        # psycopg has no SQLSTATE for a server that can't be reached or that broke off.
        return "no connection" if type(error.orig).__module__.startswith("psycopg") and _is_operational(error) else None
    return _OUTAGE_STATES.get(state) or _OUTAGE_CLASSES.get(state[:2])


def _is_operational(error: DBAPIError) -> bool:
    return type(error.orig).__name__ in {"OperationalError", "ConnectionTimeout", "InterfaceError"}


def _sqlite(error: DBAPIError) -> str | None:
    code = getattr(error.orig, "sqlite_errorcode", None)
    if code is None:
        # Python 3.10 does not tell the code.
        busy = isinstance(error.orig, sqlite3.OperationalError) and "no such" not in str(error.orig)
        return "it takes nothing" if busy else None
    if "no such table" in str(error.orig):
        return _OUTAGE_STATES["42P01"]
    return _OUTAGE_CODES.get(code & _PRIMARY_CODE)


def _one_line(error: object) -> str:
    return " ".join(str(error).split())
