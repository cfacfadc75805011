"""MLflow's database: connections with short time-outs, transactions, errors translated."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final

import psycopg
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from matih_schemas.errors import MatihError
from matih_workers.stores.mlflow_sql.errors import outage
from matih_workers.stores.mlflow_sql.tables import KNOWN_REVISIONS, alembic_version
from matih_workers.stores.mlflow_sql.watch import Watch, before_statement, watched
from matih_workers.stores.protocol import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CONNECTIONS: Final = 2


class Database:
    """One database of MLflow's.

    Attributes:
        is_postgres: else it is SQLite, which has one writer.
        where: the database's address without its passwords, for people.
    """

    def __init__(self, address: Callable[[], str], timeout: float) -> None:
        """Connects at the first transaction.

        Args:
            address: gives `postgresql://` or `sqlite://`; asked again after each outage, for a password may change.
            timeout: seconds for one answer of the database.
        """
        self._address = address
        self._timeout = timeout
        self._renewing = threading.Lock()
        self._connect_to(address())

    def _connect_to(self, uri: str) -> None:
        url = sa.make_url(uri)
        self._uri = uri
        self.is_postgres = url.get_backend_name() == "postgresql"
        self.where = _without_passwords(url)
        self._engine = _postgres(url, self._timeout) if self.is_postgres else _sqlite(url, self._timeout)

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """A transaction on tables of a known release; committed at the end, rolled back by an exception.

        Raises:
            StoreUnavailable: an outage for sure, or tables of another release.
            StoreTooSlow: a statement was given up after its time.
            sqlalchemy.exc.DBAPIError, psycopg.Error: anything else the database says.
        """
        watch: Watch | None = None
        try:
            with self._engine.connect() as connection, self._watched(connection) as watch, connection.begin():
                self._check_revision(connection)
                yield connection
        except (DBAPIError, psycopg.Error) as error:
            unavailable = outage(error, self.where, given_up=watch is not None and watch.broke_off)
            if unavailable is not None:
                self._renew()
                raise unavailable from error
            raise
        except sa.exc.TimeoutError as error:
            raise StoreUnavailable(f"MLflow's database {self.where}: no connection is free: {error}") from error

    def _renew(self) -> None:
        """Begins with new sessions, for one may be what is wrong: read-only, or of a server that was replaced.

        Raises:
            StoreUnavailable: the address can't be had any more.
        """
        with self._renewing:
            self._engine.dispose()
            try:
                uri = self._address()
            except MatihError as error:
                raise StoreUnavailable(str(error)) from error
            if uri != self._uri:
                if sa.make_url(uri).get_backend_name() != sa.make_url(self._uri).get_backend_name():
                    raise StoreUnavailable("MATIH_STORE_URI names another kind of store now: restart the worker")
                self._connect_to(uri)

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

    def _watched(self, connection: sa.Connection) -> AbstractContextManager[Watch | None]:
        return watched(connection, 2 * self._timeout) if self.is_postgres else nullcontext()


def _without_passwords(url: sa.URL) -> str:
    """The address for people: libpq takes passwords in the query too (`password`, `sslpassword`)."""
    secret = [name for name in url.query if "password" in name.lower()]
    return url.difference_update_query(secret).render_as_string(hide_password=True)


def _postgres(url: sa.URL, timeout: float) -> sa.Engine:
    engine = sa.create_engine(
        url.set(drivername="postgresql+psycopg"),
        connect_args=_postgres_arguments(url, timeout),
        pool_size=_CONNECTIONS,
        max_overflow=0,
        pool_timeout=timeout,
    )
    sa.event.listen(engine, "before_cursor_execute", before_statement)
    return engine


def _sqlite(url: sa.URL, timeout: float) -> sa.Engine:
    engine = sa.create_engine(url.set(drivername="sqlite"), connect_args={"timeout": timeout})
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _postgres_arguments(url: sa.URL, timeout: float) -> dict[str, Any]:
    """Time-outs of the connection, and of a statement, a lock and an idle transaction; the URI's own come last."""
    milliseconds = round(timeout * 1000)
    limits = {
        "statement_timeout": milliseconds,
        "lock_timeout": round(milliseconds * 0.8),  # before the statement's, so that a lock is told as one
        "idle_in_transaction_session_timeout": milliseconds,
    }
    ours = " ".join(f"-c {name}={value}" for name, value in limits.items())
    given = url.query.get("options", "")
    options = {"options": f"{ours} {given if isinstance(given, str) else ' '.join(given)}".strip()}
    wanted = {"connect_timeout": max(2, round(timeout)), "tcp_user_timeout": milliseconds, "application_name": "matih"}
    return options | {name: value for name, value in wanted.items() if name not in url.query}


def _prepare_sqlite(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # SQLAlchemy's own BEGIN would come before the first write only
    connection.execute("PRAGMA foreign_keys = ON")


def _begin_sqlite(connection: sa.Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")
