"""Stores on real servers, for all tests of the worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.workers.pipe import Pipe
from tests.workers.views import Bench, MemoryBench, MlflowBench, SqlBench

from matih_local import mlflow_schema

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matih_local.system import LocalSystem


@pytest.fixture(scope="session")
def sqlite_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('sqlite') / 'mlflow.db'}"


@pytest.fixture(scope="session")
def postgres_uri(local_system: LocalSystem, mlflow_url: str) -> str:
    """The database behind MLflow's server."""
    assert mlflow_url
    return local_system.postgres.url


STORES = {
    "client-sqlite": ("sqlite_uri", MlflowBench),
    "client-http": ("mlflow_url", MlflowBench),
    "sql-sqlite": ("sqlite_uri", SqlBench),
    "sql-postgres": ("postgres_uri", SqlBench),
}


@pytest.fixture(params=STORES)
def mlflow_bench(request: pytest.FixtureRequest) -> Iterator[MlflowBench]:
    """Every store on MLflow: by its API, in this process and over HTTP, and by its tables."""
    uri, bench = STORES[request.param]
    mlflow = bench(request.getfixturevalue(uri))
    yield mlflow
    mlflow.store.close()


@pytest.fixture(params=["memory", *STORES])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Every store there is."""
    if request.param == "memory":
        yield MemoryBench()
        return
    uri, bench = STORES[request.param]
    mlflow = bench(request.getfixturevalue(uri))
    yield mlflow
    mlflow.store.close()


@pytest.fixture
def pipe(kafka: str, events_topic: str, mlflow_url: str, tmp_path: Path) -> Iterator[Pipe]:
    """A topic of its own; the worker is started by the test."""
    pipe = Pipe(kafka, events_topic, mlflow_url, tmp_path)
    yield pipe
    pipe.close()


@pytest.fixture
def postgres_pipe(kafka: str, events_topic: str, postgres: str, tmp_path: Path) -> Iterator[Pipe]:
    """A topic and a PostgreSQL database with MLflow's tables of its own; the worker is started by the test."""
    mlflow_schema.main(postgres)
    pipe = Pipe(kafka, events_topic, postgres, tmp_path)
    yield pipe
    pipe.close()


@pytest.fixture
def empty_uri(tmp_path: Path) -> str:
    """An empty MLflow to replay into."""
    uri = f"sqlite:///{tmp_path / 'rebuilt.db'}"
    mlflow_schema.main(uri)
    return uri
