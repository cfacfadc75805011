"""The reader over MLflow's public API, sentence by sentence of the contract, on a real server."""

from __future__ import annotations

import math
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from matih_schemas import tags
from matih_schemas.identity import experiment_id, new_run_id
from matih_tracking.reading.errors import NotReadable
from matih_tracking.reading.queries import ExperimentQuery, RunQuery, SortKey
from matih_tracking.reading.rest import RestReader, limits
from matih_tracking.reading.views import MetricPoint

T0 = 1_700_000_000_000


@pytest.fixture
def reader(mlflow_url):
    reader = RestReader(mlflow_url, 20)
    yield reader
    reader.close()


def test_it_reads_from_a_server_only():
    with pytest.raises(NotReadable, match="not http"):
        RestReader("sqlite:///x.db", 5)
    with pytest.raises(NotReadable, match="no address"):
        RestReader("http://host:port", 5).check()


def test_check(reader):
    reader.check()


def test_an_experiment_is_found_by_our_id_an_alias_and_mlflows_number(reader, seed):
    number = seed.experiment("one/two", **{"mlflow.note.content": "why", "mine": "1", "matih.position.c.t.0": "x"})
    seed.client.set_experiment_tag(number, tags.experiment_lookup(seed.ours("older")), "1")
    ours = seed.ours("one/two")
    found = reader.experiment([seed.tenant], ours)
    assert found is not None
    assert (found.experiment_id, found.mlflow_id, found.tenant_id) == (ours, number, seed.tenant)
    assert (found.name, found.stage, found.description) == ("one/two", "active", "why")
    assert found.tags["mine"] == "1"
    assert not any(key.startswith("matih.position.") for key in found.tags)
    stored = seed.client.get_experiment(number)
    assert (found.created_at, found.last_updated) == (stored.creation_time, stored.last_update_time)
    assert found.artifact_location == stored.artifact_location
    plain = uuid.UUID(ours).hex
    for which in (plain, plain.upper(), ours.upper(), number, seed.ours("older")):
        assert reader.experiment([seed.tenant, "other"], which) == found
        assert reader.experiment(None, which) == found
    for which in (ours, number, seed.ours("older")):
        assert reader.experiment(["other"], which) is None
        assert reader.experiment([], which) is None
    for which in (seed.ours("no such"), "999999999", "", "what?", "\x00", "7" * 40):
        assert reader.experiment([seed.tenant], which) is None


def test_a_deleted_experiment_is_found_and_says_so(reader, seed):
    seed.client.delete_experiment(seed.experiment("gone"))
    for found in (reader.experiment(None, seed.ours("gone")), reader.experiment_named(seed.tenant, "gone")):
        assert found is not None
        assert found.stage == "deleted"


def test_an_experiment_made_by_hand_has_the_id_that_it_will_get(reader, seed):
    number = seed.experiment("by hand", by_hand=True)
    bare = seed.client.create_experiment(f"bare {seed.tenant}")
    found = reader.experiment([seed.tenant], seed.ours("by hand"))
    assert found is not None
    assert (found.mlflow_id, found.tenant_id, found.name) == (number, seed.tenant, "by hand")
    found = reader.experiment(["default"], experiment_id("default", f"bare {seed.tenant}"))
    assert found is not None
    assert (found.mlflow_id, found.tenant_id) == (bare, "default")
    assert reader.experiment(["other"], seed.ours("by hand")) is None


def test_an_experiment_is_found_by_its_name_now_and_the_one_before(reader, seed):
    number = seed.experiment("before")
    seed.client.rename_experiment(number, f"{seed.tenant}/now")
    long = "long " * 60
    cut = seed.experiment(long)
    assert [reader.experiment_named(seed.tenant, name).mlflow_id for name in ("now", "before", long)] == [
        number, number, cut
    ]  # fmt: skip
    assert reader.experiment_named(seed.tenant, long).name == long
    newer = seed.client.create_experiment(f"{seed.tenant}/before")
    assert reader.experiment_named(seed.tenant, "before").mlflow_id == newer
    for tenant, name in ((seed.tenant, "never"), ("other", "now"), (seed.tenant, ""), (seed.tenant, "a\x00b")):
        assert reader.experiment_named(tenant, name) is None


def test_experiments_are_listed_newest_first_by_stage_and_part_of_their_name(reader, seed):
    numbers = [seed.experiment(name) for name in ("Alpha_1", "alpha%2", "alphaX1", "beta", "ALPHA ß")]
    seed.client.delete_experiment(numbers[2])
    foreign = seed.experiment(f"foreign {seed.tenant} alpha", tenant="other-" + seed.tenant)

    def listed(tenants=(seed.tenant,), **query):
        page = reader.experiments(tenants, ExperimentQuery(**query))
        return [view.mlflow_id for view in page.items], page.total

    a, b, c, d, e = numbers
    assert listed() == ([e, d, b, a], 4)
    assert listed(limit=2, offset=1) == ([d, b], 4)
    assert listed(offset=9) == ([], 4)
    assert listed(stage="deleted") == ([c], 1)
    assert listed(stage="all", search="alpha") == ([e, c, b, a], 4)
    assert listed(search="_1") == ([a], 1)
    assert listed(search="%") == ([b], 1)
    assert listed(search="a ß") == ([e], 1)
    assert listed(search=seed.tenant) == ([], 0)
    assert listed([seed.tenant, "other-" + seed.tenant], search="alpha") == ([foreign, e, b, a], 4)
    assert listed([]) == ([], 0)
    assert listed(None, search=f"foreign {seed.tenant}") == ([foreign], 1)


def test_a_tenant_whose_name_is_a_pattern_sees_its_own_only(reader, seed):
    own, other = f"{seed.tenant}_x", f"{seed.tenant}-x"
    number = seed.experiment("e", tenant=own)
    seed.experiment("e", tenant=other)
    renamed = seed.experiment("r", tenant=own)
    seed.client.rename_experiment(renamed, f"moved by hand {seed.tenant}")
    page = reader.experiments([own], ExperimentQuery())
    assert [view.mlflow_id for view in page.items] == [renamed, number]


def test_a_run_is_found_by_our_id_and_mlflows(reader, seed):
    experiment = seed.experiment("e")
    ours = seed.run(
        experiment, T0, "one", end=("FAILED", T0 + 1500), metrics={"m": 0.5, "n": math.nan, "i": -math.inf},
        params={"p": "1"}, stored={"mine": "x"},
    )  # fmt: skip
    (stored,) = seed.client.search_runs([experiment])
    found = reader.run([seed.tenant], ours)
    assert found is not None
    assert (found.run_id, found.mlflow_run_id, found.tenant_id) == (ours, stored.info.run_id, seed.tenant)
    assert (found.experiment_id, found.mlflow_experiment_id) == (seed.ours("e"), experiment)
    assert (found.name, found.status, found.start_time, found.end_time) == ("one", "FAILED", T0, T0 + 1500)
    assert (found.stage, found.artifact_uri) == ("active", stored.info.artifact_uri)
    assert (found.tags, found.params) == (stored.data.tags, {"p": "1"})
    assert found.metrics["m"] == MetricPoint("m", 0.5, T0, 0)
    assert math.isnan(found.metrics["n"].value)
    assert found.metrics["i"].value == -math.inf
    assert reader.latest(found)["m"] == MetricPoint("m", 0.5, T0, 0)
    seed.log(stored.info.run_id, "m", [(0.7, T0 + 5, 2)])
    assert reader.latest(found)["m"] == MetricPoint("m", 0.7, T0 + 5, 2)
    dashed = str(uuid.UUID(ours))
    for which in (ours.upper(), dashed, dashed.upper(), stored.info.run_id):
        assert reader.run([seed.tenant], which).mlflow_run_id == stored.info.run_id
        assert reader.run(None, which) is not None
        assert reader.run(["other"], which) is None
    assert reader.run(["other"], ours) is None
    for which in (new_run_id(), "", "no/run", "\x00", "x'y"):
        assert reader.run([seed.tenant], which) is None


def test_a_run_made_by_hand_has_mlflows_id_and_the_tenant_of_its_experiment(reader, seed):
    run = seed.run(seed.experiment("h", by_hand=True), T0, by_hand=True)
    found = reader.run([seed.tenant], run)
    assert found is not None
    assert (found.run_id, found.tenant_id, found.experiment_id) == (run, seed.tenant, seed.ours("h"))
    assert (found.status, found.end_time) == ("RUNNING", None)
    assert reader.run(["other"], run) is None


def test_deleted_runs_are_found_and_so_are_those_of_deleted_experiments(reader, seed):
    kept, gone = seed.experiment("kept"), seed.experiment("gone")
    one, two = seed.run(kept, T0), seed.run(gone, T0)
    seed.client.delete_run(reader.run(None, one).mlflow_run_id)
    seed.client.delete_experiment(gone)
    assert [reader.run([seed.tenant], run).stage for run in (one, two)] == ["deleted", "deleted"]


def test_a_twin_is_never_found(reader, seed):
    experiment = seed.experiment("twins")
    run = seed.run(experiment, T0, "same")
    first = reader.run([seed.tenant], run)
    hidden = {**first.tags, tags.DUPLICATE_OF: first.mlflow_run_id}
    twin = seed.client.create_run(experiment, start_time=T0 - 5, tags=hidden, run_name="same").info.run_id
    assert reader.run([seed.tenant], run).mlflow_run_id == first.mlflow_run_id
    assert RestReader(reader._http.base, 20).run(None, run).mlflow_run_id == first.mlflow_run_id
    assert reader.run([seed.tenant], twin) is None
    page = reader.runs([seed.tenant], RunQuery(stage="all"))
    assert [found.mlflow_run_id for found in page.items] == [first.mlflow_run_id]
    home = reader.experiment(None, seed.ours("twins"))
    assert reader.table(home).run_ids == [run]
    assert reader.summaries([home])[home.experiment_id].run_count == 1
    assert [found.mlflow_run_id for found in reader.runs_named(home, "same")] == [first.mlflow_run_id]


def test_runs_are_listed_by_every_key_with_what_is_missing_last(reader, seed):
    experiment = seed.experiment("sorted")
    a = seed.run(experiment, T0 + 1, "a", end=("FINISHED", T0 + 10), metrics={"m": 2.0}, params={"p": "b"})
    b = seed.run(experiment, T0 + 2, "c", end=("FAILED", T0 + 4), metrics={"m": math.nan}, stored={"odd key": "1"})
    c = seed.run(experiment, T0 + 3, "b", metrics={"m": -1.0}, params={"p": "B"})
    d = seed.run(experiment, T0 + 4, "b", end=("FINISHED", T0 + 13), stored={"odd key": "2"})
    e = seed.run(experiment, T0 + 4, "b", metrics={"m": math.inf})
    names = {a: "a", b: "b", c: "c", d: "d", e: "e"}
    low, high = ("d", "e") if d < e else ("e", "d")

    def order(kind, key, descending):
        query = RunQuery(experiment_id=seed.ours("sorted"), sort=SortKey(kind, key, descending))
        page = reader.runs([seed.tenant], query)
        assert page.total == 5
        return "".join(names[run.run_id] for run in page.items)

    assert order("attribute", "start_time", True) == f"{high}{low}cba"
    assert order("attribute", "start_time", False) == f"abc{low}{high}"
    assert order("attribute", "end_time", True) == "dabec"
    assert order("attribute", "end_time", False) == "badce"
    assert order("attribute", "duration", True) == "dabec"
    assert order("attribute", "duration", False) == "badce"
    assert order("attribute", "status", False) == "badce"
    assert order("attribute", "name", True) == f"b{high}{low}ca"
    assert order("metric", "m", True) == "eacdb"
    assert order("metric", "m", False) == "caebd"
    assert order("metric", "none", True) == f"{high}{low}cba"
    assert order("param", "p", True) == f"ac{high}{low}b"
    assert order("param", "p", False) == f"cab{low}{high}"
    assert order("tag", "odd key", True) == "dbeca"


def test_runs_are_listed_by_page_experiment_status_stage_and_ids(reader, seed, mlflow_url):
    one, two = seed.experiment("one"), seed.experiment("two")
    first = [seed.run(one, T0 + i, end=("FINISHED" if i % 2 else "KILLED", T0 + 9)) for i in range(4)]
    second = seed.run(two, T0 + 10)
    foreign = seed.run(seed.experiment("one", tenant="other-" + seed.tenant), T0, tenant="other-" + seed.tenant)
    seed.client.delete_run(reader.run(None, first[0]).mlflow_run_id)
    gone = seed.experiment("gone")
    third = seed.run(gone, T0 + 20)
    seed.client.delete_experiment(gone)

    def listed(tenants=(seed.tenant,), **query):
        page = reader.runs(tenants, RunQuery(**query))
        return [run.run_id for run in page.items], page.total

    active = [second, first[3], first[2], first[1]]
    assert listed() == (active, 4)
    assert listed(limit=2, offset=1) == (active[1:3], 4)
    assert listed(stage="deleted") == ([third, first[0]], 2)
    assert listed(stage="all") == ([third, *active, first[0]], 6)
    assert listed(experiment_id=seed.ours("one")) == (active[1:], 3)
    assert listed(experiment_id=one) == (active[1:], 3)
    assert listed(experiment_id=seed.ours("gone")) == ([], 0)
    assert listed(experiment_id=seed.ours("gone"), stage="all") == ([third], 1)
    assert listed(experiment_id=seed.ours("none")) == ([], 0)
    assert listed(["other"], experiment_id=seed.ours("one")) == ([], 0)
    assert listed(status="FINISHED") == ([first[3], first[1]], 2)
    assert listed(status="finished' OR '1'='1") == ([], 0)
    ids = (first[1], first[0], second, foreign, new_run_id(), "x'y")
    assert listed(run_ids=ids) == ([second, first[1]], 2)
    assert listed(run_ids=ids, stage="all") == ([second, first[1], first[0]], 3)
    assert listed(run_ids=ids, status="FINISHED") == ([first[1]], 1)
    assert listed(run_ids=()) == ([], 0)
    assert listed([seed.tenant, "other-" + seed.tenant], run_ids=ids)[1] == 3
    fresh = RestReader(mlflow_url, 20)  # that has seen none of them
    assert fresh.runs([seed.tenant], RunQuery(run_ids=ids)).total == 2


def test_runs_of_exactly_this_name(reader, seed):
    experiment = seed.experiment("named")
    long = "n" * 250 + " and more"
    runs = [seed.run(experiment, T0 + i, "twenty") for i in range(22)]
    odd = [seed.run(experiment, T0, name) for name in ("it's", '"it\'s"', "Twenty", "a\\b")]
    whole = seed.run(experiment, T0, long[:250], stored={tags.RUN_NAME: long})
    seed.client.delete_run(reader.run(None, runs[21]).mlflow_run_id)
    home = reader.experiment([seed.tenant], seed.ours("named"))

    def named(name):
        return [run.run_id for run in reader.runs_named(home, name)]

    assert named("twenty") == runs[20:0:-1]
    assert [named(name) for name in ("it's", '"it\'s"', "Twenty", "a\\b")] == [[run] for run in odd]
    assert named(long) == [whole]
    assert reader.run(None, whole).name == long
    assert [named(name) for name in ("twent", "", "\x00", long[:250])] == [[], [], [], []]


def test_a_table_has_the_runs_in_columns(reader, seed):
    experiment = seed.experiment("table")
    a = seed.run(experiment, T0, "a", end=("FINISHED", T0 + 1), metrics={"m": 1.0, "x": math.nan}, params={"p": "1"})
    b = seed.run(experiment, T0 + 1, "b", metrics={"m": math.inf}, params={"q": "2"})
    c = seed.run(experiment, T0 + 2, "c")
    seed.client.delete_run(reader.run(None, c).mlflow_run_id)
    foreign = seed.run(seed.experiment("other"), T0)
    home = reader.experiment(None, seed.ours("table"))
    table = reader.table(home)
    assert (table.run_ids, table.names, table.statuses) == ([b, a], ["b", "a"], ["RUNNING", "FINISHED"])
    assert table.metrics["m"] == [math.inf, 1.0]
    assert table.metrics["x"][0] is None
    assert math.isnan(table.metrics["x"][1])
    assert table.params == {"p": [None, "1"], "q": ["2", None]}
    some = reader.table(home, run_ids=[str(uuid.UUID(a)), foreign, c, new_run_id()], metrics=["m", "z"], params=[])
    assert (some.run_ids, some.metrics, some.params) == ([a], {"m": [1.0]}, {})
    assert reader.table(home, run_ids=[]).run_ids == []
    many = reader.table(home, run_ids=[a, *(new_run_id() for _ in range(limits.LOOKUPS_MAX + 1))])
    assert many.run_ids == [a]


def test_summaries_count_and_know_the_best(reader, seed):
    one, two, gone = (seed.experiment(name) for name in ("one", "two", "gone"))
    seed.run(one, T0, end=("FINISHED", T0 + 1), metrics={"m": 1.0, "n": math.nan, "i": math.inf})
    seed.run(one, T0, end=("FINISHED", T0 + 1), metrics={"m": 3.0})
    seed.run(one, T0, end=("FAILED", T0 + 1), metrics={"m": 9.0})
    seed.client.delete_run(reader.run(None, seed.run(one, T0, end=("FINISHED", 9), metrics={"m": -9.0})).mlflow_run_id)
    seed.run(gone, T0)
    seed.client.delete_experiment(gone)
    homes = reader.experiments([seed.tenant], ExperimentQuery(stage="all")).items
    found = reader.summaries(homes)
    assert {key: value.run_count for key, value in found.items()} == {
        seed.ours("one"): 3, seed.ours("two"): 0, seed.ours("gone"): 0
    }  # fmt: skip
    assert found[seed.ours("one")].best == {"m": (3.0, 1.0), "i": (math.inf, math.inf)}
    assert reader.summaries([]) == {}
    assert two


def test_a_history_is_sorted_bounded_and_thinned(reader, seed, monkeypatch):
    run = reader.run(None, seed.run(seed.experiment("h"), T0))
    points = [(math.sin(i / 9) + (5 if i == 600 else 0), T0 + 5000 - i, i - 100) for i in range(1500)]
    points += [(math.nan, T0, 2000), (math.inf, T0 + 1, 2000), (-0.5, T0, -(2**63))]
    seed.log(run.mlflow_run_id, "odd/key a", points)
    key = "odd/key a"
    monkeypatch.setattr(limits, "POINTS_PAGE", 400)
    whole = reader.history(run, key)
    wanted = sorted(((MetricPoint(key, *item)) for item in points), key=lambda item: (item.step, item.timestamp))
    assert list(map(repr, whole.points)) == list(map(repr, wanted))
    assert whole.total == len(points)
    some = reader.history(run, key, from_step=10, to_step=20)
    assert [item.step for item in some.points] == list(range(10, 21))
    assert some.total == 11
    thin = reader.history(run, key, max_points=50)
    assert len(thin.points) <= 50
    assert thin.total == len(points)
    assert repr(thin.points[0]) == repr(whole.points[0])
    assert repr(thin.points[-1]) == repr(whole.points[-1])
    assert max(item.value for item in thin.points if item.value < 100) == pytest.approx(points[600][0])
    assert set(map(repr, thin.points)) <= set(map(repr, whole.points))
    assert (
        reader.history(run, "none").points == reader.history(run, "").points == reader.history(run, "\x00").points == []
    )
    monkeypatch.setattr(limits, "POINTS_MAX", 500)
    with pytest.raises(NotReadable, match=r"more than 500 metrics.*postgresql://"):
        reader.history(run, key)


def test_more_than_the_limits_is_told_with_the_remedy(reader, seed, monkeypatch):
    experiment = seed.experiment("many")
    for i in range(5):
        seed.run(experiment, T0 + i)
    home = reader.experiment(None, seed.ours("many"))
    monkeypatch.setattr(limits, "PAGE", 2)
    assert reader.runs([seed.tenant], RunQuery()).total == 5
    monkeypatch.setattr(limits, "RUNS_MAX", 4)
    for ask in (lambda: reader.runs([seed.tenant], RunQuery()), lambda: reader.table(home)):
        with pytest.raises(NotReadable, match=r"more than 4 runs.*MLFLOW_TRACKING_URI=postgresql://"):
            ask()
    monkeypatch.setattr(limits, "EXPERIMENTS_MAX", 1)
    with pytest.raises(NotReadable, match="more than 1 experiments"):
        reader.experiments(None, ExperimentQuery())


def test_a_search_is_mlflows_own_in_the_tenants_experiments(reader, seed, monkeypatch):
    one, two = seed.experiment("one"), seed.experiment("two")
    runs = [seed.run(one, T0 + i, metrics={"m": i}) for i in range(5)]
    other = seed.run(two, T0, metrics={"m": 9})
    seed.run(seed.experiment("one", tenant="other-" + seed.tenant), T0, tenant="other", metrics={"m": 9})
    monkeypatch.setattr(limits, "PAGE", 2)

    def searched(*arguments, **options):
        return [run.run_id for run in reader.search(seed.tenant, *arguments, **options)]

    assert searched("metrics.m > 2", ["metrics.m ASC"]) == [runs[3], runs[4], other]
    assert searched(names=["one", "none"]) == runs[::-1]
    assert searched(names=[]) == []
    assert searched(max_results=3, order_by=["metrics.m DESC"]) == [other, runs[4], runs[3]]
    with pytest.raises(NotReadable, match=r"MLflow at http://.* refuses the question: "):
        searched("colour = blue")


def test_many_threads_may_ask(reader, seed):
    experiment = seed.experiment("threads")
    runs = [seed.run(experiment, T0 + i) for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda run: reader.run([seed.tenant], run).run_id, runs * 4))
    assert found == runs * 4
