"""MLflow's database: connections with short time-outs, transactions, errors translated."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import psycopg
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from matih_workers.stores.mlflow_sql.errors import outage
from matih_workers.stores.mlflow_sql.tables import KNOWN_REVISIONS, alembic_version
from matih_workers.stores.protocol import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator

_CONNECTIONS: Final = 2
_DRIVERS: Final = {"postgresql": "postgresql+psycopg", "sqlite": "sqlite"}


class Database:
    """One database of MLflow's.

    Attributes:
        is_postgres: else it is SQLite, which has one writer.
        where: the database's address without its password, for people.
    """

    def __init__(self, uri: str, timeout: float) -> None:
        """Connects at the first transaction.

        Args:
            uri: `postgresql://` or `sqlite://`.
            timeout: seconds for one answer of the database.
        """
        url = sa.make_url(uri)
        name = url.get_backend_name()
        self.is_postgres = name == "postgresql"
        self.where = url.render_as_string(hide_password=True)
        self._timeout = timeout
        self._engine = sa.create_engine(
            url.set(drivername=_DRIVERS[name]),
            connect_args=_postgres_arguments(url, timeout) if self.is_postgres else {"timeout": timeout},
            **({"pool_size": _CONNECTIONS, "max_overflow": 0, "pool_timeout": timeout} if self.is_postgres else {}),
        )
        if not self.is_postgres:
            sa.event.listen(self._engine, "connect", _prepare_sqlite)
            sa.event.listen(self._engine, "begin", _begin_sqlite)

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """A transaction on tables of a known release; committed at the end, rolled back by an exception.

        Raises:
            StoreUnavailable: an outage for sure, or tables of another release.
            sqlalchemy.exc.DBAPIError, psycopg.Error: anything else the database says.
        """
        try:
            with self._engine.connect() as connection, self._watched(connection), connection.begin():
                self._check_revision(connection)
                yield connection
        except (DBAPIError, psycopg.Error) as error:
            unavailable = outage(error, self.where)
            if unavailable is not None:
                self._engine.dispose()  # a session may be what is wrong: read-only, or of a server that was replaced
                raise unavailable from error
            raise
        except sa.exc.TimeoutError as error:
            raise StoreUnavailable(f"MLflow's database {self.where}: no connection is free: {error}") from error

    def close(self) -> None:
        """Closes the connections that are not in use."""
        self._engine.dispose()

    def _check_revision(self, connection: sa.Connection) -> None:
        revision = connection.execute(sa.select(alembic_version.c.version_num)).scalar()
        if revision not in KNOWN_REVISIONS:
            known = ", ".join(KNOWN_REVISIONS.values())
            raise StoreUnavailable(
                f"MLflow's database {self.where} has tables of revision {revision}, and this release writes those of "
                f"MLflow {known}: upgrade matih-tracking, or set MATIH_STORE=client and MATIH_STORE_URI to the "
                "address of MLflow's server"
            )

    @contextmanager
    def _watched(self, connection: sa.Connection) -> Iterator[None]:
        """Breaks the connection off when the transaction takes too long: a server that hangs obeys no time-out."""
        if not self.is_postgres:
            yield
            return
        driver: Any = connection.connection.driver_connection
        watch = threading.Timer(2 * self._timeout, _break_off, [driver.pgconn.socket])
        watch.daemon = True
        watch.start()
        try:
            yield
        finally:
            watch.cancel()


def _break_off(descriptor: int) -> None:
    with socket.socket(fileno=socket.dup(descriptor)) as connection:
        connection.shutdown(socket.SHUT_RDWR)


def _postgres_arguments(url: sa.URL, timeout: float) -> dict[str, Any]:
    """Time-outs of the connection, and of a statement, a lock and an idle transaction; the URI's own come last."""
    milliseconds = round(timeout * 1000)
    ours = " ".join(
        f"-c {name}={milliseconds}"
        for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    )
    given = url.query.get("options", "")
    options = {"options": f"{ours} {given if isinstance(given, str) else ' '.join(given)}".strip()}
    wanted = {"connect_timeout": max(2, round(timeout)), "tcp_user_timeout": milliseconds, "application_name": "matih"}
    return options | {name: value for name, value in wanted.items() if name not in url.query}


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # SQLAlchemy's own BEGIN would come before the first write only
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
