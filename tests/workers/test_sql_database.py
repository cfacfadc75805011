"""What the SQL store does about its database: releases it does not know, outages, hands that hold a lock."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING
from urllib.parse import quote

import psycopg
import pytest
import sqlalchemy as sa
from tests.waiting import until
from tests.workers.journals import Entry
from tests.workers.test_store_contract import producer, refused, view
from tests.workers.views import SqlBench

from matih_kafka.errors import InvalidSettings
from matih_workers.operations import operations
from matih_workers.settings import WorkerSettings, uses_sql
from matih_workers.stores.mlflow_sql import MlflowSqlStore
from matih_workers.stores.protocol import StoreTooSlow, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.workers.views import MlflowBench

    from matih_local.system import LocalSystem
    from matih_workers.changes import Change

BY_SQL = pytest.mark.parametrize("mlflow_bench", ["sql-sqlite", "sql-postgres"], indirect=True)
ON_POSTGRES = pytest.mark.parametrize("mlflow_bench", ["sql-postgres"], indirect=True)


@pytest.fixture
def connection(mlflow_bench: MlflowBench) -> Iterator[sa.Connection]:
    """Somebody else's."""
    engine = sa.create_engine(mlflow_bench.uri)
    with engine.connect() as connection:
        yield connection
    engine.dispose()


@BY_SQL
def test_tables_of_another_release_are_refused_with_the_remedy(
    mlflow_bench: MlflowBench, connection: sa.Connection
) -> None:
    who = producer()
    assert refused(mlflow_bench, who.created()) == {}
    known = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()
    connection.execute(sa.text("UPDATE alembic_version SET version_num = 'ffffffffffff'"))
    connection.commit()
    try:
        with pytest.raises(StoreUnavailable, match=r"revision ffffffffffff.*MATIH_STORE=client"):
            refused(mlflow_bench, who.log(Entry({"a": 1.0})))
        with pytest.raises(StoreUnavailable, match="revision ffffffffffff"):
            mlflow_bench.store.probe()
    finally:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = :known"), {"known": known})
        connection.commit()
    assert refused(mlflow_bench, who.log(Entry({"a": 1.0}))) == {}
    assert len(view(mlflow_bench, who).points) == 1


def test_a_database_without_mlflows_tables_says_what_makes_them(tmp_path: Path, local_system: LocalSystem) -> None:
    local_system.start("postgres")
    for uri in (f"sqlite:///{tmp_path / 'empty.db'}", local_system.postgres.create_database("empty")):
        store = MlflowSqlStore(uri)
        with pytest.raises(StoreUnavailable, match="mlflow db upgrade"):
            store.open()
        store.close()


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("postgresql://127.0.0.1:1/mlflow", "no connection"),
        ("postgresql://me:secret@no-such-host.invalid/mlflow", "no connection"),
        (
            "postgresql://me@127.0.0.1:1/mlflow?password=secret&sslpassword=secret&sslmode=prefer",
            "mlflow.sslmode=prefer: no c",
        ),
        ("sqlite:////no/such/folder/mlflow.db", "can't be opened"),
    ],
)
def test_a_database_that_is_not_there_is_an_outage_and_no_password_is_told(uri: str, why: str) -> None:
    store = MlflowSqlStore(uri, timeout=2)
    with pytest.raises(StoreUnavailable, match=why) as caught:
        store.open()
    assert "secret" not in str(caught.value)
    store.close()


@ON_POSTGRES
def test_a_killed_connection_is_an_outage_and_the_next_try_works(
    mlflow_bench: MlflowBench, connection: sa.Connection
) -> None:
    who = producer()
    assert refused(mlflow_bench, who.created()) == {}
    connection.execute(
        sa.text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'matih'")
    )
    with pytest.raises(StoreUnavailable):
        refused(mlflow_bench, who.log(Entry({"a": 1.0})))
    assert refused(mlflow_bench, who.log(Entry({"a": 1.0}), Entry({"a": 2.0}, step=1))) == {}
    assert len(view(mlflow_bench, who).points) == 2


@ON_POSTGRES
def test_a_lock_that_somebody_holds_is_an_outage_within_the_time_out(
    mlflow_bench: MlflowBench, connection: sa.Connection
) -> None:
    who = producer()
    assert refused(mlflow_bench, who.created()) == {}
    connection.execute(sa.text("SELECT 1 FROM runs WHERE run_uuid = :id FOR UPDATE"), {"id": who.run_id})
    hasty = MlflowSqlStore(mlflow_bench.uri, timeout=0.3)
    hasty.probe()
    log = operations(who.log(Entry({"a": 1.0})))
    with pytest.raises(StoreTooSlow, match="locked"):
        hasty.apply([log])  # type: ignore[list-item]
    connection.rollback()
    assert refused(mlflow_bench, who.log(Entry({"a": 1.0}), Entry({"a": 2.0}))) == {}
    hasty.close()


def while_it_waits(
    bench: MlflowBench, connection: sa.Connection, options: str, changes: list[Change], act: Callable[[], object]
) -> Exception | None:
    """Lets a store with these server options apply changes until it waits for a lock, then acts; the store's error."""
    store = MlflowSqlStore(f"{bench.uri}&options={quote(options)}")
    caught: list[Exception] = []

    def work() -> None:
        try:
            store.apply(changes)
        except Exception as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    until(lambda: store_waits(bench.uri), "the store waits for the lock", pause=0.01)
    act()
    connection.rollback()
    thread.join()
    store.close()
    return caught[0] if caught else None


def store_waits(uri: str) -> bool:
    """Whether a store waits for a lock; asked on a connection of its own, for a transaction sees one moment only."""
    waits = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'matih' AND wait_event_type = 'Lock'"
    with psycopg.connect(uri.replace("+psycopg", "")) as connection:
        return connection.execute(waits).fetchone() == (1,)


LOCK = sa.text("SELECT 1 FROM runs WHERE run_uuid = :id FOR UPDATE")


@ON_POSTGRES
def test_a_deadlock_is_an_outage_and_the_next_try_works(mlflow_bench: MlflowBench, connection: sa.Connection) -> None:
    first, second = sorted((producer(), producer()), key=lambda who: who.run_id)
    assert refused(mlflow_bench, first.created(), second.created()) == {}
    events = [first.log(Entry({"a": 1.0})), second.log(Entry({"a": 2.0}))]
    changes = [operations(event) for event in events]
    connection.execute(sa.text("SET deadlock_timeout = '1min'"))
    connection.commit()
    connection.execute(LOCK, {"id": second.run_id})
    error = while_it_waits(
        mlflow_bench,
        connection,
        "-c deadlock_timeout=2s",
        changes,  # type: ignore[arg-type]
        lambda: connection.execute(LOCK, {"id": first.run_id}),
    )
    assert isinstance(error, StoreUnavailable)
    assert "given up for another transaction: deadlock" in str(error)
    assert refused(mlflow_bench, *events) == {}
    assert [len(view(mlflow_bench, who).points) for who in (first, second)] == [1, 1]


@ON_POSTGRES
def test_a_serialization_failure_is_an_outage_and_the_next_try_works(
    mlflow_bench: MlflowBench, connection: sa.Connection
) -> None:
    who = producer()
    assert refused(mlflow_bench, who.created()) == {}
    event = who.log(Entry({"a": 1.0}))
    connection.execute(sa.text("UPDATE runs SET user_id = 'somebody' WHERE run_uuid = :id"), {"id": who.run_id})
    error = while_it_waits(
        mlflow_bench,
        connection,
        "-c default_transaction_isolation=serializable",
        [operations(event)],  # type: ignore[list-item]
        connection.commit,
    )
    assert isinstance(error, StoreUnavailable)
    assert "given up for another transaction: could not serialize" in str(error)
    assert refused(mlflow_bench, event) == {}
    assert len(view(mlflow_bench, who).points) == 1


@BY_SQL
def test_many_workers_on_the_same_runs_leave_each_value_once(mlflow_bench: MlflowBench) -> None:
    """As around a rebalance, and worse: all of them apply the same batches at once, in different cuts."""
    runs = [producer() for _ in range(4)]
    events = [
        event
        for who in runs
        for event in (
            who.created(tags={"t": "first"}),
            *(who.log(Entry({"a": float(step)}, {"p": "1"}, {"t": str(step)}, step=step)) for step in range(6)),
            who.ended(),
        )
    ]
    failures: list[BaseException] = []

    def work(size: int) -> None:
        bench = SqlBench(mlflow_bench.uri)
        for start in range(0, len(events), size):
            while True:
                try:
                    assert refused(bench, *events[start : start + size]) == {}
                    break
                except StoreUnavailable:
                    continue  # a deadlock or a lock: the worker's loop tries again
                except BaseException as error:
                    failures.append(error)
                    raise
        bench.store.close()

    threads = [threading.Thread(target=work, args=(size,)) for size in (1, 3, 8, 32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    for who in runs:
        seen = view(mlflow_bench, who)
        assert (seen.status, len(seen.points), seen.params, seen.tags["t"]) == ("FINISHED", 6, {"p": "1"}, "5")
        assert seen.latest == {"a": "5.0"}


def test_the_store_goes_by_the_uri_unless_it_is_named() -> None:
    def chosen(uri: str, store: str = "auto") -> bool:
        return uses_sql(WorkerSettings(store_uri=uri, store=store))  # type: ignore[arg-type]

    assert [chosen(uri) for uri in ("postgresql://h/d", "postgresql+psycopg2://h/d", "sqlite:///f")] == [True] * 3
    assert [chosen(uri) for uri in ("http://h", "mysql://h/d", "databricks", "file:///x")] == [False] * 4
    assert not chosen("sqlite:///f", "client")
    with pytest.raises(InvalidSettings, match="postgresql and sqlite only"):
        chosen("mysql://me:secret@h/d", "sql")
