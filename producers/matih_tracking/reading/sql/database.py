"""MLflow's database, read only: connections for several threads, a time for each call, errors translated."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

import psycopg
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from matih_tracking.reading.errors import NotReadable, ReadsUnavailable
from matih_tracking.reading.sql import engines
from matih_tracking.reading.sql.deadlines import Deadlines
from matih_tracking.reading.sql.outages import outage
from matih_tracking.reading.sql.tables import KNOWN_REVISIONS, alembic_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Answer = TypeVar("Answer")
_CHECKED: Final = "matih.revision"
_AGAIN_SHARE: Final = 0.5


class Database:
    """One database of MLflow's.

    Attributes:
        is_postgres: else it is SQLite.
        where: the database's address without secrets, for people.
    """

    def __init__(self, uri: str, timeout: float) -> None:
        """Connects at the first reading.

        Args:
            uri: `postgresql://` or `sqlite:///`.
            timeout: seconds for one reading.

        Raises:
            NotReadable: it is no database's address, or one that nobody else can write into.
        """
        url = engines.url_of(uri)
        self.is_postgres = url.get_backend_name() == "postgresql"
        self.where = engines.where(url)
        self._timeout = timeout
        self._secrets = engines.secrets(url)
        self._deadlines = Deadlines()
        self._engine = engines.postgres(url, timeout) if self.is_postgres else engines.sqlite(url, timeout)

    def read(self, question: Callable[[sa.Connection], Answer]) -> Answer:
        """Asks within one read-only transaction, which sees one state of the database.

        A connection that broke off since it was used last (the server was restarted) is replaced, and asked again.

        Raises:
            ReadsUnavailable: no answer within the time.
            NotReadable: the tables are of another release.
            sqlalchemy.exc.DBAPIError: a bug in the question.
        """
        began = time.monotonic()
        try:
            return self._ask(question, began)
        except _BrokenOff as error:
            if time.monotonic() - began > _AGAIN_SHARE * self._timeout:
                raise error.unavailable from error.__cause__
        try:
            return self._ask(question, began)
        except _BrokenOff as error:
            raise error.unavailable from error.__cause__

    def close(self) -> None:
        """Closes the connections that are not in use."""
        self._engine.dispose()

    def _ask(self, question: Callable[[sa.Connection], Answer], began: float) -> Answer:
        given_up: list[bool] = []
        try:
            with self._engine.connect() as connection, self._within(connection, began + self._timeout, given_up):
                self._check_revision(connection)
                return question(connection)
        except (DBAPIError, psycopg.Error) as error:
            self._translate(error, given_up=any(given_up))
            raise
        except sa.exc.TimeoutError as error:
            raise ReadsUnavailable(f"MLflow's database {self.where}: all connections are in use") from error

    @contextmanager
    def _within(self, connection: sa.Connection, deadline: float, given_up: list[bool]) -> Iterator[None]:
        driver: Any = connection.connection.driver_connection
        if not self.is_postgres:
            driver.set_progress_handler(lambda: time.monotonic() > deadline, engines.SQLITE_STEPS)
            yield
            return
        with self._deadlines.over(driver.pgconn.socket, deadline) as watched:
            try:
                yield
            finally:
                given_up.append(watched.broke_off)

    def _check_revision(self, connection: sa.Connection) -> None:
        """Once per connection: a migration of MLflow's locks its tables, and is followed by a restart."""
        if _CHECKED in connection.info:
            return
        revision = connection.execute(sa.select(alembic_version.c.version_num)).scalar()
        if revision not in KNOWN_REVISIONS:
            known = ", ".join(KNOWN_REVISIONS.values())
            raise NotReadable(
                f"MLflow's database {self.where} has tables of revision {revision}, and this release reads those of "
                f"MLflow {known}: upgrade matih-tracking, or read through MLflow's server (MLFLOW_TRACKING_URI=http://...)"
            )
        connection.info[_CHECKED] = revision

    def _translate(self, error: DBAPIError | psycopg.Error, *, given_up: bool) -> None:
        of_driver = error.orig if isinstance(error, DBAPIError) else error
        why = "too slow, given up" if given_up else outage(of_driver)
        if why is None:
            return
        told = " ".join(str(of_driver).split())
        for secret in self._secrets:
            told = told.replace(secret, "***")
        unavailable = ReadsUnavailable(f"MLflow's database {self.where}: {why}: {told}")
        if not given_up and isinstance(error, DBAPIError) and error.connection_invalidated:
            raise _BrokenOff(unavailable) from error
        raise unavailable from error


class _BrokenOff(Exception):
    """The connection was there and is gone; a new one may do."""

    def __init__(self, unavailable: ReadsUnavailable) -> None:
        super().__init__(str(unavailable))
        self.unavailable = unavailable
