"""Random histories through MLflow's client, the client store and the SQL store: MLflow's API shows no difference."""

from __future__ import annotations

import json
import math
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from mlflow.entities import Metric, ViewType
from tests.workers.journals import experiment_event
from tests.workers.test_redelivery import Delivery, apply, deliveries, run_of
from tests.workers.views import MlflowBench

from matih_schemas import events, identity, tags

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matih_schemas.events import TrackingEvent

FILTERS = (
    "metrics.a > 0.5",
    "metrics.`b/c` <= 0",
    "params.p = '1'",
    "tags.t = 'new'",
    "attributes.status = 'FINISHED'",
)
BY_SQL = pytest.mark.parametrize(
    "mlflow_bench", [pytest.param("sql-sqlite", marks=pytest.mark.soak), "sql-postgres"], indirect=True
)
OWN = (tags.RUN_ID, tags.run_lookup(""))


def moved(published: Sequence[TrackingEvent], run_id: str) -> list[TrackingEvent]:
    """The same events, of another run with a name."""
    found = []
    for event in published:
        payload = replace(event.payload, run_id=run_id)  # type: ignore[type-var]
        named = replace(payload, run_name="the name") if isinstance(payload, events.RunCreated) else payload
        found.append(replace(event, payload=named))
    return found


def shown(bench: MlflowBench, run_id: str) -> dict[str, Any]:
    """All that MLflow's API says of the run, without what names it."""
    (run,) = bench.runs(run_id)
    info, client = run.info, bench.client
    found = client.get_run(info.run_id)
    # As text, for NaN is not itself; sorted, for MLflow gives rows as its database does.
    texts = [json.dumps(one.to_dictionary(), sort_keys=True, default=str) for one in (found, run)]
    assert texts[0] == texts[1], "search and get agree"
    return {
        "info": (info.status, info.start_time, info.lifecycle_stage, info.run_name, info.user_id),
        # MLflow's API can't clear it when a run reopens: the one difference there is.
        "end_time": None if info.status == "RUNNING" else info.end_time,
        "artifacts": info.artifact_uri.replace(info.run_id, "RUN"),
        "params": dict(run.data.params),
        "tags": {key: value for key, value in run.data.tags.items() if not key.startswith(OWN)},
        "latest": {key: repr(value) for key, value in run.data.metrics.items()},
        "latest rows": sorted((m.key, repr(m.value), m.timestamp, m.step) for m in run.data._metric_objs),
        "history": {key: history(bench, info.run_id, key) for key in run.data.metrics},
        "searches": [text for text in FILTERS if is_found(bench, info.experiment_id, info.run_id, text)],
    }


def history(bench: MlflowBench, mlflow_id: str, key: str) -> list[tuple[str, int, int]]:
    return sorted((repr(m.value), m.timestamp, m.step) for m in bench.client.get_metric_history(mlflow_id, key))


def is_found(bench: MlflowBench, experiment: str, mlflow_id: str, text: str) -> bool:
    text = f"attributes.run_id = '{mlflow_id}' and {text}"
    return bool(bench.client.search_runs([experiment], filter_string=text, run_view_type=ViewType.ALL))


def points(event: TrackingEvent) -> list[Metric]:
    found = []
    for group in getattr(event.payload, "groups", []):
        values = iter(group.value)
        for entry, shape in enumerate(group.shape):
            found += [Metric(key, next(values), group.time[entry], group.step[entry]) for key in group.shapes[shape]]
    return found


def has_nan_twice(published: Sequence[TrackingEvent]) -> bool:
    nans = [(m.key, m.timestamp, m.step) for event in published for m in points(event) if math.isnan(m.value)]
    return len(set(nans)) < len(nans)


def by_mlflow_itself(bench: MlflowBench, published: Sequence[TrackingEvent]) -> dict[str, Any]:
    """The metrics as somebody who logs them with MLflow's client sees them."""
    run = bench.client.create_run("0")
    for event in published:
        bench.client.log_batch(run.info.run_id, metrics=points(event))
    stored = bench.client.get_run(run.info.run_id)
    return {
        "latest": {key: repr(value) for key, value in stored.data.metrics.items()},
        "history": {key: history(bench, run.info.run_id, key) for key in stored.data.metrics},
    }


@BY_SQL
def test_mlflow_shows_the_same_whoever_wrote(mlflow_bench: MlflowBench) -> None:
    the_same_runs(mlflow_bench, MlflowBench(mlflow_bench.uri))


def the_same_runs(by_sql: MlflowBench, by_api: MlflowBench, *, takes_nan_twice: bool = True) -> None:
    @given(deliveries())
    @settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    def agree(delivery: Delivery) -> None:
        assume(takes_nan_twice or not has_nan_twice(delivery.published))
        run_id = run_of(delivery)
        ids = identity.run_id_from(f"{run_id}-api-{secrets.token_hex(4)}", ""), identity.new_run_id()
        for event in moved(delivery.published, ids[0]):
            apply(by_api, [event])
        ours = moved(delivery.published, ids[1])
        for start, end in delivery.takes:
            apply(by_sql, ours[start:end])
        expected = shown(by_api, ids[0])
        assert shown(by_sql, ids[1]) == expected
        itself = by_mlflow_itself(by_sql, delivery.published)
        assert {key: expected[key] for key in itself} == itself

    agree()
    by_api.store.close()


@BY_SQL
def test_mlflow_shows_the_same_experiment_whoever_made_it(mlflow_bench: MlflowBench, mlflow_url: str) -> None:
    # The place of artifacts is the server's to say.
    uri = mlflow_bench.uri if mlflow_bench.uri.startswith("sqlite") else mlflow_url
    the_same_experiment(mlflow_bench, MlflowBench(uri))


def the_same_experiment(by_sql: MlflowBench, by_api: MlflowBench) -> None:
    seen = []
    for bench in (by_api, by_sql):
        name = f"e-{secrets.token_hex(6)}"
        the_id = identity.experiment_id("acme", name)
        payloads = (
            events.ExperimentCreated(the_id, name, "what it is for", None, {"a": "1", "long": "x" * 5000}),
            events.ExperimentUpdated(the_id, f"{name}-new", "what it was for", {"a": "2"}),
            events.ExperimentDeleted(the_id),
        )
        for payload in payloads:
            apply(bench, [experiment_event("acme", payload)])
        found = bench.client.get_experiment_by_name(f"acme/{name}-new")
        assert found is not None
        assert found.creation_time is not None
        assert found.last_update_time >= found.creation_time
        kept = {key: value for key, value in found.tags.items() if not key.startswith("matih.")}
        ours = sorted(key.replace(the_id, "ID") for key in found.tags if key.startswith("matih."))
        location = found.artifact_location.removesuffix(f"/{found.experiment_id}")
        seen.append((kept, [key for key in ours if "ID" in key], found.lifecycle_stage, location))
    assert seen[0] == seen[1]
    by_api.store.close()
