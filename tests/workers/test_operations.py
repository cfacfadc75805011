"""From events to changes: what is invalid is left out and told, the rest is kept."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.workers.journals import START, Entry, Producer, experiment_event

from matih_schemas import events
from matih_schemas.checks import key_problem
from matih_schemas.errors import InvalidEvent, NewerSchema
from matih_schemas.examples import examples
from matih_schemas.status import StatusOrder
from matih_workers.changes import ExperimentChange, Metric, RunChange
from matih_workers.operations import operations

if TYPE_CHECKING:
    from matih_schemas.events import TrackingEvent


def run_change(event: TrackingEvent) -> RunChange:
    change = operations(event)
    assert isinstance(change, RunChange)
    return change


def test_every_kind_of_event_has_an_answer() -> None:
    later = {"ArtifactLogged", "DatasetLogged"}
    for event in examples():
        if event.kind in later:
            with pytest.raises(NewerSchema, match=event.kind):
                operations(event)
        else:
            assert (operations(event) is None) == (event.kind == "AdminAction")


def test_entries_become_points_in_their_order() -> None:
    who = Producer()
    change = run_change(who.log(Entry({"a": 1.0, "b": math.nan}, step=2), Entry(), Entry({"a": math.inf}, time=5)))
    (logged,) = change.logged
    assert logged.metrics == [
        Metric("a", 1.0, START, 2),
        Metric("b", logged.metrics[1].value, START, 2),
        Metric("a", math.inf, 5, 0),
    ]
    assert math.isnan(logged.metrics[1].value)
    assert (logged.first_sequence, logged.last_sequence) == (1, 3)


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (Entry({"": 1.0}), "metric: key ''"),
        (Entry({"a//b": 1.0}), "metric: key 'a//b'"),
        (Entry({"../a": 1.0}), "metric: key '../a'"),
        (Entry({"a" * 251: 1.0}), "251 characters"),
        (Entry({"a": 1.0}, time=-1), "time -1 is negative"),
        (Entry(params={"a@b": "1"}), "param: key 'a@b'"),
        (Entry(params={"a": "x\x00"}), "param: the value of 'a' holds NUL"),
        (Entry(tags={"matih.tenant_id": "evil"}), "tag 'matih.tenant_id' is the system's own"),
        (Entry(tags={"matih.applied.x": "9"}), "tag 'matih.applied.x' is the system's own"),
        (Entry(tags={"matih.run." + "0" * 32: "1"}), "is the system's own"),
    ],
)
def test_an_invalid_item_is_left_out_and_told(entry: Entry, problem: str) -> None:
    who = Producer()
    good = Entry({"good": 1.0}, {"good": "1"}, {"good": "1"})
    (logged,) = (change := run_change(who.log(good, entry, good))).logged
    assert len(change.problems) == 1
    assert problem in change.problems[0]
    assert change.problems[0].startswith(f"entry 2 of producer {who.producer_id}: ")
    assert {metric.key for metric in logged.metrics} == {"good"}
    assert logged.params == [("good", "1")] * 2
    assert [(tag.sequence, tag.key) for tag in logged.tags] == [(1, "good"), (3, "good")]


def test_values_are_cut_where_mlflow_cuts_them_and_that_is_told() -> None:
    from mlflow.utils.validation import _validate_param, _validate_tag

    who, long = Producer(), "x" * 9000
    (logged,) = (change := run_change(who.log(Entry(params={"p": long}, tags={"t": long})))).logged
    assert [value for _, value in logged.params] == [_validate_param("p", long).value]
    assert [tag.value for tag in logged.tags] == [_validate_tag("t", long).value]
    assert [problem.partition(": ")[2] for problem in change.problems] == [
        "the value of 'p' has 9000 characters: the first 6000 are kept",
        "the value of 't' has 9000 characters: the first 8000 are kept",
    ]
    created = run_change(who.created(tags={"t": long}, description=long))
    assert created.creation is not None
    assert {key: len(value) for key, value in created.creation.tags.items()} == {"t": 8000, "mlflow.note.content": 8000}
    assert len(created.problems) == 2


def test_an_experiments_tag_that_some_mlflow_refuses_is_left_out_and_told() -> None:
    long = {"long": "x" * 5001, "ok": "x" * 5000}
    payload = events.ExperimentUpdated("a-b", description="x" * 5001, tags=long)
    created = run_change(Producer().created(experiment_tags=long, experiment_description="x" * 5001))
    assert created.creation is not None
    assert (created.creation.experiment.tags.keys(), created.creation.experiment.description) == ({"ok"}, "")
    updated = operations(experiment_event("acme", payload))
    assert isinstance(updated, ExperimentChange)
    assert updated.description is None, "what was there stays"
    for change in (created, updated):
        assert sum("5001 characters, more than 5000" in problem for problem in change.problems) == 2


def test_only_the_first_problems_are_told() -> None:
    change = run_change(Producer().log(*[Entry({"b@d": 1.0}) for _ in range(50)]))
    assert len(change.problems) == 21
    assert change.problems[-1] == "and 30 more"


@pytest.mark.parametrize(
    "changed",
    [
        {"run_id": "x' OR '1'='1"},
        {"run_id": ""},
        {"producer_id": "a`b"},
        {"experiment_id": "../x"},
        {"experiment_name": " "},
        {"experiment_name": "a\x00b"},
        {"sequence": -1},
        {"parent_run_id": "a b"},
    ],
)
def test_what_can_not_be_an_id_or_a_name_is_malformed(changed: dict[str, object]) -> None:
    with pytest.raises(InvalidEvent) as caught:
        operations(Producer().created(**changed))
    assert caught.value.reason == "malformed"


def test_a_creations_fields_and_tags() -> None:
    who = Producer(tenant="acme")
    event = who.created(
        user_id="ada",
        job_id="j1",
        description="why",
        parent_run_id="f" * 32,
        run_name="r" * 300,
        tags={"matih.tenant_id": "acme", "matih.user_id": "other", "mlflow.parentRunId": "e" * 32, "team": "x"},
        artifact_location="not a uri",
    )
    change = run_change(event)
    creation = change.creation
    assert creation is not None
    assert creation.tags == {
        "matih.user_id": "ada",
        "mlflow.user": "ada",
        "matih.job_id": "j1",
        "mlflow.note.content": "why",
        "matih.run_name": "r" * 300,
        "team": "x",
    }
    assert (creation.run_name, creation.parent_run_id) == ("r" * 250, "f" * 32)
    assert creation.experiment.artifact_location is None
    assert len(change.problems) == 1
    assert "artifact location" in change.problems[0]
    assert change.status is not None
    assert change.status.order == StatusOrder(START, 0, START, event.event_id)
    assert run_change(replace(who, owner=False).created()).status is None


@pytest.mark.parametrize("location", ["s3://bucket/a b", "mlflow-artifacts:/x", "/mnt/shared", "file:///tmp/x"])
def test_artifact_locations_that_mlflow_takes(location: str) -> None:
    change = run_change(Producer().created(artifact_location=location))
    assert change.creation is not None
    assert change.creation.experiment.artifact_location == location


def test_ends_of_owners_and_others() -> None:
    owner, rank, nobody = Producer(), Producer(owner=False, rank=7), Producer(owner=False)
    assert run_change(owner.ended("FAILED", inferred=True)).status.order.rank == 1  # type: ignore[union-attr]
    assert run_change(owner.ended("KILLED")).status.order.rank == 2  # type: ignore[union-attr]
    change = run_change(rank.ended("FAILED"))
    assert change.status is None
    assert [(tag.key, tag.value) for tag in change.logged[0].tags] == [("matih.rank.7", "FAILED")]
    assert run_change(nobody.ended("FAILED")).logged[0].tags == []


def test_experiment_tags_of_the_system_are_refused() -> None:
    payload = events.ExperimentUpdated("a-b", tags={"matih.experiment.x": "1", "ok": "1"})
    change = operations(experiment_event("acme", payload))
    assert change is not None
    assert len(change.problems) == 1


@pytest.mark.parametrize("text", ["", "1,2", "a,b,c,d", "1,2,3"])
def test_a_status_that_somebody_else_wrote_is_none(text: str) -> None:
    assert StatusOrder.parse(text) is None


def test_a_status_keeps_its_order_as_text() -> None:
    order = StatusOrder(1, 2, 3, "id,with,commas")
    assert StatusOrder.parse(order.text()) == order


@pytest.mark.parametrize("key", ["a", "a/b", "ü.x", "a b:c-d_e", "0", "a" * 250, "a..b", ".a"])
def test_keys_that_mlflow_takes(key: str) -> None:
    from mlflow.utils.validation import _validate_metric_name

    _validate_metric_name(key)
    assert key_problem(key) is None


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "a/../b", "./a", "a@b", "a\nb", "..", ".", "..a", "a" * 251])
def test_keys_that_mlflow_refuses(key: str) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.utils.validation import _validate_length_limit, _validate_metric_name

    with pytest.raises(MlflowException):
        _validate_metric_name(_validate_length_limit("key", 250, key) or key)
    assert key_problem(key) is not None
