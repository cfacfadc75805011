"""What a database's errors mean to who reads: ask again later, or this is a bug, which stays as it is.

PostgreSQL says it by SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html; SQLite by a result code.
"""

from __future__ import annotations

import sqlite3
from typing import Final

import psycopg
from psycopg.errors import QueryCanceled

_CLASSES: Final = {
    "08": "no connection",
    "25": "a transaction that was given up",
    "28": "not let in",
    "3D": "no such database",
    "40": "given up for another transaction",
    "53": "out of disk, memory or connections",
    "55": "locked",
    "57": "shut down or cancelled",
    "58": "the system under it failed",
}
_STATES: Final = {
    "42501": "not allowed",
    "42P01": "MLflow's tables are not there: start MLflow's server on it once, or run `mlflow db upgrade`",
    "42703": "no such column: is MLflow's schema of a known release?",
}
_CODES: Final = {
    3: "not allowed",
    5: "locked by another process",
    6: "locked",
    7: "out of memory",
    9: "too slow, given up",
    10: "the disk failed",
    11: "the file is damaged",
    13: "the disk is full",
    14: "the file can't be opened",
    26: "the file is no database",
}
"""SQLite's primary result codes (https://www.sqlite.org/rescode.html); Python has names for them from 3.11 only."""
_PRIMARY_CODE: Final = 0xFF


def outage(error: object) -> str | None:
    """Why the database does not answer; None if it did, and the error is about what was asked."""
    if isinstance(error, QueryCanceled):
        return "too slow, given up"
    if isinstance(error, psycopg.Error):
        return _postgres(error)
    return _sqlite(error) if isinstance(error, sqlite3.Error) else None


def _postgres(error: psycopg.Error) -> str | None:
    if error.sqlstate is None:
        # psycopg has no SQLSTATE for a server that can't be reached or that broke off.
        return "no connection" if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) else None
    return _STATES.get(error.sqlstate) or _CLASSES.get(error.sqlstate[:2])


def _sqlite(error: sqlite3.Error) -> str | None:
    if "no such table" in str(error):
        return _STATES["42P01"]
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        # Python 3.10 does not tell the code.
        return "no answer" if isinstance(error, sqlite3.OperationalError) else None
    return _CODES.get(code & _PRIMARY_CODE)
