"""`POST /api/v1/ml/experiments/{id}/compare` and metric histories, clause by clause: each test's name is the clause."""

from __future__ import annotations

from typing import Any

import pytest
from tests.api.calls import ML, RUNS, Calls, good, locs, problem

IMPACT = {
    "correlation_with_f1",
    "metric",
    "correlation",
    "n",
    "p_value",
    "method",
    "spearman",
    "importance",
    "importance_r_squared",
    "importance_runs",
    "importance_seed",
}


def compare(calls: Calls, home: str, **body: Any) -> Any:
    return good(calls.post(f"{ML}/{home}/compare", body))["comparison"]


@pytest.fixture
def home(calls: Calls) -> str:
    """An experiment with four runs named r0 to r3: f1 rises with lr, and the loss falls."""
    found = calls.experiment()["id"]
    for number in range(4):
        run = calls.run(found, name=f"r{number}")
        params = {"lr": number / 8, "same": 1, "kind": "x", **({"two": number} if number < 2 else {})}
        calls.log(run, {"f1_score": number / 4, "loss": 1 - number / 4}, params)
    return str(found)


def ids(calls: Calls, home: str) -> dict[str, str]:
    return {run["name"]: run["run_id"] for run in good(calls.get(f"{ML}/{home}/runs"))["runs"]}


def test_compare_answers_exactly_this(calls: Calls, home: str) -> None:
    runs = ids(calls, home)
    found = compare(calls, home, run_ids=[runs["r1"], runs["r2"]], metrics=["f1_score"], parameters=["lr", "kind"])
    assert found == {
        "runs": [
            {"run_id": runs["r2"], "f1_score": 0.5, "metrics": {"f1_score": 0.5}, "parameters": R2},
            {"run_id": runs["r1"], "f1_score": 0.25, "metrics": {"f1_score": 0.25}, "parameters": R1},
        ],
        "best_run": runs["r2"],
        "parameter_impact": {},
    }


R1, R2 = {"lr": 0.125, "kind": "x"}, {"lr": 0.25, "kind": "x"}


def test_compare_parameter_impact(calls: Calls, home: str) -> None:
    """correlation_with_<metric without a trailing _score>; constant, absent or non-numeric parameters are left out"""
    impact = compare(calls, home, metrics=["f1_score", "loss"])["parameter_impact"]
    assert list(impact) == ["lr"]
    assert set(impact["lr"]) == IMPACT
    assert impact["lr"]["correlation_with_f1"] == pytest.approx(1)
    assert impact["lr"]["correlation"] == impact["lr"]["correlation_with_f1"]
    assert impact["lr"]["spearman"] == pytest.approx(1)
    assert (impact["lr"]["metric"], impact["lr"]["method"], impact["lr"]["n"]) == ("f1_score", "pearson", 4)
    assert compare(calls, home, metrics=["loss"])["parameter_impact"]["lr"]["correlation_with_loss"] == pytest.approx(
        -1
    )


def test_compare_best_run_by_the_first_metric_direction_from_the_name_or_goal(calls: Calls, home: str) -> None:
    runs = ids(calls, home)
    assert compare(calls, home, metrics=["f1_score"])["best_run"] == runs["r3"]
    assert compare(calls, home, metrics=["loss", "f1_score"])["best_run"] == runs["r3"]
    assert compare(calls, home, metrics=["loss"], goal="maximize")["best_run"] == runs["r0"]
    assert compare(calls, home, metrics=["f1_score"], goal="min")["best_run"] == runs["r0"]
    assert locs(calls.post(f"{ML}/{home}/compare", {"goal": "sideways"})) == [["body", "goal"]]


def test_compare_no_run_ids_the_whole_experiment(calls: Calls, home: str) -> None:
    runs = ids(calls, home)
    found = compare(calls, home)
    assert [run["run_id"] for run in found["runs"]] == [runs[name] for name in ("r3", "r2", "r1", "r0")]
    assert found["runs"][0]["metrics"] == {"f1_score": 0.75, "loss": 0.25}
    assert found["best_run"] == runs["r3"]
    calls.delete(f"{RUNS}/{runs['r3']}")
    assert [run["run_id"] for run in compare(calls, home)["runs"]] == [runs[name] for name in ("r2", "r1", "r0")]


def test_compare_metrics_nobody_logged_are_left_out(calls: Calls, home: str) -> None:
    found = compare(calls, home, metrics=["nobody", "f1_score"], parameters=["nothing"])
    assert found["runs"][0]["metrics"] == {"f1_score": 0.75}
    assert found["runs"][0]["parameters"] == {}
    assert (found["best_run"], found["parameter_impact"]) == (None, {})


def test_compare_unknown_run_ids_404_listing_them_empty_422(calls: Calls, home: str) -> None:
    other = Calls(calls.http, f"{calls.tenant}-other").fresh_run()["id"]
    known = ids(calls, home)["r0"]
    answer = calls.post(f"{ML}/{home}/compare", {"run_ids": [known, "0" * 32, other, "no-name"]})
    assert sorted(problem(answer, 404)["run_ids"]) == sorted(["0" * 32, other, "no-name"])
    assert locs(calls.post(f"{ML}/{home}/compare", {"run_ids": []})) == [["body", "run_ids"]]
    assert locs(calls.post(f"{ML}/{home}/compare", {"colour": 1})) == [["body", "colour"]]


def test_compare_by_exact_run_names_409_with_the_candidates(calls: Calls, home: str) -> None:
    runs = ids(calls, home)
    assert [run["run_id"] for run in compare(calls, home, run_ids=["r1", runs["r0"]])["runs"]] == [
        runs["r1"],
        runs["r0"],
    ]
    twin = calls.run(home, name="r1")["id"]
    answer = problem(calls.post(f"{ML}/{home}/compare", {"run_ids": ["r1"]}), 409)
    assert sorted(answer["candidates"]) == sorted([runs["r1"], twin])


def test_compare_what_was_logged_just_now(calls: Calls, home: str) -> None:
    runs = ids(calls, home)
    calls.post(f"{RUNS}/{runs['r0']}/log-metrics", {"metrics": {"f1_score": 0.99}, "step": 1})
    found = compare(calls, home, metrics=["f1_score"])
    assert found["best_run"] == runs["r0"]


def history(calls: Calls, run: dict[str, Any], metric: str, **params: Any) -> Any:
    return calls.get(f"{ML}/{run['experiment_id']}/runs/{run['id']}/metrics/{metric}", **params)


@pytest.fixture
def curve(calls: Calls) -> dict[str, Any]:
    """A run with 2 000 points of `val/loss`, the least at step 700 and the greatest at step 1300."""
    run = calls.fresh_run(name="curve")
    value = {700: -5.0, 1300: 5.0}
    points = [
        {"key": "val/loss", "value": value.get(step, (step % 7) / 10), "step": step, "timestamp": 1_000 + step}
        for step in range(2_000)
    ]
    calls.log(run, points)
    return run


def test_history_at_most_max_points_keeping_first_last_minima_and_maxima(calls: Calls, curve: dict[str, Any]) -> None:
    found = good(history(calls, curve, "val/loss"))
    assert set(found) == {"metric", "steps", "total_steps"}
    assert (found["metric"], found["total_steps"]) == ("val/loss", 2_000)
    assert len(found["steps"]) <= 1_000  # TRACKING_METRIC_HISTORY_LIMIT
    few = good(history(calls, curve, "val/loss", max_points=20))
    assert len(few["steps"]) <= 20
    for steps in (found["steps"], few["steps"]):
        assert steps[0] == {"step": 0, "value": 0.0, "timestamp": "1970-01-01T00:00:01.000Z"}
        assert steps[-1]["step"] == 1_999
        assert {-5.0, 5.0} <= {point["value"] for point in steps}
        assert [point["step"] for point in steps] == sorted(point["step"] for point in steps)
    assert good(history(calls, curve, "val/loss", max_points=10**6)) == found
    assert locs(history(calls, curve, "val/loss", max_points=0)) == [["query", "max_points"]]


def test_history_from_step_to_step(calls: Calls, curve: dict[str, Any]) -> None:
    found = good(history(calls, curve, "val/loss", from_step=10, to_step=12))
    assert [point["step"] for point in found["steps"]] == [10, 11, 12]
    assert found["total_steps"] == 3
    assert good(history(calls, curve, "val/loss", from_step=1_998))["total_steps"] == 2
    assert good(history(calls, curve, "val/loss", to_step=-1)) == {"metric": "val/loss", "steps": [], "total_steps": 0}
    assert locs(history(calls, curve, "val/loss", from_step="x")) == [["query", "from_step"]]


def test_history_metric_names_with_slashes(calls: Calls) -> None:
    run = calls.fresh_run()
    calls.log(run, {"system/gpu 0/used": 1, "plain": 2})
    assert good(history(calls, run, "system/gpu 0/used"))["steps"][0]["value"] == 1.0
    assert good(history(calls, run, "system%2Fgpu%200%2Fused"))["total_steps"] == 1


def test_history_unknown_metric_404_with_near_names(calls: Calls) -> None:
    run = calls.fresh_run()
    calls.log(run, {"f1_score": 1, "loss": 2})
    answer = problem(history(calls, run, "f1_scor"), 404)
    assert answer["near"] == ["f1_score"]
    assert "f1_score" in answer["detail"]
    assert problem(history(calls, run, "zzzz"), 404)["near"] == []


def test_history_by_the_exact_name_of_the_run(calls: Calls, curve: dict[str, Any]) -> None:
    """An exact run name if it is unique in that experiment, else 409 with the candidates"""
    path = f"{ML}/{curve['experiment_id']}/runs/%s/metrics/val/loss"
    assert good(calls.get(path % "curve"))["total_steps"] == 2_000
    problem(calls.get(path % "curv"), 404)
    problem(calls.get(path % ("0" * 32)), 404)
    twin = calls.run(curve["experiment_id"], name="curve")["id"]
    answer = problem(calls.get(path % "curve"), 409)
    assert sorted(answer["candidates"]) == sorted([curve["id"], twin])
    calls.delete(f"{RUNS}/{twin}")
    assert good(calls.get(path % "curve"))["total_steps"] == 2_000


def test_history_of_a_run_of_another_experiment_404(calls: Calls) -> None:
    run = calls.fresh_run()
    other = calls.experiment("other")
    problem(calls.get(f"{ML}/{other['id']}/runs/{run['id']}/metrics/loss"), 404)
