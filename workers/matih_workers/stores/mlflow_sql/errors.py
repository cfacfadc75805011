"""What a database's errors mean. Only what is sure is named; all else stays as it is, for `probe` to judge.

PostgreSQL says it by SQLSTATE: https://www.postgresql.org/docs/current/errcodes-appendix.html; SQLite by a result code.
"""

from __future__ import annotations

import sqlite3
from typing import Final

import psycopg
from psycopg.errors import LockNotAvailable, QueryCanceled
from sqlalchemy.exc import DBAPIError

from matih_schemas.errors import MatihError
from matih_workers.stores.protocol import StoreTooSlow, StoreUnavailable


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
_CODES_BY_MESSAGE: Final = {
    "access permission denied": 3,
    "is locked": 5,
    "out of memory": 7,
    "attempt to write a readonly database": 8,
    "disk I/O error": 10,
    "database disk image is malformed": 11,
    "database or disk is full": 13,
    "unable to open database file": 14,
    "file is not a database": 26,
}
"""What SQLite says with these codes (sqlite3_errstr), for Python 3.10, which does not tell the code."""
_PRIMARY_CODE: Final = 0xFF  # an extended code holds the primary one in its low byte


def outage(error: DBAPIError | psycopg.Error, where: str, *, given_up: bool = False) -> StoreUnavailable | None:
    """The outage that the error tells of; None if it may be about what was written.

    Args:
        error: what the database or its driver raised.
        where: the database, for people.
        given_up: we broke the connection off ourselves, for it took too long.
    """
    of_driver = error.orig if isinstance(error, DBAPIError) else error
    if given_up or isinstance(of_driver, QueryCanceled):
        return StoreTooSlow(f"MLflow's database {where}: too slow, given up: {_one_line(of_driver)}")
    why = _postgres(of_driver) or _sqlite(of_driver)
    if why is None:
        return None
    # Who holds the lock may be in the way of some of these changes only, or be one of them.
    kind = StoreTooSlow if isinstance(of_driver, LockNotAvailable) else StoreUnavailable
    return kind(f"MLflow's database {where}: {why}: {_one_line(of_driver)}")


def _postgres(error: object) -> str | None:
    if not isinstance(error, psycopg.Error):
        return None
    if error.sqlstate is None:
        # psycopg has no SQLSTATE for a server that can't be reached or that broke off.
        return "no connection" if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) else None
    return _OUTAGE_STATES.get(error.sqlstate) or _OUTAGE_CLASSES.get(error.sqlstate[:2])


def _sqlite(error: object) -> str | None:
    if not isinstance(error, sqlite3.Error):
        return None
    if "no such table" in str(error):
        return _OUTAGE_STATES["42P01"]
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        code = next((code for words, code in _CODES_BY_MESSAGE.items() if words in str(error)), 0)
    return _OUTAGE_CODES.get(code & _PRIMARY_CODE)


def _one_line(error: object) -> str:
    return " ".join(str(error).split())
