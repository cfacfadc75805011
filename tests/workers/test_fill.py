"""A replay that fills: what is missing comes, what is there stays as it is, also what people edited in MLflow."""

from __future__ import annotations

import copy
import secrets
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.workers.journals import START, Entry, Producer, experiment_event
from tests.workers.test_redelivery import Delivery, apply, deliveries, once, run_of
from tests.workers.views import MemoryBench

from matih_schemas import events, identity, tags
from matih_workers.changes import filling
from matih_workers.filled import Filled
from matih_workers.operations import operations

if TYPE_CHECKING:
    from tests.workers.views import Bench, MlflowBench, View

    from matih_schemas.events import TrackingEvent

REPLAY = "0123456789ab"


def producer() -> Producer:
    return Producer(tenant="acme", experiment=f"e-{secrets.token_hex(6)}")


def fill(bench: Bench, *wanted: TrackingEvent, replay: str = REPLAY) -> dict[int, str]:
    changes = [filling(change, replay) for event in wanted if (change := operations(event)) is not None]
    return {index: error.reason for index, error in bench.store.apply(changes).items()}


def view(bench: Bench, who: Producer) -> View:
    found = bench.view(who.run_id)
    assert found is not None
    return found


def usual(bench: Bench, *wanted: TrackingEvent) -> None:
    assert bench.store.apply([change for event in wanted if (change := operations(event)) is not None]) == {}


def whole(who: Producer) -> list[TrackingEvent]:
    """A run with everything, some of it written over."""
    return [
        who.created(run_name="baseline", tags={"team": "a"}),
        who.log(*(Entry({"loss": i / 10}, {f"p{i}": "v"}, {"last": str(i)}, i, START + i) for i in range(3))),
        who.log(Entry({"loss": 0.9}, {"p0": "other"}, {"last": "3", "only": "once"}, 3, START + 3)),
        who.ended("FAILED"),
    ]


def test_a_store_that_has_it_all_stays_as_it_is(bench: Bench) -> None:
    who = producer()
    events_ = whole(who)
    usual(bench, *events_)
    before = view(bench, who)
    assert fill(bench, *events_) == {}
    assert view(bench, who) == before
    assert tags.FILLED not in before.tags


def test_a_missing_run_is_made_as_it_was(bench: Bench) -> None:
    who, other = producer(), producer()
    events_, deleted = whole(who), [*whole(other), other.deleted()]
    for event in [*events_, *deleted]:  # each in a batch of its own, as if the replay were killed behind it
        assert fill(bench, event) == {}
        bench.store.forget()
    seen = view(bench, who)
    assert (seen.status, seen.end_time, seen.tags["last"], seen.tags["team"]) == ("FAILED", START + 1000, "3", "a")
    assert seen.tags["matih.param_conflicts"] == "p0"
    assert seen.tags[f"matih.applied.{who.producer_id}"] == "5"
    assert len(seen.points) == 4
    assert Filled.of(seen.tags) == Filled(REPLAY, made=True)
    assert view(bench, other).deleted
    assert fill(bench, other.restored(), replay="another") == {}
    assert view(bench, other).deleted  # it is another's by now


def test_what_is_missing_comes_and_the_last_value_of_a_missing_tag_stands(bench: Bench) -> None:
    who = producer()
    created, first, second, ended = whole(who)
    usual(bench, created)
    for event in (first, second, ended):
        assert fill(bench, event) == {}
        bench.store.forget()
    seen = view(bench, who)
    assert len(seen.points) == 4
    assert seen.params == {"p0": "v", "p1": "v", "p2": "v"}
    assert (seen.tags["last"], seen.tags["only"], seen.status) == ("3", "once", "RUNNING")
    assert seen.tags[f"matih.applied.{who.producer_id}"] == "0"
    usual(bench, first, second, ended)
    assert (view(bench, who).status, view(bench, who).tags["last"]) == ("FAILED", "3")


def test_an_experiment_keeps_its_name_its_stage_and_its_tags(bench: Bench) -> None:
    who = producer()
    identifier = identity.experiment_id(who.tenant, who.experiment)
    usual(bench, who.created(experiment_tags={"stage": "mine"}))
    updates = [
        events.ExperimentUpdated(identifier, name=f"{who.experiment}-new", tags={"stage": "old", "note": "1"}),
        events.ExperimentUpdated(identifier, tags={"note": "2"}),
        events.ExperimentDeleted(identifier),
    ]
    assert fill(bench, *(experiment_event(who.tenant, payload) for payload in updates)) == {}
    stored = bench.experiment_tags(who.tenant, who.experiment)
    assert (stored["stage"], stored["note"]) == ("mine", "2")
    assert not view(bench, who).deleted


def test_a_missing_experiment_is_made_as_it_was(bench: Bench) -> None:
    who = producer()
    name = f"{who.experiment}-new"
    identifier = identity.experiment_id(who.tenant, who.experiment)
    created = experiment_event(who.tenant, events.ExperimentCreated(identifier, who.experiment, tags={"stage": "old"}))
    update = experiment_event(who.tenant, events.ExperimentUpdated(identifier, name=name, tags={"stage": "new"}))
    assert fill(bench, created, update) == {}
    assert bench.experiment_tags(who.tenant, name)["stage"] == "new"


def test_edits_in_mlflow_stay(mlflow_bench: MlflowBench) -> None:
    who = producer()
    events_ = [*whole(who), who.deleted(), who.restored()]
    usual(mlflow_bench, *events_)
    (run,) = mlflow_bench.runs(who.run_id)
    client, mlflow_id = mlflow_bench.client, run.info.run_id
    client.set_tag(mlflow_id, "last", "edited")
    client.set_tag(mlflow_id, "mlflow.note.content", "mine")
    client.update_run(mlflow_id, name="renamed", status="FINISHED")
    client.set_experiment_tag(run.info.experiment_id, "team", "mine")
    client.log_metric(mlflow_id, "mine", 1.0, 5, 0)
    mlflow_bench.restart()
    before = view(mlflow_bench, who)
    assert fill(mlflow_bench, *events_) == {}
    assert view(mlflow_bench, who) == before
    assert (before.tags["last"], before.status) == ("edited", "FINISHED")
    assert mlflow_bench.runs(who.run_id)[0].info.run_name == "renamed"
    client.delete_run(mlflow_id)
    mlflow_bench.restart()
    assert fill(mlflow_bench, *events_) == {}
    assert view(mlflow_bench, who).deleted


def test_what_is_there_is_told(bench: Bench) -> None:
    who, gone = producer(), producer()
    usual(bench, who.created(), who.deleted())
    assert bench.store.present([who.run_id, gone.run_id]) == {who.run_id}
    assert not bench.store.is_empty()


@given(deliveries())
@settings(max_examples=200, deadline=None)
def test_fill_onto_what_was_applied_changes_nothing_whatever_people_edited(delivery: Delivery) -> None:
    bench = MemoryBench()
    apply(bench, delivery.published)
    run = bench.store.runs[run_of(delivery)]
    run.tags |= dict.fromkeys(run.tags.keys() & {"t", "u"}, "edited")
    run.status, run.end_time = "KILLED", 7
    before = copy.deepcopy(bench.view(run_of(delivery)))
    assert fill(bench, *delivery.published) == {}
    assert bench.view(run_of(delivery)) == before


@given(deliveries())
@settings(max_examples=200, deadline=None)
def test_filled_from_nothing_in_any_cuts_is_as_if_applied(delivery: Delivery) -> None:
    bench = MemoryBench()
    for start, end in delivery.takes:
        assert fill(bench, *delivery.published[start:end]) == {}
    filled, clean = bench.view(run_of(delivery)), once(delivery)
    assert filled is not None
    assert filled.tags.pop(tags.FILLED) == f"{REPLAY}:*"
    assert filled == clean


@given(deliveries(), st.integers(1, 20))
@settings(max_examples=200, deadline=None)
def test_a_missing_tail_that_is_filled_brings_all_points_and_params(delivery: Delivery, cut: int) -> None:
    bench = MemoryBench()
    apply(bench, delivery.published[:cut])
    before = copy.deepcopy(bench.view(run_of(delivery)))
    for start, end in delivery.takes:
        assert fill(bench, *delivery.published[start:end]) == {}
    after, clean = bench.view(run_of(delivery)), once(delivery)
    assert before is not None
    assert after is not None
    assert clean is not None
    assert (after.points, after.params, after.status) == (clean.points, clean.params, before.status)
    assert before.tags.items() <= after.tags.items()
    user = {key: clean.tags[key] for key in clean.tags.keys() & {"t", "u"} if key not in before.tags}
    assert {key: after.tags[key] for key in user} == user


def test_the_note_stays_bounded() -> None:
    note = Filled()
    for number in range(2000):
        note.add(REPLAY, f"key-{number}")
    assert len(note.text()) <= 8000
    again = Filled.of({tags.FILLED: note.text()})
    assert again.keys < note.keys
    note = Filled(REPLAY, keys={"a"}, marks={"b": 7})
    assert Filled.of({tags.FILLED: note.text()}) == note
