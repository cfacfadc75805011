"""The SQL store on databases of other releases of MLflow's, looked at through those releases' own servers."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, NamedTuple

import pytest
from tests.releases.mlflow_release import MlflowRelease, installed
from tests.workers.views import SqlBench

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matih_local.system import LocalSystem

OTHERS = ("3.16.1", "3.15.2", "3.10.1")
"""The newest two before the one in requirements/dev.txt, and the oldest whose tables the store knows."""


class Served(NamedTuple):
    """A release's database and the URL of its server on it."""

    database: str
    url: str


@pytest.fixture(scope="session", params=OTHERS)
def release(request: pytest.FixtureRequest) -> MlflowRelease:
    """A release of MLflow's, not the installed one."""
    return installed(request.param)


@pytest.fixture(scope="session")
def served(
    release: MlflowRelease, local_system: LocalSystem, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """One database and one server of the release for the session, so give experiments new names."""
    local_system.start("postgres")
    database = local_system.postgres.create_database(f"release_{secrets.token_hex(6)}")
    with release.server(database, tmp_path_factory.mktemp("release")) as url:
        yield Served(database, url)


@pytest.fixture
def bench(served: Served) -> Iterator[SqlBench]:
    """The SQL store on the release's database."""
    bench = SqlBench(served.database, served.url)
    yield bench
    bench.store.close()
