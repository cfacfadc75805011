"""The contract of a store, held against every store there is."""

from __future__ import annotations

import math
import secrets
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.workers.journals import START, Entry, Producer, experiment_event

from matih_schemas import events, identity
from matih_workers.operations import operations
from matih_workers.positions import Source, Span, Spans
from matih_workers.stores.mlflow_sql.writing import SIDE_BY_SIDE

if TYPE_CHECKING:
    from tests.workers.views import Bench, View

    from matih_schemas.events import TrackingEvent


def producer(**given: object) -> Producer:
    """A producer in an experiment of its own."""
    return Producer(**{"tenant": "acme", "experiment": f"e-{secrets.token_hex(6)}", **given})  # type: ignore[arg-type]


def refused(bench: Bench, *wanted: TrackingEvent) -> dict[int, str]:
    """Applies the events in one batch; the reasons of the refused ones."""
    changes = [operations(event) for event in wanted]
    return {index: error.reason for index, error in bench.store.apply(changes).items()}  # type: ignore[arg-type]


def view(bench: Bench, who: Producer) -> View:
    found = bench.view(who.run_id)
    assert found is not None
    return found


def test_a_whole_run_in_one_batch(bench: Bench) -> None:
    who = producer()
    point = {"loss": 0.25, "nan": math.nan, "inf": math.inf, "-inf": -math.inf}
    log = who.log(Entry(point, {"lr": "0.1"}, {"note": "ü"}, step=-3, time=START + 5))
    assert refused(bench, who.created(run_name="baseline", tags={"team": "a"}), log, who.ended("FAILED")) == {}
    seen = view(bench, who)
    assert (seen.status, seen.start_time, seen.end_time) == ("FAILED", START, START + 1000)
    assert seen.experiment == f"acme/{who.experiment}"
    assert seen.points == {
        ("loss", "0.25", START + 5, -3),
        ("nan", "nan", START + 5, -3),
        ("inf", "1.7976931348623157e+308", START + 5, -3),
        ("-inf", "-1.7976931348623157e+308", START + 5, -3),
    }
    assert seen.params == {"lr": "0.1"}
    status = f"{START},2,{START + 1000},{who.ended().event_id}"
    assert seen.tags == {
        "team": "a",
        "note": "ü",
        "matih.run_id": who.run_id,
        "matih.tenant_id": "acme",
        f"matih.applied.{who.producer_id}": "2",
        "matih.status": status,
    }


def test_what_nobody_created_is_refused_and_the_rest_applies(bench: Bench) -> None:
    stranger, known = producer(), producer()
    log = stranger.log(Entry({"a": 1.0}))
    assert refused(bench, log, known.created(), known.log(Entry({"a": 1.0})), stranger.ended()) == {
        0: "unknown_run",
        3: "unknown_run",
    }
    assert bench.view(stranger.run_id) is None
    assert len(view(bench, known).points) == 1
    assert refused(bench, log, stranger.created(), log) == {0: "unknown_run"}
    assert len(view(bench, stranger).points) == 1


def test_another_tenants_run_is_refused(bench: Bench) -> None:
    who = producer()
    thief = producer(tenant="evil", run_id=who.run_id)
    assert refused(bench, who.created()) == {}
    theft = (thief.created(), thief.log(Entry({"a": 1.0}, tags={"x": "y"})), thief.deleted(), thief.ended())
    assert refused(bench, *theft) == dict.fromkeys(range(4), "tenant_mismatch")
    seen = view(bench, who)
    assert (seen.points, seen.status, seen.deleted, seen.tags.get("x")) == (set(), "RUNNING", False, None)


def test_another_tenants_experiment_is_refused(bench: Bench) -> None:
    who = producer()
    thief = producer(tenant="evil")
    stolen = identity.experiment_id("acme", who.experiment)
    assert refused(bench, who.created()) == {}
    deletion = experiment_event("evil", events.ExperimentDeleted(stolen))
    assert refused(bench, thief.created(experiment_id=stolen), deletion) == dict.fromkeys(range(2), "tenant_mismatch")
    assert not view(bench, who).deleted


def test_a_param_keeps_its_first_value(bench: Bench) -> None:
    who, long = producer(), "x" * 5000
    first = who.log(Entry(params={"lr": "1", "z": long}), Entry(params={"lr": "1.0", "b": "2"}))
    second = who.log(Entry(params={"lr": "3", "z": long, "c": "4"}), Entry(params={"b": "5"}))
    assert refused(bench, who.created(), first) == {}
    bench.store.forget()
    assert refused(bench, second) == {}
    seen = view(bench, who)
    assert seen.params == {"lr": "1", "b": "2", "c": "4", "z": long}
    assert seen.tags["matih.param_conflicts"] == "b,lr"


def test_more_than_a_call_holds(bench: Bench) -> None:
    who = producer()
    entries = [Entry({f"m{i}": float(step) for i in range(5)}, step=step, time=START + step) for step in range(500)]
    many = {f"k{i}": "v" * 5990 for i in range(230)}
    log = [who.log(*entries), who.log(Entry(params=many, tags={key: value * 1 for key, value in many.items()}))]
    assert refused(bench, who.created(), *log, who.ended()) == {}
    seen = view(bench, who)
    assert len(seen.points) == 2500
    assert seen.params == many
    assert {key: seen.tags[key] for key in many} == many
    assert seen.tags[f"matih.applied.{who.producer_id}"] == "502"


def test_tags_at_or_below_the_mark_are_not_set_again(bench: Bench) -> None:
    who = producer()
    old = who.log(Entry(tags={"x": "old", "gap": "1"}))
    new = who.log(Entry(tags={"x": "new"}))
    assert refused(bench, who.created(), new) == {}
    bench.store.forget()
    assert refused(bench, old) == {}
    seen = view(bench, who)
    assert (seen.tags["x"], seen.tags["gap"]) == ("new", "1")


def test_a_status_holds_if_its_order_is_greater(bench: Bench) -> None:
    who = producer()
    assert refused(bench, who.created(), who.ended("FAILED", inferred=True, after=9000)) == {}
    assert refused(bench, who.ended("FINISHED", after=5)) == {}
    assert (view(bench, who).status, view(bench, who).end_time) == ("FINISHED", START + 5)
    bench.store.forget()
    assert refused(bench, who.ended("FAILED", inferred=True, after=9000), who.created()) == {}
    assert view(bench, who).status == "FINISHED"


def test_what_comes_after_the_end_is_applied_and_the_end_stays(bench: Bench) -> None:
    who = producer()
    late = producer(run_id=who.run_id, experiment=who.experiment, owner=False, rank=1)
    assert refused(bench, who.created(), late.created(), who.ended("FAILED")) == {}
    bench.store.forget()
    assert refused(bench, late.log(Entry({"a": 1.0}, {"p": "1"}, {"t": "1"})), late.ended()) == {}
    seen = view(bench, who)
    assert (seen.status, seen.end_time, len(seen.points)) == ("FAILED", START + 1000, 1)
    assert (seen.params, seen.tags["t"], seen.tags["matih.rank.1"]) == ({"p": "1"}, "1", "FINISHED")


def test_lifecycle_events_of_what_nobody_created_are_refused(bench: Bench) -> None:
    who = producer()
    nobodys = identity.experiment_id("acme", who.experiment)
    runs = (who.ended(), who.deleted(), who.restored())
    assert refused(bench, *runs) == dict.fromkeys(range(3), "unknown_run")
    payloads = (events.ExperimentDeleted(nobodys), events.ExperimentRestored(nobodys))
    experiments = [experiment_event("acme", payload) for payload in payloads]
    assert refused(bench, *experiments) == dict.fromkeys(range(2), "unknown_experiment")
    assert bench.view(who.run_id) is None


def test_a_deleted_experiment_is_not_made_again_nor_changed(bench: Bench) -> None:
    who = producer()
    the_id = identity.experiment_id("acme", who.experiment)
    deleted, created, updated = (
        experiment_event("acme", payload)
        for payload in (
            events.ExperimentDeleted(the_id),
            events.ExperimentCreated(the_id, who.experiment),
            events.ExperimentUpdated(the_id, description="new"),
        )
    )
    assert refused(bench, deleted, who.created()) == {0: "unknown_experiment"}, "there is no order between the two"
    assert refused(bench, deleted) == {}
    assert refused(bench, created, updated) == dict.fromkeys(range(2), "deleted_experiment")
    assert view(bench, who).deleted


def test_a_new_attempt_reopens_the_run(bench: Bench) -> None:
    who = producer()
    again = producer(run_id=who.run_id, experiment=who.experiment, attempt=START + 60_000)
    assert refused(bench, who.created(), who.ended("FAILED")) == {}
    assert refused(bench, again.created()) == {}
    assert view(bench, who).status == "RUNNING"
    assert refused(bench, who.ended("KILLED", inferred=True)) == {}
    assert view(bench, who).status == "RUNNING"
    assert refused(bench, again.ended()) == {}
    assert (view(bench, who).status, view(bench, who).end_time) == ("FINISHED", START + 61_000)


def test_ranks_fill_in_and_only_the_owner_decides(bench: Bench) -> None:
    rank = producer(owner=False, rank=7, attempt=START + 5)
    owner = producer(run_id=rank.run_id, experiment=rank.experiment, rank=0)
    assert refused(bench, rank.created(tags={"who": "rank", "seven": "7"}, run_name="of rank 7")) == {}
    assert refused(bench, owner.created(tags={"who": "owner"}, run_name="right")) == {}
    late = producer(run_id=rank.run_id, experiment=rank.experiment, owner=False, rank=8, attempt=START + 6)
    assert refused(bench, late.created(tags={"who": "late", "eight": "8"}), rank.ended("FAILED")) == {}
    seen = view(bench, owner)
    assert seen.status == "RUNNING"
    expected = {"who": "owner", "seven": "7", "eight": "8", "matih.rank.7": "FAILED"}
    assert {key: seen.tags.get(key) for key in expected} == expected


def test_deleted_and_restored_runs(bench: Bench) -> None:
    who = producer()
    log, more = who.log(Entry({"a": 1.0})), who.log(Entry({"a": 2.0}, step=1))
    assert refused(bench, who.created(), log, who.deleted(), more, who.deleted()) == {3: "deleted_run"}
    assert view(bench, who).deleted
    bench.store.forget()
    assert refused(bench, who.created(), log, who.deleted()) == {}, "what was applied before is no dead letter"
    assert refused(bench, who.restored(), more, who.restored()) == {}
    assert (view(bench, who).deleted, len(view(bench, who).points)) == (False, 2)


def test_the_same_points_before_and_after_a_restore_in_one_batch(bench: Bench) -> None:
    who = producer()
    assert refused(bench, who.created()) == {}
    entries = [Entry({"a": 1.0, "b": 2.0}, step=step) for step in range(SIDE_BY_SIDE // 2)]
    assert refused(bench, who.log(*entries), who.deleted(), who.restored(), who.log(*entries)) == {}
    expected = {(key, value, START, entry.step) for entry in entries for key, value in (("a", "1.0"), ("b", "2.0"))}
    assert view(bench, who).points == expected


def test_deleted_and_restored_experiments(bench: Bench) -> None:
    alone, other, later = producer(), producer(), producer()
    other.experiment = later.experiment = alone.experiment
    the_id = identity.experiment_id("acme", alone.experiment)
    delete = experiment_event("acme", events.ExperimentDeleted(the_id))
    restore = experiment_event("acme", events.ExperimentRestored(the_id))
    assert refused(bench, alone.created(), other.created(), alone.deleted()) == {}
    assert refused(bench, delete) == {}
    assert refused(bench, delete) == {}
    assert view(bench, other).deleted
    more = other.log(Entry({"a": 1.0}))
    why = {} if bench.fills_deleted_experiments else {0: "deleted_experiment", 1: "deleted_experiment"}
    assert refused(bench, more, later.created()) == why
    assert refused(bench, alone.restored()) == {0: "deleted_experiment"}
    assert refused(bench, restore) == {}
    assert refused(bench, restore) == {}
    assert (view(bench, alone).deleted, view(bench, other).deleted) == (True, False)
    assert refused(bench, more, later.created()) == {}
    assert not view(bench, later).deleted, "what was made in a deleted experiment came back with it"


def test_an_experiment_that_a_run_made_first_gets_what_its_own_creation_says(bench: Bench) -> None:
    """The two have other keys, and no order between them."""
    name = f"e-{secrets.token_hex(6)}"
    assert refused(bench, producer(experiment=name).created()) == {}
    created = events.ExperimentCreated(identity.experiment_id("acme", name), name, "told", None, {"a": "1"})
    assert refused(bench, experiment_event("acme", created)) == {}
    assert bench.experiment_tags("acme", name).items() >= {"a": "1", "mlflow.note.content": "told"}.items()


def test_an_experiments_life(bench: Bench) -> None:
    name, new = f"e-{secrets.token_hex(6)}", f"n-{secrets.token_hex(6)}"
    the_id = identity.experiment_id("acme", name)
    created = events.ExperimentCreated(the_id, name, "first", None, {"a": "1"})
    again = events.ExperimentCreated(the_id, name, "second", None, {"a": "2"})
    updated = events.ExperimentUpdated(the_id, None, "third", {"b": "3"})
    stranger = events.ExperimentUpdated(identity.experiment_id("acme", new), "x")
    for payload in (created, again, updated):
        assert refused(bench, experiment_event("acme", payload)) == {}
    expected = {"a": "1", "b": "3", "mlflow.note.content": "third"}
    assert bench.experiment_tags("acme", name).items() >= expected.items()
    assert refused(bench, experiment_event("acme", stranger)) == {0: "unknown_experiment"}
    assert refused(bench, experiment_event("acme", events.ExperimentUpdated(the_id, new))) == {}
    old_job = producer(experiment=name)
    assert refused(bench, old_job.created()) == {}
    assert view(bench, old_job).experiment == f"acme/{new}", "a running job's runs go where it meant them to"


def test_a_name_that_is_taken_is_refused_and_the_rest_of_the_update_applies(bench: Bench) -> None:
    taken, name = f"t-{secrets.token_hex(6)}", f"e-{secrets.token_hex(6)}"
    for one in (taken, name):
        created = events.ExperimentCreated(identity.experiment_id("acme", one), one)
        assert refused(bench, experiment_event("acme", created)) == {}
    updated = events.ExperimentUpdated(identity.experiment_id("acme", name), taken, tags={"a": "1"})
    assert refused(bench, experiment_event("acme", updated)) == {0: "invalid_entry"}
    assert bench.experiment_tags("acme", name)["a"] == "1"


def test_many_runs_in_one_batch_and_one_experiment(bench: Bench) -> None:
    first = producer()
    runs = [first, *(producer(experiment=first.experiment) for _ in range(5))]
    wanted = [event for who in runs for event in (who.created(), who.log(Entry({"a": 1.0})), who.ended())]
    assert refused(bench, *wanted) == {}
    assert [view(bench, who).status for who in runs] == ["FINISHED"] * 6
    assert {view(bench, who).experiment for who in runs} == {f"acme/{first.experiment}"}


def test_the_probe_of_a_store_that_works(bench: Bench) -> None:
    bench.store.probe()


def test_a_redriven_event_is_never_taken_for_one_that_was_applied(bench: Bench) -> None:
    """Its entries may be a gap below the mark: acknowledging them for a deleted run would lose them."""
    who = producer()
    gap, later = who.log(Entry({"a": 1.0})), who.log(Entry({"a": 2.0}, step=1))
    assert refused(bench, who.created(), later, who.deleted()) == {}
    assert refused(bench, gap) == {}
    again = replace(operations(gap), redriven=True)  # type: ignore[type-var]
    assert [error.reason for error in bench.store.apply([again]).values()] == ["deleted_run"]  # type: ignore[list-item]
    assert refused(bench, who.restored()) == {}
    assert bench.store.apply([again]) == {}  # type: ignore[list-item]
    assert {value for _, value, _, _ in view(bench, who).points} == {"1.0", "2.0"}


def test_a_redriven_change_of_an_experiment_only_fills(bench: Bench) -> None:
    who = producer()
    identifier = identity.experiment_id(who.tenant, who.experiment)
    old = experiment_event(
        who.tenant, events.ExperimentUpdated(identifier, description="old", tags={"stage": "old", "team": "a"})
    )
    new = experiment_event(who.tenant, events.ExperimentUpdated(identifier, tags={"stage": "new"}))
    assert refused(bench, who.created()) == refused(bench, new) == {}
    assert bench.store.apply([replace(operations(old), redriven=True)]) == {}  # type: ignore[list-item,type-var]
    stored = bench.experiment_tags(who.tenant, who.experiment)
    assert (stored["stage"], stored["team"], stored["mlflow.note.content"]) == ("new", "a", "old")


def test_positions_tell_what_the_store_has_not_seen(bench: Bench) -> None:
    source = Source(secrets.token_hex(8), "topic-1", "events")

    def applied(first: int, last: int, of: Source = source) -> tuple[list[str], int]:
        assert bench.store.apply([], Spans(of, (Span(3, first, last),))) == {}
        noticed = bench.store.noticed
        return noticed.by_partition[3], noticed.missing[3]

    assert applied(0, 9) == ([], 0)
    assert applied(5, 12) == ([], 0)  # again, and more
    assert applied(0, 2) == ([], 0)  # a zombie
    (warning,), missing = applied(20, 29)
    assert missing == 7
    assert "13 to 19" in warning
    bench.store.forget()
    assert applied(13, 15)[1] == 4
    assert applied(16, 31) == ([], 0)
    (warning,), missing = applied(0, 4, source._replace(topic_id="topic-2"))
    assert missing == 0
    assert "made anew" in warning
