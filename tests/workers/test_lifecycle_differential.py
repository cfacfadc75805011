"""Random lives of an experiment and its run, through the client store and the SQL store: MLflow shows the same."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from mlflow.entities import ViewType
from tests.workers.journals import Entry, Producer, experiment_event
from tests.workers.views import MlflowBench

from matih_schemas import events, identity, tags
from matih_workers.operations import operations

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow.entities import Experiment

    from matih_schemas.events import TrackingEvent


@dataclass
class Life:
    """What happens to one experiment; `made` gives its events for ids of their own."""

    steps: list[Step]
    name: str = field(default_factory=lambda: f"e-{secrets.token_hex(6)}")

    def __post_init__(self) -> None:
        self.id = identity.experiment_id("acme", self.name)
        self.producer = Producer("acme", self.name)

    def made(self) -> list[TrackingEvent]:
        """The events, the first of which makes the experiment or a run in it."""
        found = [step(self) for step in self.steps]
        return [
            replace(one, actor="ada") if isinstance(one, events.TrackingEvent) else experiment_event("acme", one)
            for one in found
        ]


Step = Callable[[Life], "events.Payload | TrackingEvent"]


def created(life: Life) -> events.Payload:
    return events.ExperimentCreated(life.id, life.name, "what it is for", None, {"a": "1"})


def deleted(life: Life) -> events.Payload:
    return events.ExperimentDeleted(life.id)


def restored(life: Life) -> events.Payload:
    return events.ExperimentRestored(life.id)


EXPERIMENT: list[Step] = [
    created,
    lambda life: events.ExperimentUpdated(life.id, None, "what it was for", {"a": "2", "long": "x" * 5000}),
    lambda life: events.ExperimentUpdated(life.id, f"{life.name}-new"),
    deleted,
    restored,
]
RUN: list[Step] = [
    lambda life: life.producer.created(run_name="the name", description="d", user_id="ada", tags={"t": "1"}),
    lambda life: life.producer.log(Entry({"m": 0.5}, {"p": "1"}, {"t": "2"})),
    lambda life: life.producer.ended("FINISHED"),
    lambda life: life.producer.ended("FAILED", inferred=True),
    lambda life: life.producer.deleted(),
    lambda life: life.producer.restored(),
]


def without_runs_of_the_deleted(steps: list[Step]) -> list[Step]:
    """MLflow's API lets nothing into a deleted experiment; the SQL store goes on (docs/guides/stores.md)."""
    kept: list[Step] = [created]
    is_deleted = False
    for step in steps:
        is_deleted = step is deleted or (is_deleted and step is not restored)
        kept += [] if is_deleted and step in RUN else [step]
    return kept


LIVES = st.lists(st.sampled_from([*EXPERIMENT, *RUN]), max_size=12).map(without_runs_of_the_deleted)


def applied(bench: MlflowBench, life: Life, cuts: Sequence[int]) -> dict[str, Any]:
    """What MLflow shows of the life's experiment, after its events were applied in parts."""
    changes = [change for event in life.made() if (change := operations(event)) is not None]
    refused = []
    for start, end in zip([0, *cuts], [*cuts, len(changes)], strict=True):
        refused += [type(error).__name__ for error in bench.store.apply(changes[start:end]).values()]
    (found,) = (one for one in named(bench) if tags.experiment_lookup(life.id) in one.tags)
    return {
        "refused": refused,
        "name": found.name.replace(life.name, "NAME"),
        "stage": found.lifecycle_stage,
        "tags": {key: value for key, value in found.tags.items() if not key.startswith("matih.")},
        "runs": [shown(run, life) for run in bench.runs(life.producer.run_id)],
    }


def behind_runs(steps: list[Step]) -> set[int]:
    """Where a batch has to end: nothing orders a run's events and its experiment's, which come by other partitions."""
    return {place for place, step in enumerate(steps) if step is deleted and any(one in RUN for one in steps[:place])}


def named(bench: MlflowBench) -> list[Experiment]:
    return list(bench.client.search_experiments(view_type=ViewType.ALL, filter_string="name LIKE 'acme/e-%'"))


def shown(run: Any, life: Life) -> dict[str, Any]:
    ours = (tags.STATUS, tags.RUN_ID, tags.EXPERIMENT_ID, tags.DELETED, tags.run_lookup(""), tags.applied(""))
    return {
        "stage": run.info.lifecycle_stage,
        "status": run.info.status,
        "start": run.info.start_time,
        "end": None if run.info.status == "RUNNING" else run.info.end_time,
        "name": None if life.producer.run_id in run.info.run_name else run.info.run_name,
        "user": run.info.user_id,
        "params": run.data.params,
        "metrics": run.data.metrics,
        "order": run.data.tags.get(tags.STATUS, "").split(",")[:3],
        "tags": {key: value for key, value in run.data.tags.items() if not key.startswith(ours)},
    }


@pytest.mark.parametrize("mlflow_bench", ["sql-postgres"], indirect=True)
def test_an_experiment_lives_the_same_whoever_wrote(mlflow_bench: MlflowBench) -> None:
    by_api = MlflowBench(mlflow_bench.uri)

    @example([created, deleted, created], set())  # the last one was taken when all came in one batch
    @given(LIVES, st.sets(st.integers(1, 12), max_size=3))
    @settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def agree(steps: list[Step], cuts: set[int]) -> None:
        expected = applied(by_api, Life(steps), [*range(1, len(steps))])
        assert applied(mlflow_bench, Life(steps), sorted(cuts | behind_runs(steps))) == expected

    agree()
    by_api.store.close()
