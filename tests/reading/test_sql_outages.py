"""What a reader says when MLflow's database is not there, hangs, is locked, or was restarted: soon, and in one line."""

from __future__ import annotations

import socket
import sqlite3
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import psutil
import pytest
import sqlalchemy as sa
from mlflow import MlflowClient
from tests.waiting import until

from matih_tracking.reading.errors import ReadsUnavailable
from matih_tracking.reading.queries import ExperimentQuery, RunQuery
from matih_tracking.reading.sql import SqlReader, engines

if TYPE_CHECKING:
    from collections.abc import Iterator

    import psycopg

    from matih_local.system import LocalSystem

TIMEOUT_S = 3.0
SLACK_S = 2.0  # the machine is shared
NAME = "reads-under-test"
SECRET = "se:cret/wo@rd"


@pytest.fixture
def postgres_uri(local_system: LocalSystem, mlflow_url: str) -> str:
    assert mlflow_url
    return local_system.postgres.url


@pytest.fixture
def admin(local_system: LocalSystem, postgres_uri: str) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    with local_system.postgres.connect() as connection:
        yield connection


@pytest.fixture
def reader(postgres_uri: str) -> Iterator[SqlReader]:
    with closing(SqlReader(f"{postgres_uri}&application_name={NAME}", TIMEOUT_S)) as reader:
        yield reader


def refusal(reader: SqlReader) -> str:
    """What it says; in time, in one line, without the password."""
    began = time.monotonic()
    with pytest.raises(ReadsUnavailable) as told:
        reader.runs(None, RunQuery(limit=1))
    assert time.monotonic() - began < TIMEOUT_S + SLACK_S
    text = str(told.value)
    assert "\n" not in text
    assert SECRET not in text
    assert "wo%40rd" not in text
    return text


def backends(admin: psycopg.Connection[tuple[object, ...]]) -> list[int]:
    """The server's processes for this test's reader."""
    rows = admin.execute("SELECT pid FROM pg_stat_activity WHERE application_name = %s", (NAME,)).fetchall()
    return [int(str(row[0])) for row in rows]


@contextmanager
def listening(backlog: int) -> Iterator[int]:
    """A port that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as server:
        yield server.getsockname()[1]


def uri(port: int) -> str:
    url = sa.URL.create("postgresql", "tracker", SECRET, "127.0.0.1", port, "mlflow")
    return url.render_as_string(hide_password=False)


def test_a_server_that_refuses() -> None:
    with listening(1) as port:
        pass
    with closing(SqlReader(uri(port), TIMEOUT_S)) as reader:
        assert f"postgresql://tracker:***@127.0.0.1:{port}/mlflow: no connection" in refusal(reader)


def test_passwords_in_the_query_are_not_told() -> None:
    with listening(1) as port:
        pass
    url = sa.make_url(f"postgresql://tracker@127.0.0.1:{port}/mlflow")
    query = {"password": SECRET, "sslpassword": f"{SECRET}-too", "sslmode": "prefer"}
    address = url.set(query=query)
    assert engines.secrets(address.set(password="p")) == (f"{SECRET}-too", SECRET, "p")
    with closing(SqlReader(address.render_as_string(hide_password=False), TIMEOUT_S)) as reader:
        assert f"postgresql://tracker@127.0.0.1:{port}/mlflow: no connection" in refusal(reader)


def test_a_server_that_says_nothing() -> None:
    with listening(8) as port, closing(SqlReader(uri(port), TIMEOUT_S)) as reader:
        assert "no connection" in refusal(reader)


def test_a_restarted_server_is_no_outage(reader: SqlReader, admin: psycopg.Connection[tuple[object, ...]]) -> None:
    reader.check()
    threads = [threading.Thread(target=reader.check) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for pid in backends(admin):
        admin.execute("SELECT pg_terminate_backend(%s)", (pid,))
    until(lambda: not backends(admin), "the sessions are gone")
    reader.check()
    reader.runs(None, RunQuery(limit=1))


def test_a_lock_is_given_up_in_time(
    reader: SqlReader, local_system: LocalSystem, admin: psycopg.Connection[tuple[object, ...]]
) -> None:
    reader.check()
    with local_system.postgres.connect() as migration, migration.transaction():
        migration.execute("LOCK TABLE runs IN ACCESS EXCLUSIVE MODE")
        assert "locked" in refusal(reader)
    reader.runs(None, RunQuery(limit=1))


def test_a_server_that_hangs_is_given_up_in_time(
    reader: SqlReader, admin: psycopg.Connection[tuple[object, ...]]
) -> None:
    reader.check()
    (process,) = (psutil.Process(pid) for pid in backends(admin))
    process.suspend()
    try:
        assert "too slow, given up" in refusal(reader)
    finally:
        process.resume()
    reader.runs(None, RunQuery(limit=1))


def test_more_callers_than_connections_are_told_in_time(reader: SqlReader, local_system: LocalSystem) -> None:
    reader.check()
    told: list[str] = []

    def ask() -> None:
        try:
            reader.runs(None, RunQuery(limit=1))
        except ReadsUnavailable as error:
            told.append(str(error))

    with local_system.postgres.connect() as migration, migration.transaction():
        migration.execute("LOCK TABLE runs IN ACCESS EXCLUSIVE MODE")
        threads = [threading.Thread(target=ask) for _ in range(20)]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert time.monotonic() - began < TIMEOUT_S + SLACK_S
    assert len(told) == 20
    # Which one of these it is hangs on when a caller got its connection: at once, never, or from one who gave up.
    reasons = {text.rpartition("/mlflow: ")[2].partition(":")[0] for text in told}
    assert "locked" in reasons
    assert reasons <= {"locked", "all connections are in use", "too slow, given up"}
    reader.runs(None, RunQuery(limit=1))


@pytest.fixture
def sqlite_uri(reading_sqlite: tuple[str, str]) -> str:
    MlflowClient(reading_sqlite[0]).search_experiments(max_results=1)
    return reading_sqlite[0]


def test_a_locked_file_is_given_up_in_time(sqlite_uri: str) -> None:
    path = sa.make_url(sqlite_uri).database
    with closing(SqlReader(sqlite_uri, TIMEOUT_S)) as reader, closing(sqlite3.connect(str(path))) as writer:
        reader.check()
        writer.execute("BEGIN EXCLUSIVE")
        assert "locked by another process" in refusal(reader)
        writer.rollback()
        reader.runs(None, RunQuery(limit=1))


def test_a_slow_question_to_a_file_is_given_up_in_time(sqlite_uri: str) -> None:
    endless = sa.text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n")
    with closing(SqlReader(sqlite_uri, 1.0)) as reader:
        began = time.monotonic()
        with pytest.raises(ReadsUnavailable, match="too slow, given up"):
            reader._database.read(lambda connection: connection.execute(endless).scalar())
        assert time.monotonic() - began < 1.0 + SLACK_S
        assert reader.experiments([], ExperimentQuery()).total == 0
