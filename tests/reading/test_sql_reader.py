"""What is the SQL reader's alone: the work done, releases, opening, and names in SQL as they are in Python."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.reading.conftest import producer
from tests.workers.journals import Entry

from matih_schemas import identity, mlflow_names, tags
from matih_tracking.reading.errors import NotReadable, ReadsUnavailable
from matih_tracking.reading.opening import open_reader
from matih_tracking.reading.queries import ExperimentQuery, RunQuery, SortKey
from matih_tracking.reading.sql import SqlReader, tables
from matih_tracking.reading.sql.experiments import POSITIONS
from matih_tracking.reading.sql.functions import add_functions
from matih_tracking.reading.sql.naming import HOMES, NAME, TENANT
from matih_workers.stores.mlflow_sql import tables as workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.reading.conftest import Place

BY_SQL = pytest.mark.parametrize("place", ["sql-sqlite", "sql-postgres"], indirect=True, scope="session")


@contextmanager
def statements() -> Iterator[list[str]]:
    """The statements that are executed meanwhile."""
    seen: list[str] = []

    def note(*arguments: object) -> None:
        seen.append(str(arguments[2]))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


def asked(question: Callable[[], object]) -> list[str]:
    with statements() as seen:
        assert not question()
    return seen


@BY_SQL
def test_for_another_tenants_object_the_same_is_asked_as_for_none(place: Place, tenant: str) -> None:
    who = producer(tenant)
    place.apply(who.created())
    home, other = place.experiment(tenant, "e"), [f"{tenant}-other"]
    place.reader.experiments(other, ExperimentQuery(search="x"))
    reader, nobody = place.reader, identity.new_run_id()
    pairs: list[tuple[Callable[[], object], Callable[[], object]]] = [
        (lambda: reader.run(other, who.run_id), lambda: reader.run(other, nobody)),
        (lambda: reader.experiment(other, home.experiment_id), lambda: reader.experiment(other, nobody)),
        (lambda: reader.experiment(other, home.mlflow_id), lambda: reader.experiment(other, "987654321")),
        (lambda: reader.experiment_named(other[0], "e"), lambda: reader.experiment_named(other[0], "none")),
    ]
    for foreign, missing in pairs:
        seen = asked(foreign)
        assert seen, "nothing was asked"
        # The one difference is how many ids stand for a run that has a label, in one statement.
        assert len(seen) == len(asked(missing))


@BY_SQL
def test_sorting_and_paging_are_the_databases(place: Place, tenant: str) -> None:
    with statements() as seen:
        place.reader.runs([tenant], RunQuery(sort=SortKey("metric", "m"), limit=7, offset=3))
    assert not any("LIMIT" in text for text in seen), "none is there: nothing has to be sorted"
    who = producer(tenant)
    place.apply(who.created(), who.log(Entry({"m": 1.0})))
    with statements() as seen:
        place.reader.runs([tenant], RunQuery(sort=SortKey("metric", "m"), limit=7))
    assert sum("ORDER BY" in text and "LIMIT" in text for text in seen) == 1


def test_an_unknown_attribute_is_not_sorted_by(place: Place, tenant: str) -> None:
    place.apply(producer(tenant).created())
    with pytest.raises(NotReadable, match="no attribute 'lr'"):
        place.reader.runs([tenant], RunQuery(sort=SortKey("attribute", "lr")))


@BY_SQL
def test_the_reader_writes_nothing(place: Place) -> None:
    reader = place.reader
    assert isinstance(reader, SqlReader)
    write = sa.update(tables.runs).values(name="x")
    with pytest.raises((ReadsUnavailable, sa.exc.DBAPIError), match=r"read.?only"):
        reader._database.read(lambda connection: connection.execute(write))


def test_the_releases_are_those_that_the_worker_writes() -> None:
    assert tables.KNOWN_REVISIONS == workers.KNOWN_REVISIONS
    assert tags.position("c", "t", 1).startswith(POSITIONS)


def test_tables_of_another_release_are_not_read(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with sa.create_engine(uri).begin() as connection:
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num TEXT)")
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES ('ffffffffffff')")
    reader = open_reader(uri)
    with pytest.raises(NotReadable, match=r"revision ffffffffffff.*upgrade matih-tracking"):
        reader.check()
    reader.close()


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    reader = open_reader(f"sqlite:///{tmp_path / 'none.db'}")
    with pytest.raises(ReadsUnavailable, match=r"none\.db: the file can't be opened"):
        reader.check()
    assert list(tmp_path.iterdir()) == []
    reader.close()


def test_a_database_without_mlflows_tables_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    reader = open_reader(f"sqlite:///{tmp_path / 'empty.db'}")
    with pytest.raises(ReadsUnavailable, match="mlflow db upgrade"):
        reader.check()
    reader.close()


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///:memory:", "postgresql://h:x/db", "sqlite:x"])
def test_an_address_that_nothing_can_be_read_at_is_refused_at_once(uri: str) -> None:
    with pytest.raises(NotReadable):
        open_reader(uri)


WITHOUT = """
import sys
sys.modules[{library!r}] = None
from matih_tracking.reading.opening import open_reader
try:
    open_reader("sqlite:///x.db")
except Exception as error:
    print(type(error).__name__, error)
"""


@pytest.mark.parametrize("library", ["sqlalchemy", "psycopg"])
def test_a_missing_library_is_named_with_its_extra(library: str) -> None:
    code = WITHOUT.format(library=library)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"NotReadable reading MLflow's database directly needs {library}"), done.stdout
    assert "pip install 'matih-tracking[reads]'" in done.stdout


NAMES = st.text("aé/~", max_size=6) | st.sampled_from(["default", "default/x", "x" * 250 + "/yy", "/", "a/b"])


@given(
    rows=st.lists(
        st.tuples(NAMES, st.none() | st.sampled_from(["", "a", "default"]), st.none() | NAMES, st.booleans()),
        min_size=1,
        max_size=8,
    )
)
@settings(deadline=None, derandomize=True, max_examples=60)
def test_tenants_and_names_are_in_sql_what_they_are_in_python(
    rows: list[tuple[str, str | None, str | None, bool]],
) -> None:
    engine = sa.create_engine("sqlite://")
    sa.event.listen(engine, "connect", lambda connection, _: add_functions(connection))
    expected = []
    with engine.begin() as connection:
        for table in (tables.experiments, tables.experiment_tags):
            table.create(connection)
        for number, (name, tenant, full, fitting) in enumerate(rows):
            stored = {tags.TENANT_ID: tenant, tags.EXPERIMENT_NAME: full}
            kept = {key: value for key, value in stored.items() if value is not None}
            mlflow_name = identity.mlflow_experiment_name(tenant or "a", full) if fitting and full else name
            whose = mlflow_names.tenant_of(mlflow_name, kept)
            expected.append((whose, mlflow_names.full_name(mlflow_name, kept, whose)))
            row = {"experiment_id": number, "name": mlflow_name}
            connection.execute(tables.experiments.insert(), row)
            for key, value in kept.items():
                row = {"key": key, "experiment_id": number, "value": value}
                connection.execute(tables.experiment_tags.insert(), row)
        found = connection.execute(
            sa.select(TENANT, NAME).select_from(HOMES).order_by(tables.experiments.c.experiment_id)
        )
        assert [tuple(row) for row in found] == expected


def test_a_names_hash_is_the_same_on_both_databases(place: Place, tenant: str) -> None:
    name = "ö" * 300
    place.create(tenant, name)
    stored = place.client.get_experiment(place.experiment(tenant, name).mlflow_id).name
    assert stored.endswith("~" + hashlib.sha256(name.encode()).hexdigest()[:8])
    assert place.reader.experiments([tenant], ExperimentQuery(search=name)).total == 1
