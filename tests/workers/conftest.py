"""Stores on real servers, for all tests of the worker."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.workers.pipe import Pipe
from tests.workers.views import Bench, MemoryBench, MlflowBench

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def sqlite_uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('sqlite') / 'mlflow.db'}"


@pytest.fixture
def mlflow_bench(request: pytest.FixtureRequest) -> Iterator[MlflowBench]:
    """The client store on SQLite, in this process, or over HTTP on MLflow's server and PostgreSQL."""
    uri = request.getfixturevalue({"sqlite": "sqlite_uri", "http": "mlflow_url"}[request.param])
    bench = MlflowBench(uri)
    yield bench
    bench.store.close()


@pytest.fixture(params=["memory", "sqlite", "http"])
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """Every store there is."""
    if request.param == "memory":
        yield MemoryBench()
        return
    uri = request.getfixturevalue({"sqlite": "sqlite_uri", "http": "mlflow_url"}[request.param])
    mlflow = MlflowBench(uri)
    yield mlflow
    mlflow.store.close()


@pytest.fixture
def pipe(kafka: str, events_topic: str, mlflow_url: str, tmp_path: Path) -> Iterator[Pipe]:
    """A topic of its own; the worker is started by the test."""
    pipe = Pipe(kafka, events_topic, mlflow_url, tmp_path)
    yield pipe
    pipe.close()
