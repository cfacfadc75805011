"""`/api/v1/ml/experiments` and the runs in one, clause by clause: each test's name is the clause."""

from __future__ import annotations

from typing import Any

import pytest
from tests.api.calls import ML, RUNS, V1, Calls, good, locs, made, problem
from tests.waiting import until

SHAPE = {"id", "name", "description", "tags", "run_count", "best_metric", "status", "created_at"}
RUN_SHAPE = {"run_id", "name", "status", "parameters", "metrics", "duration_seconds", "created_at"}


def listed(calls: Calls, experiment: str, **params: Any) -> list[str]:
    """The names of an experiment's runs, in the list's order."""
    return [run["name"] for run in good(calls.get(f"{ML}/{experiment}/runs", **params))["runs"]]


def runs_of(calls: Calls, **metrics: Any) -> str:
    """An experiment with a run for each name, which has logged its metrics and params (of the same name and value)."""
    home = calls.experiment()["id"]
    for name, values in metrics.items():
        run = calls.run(home, name=name)
        if values:
            calls.log(run, values, {key: str(value) for key, value in values.items()})
    return str(home)


def test_post_answers_201_with_exactly_these_fields(calls: Calls) -> None:
    body = {"name": "churn", "description": "who leaves", "tags": {"team": "growth"}}
    found = made(calls.post(ML, body))
    assert set(found) == SHAPE
    assert {key: found[key] for key in body} == body
    assert (found["run_count"], found["best_metric"], found["status"]) == (0, {}, "active")


def test_both_families_stand_on_the_same_ids(calls: Calls) -> None:
    first, second = calls.experiment("a", V1), calls.experiment("b", ML)
    for family in (V1, ML):
        assert {one["id"] for one in good(calls.get(family))["experiments"]} == {first["id"], second["id"]}
    assert good(calls.get(f"{V1}/{second['id']}"))["name"] == "b"


def test_list_by_tenant_id(calls: Calls) -> None:
    found = calls.experiment(family=ML)
    answer = good(calls.http.get(ML, params={"tenant_id": calls.tenant}))
    assert answer == {"experiments": [found], "total": 1, "limit": 100, "offset": 0}
    gone = calls.experiment("gone")
    calls.delete(f"{V1}/{gone['id']}")
    assert good(calls.get(ML))["experiments"] == [found]


def test_run_count_is_runs_not_deleted(calls: Calls) -> None:
    home = runs_of(calls, a={}, b={}, c={})
    gone = good(calls.get(RUNS))["runs"][0]["id"]
    assert good(calls.get(ML))["experiments"][0]["run_count"] == 3
    calls.delete(f"{RUNS}/{gone}")
    assert good(calls.get(ML))["experiments"][0]["run_count"] == 2
    calls.post(f"{RUNS}/{gone}/restore")
    assert good(calls.get(ML))["experiments"][0]["run_count"] == 3
    assert good(calls.get(f"{ML}/{home}/runs"))["total"] == 3


def best(calls: Calls) -> Any:
    return good(calls.get(ML))["experiments"][0]["best_metric"]


def test_best_metric_by_a_documented_order_over_completed_runs_none_empty(calls: Calls) -> None:
    home = calls.experiment()["id"]
    runs = [calls.run(home) for _ in range(3)]
    for run, f1 in zip(runs, (0.5, 0.75, 0.9), strict=True):
        calls.log(run, {"f1_score": f1, "loss": f1, "accuracy": 0.99})
    assert best(calls) == {}
    for run in runs[:2]:
        calls.ended(run)
    calls.ended(runs[2], "failed")
    until(lambda: best(calls) == {"f1_score": 0.75}, "the best of the completed runs")


def test_best_metric_loss_minimised(calls: Calls) -> None:
    home = calls.experiment()["id"]
    for loss in (0.5, 0.25, "NaN"):
        run = calls.run(home)
        calls.log(run, {"loss": loss})
        calls.ended(run)
    until(lambda: best(calls) == {"loss": 0.25}, "the least loss")


def test_best_metric_by_the_tags_primary_metric_and_its_goal(calls: Calls) -> None:
    home = calls.experiment(tags={"matih.primary_metric": "size", "matih.primary_metric_goal": "minimize"})["id"]
    for size in (3, 1, 2):
        run = calls.run(home)
        calls.log(run, {"size": size, "f1": size})
        calls.ended(run)
    until(lambda: best(calls) == {"size": 1.0}, "the least size")
    calls.patch(f"{V1}/{home}", {"tags": {"matih.primary_metric_goal": "maximize"}})
    assert best(calls) == {"size": 3.0}


def test_runs_with_exactly_these_fields(calls: Calls) -> None:
    home = calls.experiment()["id"]
    run = calls.run(home, name="baseline")
    params = {"lr": 0.001, "layers": 3, "code": "007", "flag": True, "opt": "adam", "big": "1e5", "neg": "-2"}
    calls.log(run, {"f1_score": 0.5, "loss": "NaN"}, params)
    calls.ended(run)
    answer = good(calls.get(f"{ML}/{home}/runs"))
    assert {key: answer[key] for key in ("total", "limit", "offset")} == {"total": 1, "limit": 50, "offset": 0}
    (found,) = answer["runs"]
    assert set(found) == RUN_SHAPE
    assert (found["run_id"], found["name"], found["status"]) == (run["id"], "baseline", "completed")
    assert found["metrics"] == {"f1_score": 0.5, "loss": "NaN"}
    assert found["created_at"] == run["start_time"]
    assert isinstance(found["duration_seconds"], float)


def test_parameters_that_are_json_numbers_come_as_numbers(calls: Calls) -> None:
    home = calls.experiment()["id"]
    texts = {"a": "0.001", "b": "3", "c": "007", "d": "True", "e": "1e5", "f": "-2", "g": "NaN", "h": " 1", "i": "1."}
    calls.log(calls.run(home), params=texts)
    found = good(calls.get(f"{ML}/{home}/runs"))["runs"][0]["parameters"]
    assert found == {**texts, "a": 0.001, "b": 3, "e": 1e5, "f": -2}
    assert isinstance(found["b"], int)


@pytest.mark.parametrize("sort_by", ["metrics.f1", "params.f1", "parameters.f1"])
def test_sort_by_metrics_and_params_missing_last_in_both_orders(calls: Calls, sort_by: str) -> None:
    home = runs_of(calls, middle={"f1": 0.5}, none={}, high={"f1": 0.9}, low={"f1": 0.1})
    assert listed(calls, home, sort_by=sort_by, order="desc") == ["high", "middle", "low", "none"]
    assert listed(calls, home, sort_by=sort_by, order="ASC") == ["low", "middle", "high", "none"]
    assert listed(calls, home, sort_by=sort_by) == ["high", "middle", "low", "none"]
    assert listed(calls, home, sort_by=sort_by, order="desc", limit=2, offset=1) == ["middle", "low"]


def test_sort_by_metrics_nan_last_in_both_orders_infinities_by_size(calls: Calls) -> None:
    home = runs_of(calls, nan={"f1": "NaN"}, inf={"f1": "Infinity"}, one={"f1": 1}, least={"f1": "-Infinity"})
    assert listed(calls, home, sort_by="metrics.f1", order="desc") == ["inf", "one", "least", "nan"]
    assert listed(calls, home, sort_by="metrics.f1", order="asc") == ["least", "one", "inf", "nan"]


def test_sort_by_with_backticks_for_odd_keys(calls: Calls) -> None:
    home = runs_of(calls, a={"val/f1 score": 0.1, "a.b": 2}, b={"val/f1 score": 0.2, "a.b": 1})
    for key, order in (("`val/f1 score`", ["b", "a"]), ("val/f1 score", ["b", "a"]), ("`a.b`", ["a", "b"])):
        assert listed(calls, home, sort_by=f"metrics.{key}") == order
        assert listed(calls, home, sort_by=f"params.{key}", order="asc") == order[::-1]


def test_sort_by_tags(calls: Calls) -> None:
    home = calls.experiment()["id"]
    for name, tags in (("b", {"team": "b"}), ("none", {}), ("a", {"team": "a"})):
        calls.run(home, name=name, tags=tags)
    assert listed(calls, home, sort_by="tags.team", order="asc") == ["a", "b", "none"]
    assert listed(calls, home, sort_by="tags.team", order="desc") == ["b", "a", "none"]


def test_sort_by_attributes(calls: Calls) -> None:
    home = calls.experiment()["id"]
    runs = {name: calls.run(home, name=name) for name in ("b", "c", "a")}
    calls.ended(runs["c"], "failed")
    calls.ended(runs["b"])
    assert listed(calls, home) == listed(calls, home, sort_by="start_time") == ["a", "c", "b"]
    assert listed(calls, home, sort_by="created_at", order="asc") == ["b", "c", "a"]
    assert listed(calls, home, sort_by="name", order="asc") == ["a", "b", "c"]
    calls.log(runs["b"], {"last": 1})
    calls.log(runs["c"], {"last": 1})  # MLflow has the ends
    assert listed(calls, home, sort_by="end_time", order="asc") == ["c", "b", "a"]
    assert listed(calls, home, sort_by="end_time", order="desc") == ["b", "c", "a"]
    assert listed(calls, home, sort_by="duration_seconds", order="asc") == ["c", "b", "a"]
    assert listed(calls, home, sort_by="duration_seconds", order="desc") == ["b", "c", "a"]
    assert listed(calls, home, sort_by="status", order="asc") == ["c", "b", "a"]  # FAILED, FINISHED, RUNNING
    assert listed(calls, home, status="completed") == listed(calls, home, status="FINISHED") == ["b"]


def test_sort_by_ties_by_start_time_then_run_id(calls: Calls) -> None:
    home = runs_of(calls, a={"f1": 1}, b={"f1": 1}, c={"f1": 1})
    assert listed(calls, home, sort_by="metrics.f1", order="asc") == ["a", "b", "c"]
    assert listed(calls, home, sort_by="metrics.f1", order="desc") == ["c", "b", "a"]


@pytest.mark.parametrize("bad", ["f1", "metrics.", "metrics", "metric.f1", "", "``"])
def test_sort_by_something_else_422(untouched: tuple[Calls, dict[str, Any]], bad: str) -> None:
    calls, run = untouched
    home = run["experiment_id"]
    assert locs(calls.get(f"{ML}/{home}/runs", sort_by=bad)) == [["query", "sort_by"]]
    assert locs(calls.get(f"{ML}/{home}/runs", order="up")) == [["query", "order"]]
    assert listed(calls, home, sort_by="metrics.nobody_logged") == [run["name"]]


def test_runs_of_an_unknown_experiment_404(calls: Calls) -> None:
    problem(calls.get(f"{ML}/{'0' * 32}/runs"), 404)
    problem(calls.post(f"{ML}/{'0' * 32}/compare", {}), 404)
