"""What a store holds of a run, read as a user would read it: for comparing stores and deliveries with each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from mlflow import MlflowClient
from mlflow.entities import ViewType

from matih_schemas import identity, tags
from matih_workers.stores.memory import MemoryStore
from matih_workers.stores.mlflow_client import MlflowClientStore
from matih_workers.stores.mlflow_sql import MlflowSqlStore

if TYPE_CHECKING:
    from mlflow.entities import Run

    from matih_workers.changes import Metric
    from matih_workers.stores.protocol import RunStore

INFINITY = 1.7976931348623157e308
Points = set[tuple[str, str, int, int]]


@dataclass
class View:
    """A run, in the parts that the contract speaks of. (MLflow's API leaves end_time when a run reopens: no part.)"""

    experiment: str
    status: str
    start_time: int
    end_time: int | None
    deleted: bool
    params: dict[str, str]
    points: Points
    tags: dict[str, str]
    latest: dict[str, str] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        if self.status == "RUNNING":
            self.end_time = None


class Bench(Protocol):
    """A store under test, and how to look into it."""

    store: RunStore
    fills_deleted_experiments: bool

    def view(self, run_id: str) -> View | None:
        """The one run, None if there is none."""

    def experiment_tags(self, tenant: str, name: str) -> dict[str, str]:
        """The tags of an experiment by its name."""


class MemoryBench:
    fills_deleted_experiments = False

    def __init__(self) -> None:
        self.store = MemoryStore()

    def view(self, run_id: str) -> View | None:
        run = self.store.find(run_id)
        if run is None:
            return None
        return View(
            run.experiment.name,
            run.status,
            run.start_time,
            run.end_time,
            run.deleted is not None,
            dict(run.params),
            {_point(metric) for metric in run.metrics},
            _own_tags(run.tags),
        )

    def experiment_tags(self, tenant: str, name: str) -> dict[str, str]:
        wanted = identity.mlflow_experiment_name(tenant, name)
        return next(item.tags for item in self.store.experiments.values() if item.name == wanted)


class MlflowBench:
    """A store on MLflow, and MLflow's own client beside it."""

    fills_deleted_experiments = False

    def __init__(self, uri: str, server: str | None = None) -> None:
        """The store on `uri`, looked at through an MLflow server on the same database, else through `uri` itself."""
        self.uri = uri
        self.client = MlflowClient(server or uri)
        self.store = self.another()

    def another(self) -> MlflowClientStore:
        """A store as another process would have it."""
        return MlflowClientStore(self.uri)

    def restart(self) -> None:
        """Another process: nothing is remembered."""
        self.store.close()
        self.store = self.another()

    def runs(self, run_id: str, stage: int = ViewType.ALL) -> list[Run]:
        experiments = [item.experiment_id for item in self.client.search_experiments(view_type=ViewType.ALL)]
        wanted = f"tags.`{tags.run_lookup(run_id)}` = '1'"
        return list(self.client.search_runs(experiments, filter_string=wanted, run_view_type=stage))

    def view(self, run_id: str) -> View | None:
        found = [run for run in self.runs(run_id) if tags.DUPLICATE_OF not in run.data.tags]
        assert len(found) <= 1, "a run exists twice"
        return self._view(found[0]) if found else None

    def experiment_tags(self, tenant: str, name: str) -> dict[str, str]:
        found = self.client.get_experiment_by_name(identity.mlflow_experiment_name(tenant, name))
        assert found is not None
        return dict(found.tags)

    def _view(self, run: Run) -> View:
        mlflow_id = run.info.run_id
        histories = [self.client.get_metric_history(mlflow_id, key) for key in run.data.metrics]
        return View(
            self.client.get_experiment(run.info.experiment_id).name,
            run.info.status,
            run.info.start_time,
            run.info.end_time,
            run.info.lifecycle_stage == "deleted",
            dict(run.data.params),
            {_point(metric) for history in histories for metric in history},
            _own_tags(run.data.tags),
            {key: repr(value) for key, value in run.data.metrics.items()},
        )


class SqlBench(MlflowBench):
    """The SQL store."""

    fills_deleted_experiments = True

    def another(self) -> MlflowSqlStore:  # type: ignore[override]  # same contract, other class
        return MlflowSqlStore(self.uri)


def _point(metric: Metric) -> tuple[str, str, int, int]:
    value = max(-INFINITY, min(INFINITY, metric.value)) if metric.value == metric.value else metric.value
    return metric.key, repr(value), metric.timestamp, metric.step


def _own_tags(stored: dict[str, str]) -> dict[str, str]:
    """The tags without MLflow's run name (it invents one) and without those that are for finding and deleting runs."""
    hidden = ("mlflow.runName", tags.EXPERIMENT_ID, tags.DELETED)
    return {key: value for key, value in stored.items() if key not in hidden and not key.startswith("matih.run.")}
