"""What the stores do about MLflow itself: races, hands, servers that are away."""

from __future__ import annotations

import json
import math
import secrets
import threading
import time
from typing import TYPE_CHECKING

import pytest
from mlflow.entities import ViewType
from tests.workers.journals import START, Entry, experiment_event
from tests.workers.test_store_contract import producer, refused, view

from matih_schemas import events, identity
from matih_workers.changes import Metric, RunChange
from matih_workers.operations import operations
from matih_workers.stores.calls import LogBatch
from matih_workers.stores.mlflow_client.connection import Connection
from matih_workers.stores.protocol import StoreUnavailable

if TYPE_CHECKING:
    from tests.workers.views import MlflowBench

    from matih_workers.stores.protocol import RunStore

BY_API = pytest.mark.parametrize("mlflow_bench", ["client-sqlite", "client-http"], indirect=True)


def test_two_workers_that_make_the_same_run_end_with_one(mlflow_bench: MlflowBench) -> None:
    who = producer()
    stores = [mlflow_bench.another() for _ in range(3)]
    start = threading.Barrier(len(stores))
    changes = [who.created(), who.log(Entry({"a": 1.0})), who.ended()]

    def work(store: RunStore) -> None:
        store.open()
        wanted = [operations(event) for event in changes]
        start.wait()
        for left in reversed(range(5)):
            # As the worker's loop: what fails is tried again. Two of them setting one tag fails on PostgreSQL.
            try:
                store.apply(wanted)  # type: ignore[arg-type]
                return
            except Exception:
                if not left:
                    raise

    threads = [threading.Thread(target=work, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(mlflow_bench.runs(who.run_id, ViewType.ACTIVE_ONLY)) == 1
    assert (view(mlflow_bench, who).status, len(view(mlflow_bench, who).points)) == ("FINISHED", 1)
    for store in stores:
        store.close()


@pytest.mark.parametrize("mlflow_bench", ["client-sqlite"], indirect=True)
def test_what_mlflow_refuses_of_an_experiment_is_left_out_and_told_and_the_run_is_made(
    mlflow_bench: MlflowBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlflow.utils.validation.MAX_EXPERIMENT_TAG_VAL_LENGTH", 100)
    who, other, long = producer(), producer(), "x" * 101
    created = who.created(experiment_tags={"long": long, "ok": "1"}, experiment_description=long)
    change = operations(created)
    assert change is not None
    (told,) = mlflow_bench.store.apply([change]).values()
    assert (told.reason, told.detail.count("exceeds the maximum length")) == ("invalid_entry", 2)
    assert refused(mlflow_bench, created, who.log(Entry({"a": 1.0}))) == {}
    assert len(view(mlflow_bench, who).points) == 1
    assert mlflow_bench.experiment_tags("acme", who.experiment)["ok"] == "1"
    identity_of = identity.experiment_id("acme", other.experiment)
    made = events.ExperimentCreated(identity_of, other.experiment, description=long, tags={"ok": "1"})
    changed = events.ExperimentUpdated(identity_of, name=f"{other.experiment}-2", tags={"long": long, "new": "2"})
    wanted = [experiment_event("acme", payload) for payload in (made, changed)]
    assert refused(mlflow_bench, *wanted) == dict.fromkeys(range(2), "invalid_entry")
    kept = mlflow_bench.experiment_tags("acme", f"{other.experiment}-2")
    assert ({"ok", "new"} <= kept.keys(), {"long", "mlflow.note.content"} & kept.keys()) == (True, set())


def test_a_run_that_a_dead_worker_made_twice_is_one_again(mlflow_bench: MlflowBench) -> None:
    who = producer()
    refused(mlflow_bench, who.created(), who.log(Entry({"a": 1.0})))
    used = mlflow_bench.runs(who.run_id)[0]
    twin = mlflow_bench.client.create_run(
        used.info.experiment_id, start_time=1, tags={f"matih.run.{who.run_id}": "1", "matih.tenant_id": "acme"}
    )
    mlflow_bench.restart()
    assert refused(mlflow_bench, who.log(Entry({"a": 2.0}, step=1))) == {}
    assert [run.info.run_id for run in mlflow_bench.runs(who.run_id, ViewType.ACTIVE_ONLY)] == [used.info.run_id]
    assert mlflow_bench.client.get_run(twin.info.run_id).info.lifecycle_stage == "deleted"
    assert len(view(mlflow_bench, who).points) == 2


def test_an_experiment_made_by_hand_is_adopted(mlflow_bench: MlflowBench) -> None:
    who = producer()
    by_hand = mlflow_bench.client.create_experiment(f"acme/{who.experiment}", tags={"mine": "yes"})
    assert refused(mlflow_bench, who.created()) == {}
    found = mlflow_bench.client.get_experiment(by_hand)
    expected = {"mine": "yes", "matih.tenant_id": "acme"}
    assert found.tags.items() >= expected.items()
    assert found.tags["matih.experiment_id"] == identity.experiment_id("acme", who.experiment)
    assert mlflow_bench.runs(who.run_id)[0].info.experiment_id == by_hand


def test_an_experiment_renamed_by_hand_keeps_its_id(mlflow_bench: MlflowBench) -> None:
    first, late = producer(), producer()
    late.experiment = first.experiment
    assert refused(mlflow_bench, first.created()) == {}
    place = mlflow_bench.runs(first.run_id)[0].info.experiment_id
    mlflow_bench.client.rename_experiment(place, f"acme/{first.experiment} renamed")
    mlflow_bench.restart()
    assert refused(mlflow_bench, late.created(), first.log(Entry({"a": 1.0}))) == {}
    assert [mlflow_bench.runs(who.run_id)[0].info.experiment_id for who in (first, late)] == [place, place]


def test_a_run_made_by_hand_can_be_logged_to_by_its_tenant_only(mlflow_bench: MlflowBench) -> None:
    owner, stranger = producer(), producer(tenant="evil")
    experiment = mlflow_bench.client.create_experiment(f"acme/{owner.experiment}")
    made = mlflow_bench.client.create_run(experiment)
    owner.run_id = stranger.run_id = made.info.run_id
    assert refused(mlflow_bench, stranger.log(Entry({"a": 1.0}))) == {0: "tenant_mismatch"}
    assert refused(mlflow_bench, owner.log(Entry({"a": 2.0}))) == {}
    assert mlflow_bench.client.get_run(made.info.run_id).data.metrics == {"a": 2.0}


def test_what_hands_did_meanwhile_is_noticed(mlflow_bench: MlflowBench) -> None:
    who = producer()
    refused(mlflow_bench, who.created(), who.log(Entry({"a": 1.0}, {"p": "1"})))
    mlflow_id = mlflow_bench.runs(who.run_id)[0].info.run_id
    mlflow_bench.client.log_param(mlflow_id, "q", "by hand")
    assert refused(mlflow_bench, who.log(Entry({"a": 2.0}, {"q": "ours", "r": "3"}, step=1))) == {}
    assert view(mlflow_bench, who).params == {"p": "1", "q": "by hand", "r": "3"}
    assert view(mlflow_bench, who).tags["matih.param_conflicts"] == "q"
    mlflow_bench.client.delete_run(mlflow_id)
    assert refused(mlflow_bench, who.log(Entry({"a": 3.0}, step=2))) == {0: "deleted_run"}
    mlflow_bench.client.delete_experiment(mlflow_bench.runs(who.run_id)[0].info.experiment_id)
    why = {} if mlflow_bench.fills_deleted_experiments else {0: "deleted_experiment"}
    assert refused(mlflow_bench, who.log(Entry({"a": 4.0}, step=3))) == why
    late = producer(experiment=who.experiment)
    assert refused(mlflow_bench, late.created()) == why


def test_a_point_that_is_there_although_no_mark_says_so(mlflow_bench: MlflowBench) -> None:
    """As after a crash between the commits of two connections, or when somebody logged it by hand."""
    who = producer()
    refused(mlflow_bench, who.created())
    mlflow_bench.client.log_metric(mlflow_bench.runs(who.run_id)[0].info.run_id, "a", 2.0, START, 2)
    log = who.log(*(Entry({"a": float(step)}, step=step) for step in range(5)))
    assert refused(mlflow_bench, log) == {}
    assert view(mlflow_bench, who).points == {("a", str(float(step)), START, step) for step in range(5)}


def test_names_that_are_too_long(mlflow_bench: MlflowBench) -> None:
    who = producer(experiment="e" * 250 + secrets.token_hex(6))
    assert refused(mlflow_bench, who.created(run_name="r" * 400)) == {}
    run = mlflow_bench.runs(who.run_id)[0]
    assert run.info.run_name == "r" * 250
    assert run.data.tags["matih.run_name"] == "r" * 400
    assert mlflow_bench.experiment_tags("acme", who.experiment)["matih.experiment_name"] == who.experiment


@pytest.mark.parametrize("parent_first", [True, False])
def test_a_child_finds_its_parent_in_either_order(mlflow_bench: MlflowBench, parent_first: bool) -> None:
    parent, child = producer(), producer()
    created = [parent.created(), child.created(parent_run_id=parent.run_id)]
    for event in created if parent_first else reversed(created):
        assert refused(mlflow_bench, event) == {}
    linked = mlflow_bench.runs(child.run_id)[0].data.tags["mlflow.parentRunId"]
    assert linked == mlflow_bench.runs(parent.run_id)[0].info.run_id


@BY_API
def test_nothing_is_taken_from_memory_once_it_is_old(
    mlflow_bench: MlflowBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that stood still: another one went on, and this one wakes up with its old knowledge."""
    who = producer()
    refused(mlflow_bench, who.created(), who.log(Entry(tags={"x": "first"})))
    stale = who.log(Entry(tags={"x": "second"}))
    other = mlflow_bench.another()
    other.apply([operations(stale), operations(who.log(Entry(tags={"x": "third"})))])  # type: ignore[list-item]
    knowledge = mlflow_bench.store._knowledge
    assert knowledge.get(who.run_id) is not None
    monkeypatch.setattr(knowledge, "_clock", lambda: 1e12)
    assert knowledge.get(who.run_id) is None
    assert refused(mlflow_bench, stale) == {}
    assert view(mlflow_bench, who).tags["x"] == "third"
    other.close()


@BY_API
def test_old_knowledge_of_many_runs_is_read_again_in_one_call(
    mlflow_bench: MlflowBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As above; among them one that was deleted by hand meanwhile."""
    many = [producer() for _ in range(6)]
    for who in many:
        refused(mlflow_bench, who.created(), who.log(Entry(tags={"x": "first"})))
    stale = [who.log(Entry({"a": 1.0}, tags={"x": "second"})) for who in many]
    other = mlflow_bench.another()
    wanted = [*stale, *(who.log(Entry(tags={"x": "third"})) for who in many)]
    other.apply([operations(event) for event in wanted])  # type: ignore[misc]
    other.close()
    mlflow_bench.client.delete_run(mlflow_bench.runs(many[-1].run_id)[0].info.run_id)

    connection, knowledge = mlflow_bench.store._parts()[0], mlflow_bench.store._knowledge
    read_alone, read = [], connection.run
    monkeypatch.setattr(connection, "run", lambda mlflow_id: (read_alone.append(mlflow_id), read(mlflow_id))[1])
    late = time.monotonic() + 1000
    monkeypatch.setattr(knowledge, "_clock", lambda: late)
    new = [who.log(Entry({"b": 1.0})) for who in many]
    assert refused(mlflow_bench, *stale, *new) == {11: "deleted_run"}
    assert read_alone == [mlflow_bench.runs(many[-1].run_id)[0].info.run_id]
    for who in many[:-1]:
        seen = view(mlflow_bench, who)
        assert (seen.tags["x"], seen.points) == ("third", {("a", "1.0", START, 0), ("b", "1.0", START, 0)})


@BY_API
def test_runs_made_by_hand_are_found_in_a_batch_of_new_ones(mlflow_bench: MlflowBench) -> None:
    """Their id is MLflow's own and no tag of ours leads to them."""
    new, by_hand = producer(), producer()
    experiment = mlflow_bench.client.create_experiment(f"acme/{by_hand.experiment}")
    by_hand.run_id = mlflow_bench.client.create_run(experiment).info.run_id
    log = by_hand.log(Entry({"a": 2.0}))
    assert refused(mlflow_bench, new.created(), producer().log(Entry({"a": 1.0})), log) == {1: "unknown_run"}
    assert mlflow_bench.client.get_run(by_hand.run_id).data.metrics == {"a": 2.0}
    assert len(mlflow_bench.runs(new.run_id)) == 1


def test_what_is_sent_is_what_mlflows_client_sends(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.store.tracking import rest_store
    from mlflow.utils import rest_utils

    values = [0.1, -0.0, 1e300, 5.0, math.nan, math.inf, -math.inf]
    batch = LogBatch([Metric("a/ü", value, START + n, n - 3) for n, value in enumerate(values)])
    batch.params, batch.tags = [("p", ""), ("q", '\n"x')], [("t", "ü"), ("u", "")]
    theirs, ours = [], []

    def sent(_credentials: object, endpoint: str, method: str, body: str, *_: object, **__: object) -> None:
        theirs.append((endpoint, method, json.loads(body)))

    class Answer:
        status_code, text = 200, "{}"

    def requested(_credentials: object, endpoint: str, method: str, **given: object) -> Answer:
        ours.append((endpoint, method, json.loads(json.dumps(given["json"], allow_nan=False))))
        return Answer()

    monkeypatch.setattr(rest_store, "call_endpoint", sent)
    monkeypatch.setattr(rest_utils, "http_request", requested)
    connection = Connection("http://127.0.0.1:1", 5.0)
    connection._log_batch("run", batch)
    connection.log("run", batch)
    assert ours == theirs


@BY_API
def test_a_rebalance_under_a_write_makes_it_start_over(
    mlflow_bench: MlflowBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = producer()
    refused(mlflow_bench, who.created())
    calls = []
    connection = mlflow_bench.store._parts()[0]
    write = connection.log

    def log_and_rebalance(mlflow_id: str, batch: object) -> None:
        calls.append(mlflow_id)
        write(mlflow_id, batch)  # type: ignore[arg-type]
        if len(calls) == 1:
            mlflow_bench.store.forget()

    monkeypatch.setattr(connection, "log", log_and_rebalance)
    entries = [Entry({"a": 1.0, "b": 2.0, "c": 3.0}, step=step, time=START + step) for step in range(900)]
    assert refused(mlflow_bench, who.log(*entries)) == {}
    assert len(calls) == 4, "one call before, all three after"
    assert len(view(mlflow_bench, who).points) == 2700


def test_a_value_that_the_server_fails_on_is_not_called_an_outage(mlflow_bench: MlflowBench) -> None:
    """NUL is an error 500 on PostgreSQL; the checks before it take it out, so it is put in behind them here."""
    who = producer()
    refused(mlflow_bench, who.created())
    bad = producer(run_id=who.run_id, producer_id=who.producer_id, entries=[])
    change = operations(bad.log(Entry(tags={"x": "y"})))
    assert isinstance(change, RunChange)
    change.logged[0].tags[0] = change.logged[0].tags[0]._replace(value="a\x00b")
    if not mlflow_bench.uri.startswith("sqlite"):
        with pytest.raises(Exception) as caught:
            mlflow_bench.store.apply([change])
        assert not isinstance(caught.value, StoreUnavailable)
    mlflow_bench.store.probe()


@BY_API
def test_a_server_that_refuses_a_nan_that_it_has_gets_the_rest(
    mlflow_bench: MlflowBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As MLflow before 3.16 does; `tests/releases` has such servers."""
    from mlflow.exceptions import MlflowException

    who = producer()
    nan = Entry({"a": float("nan")}, step=1)
    assert refused(mlflow_bench, who.created(), who.log(nan)) == {}
    connection = mlflow_bench.store._opened[0]  # type: ignore[attr-defined, index]
    send = connection._log

    def old(run: str, batch: LogBatch) -> None:
        if any(metric.value != metric.value for metric in batch.metrics):
            raise MlflowException("(psycopg2.errors.UniqueViolation) duplicate key value")
        send(run, batch)

    monkeypatch.setattr(connection, "_log", old)
    who.log(Entry({"a": 0.5, "b": 2.0}, step=2))
    assert refused(mlflow_bench, who.logged(1, 2)) == {}
    assert len(view(mlflow_bench, who).points) == 3
