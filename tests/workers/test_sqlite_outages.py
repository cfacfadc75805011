"""A SQLite database that is full, read-only, damaged or not there: an outage, by its name, and nothing half."""

from __future__ import annotations

import shutil
import sqlite3
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from tests.workers.dumps import dump
from tests.workers.journals import Entry, experiment_event
from tests.workers.test_store_contract import producer

from matih_local import mlflow_schema
from matih_schemas import events
from matih_workers.operations import operations
from matih_workers.stores.mlflow_sql import MlflowSqlStore
from matih_workers.stores.mlflow_sql.errors import outage
from matih_workers.stores.protocol import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from matih_workers.changes import Change


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with MLflow's tables, and an experiment for the probe."""
    file = tmp_path_factory.mktemp("template") / "mlflow.db"
    mlflow_schema.main(f"sqlite:///{file}")
    made = operations(experiment_event("acme", events.ExperimentCreated("e-1", "first")))
    store = MlflowSqlStore(f"sqlite:///{file}")
    assert store.apply([made]) == {}  # type: ignore[list-item]
    store.close()
    return file


@pytest.fixture
def file(template: Path, tmp_path: Path) -> Path:
    """One of the test's own."""
    return shutil.copy(template, tmp_path / "mlflow.db")


@pytest.fixture
def store(file: Path) -> Iterator[MlflowSqlStore]:
    store = MlflowSqlStore(f"sqlite:///{file}")
    yield store
    store.close()


def run() -> list[Change]:
    """A run that needs more than a megabyte."""
    who = producer()
    big = who.log(Entry({"a": 1.0}, {f"p{number}": "x" * 6000 for number in range(200)}))
    found = [operations(event) for event in (who.created(), big, who.ended())]
    return [change for change in found if change is not None]


def refuses(store: MlflowSqlStore, why: str) -> None:
    """It tells the outage by its name."""
    with pytest.raises(StoreUnavailable, match=why):
        store.apply(run())


def takes_all(store: MlflowSqlStore, file: Path) -> None:
    changes = run()
    assert store.apply(changes) == {}
    before = dump(f"sqlite:///{file}")
    assert (len(before["runs"]), len(before["params"]), len(before["metrics"])) == (1, 200, 1)
    assert store.apply(changes) == {}
    assert dump(f"sqlite:///{file}") == before


def test_a_full_disk(store: MlflowSqlStore, file: Path) -> None:
    pages = sqlite3.connect(file).execute("PRAGMA page_count").fetchone()[0]

    def bounded(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages + 10}")

    engine, empty = store._database._engine, dump(f"sqlite:///{file}")
    sa.event.listen(engine, "connect", bounded)
    for _ in range(2):
        refuses(store, "the disk is full")
        assert dump(f"sqlite:///{file}") == empty, "no half of the batch"
    sa.event.remove(engine, "connect", bounded)
    engine.dispose()
    takes_all(store, file)


def test_a_read_only_file(file: Path) -> None:
    # Not by the file's mode: root may write to any file.
    addresses = [f"sqlite:///file:{file}?mode=ro&uri=true", f"sqlite:///{file}"]
    store = MlflowSqlStore(lambda: addresses[0])
    refuses(store, "read-only")
    with pytest.raises(StoreUnavailable, match="read-only"):
        store.probe()
    addresses.pop(0)
    refuses(store, "read-only")  # it asks for the address after that
    takes_all(store, file)
    store.close()


def overwritten(file: Path) -> None:
    """It is another file."""
    file.write_bytes(b"this is no database, whatever its name says\n" * 1000)


def scratched(file: Path) -> None:
    """The page on which the table of runs begins is gone."""
    with sqlite3.connect(file) as connection:
        size = connection.execute("PRAGMA page_size").fetchone()[0]
        root = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'runs'").fetchone()[0]
    with file.open("r+b") as data:
        data.seek((root - 1) * size)
        data.write(b"\xff" * size)


@pytest.mark.parametrize(
    ("damage", "why"), [(overwritten, "the file is no database"), (scratched, "the file is damaged")]
)
def test_a_damaged_file_until_it_is_put_back(
    store: MlflowSqlStore, file: Path, template: Path, damage: Callable[[Path], None], why: str
) -> None:
    damage(file)
    for _ in range(2):
        refuses(store, why)
    shutil.copy(template, file)
    takes_all(store, file)


def test_a_file_that_can_not_be_opened(tmp_path: Path) -> None:
    store = MlflowSqlStore(f"sqlite:///{tmp_path / 'not' / 'there' / 'mlflow.db'}")
    refuses(store, "the file can't be opened")
    store.close()


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ("database is locked", "locked"),
        ("database table is locked: runs", "locked"),
        ("attempt to write a readonly database", "read-only"),
        ("disk I/O error", "the disk failed"),
        ("database disk image is malformed", "damaged"),
        ("database or disk is full", "full"),
        ("unable to open database file", "opened"),
        ("file is not a database", "no database"),
        ("no such table: runs", "start MLflow's server on it once"),
        ("too many SQL variables", None),
        ("string or blob too big", None),
        ('near "x": syntax error', None),
    ],
)
@pytest.mark.parametrize("kind", [sqlite3.OperationalError, sqlite3.DatabaseError])
def test_what_python_3_10_tells_without_a_code_is_known_by_its_words(
    kind: type[sqlite3.Error], message: str, why: str | None
) -> None:
    found = outage(DBAPIError("INSERT", {}, kind(message)), "here")
    assert (found is None) == (why is None), "what may be about the batch is for the probe to judge"
    assert found is None or (why or "") in str(found)
