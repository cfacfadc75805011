"""Every reader, on data that MLflow's own client and the worker's store write."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from mlflow import MlflowClient
from tests.reading.seeding import Seed
from tests.workers.journals import Producer, experiment_event

from matih_schemas import events, identity
from matih_tracking.reading.queries import RunQuery
from matih_tracking.reading.rest import RestReader
from matih_tracking.reading.sql import SqlReader
from matih_workers.operations import operations
from matih_workers.stores.mlflow_sql import MlflowSqlStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from matih_local.system import LocalSystem
    from matih_schemas.events import TrackingEvent
    from matih_tracking.reading.protocol import RunReader
    from matih_tracking.reading.views import ExperimentView, Page, RunView


@dataclass
class Place:
    """An MLflow, and who reads it.

    Attributes:
        database: the URI of its database.
        client: MLflow's own, as people use it by hand.
        store: the worker's.
    """

    reader: RunReader
    database: str
    client: MlflowClient
    store: MlflowSqlStore

    def apply(self, *wanted: TrackingEvent) -> None:
        """What a worker does with events; none is refused."""
        assert not self.store.apply([operations(event) for event in wanted])

    def create(self, tenant: str, name: str, **given: object) -> str:
        """An experiment, made as the API does it; returns our id."""
        ours = identity.experiment_id(tenant, name)
        self.apply(experiment_event(tenant, events.ExperimentCreated(ours, name, **given)))  # type: ignore[arg-type]
        return ours

    def experiment(self, tenant: str, name: str) -> ExperimentView:
        """The experiment of that name, which is there."""
        found = self.reader.experiment_named(tenant, name)
        assert found is not None
        return found

    def run(self, which: str) -> RunView:
        """The run, which is there."""
        found = self.reader.run(None, which)
        assert found is not None
        return found

    def by_hand(self, mlflow_experiment: str, **given: object) -> str:
        """A run made with MLflow's client, in an experiment by MLflow's name, made if it is not there."""
        found = self.client.get_experiment_by_name(mlflow_experiment)
        number = found.experiment_id if found else self.client.create_experiment(mlflow_experiment)
        return str(self.client.create_run(number, **given).info.run_id)  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def reading_sqlite(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The address to read, and the database behind it."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('reading') / 'mlflow.db'}"
    return uri, uri


@pytest.fixture(scope="session")
def reading_postgres(local_system: LocalSystem, mlflow_url: str) -> tuple[str, str]:
    assert mlflow_url
    return local_system.postgres.url, local_system.postgres.url


@pytest.fixture(scope="session")
def reading_rest(local_system: LocalSystem, mlflow_url: str) -> tuple[str, str]:
    return mlflow_url, local_system.postgres.url


READERS = {
    "rest": ("reading_rest", RestReader),
    "sql-sqlite": ("reading_sqlite", SqlReader),
    "sql-postgres": ("reading_postgres", SqlReader),
}


@pytest.fixture(params=READERS, scope="session")
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Each reader in turn; give tenants new names, for the data of other tests is there too."""
    addresses, kind = READERS[request.param]
    address, database = request.getfixturevalue(addresses)
    client = MlflowClient(database)
    client.search_experiments(max_results=1)  # makes the tables of a database that is new
    place = Place(kind(address, timeout=60.0), database, client, MlflowSqlStore(database))
    place.store.open()
    yield place
    place.reader.close()
    place.store.close()


@pytest.fixture
def tenant() -> str:
    """A tenant nobody else has."""
    return f"t{secrets.token_hex(5)}"


def producer(tenant: str, experiment: str = "e", **given: object) -> Producer:
    """A process's part in a run of its own."""
    return Producer(tenant=tenant, experiment=experiment, **given)  # type: ignore[arg-type]


@pytest.fixture
def seed(mlflow_url: str) -> Seed:
    """Makes experiments and runs for a new tenant through MLflow's API, as the worker's client store does."""
    return Seed(MlflowClient(mlflow_url))


def ids(runs: Iterable[RunView]) -> list[str]:
    return [run.run_id for run in runs]


def listed(place: Place, tenant: str, **given: Any) -> Page[RunView]:
    return place.reader.runs([tenant], RunQuery(**given))


def spelled(ours: str) -> list[str]:
    """The ways to write an id."""
    dashed = str(uuid.UUID(ours))
    return [dashed, dashed.upper(), dashed.replace("-", ""), dashed.replace("-", "").upper()]
