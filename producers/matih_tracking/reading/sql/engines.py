"""Engines that can only read, with short time-outs."""

from __future__ import annotations

import sqlite3
from typing import Any, Final
from urllib.parse import quote

import psycopg
import sqlalchemy as sa

from matih_tracking.reading.errors import NotReadable
from matih_tracking.reading.sql.functions import add_functions

SQLITE_STEPS: Final = 20_000
"""Instructions of SQLite's virtual machine between two looks at the clock: about a millisecond."""
_KEPT_CONNECTIONS: Final = 8
_MORE_CONNECTIONS: Final = 8
_CONNECT_SECONDS_MIN: Final = 2  # libpq takes less as 2
_SETTINGS: Final = {
    "default_transaction_read_only": "on",
    "jit": "off",  # compiling takes longer than any of these statements
    "work_mem": "16MB",  # for joining 100 000 runs in memory
}


def url_of(uri: str) -> sa.URL:
    """The address, taken apart.

    Raises:
        NotReadable: it is not one of a database that can be read here.
    """
    try:
        url = sa.make_url(uri)
    except (sa.exc.ArgumentError, ValueError) as error:  # the second for a port that is no number
        raise NotReadable(
            "the tracking URI can't be read as a database's: write postgresql://... or sqlite:///..."
        ) from error
    backend = url.get_backend_name()
    if backend not in ("postgresql", "sqlite"):
        raise NotReadable(f"{backend} is not read directly: give the address of MLflow's server (http://...)")
    if backend == "sqlite" and url.database in (None, "", ":memory:"):
        raise NotReadable("SQLite in memory holds nothing of anybody else's: give a file (sqlite:///path)")
    return url


def where(url: sa.URL) -> str:
    """The address for people: without password, and without the query, which may hold one too."""
    if not url.host and "host" in url.query:
        return f"{url.get_backend_name()}://{url.query['host']}/{url.database}"
    return url.set(query={}, drivername=url.get_backend_name()).render_as_string(hide_password=True)


def secrets(url: sa.URL) -> tuple[str, ...]:
    """All passwords that the address holds: libpq takes some in the query too (`password`, `sslpassword`)."""
    queried = [value for name, value in url.normalized_query.items() if "password" in name.lower()]
    found = {url.password or "", *(one for values in queried for one in values)}
    return tuple(sorted(found - {""}, key=len, reverse=True))


def postgres(url: sa.URL, timeout: float) -> sa.Engine:
    """Connections for a server's threads; some are kept."""
    engine = sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args=_arguments(url, timeout),
        pool_size=_KEPT_CONNECTIONS,
        max_overflow=_MORE_CONNECTIONS,
        pool_timeout=0.3 * timeout,
        pool_recycle=300,
        pool_use_lifo=True,
        use_native_hstore=False,
    )
    sa.event.listen(engine, "connect", _prepare_postgres)
    sa.event.listen(engine, "before_cursor_execute", _answer_in_binary)
    return engine


def sqlite(url: sa.URL, timeout: float) -> sa.Engine:
    """Connections that never make a file, and never write into it."""
    engine = sa.create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(
            f"file:{quote(str(url.database))}?mode=rw",
            uri=True,
            timeout=0.8 * timeout,
            check_same_thread=False,
            isolation_level=None,
        ),
        poolclass=sa.pool.QueuePool,
        pool_size=_KEPT_CONNECTIONS,
        max_overflow=_MORE_CONNECTIONS,
        pool_timeout=0.3 * timeout,
    )
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
    return engine


def _arguments(url: sa.URL, timeout: float) -> dict[str, Any]:
    """Time-outs and settings of the connection; the URI's own come last. Several addresses share the time."""
    milliseconds = round(timeout * 1000)
    limits = {
        "statement_timeout": round(milliseconds * 0.9),  # before the connection is broken off
        "lock_timeout": round(milliseconds * 0.7),
        "idle_in_transaction_session_timeout": 2 * milliseconds,
    }
    ours = " ".join(f"-c {name}={value}" for name, value in {**limits, **_SETTINGS}.items())
    given = url.query.get("options", "")
    options = {"options": f"{ours} {given if isinstance(given, str) else ' '.join(given)}".strip()}
    wanted = {
        "connect_timeout": max(_CONNECT_SECONDS_MIN, int(0.4 * timeout)),
        "tcp_user_timeout": milliseconds,
        "application_name": "matih-reads",
    }
    return options | {name: value for name, value in wanted.items() if name not in url.query}


def _prepare_postgres(connection: psycopg.Connection[Any], _record: object) -> None:
    connection.read_only = True
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    connection.prepare_threshold = None  # a plan for all keys is a bad one for some


def _answer_in_binary(_connection: sa.Connection, cursor: Any, *_: object) -> None:
    """Arrays of numbers as the server has them: reading them as text takes longer than finding them."""
    cursor.format = psycopg.pq.Format.BINARY


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA query_only = ON")
    add_functions(connection)
