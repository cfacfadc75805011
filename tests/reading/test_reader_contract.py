"""The contract of a reader (matih_tracking/reading/protocol.py), sentence by sentence, held against every reader."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tests.reading.conftest import ids, listed, producer, spelled
from tests.workers.journals import START, Entry

from matih_schemas import identity, tags
from matih_tracking.reading.queries import ExperimentQuery, RunQuery, SortKey
from matih_tracking.reading.views import ExperimentSummary, MetricPoint

if TYPE_CHECKING:
    from tests.reading.conftest import Place


BY_NAME = SortKey("attribute", "name", descending=False)


def test_check_asks_for_next_to_nothing(place: Place) -> None:
    place.reader.check()


# Runs


def test_a_run_as_the_worker_made_it(place: Place, tenant: str) -> None:
    who = producer(tenant)
    long = {"m" * 250: 1.5, "nan": math.nan, "inf": math.inf, "-inf": -math.inf, "system/cpu 1": -2.0}
    log = who.log(Entry(long, {"p" * 250: "v" * 6000, "ü": ""}, {"note": "日本"}, step=-3, time=START + 5))
    place.apply(who.created(run_name="baseline", tags={"team": "a"}), log, who.ended("FAILED"))
    found = place.run(who.run_id)
    home = place.experiment(tenant, "e")
    assert (found.run_id, found.tenant_id, found.name, found.status) == (who.run_id, tenant, "baseline", "FAILED")
    assert (found.experiment_id, found.mlflow_experiment_id) == (home.experiment_id, home.mlflow_id)
    assert (found.start_time, found.end_time, found.stage) == (START, START + 1000, "active")
    assert found.params == {"p" * 250: "v" * 6000, "ü": ""}
    assert (
        found.tags.items()
        >= {"team": "a", "note": "日本", tags.RUN_ID: who.run_id, "mlflow.runName": "baseline"}.items()
    )
    assert found.metrics.keys() == long.keys()
    for key, point in found.metrics.items():
        assert repr(point) == repr(MetricPoint(key, long[key], START + 5, -3))
    stored = place.client.get_run(found.mlflow_run_id)
    assert (found.artifact_uri, found.tags) == (stored.info.artifact_uri, stored.data.tags)
    assert repr(place.reader.latest(found)) == repr(found.metrics)


def test_a_run_made_by_hand(place: Place, tenant: str) -> None:
    mlflow_id = place.by_hand(f"{tenant}/hand", run_name="hand-made", start_time=START)
    found = place.run(mlflow_id)
    assert (found.run_id, found.mlflow_run_id, found.tenant_id) == (mlflow_id, mlflow_id, tenant)
    assert (found.experiment_id, found.name) == (identity.experiment_id(tenant, "hand"), "hand-made")
    assert (found.status, found.start_time, found.end_time) == ("RUNNING", START, None)
    assert found == place.reader.run([tenant], mlflow_id)


def test_runs_are_found_by_every_spelling_of_their_id_and_by_mlflows(place: Place, tenant: str) -> None:
    who = producer(tenant)
    place.apply(who.created())
    ours = identity.new_run_id()
    labels = {tags.run_lookup(ours): "1", tags.RUN_ID: ours, tags.TENANT_ID: tenant}
    other = place.by_hand(f"{tenant}/e", tags=labels)
    for which in spelled(who.run_id):
        assert place.run(which).run_id == who.run_id
    for which in (*spelled(ours), other, other.upper()):
        assert (place.run(which).run_id, place.run(which).mlflow_run_id) == (ours, other)
    wanted = tuple(spelled(who.run_id)[:2] + spelled(ours)[1:3])
    assert set(ids(listed(place, tenant, run_ids=wanted).items)) == {who.run_id, ours}


def test_a_run_has_no_end_while_it_runs(place: Place, tenant: str) -> None:
    who = producer(tenant)
    place.apply(who.created(), who.ended())
    assert place.run(who.run_id).end_time == START + 1000
    place.client.update_run(who.run_id, "RUNNING")
    assert place.run(who.run_id).end_time is None


def test_a_long_name_of_a_run_is_whole(place: Place, tenant: str) -> None:
    name = "ñ" * 250 + "-the-rest"
    who, other = producer(tenant), producer(tenant)
    place.apply(who.created(run_name=name), other.created(run_name=name[:250]))
    assert place.run(who.run_id).name == name
    home = place.experiment(tenant, "e")
    assert ids(place.reader.runs_named(home, name)) == [who.run_id]
    assert ids(place.reader.runs_named(home, name[:250])) == [other.run_id]
    assert place.reader.table(home).names == [run.name for run in listed(place, tenant).items]
    place.client.update_run(who.run_id, name="short")
    assert place.run(who.run_id).name == "short"


def test_deleted_runs_and_runs_of_deleted_experiments_are_deleted(place: Place, tenant: str) -> None:
    alone, inside, kept = producer(tenant), producer(tenant, "gone"), producer(tenant)
    place.apply(alone.created(), inside.created(), kept.created(), alone.deleted())
    home = place.experiment(tenant, "gone")
    place.client.delete_experiment(home.mlflow_id)
    home = place.experiment(tenant, "gone")
    for who, stage in ((alone, "deleted"), (inside, "deleted"), (kept, "active")):
        assert place.run(who.run_id).stage == stage
    assert ids(listed(place, tenant).items) == [kept.run_id]
    assert set(ids(listed(place, tenant, stage="deleted").items)) == {alone.run_id, inside.run_id}
    assert listed(place, tenant, stage="all").total == 3
    assert listed(place, tenant, experiment_id=home.experiment_id).total == 0
    assert listed(place, tenant, experiment_id=home.experiment_id, stage="deleted").total == 1
    assert place.reader.table(home).run_ids == []
    assert place.reader.runs_named(home, place.run(inside.run_id).name) == []
    assert place.reader.table(place.experiment(tenant, "e")).run_ids == [kept.run_id]


def test_twins_are_never_found(place: Place, tenant: str) -> None:
    who = producer(tenant)
    place.apply(who.created(run_name="one"), who.log(Entry({"m": 1.0})), who.ended())
    labels = {tags.run_lookup(who.run_id): "1", tags.RUN_ID: who.run_id, tags.TENANT_ID: tenant}
    twin = place.by_hand(f"{tenant}/e", run_name="one", tags={**labels, tags.DUPLICATE_OF: who.run_id}, start_time=1)
    place.client.log_metric(twin, "m", 9.0)
    place.client.set_terminated(twin)
    home = place.experiment(tenant, "e")
    assert place.reader.run(None, twin) is None
    assert place.run(who.run_id).mlflow_run_id == who.run_id
    for tenants in ([tenant], None):
        for wanted in (None, (who.run_id, twin)):
            query = RunQuery(experiment_id=home.experiment_id, run_ids=wanted, stage="all")
            assert place.reader.runs(tenants, query).total == 1
            assert ids(place.reader.runs(tenants, query).items) == [who.run_id]
    assert listed(place, tenant, stage="all").total == 1
    assert ids(place.reader.runs_named(home, "one")) == [who.run_id]
    assert place.reader.table(home).metrics == {"m": [1.0]}
    assert place.reader.table(home, [twin]).run_ids == []
    assert place.reader.summaries([home])[home.experiment_id] == ExperimentSummary(1, {"m": (1.0, 1.0)})


# Tenants


def test_another_tenants_objects_are_as_if_they_did_not_exist(place: Place, tenant: str) -> None:
    who = producer(tenant)
    place.apply(who.created(run_name="r"))
    home = place.experiment(tenant, "e")
    other = f"{tenant}-other"
    for which in (home.experiment_id, home.mlflow_id):
        assert place.reader.experiment([other], which) is None
        assert listed(place, other, experiment_id=which).total == 0
    assert place.reader.experiment_named(other, "e") is None
    assert place.reader.experiment_named(other, f"{tenant}/e") is None
    assert place.reader.experiments([other], ExperimentQuery(stage="all")).total == 0
    assert place.reader.run([other], who.run_id) is None
    assert listed(place, other, stage="all").total == 0
    assert listed(place, other, run_ids=(who.run_id,)).total == 0
    for tenants in ([tenant], [other, tenant], None):
        assert place.reader.experiment(tenants, home.experiment_id) == home
        assert place.reader.run(tenants, who.run_id) == place.run(who.run_id)
        assert place.reader.runs(tenants, RunQuery(experiment_id=home.experiment_id)).total == 1
    assert place.reader.experiment([], home.experiment_id) is None
    assert place.reader.run([], who.run_id) is None
    assert place.reader.runs([], RunQuery()).total == 0


def test_a_tenants_name_that_begins_as_anothers_is_another(place: Place, tenant: str) -> None:
    place.create(f"{tenant}x", "e")
    assert place.reader.experiments([tenant], ExperimentQuery()).total == 0
    assert place.reader.experiments([tenant.upper()], ExperimentQuery()).total == 0


def test_a_tag_says_whose_a_run_is_before_its_experiment(place: Place, tenant: str) -> None:
    own = place.by_hand(f"{tenant}/e", start_time=3)
    lent = place.by_hand(f"{tenant}/e", tags={tags.TENANT_ID: f"{tenant}-b"}, run_name="lent", start_time=2)
    empty = place.by_hand(f"{tenant}/e", tags={tags.TENANT_ID: ""}, start_time=1)
    home = place.experiment(tenant, "e")
    assert place.run(lent).tenant_id == f"{tenant}-b"
    assert place.reader.run([tenant], lent) is None
    for given in ({}, {"experiment_id": home.experiment_id}):
        found = listed(place, tenant, **given)
        assert (ids(found.items), found.total) == ([own, empty], 2)
    assert ids(listed(place, f"{tenant}-b").items) == [lent]
    assert listed(place, f"{tenant}-b", experiment_id=home.experiment_id).total == 0
    both = place.reader.runs([tenant, f"{tenant}-b"], RunQuery())
    assert (ids(both.items), both.total) == ([own, lent, empty], 3)
    assert place.reader.runs(None, RunQuery(experiment_id=home.experiment_id)).total == 3
    assert place.reader.runs_named(home, "lent") == []
    assert place.reader.table(home).run_ids == [own, empty]
    assert place.reader.summaries([home])[home.experiment_id].run_count == 2
    place.client.delete_experiment(home.mlflow_id)
    assert listed(place, f"{tenant}-b").total == 0
    assert ids(listed(place, f"{tenant}-b", stage="deleted").items) == [lent]


# Lists of runs


def test_runs_are_filtered_counted_and_paged(place: Place, tenant: str) -> None:
    made = [producer(tenant, f"e{number % 2}", attempt=START + number) for number in range(9)]
    for number, who in enumerate(made):
        place.apply(who.created(), *([who.ended("FINISHED" if number < 5 else "KILLED")] if number < 7 else []))
    newest = [who.run_id for who in made[::-1]]
    assert ids(listed(place, tenant).items) == newest
    assert listed(place, tenant).total == 9
    first = identity.experiment_id(tenant, "e0")
    assert ids(listed(place, tenant, experiment_id=first).items) == newest[::2]
    for status, count in (("FINISHED", 5), ("KILLED", 2), ("RUNNING", 2), ("FAILED", 0)):
        assert listed(place, tenant, status=status).total == count
    assert ids(listed(place, tenant, status="FINISHED", experiment_id=first).items) == newest[4::2]
    assert listed(place, tenant, run_ids=()).total == 0
    wanted = (newest[0], newest[5], identity.new_run_id())
    assert ids(listed(place, tenant, run_ids=wanted).items) == [newest[0], newest[5]]
    pages = [listed(place, tenant, limit=4, offset=offset) for offset in (0, 4, 8, 12)]
    assert [page.total for page in pages] == [9] * 4
    assert [run for page in pages for run in ids(page.items)] == newest
    assert listed(place, tenant, limit=0).items == []


def test_listed_runs_are_whole(place: Place, tenant: str) -> None:
    for number in range(3):
        who = producer(tenant, attempt=START + number)
        place.apply(who.created(), who.log(Entry({"a": float(number), "b": math.inf}, {"p": str(number)}, {"t": "x"})))
    for run in listed(place, tenant).items:
        assert run == place.run(run.run_id)
        assert (len(run.metrics), len(run.params), run.tags["t"]) == (2, 1, "x")


def test_runs_by_name_are_those_of_exactly_this_name(place: Place, tenant: str) -> None:
    made = [producer(tenant, attempt=START + number) for number in range(24)]
    place.apply(*(who.created(run_name="same") for who in made))
    place.apply(made[23].deleted())
    strangers = [producer(tenant), producer(tenant), producer(tenant, "elsewhere")]
    place.apply(*(who.created(run_name=name) for who, name in zip(strangers, ("Same", "same ", "same"), strict=True)))
    home = place.experiment(tenant, "e")
    assert ids(place.reader.runs_named(home, "same")) == [who.run_id for who in made[22:2:-1]]
    assert place.reader.runs_named(home, "s_me") == []
    assert place.reader.runs_named(home, "\x00") == []


# Tables


def test_a_table_holds_runs_in_columns(place: Place, tenant: str) -> None:
    rows = [({"a": 1.0, "b": math.nan}, {"p": "1"}), ({"a": -math.inf}, {"q": "ü,\"{}'\\"}), ({}, {"p": ""}), ({}, {})]
    made = []
    for number, (metrics, params) in enumerate(rows):
        who = producer(tenant, attempt=START - number)
        place.apply(
            who.created(run_name=f"r{number}"), who.log(Entry(metrics, params, {"t": "v"})), who.ended("KILLED")
        )
        made.append(who.run_id)
    home = place.experiment(tenant, "e")
    table = place.reader.table(home)
    assert (table.run_ids, table.names, table.statuses) == (made, ["r0", "r1", "r2", "r3"], ["KILLED"] * 4)
    assert repr(table.metrics) == repr({"a": [1.0, -math.inf, None, None], "b": [math.nan, None, None, None]})
    assert table.params == {"p": ["1", None, "", None], "q": [None, "ü,\"{}'\\", None, None]}
    some = place.reader.table(home, [made[2], made[0], identity.new_run_id(), "\x00"], ["b", "none", "\x00"], ["q"])
    assert (some.run_ids, some.names) == ([made[0], made[2]], ["r0", "r2"])
    assert repr(some.metrics) == repr({"b": [math.nan, None]})
    assert some.params == {}
    assert place.reader.table(home, spelled(made[1])).run_ids == [made[1]]
    nothing = place.reader.table(home, [], [], [])
    assert (nothing.run_ids, nothing.metrics, nothing.params) == ([], {}, {})
    keyless = place.reader.table(home, metrics=[], params=["p"])
    assert (keyless.metrics, keyless.params) == ({}, {"p": ["1", None, "", None]})
    place.create(tenant, "empty")
    assert place.reader.table(place.experiment(tenant, "empty")).run_ids == []


# Histories


def test_a_history_is_in_order_and_ranges_hold_their_ends(place: Place, tenant: str) -> None:
    who = producer(tenant)
    steps = [3, -2, 0, 3, 2**63 - 1, 7, -(2**63)]
    entries = [Entry({"m/x": float(n)}, step=step, time=START + n) for n, step in enumerate(steps)]
    entries += [Entry({"m/x": math.nan}, step=7, time=START + 99), Entry({"m/x": -1.0}, step=0, time=START + 2)]
    place.apply(who.created(), who.log(*entries, Entry({"other": 1.0})))
    run = place.run(who.run_id)
    history = place.reader.history(run, "m/x")
    keys = [(point.step, point.timestamp, point.value) for point in history.points]
    assert history.total == 9
    assert [(step, time) for step, time, _ in keys] == sorted((entry.step, entry.time) for entry in entries)
    assert [value for step, _, value in keys if step == 0] == [-1.0, 2.0]
    assert {repr(point) for point in history.points} == {
        repr(MetricPoint("m/x", entry.metrics["m/x"], entry.time, entry.step)) for entry in entries
    }
    for least, greatest, count in ((0, 3, 4), (None, -2, 2), (7, None, 3), (4, 6, 0), (3, 3, 2)):
        part = place.reader.history(run, "m/x", None, least, greatest)
        assert (part.total, len(part.points)) == (count, count)
        assert repr(part) == repr(place.reader.history(run, "m/x", 100, least, greatest))
    for nothing in ("unknown", "\x00", ""):
        assert place.reader.history(run, nothing) == place.reader.history(run, nothing, 4)
        assert (place.reader.history(run, nothing).points, place.reader.history(run, nothing).total) == ([], 0)


def test_the_latest_point_is_the_one_that_mlflow_computes_read_anew(place: Place, tenant: str) -> None:
    who = producer(tenant)
    place.apply(
        who.created(), who.log(Entry({"m": 5.0}, step=2, time=START), Entry({"m": 1.0}, step=1, time=START + 9))
    )
    before = place.run(who.run_id)
    assert place.reader.latest(before) == {"m": MetricPoint("m", 5.0, START, 2)} == before.metrics
    place.client.log_metric(before.mlflow_run_id, "m", 0.5, timestamp=START + 20, step=3)
    place.client.log_metric(before.mlflow_run_id, "n", 1.0, timestamp=START, step=0)
    assert place.reader.latest(before) == {
        "m": MetricPoint("m", 0.5, START + 20, 3),
        "n": MetricPoint("n", 1.0, START, 0),
    }
