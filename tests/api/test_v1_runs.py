"""`/api/v1/experiments/runs` without logging, clause by clause: each test's name is the clause."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.api.calls import RUNS, V1, Calls, good, locs, made, problem

SHAPE = {
    "id",
    "experiment_id",
    "name",
    "status",
    "start_time",
    "end_time",
    "duration_seconds",
    "tags",
    "params",
    "metrics",
    "artifacts",
    "mlflow_run_id",
    "url",
}


def ids(answer: Any) -> list[str]:
    return [one["id"] for one in good(answer)["runs"]]


def test_runs_are_declared_before_an_experiments_id(calls: Calls) -> None:
    assert "runs" in good(calls.get(RUNS))


def test_post_answers_201_with_exactly_these_fields(calls: Calls) -> None:
    home = calls.experiment()["id"]
    body = {"experiment_id": home, "name": "baseline", "description": "the first", "tags": {"stage": "warmup"}}
    found = made(calls.post(RUNS, body))
    assert set(found) == SHAPE
    assert re.fullmatch("[0-9a-f]{32}", found["id"])
    wanted = {"experiment_id": home, "name": "baseline", "status": "running", "tags": {"stage": "warmup"}}
    wanted |= {"end_time": None, "duration_seconds": None, "params": {}, "metrics": {}, "artifacts": []}
    assert {key: found[key] for key in wanted} == wanted
    assert found["url"].endswith(f"/runs/{found['mlflow_run_id']}")
    assert calls.shown(found) == found
    described = good(calls.get(f"{RUNS}/{found['id']}", include="system_tags"))
    assert described["tags"]["mlflow.note.content"] == "the first"


def test_post_unknown_experiment_404_deleted_409(calls: Calls) -> None:
    problem(calls.post(RUNS, {"experiment_id": "0" * 32}), 404)
    problem(calls.post(RUNS, {"experiment_id": "churn"}), 404)
    home = calls.experiment()["id"]
    calls.delete(f"{V1}/{home}")
    assert problem(calls.post(RUNS, {"experiment_id": home}), 409)["id"] == home


def test_post_no_name_one_is_made_here(calls: Calls) -> None:
    home = calls.experiment()["id"]
    first, second = calls.run(home), calls.run(home, name=None)
    assert first["name"] != second["name"]
    assert calls.shown(first)["name"] == first["name"]


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("name", " "),
        ("name", "a\nb"),
        ("name", "x" * 251),
        ("description", "d" * 1001),
        ("experiment_id", ""),
        ("experiment_id", None),
        ("tags", []),
    ],
)
def test_post_bad_fields_422(untouched: tuple[Calls, dict[str, Any]], field: str, bad: Any) -> None:
    calls, run = untouched
    home = run["experiment_id"]
    assert locs(calls.post(RUNS, {"experiment_id": home, field: bad})) == [["body", field]]


def test_end_200_with_exactly_these_fields(calls: Calls) -> None:
    run = calls.fresh_run()
    answer = good(calls.post(f"{RUNS}/{run['id']}/end"))
    assert set(answer) == {"message", "run_id", "status", "duration_seconds"}
    assert (answer["message"], answer["run_id"], answer["status"]) == ("Run ended", run["id"], "finished")
    assert answer["duration_seconds"] >= 0
    shown = calls.shown(run)
    assert (shown["status"], shown["duration_seconds"]) == ("finished", answer["duration_seconds"])


def test_end_statuses_in_either_familys_words_any_case(calls: Calls) -> None:
    run = calls.fresh_run()
    words = {"completed": "finished", "Failed": "failed", "FINISHED": "finished", "killed": "killed"}
    for word, wanted in words.items():
        assert good(calls.post(f"{RUNS}/{run['id']}/end", status=word))["status"] == wanted
        assert ids(calls.get(RUNS, status=word)) == ids(calls.get(RUNS, status=wanted)) == [run["id"]]
        assert ids(calls.get(RUNS, status="running")) == []


@pytest.mark.parametrize("word", ["running", "active", "scheduled", "done", ""])
def test_end_running_or_an_unknown_word_422(untouched: tuple[Calls, dict[str, Any]], word: str) -> None:
    calls, run = untouched
    assert locs(calls.post(f"{RUNS}/{run['id']}/end", status=word)) == [["query", "status"]]
    assert calls.shown(run)["status"] == "running"


def test_end_a_second_end_the_later_explicit_one_wins(calls: Calls) -> None:
    run = calls.fresh_run()
    calls.ended(run, "finished")
    calls.ended(run, "failed")
    assert calls.shown(run)["status"] == "failed"
    calls.log(run, {"loss": 1})  # MLflow has all before it
    shown = calls.shown(run)
    assert shown["status"] == "failed"
    calls.ended(run, "killed")
    assert calls.shown(run)["status"] == "killed"
    assert calls.shown(run)["end_time"] >= shown["end_time"]


def test_end_of_an_unknown_run_404_of_a_deleted_one_409(calls: Calls) -> None:
    problem(calls.post(f"{RUNS}/{'0' * 32}/end"), 404)
    run = calls.fresh_run()
    calls.delete(f"{RUNS}/{run['id']}")
    assert problem(calls.post(f"{RUNS}/{run['id']}/end"), 409)["id"] == run["id"]


def test_list_newest_first_with_total_limit_offset(calls: Calls) -> None:
    home = calls.experiment()["id"]
    runs = [calls.run(home, name=name) for name in "abc"]
    assert good(calls.get(RUNS)) == {"runs": runs[::-1], "total": 3, "limit": 50, "offset": 0}
    page = good(calls.get(RUNS, limit=1, offset=2))
    assert page == {"runs": [runs[0]], "total": 3, "limit": 1, "offset": 2}


def test_list_by_experiment_id_and_status(calls: Calls) -> None:
    first, second = calls.experiment("a")["id"], calls.experiment("b")["id"]
    running, ended, other = calls.run(first), calls.run(first), calls.run(second)
    calls.ended(ended)
    assert ids(calls.get(RUNS)) == [other["id"], ended["id"], running["id"]]
    assert ids(calls.get(RUNS, experiment_id=first)) == [ended["id"], running["id"]]
    assert ids(calls.get(RUNS, experiment_id=first, status="completed")) == [ended["id"]]
    assert ids(calls.get(RUNS, status="active")) == [other["id"], running["id"]]
    assert ids(calls.get(RUNS, status="killed")) == []
    assert locs(calls.get(RUNS, status="odd")) == [["query", "status"]]
    problem(calls.get(RUNS, experiment_id="0" * 32), 404)


def test_list_limit_above_tracking_max_runs_per_query_clamped(calls: Calls) -> None:
    assert good(calls.get(RUNS, limit=101))["limit"] == 100
    assert good(calls.get(RUNS, limit=100))["limit"] == 100


def test_get_a_run_with_all_that_was_logged(calls: Calls) -> None:
    run = calls.fresh_run()
    calls.log(run, {"loss": 0.25}, {"lr": 0.001}, {"stage": "warmup"})
    shown = calls.shown(run)
    assert (shown["metrics"], shown["params"], shown["tags"]) == ({"loss": 0.25}, {"lr": "0.001"}, {"stage": "warmup"})
    problem(calls.get(f"{RUNS}/{'0' * 32}"), 404)


def test_delete_204_again_204_and_restore_200(calls: Calls) -> None:
    run = calls.fresh_run()
    path = f"{RUNS}/{run['id']}"
    for _ in range(2):
        answer = calls.delete(path)
        assert (answer.status_code, answer.content) == (204, b"")
    assert ids(calls.get(RUNS)) == []
    assert calls.shown(run)["id"] == run["id"]
    for _ in range(2):
        assert good(calls.post(f"{path}/restore")) == run
    assert ids(calls.get(RUNS)) == [run["id"]]
    problem(calls.delete(f"{RUNS}/{'0' * 32}"), 404)
    problem(calls.post(f"{RUNS}/{'0' * 32}/restore"), 404)


def test_compare_runs_of_several_experiments(calls: Calls) -> None:
    first, second = calls.experiment("a")["id"], calls.experiment("b")["id"]
    runs = [calls.run(first), calls.run(first), calls.run(second)]
    for number, run in enumerate(runs):
        calls.log(run, {"f1_score": number / 4, "loss": 1 - number / 4}, {"lr": number, "kind": "x"})
    answer = good(calls.post(f"{RUNS}/compare", {"run_ids": [run["id"] for run in runs], "metrics": ["f1_score"]}))
    found = answer["comparison"]
    assert [one["run_id"] for one in found["runs"]] == [run["id"] for run in reversed(runs)]
    assert found["runs"][0]["f1_score"] == 0.5
    assert found["runs"][0]["metrics"] == {"f1_score": 0.5}
    assert found["runs"][0]["parameters"] == {"lr": 2, "kind": "x"}
    assert found["best_run"] == runs[2]["id"]
    impact = found["parameter_impact"]
    assert list(impact) == ["lr"]
    assert impact["lr"]["correlation_with_f1"] == pytest.approx(1.0)
    assert impact["lr"]["n"] == 3


def test_compare_unknown_run_ids_404_listing_them_none_422(calls: Calls) -> None:
    run, stranger = calls.fresh_run(), Calls(calls.http, f"{calls.tenant}-other").fresh_run()
    path = f"{RUNS}/compare"
    missing = ["0" * 32, stranger["id"]]
    answer = calls.post(path, {"run_ids": [run["id"], *missing], "metrics": ["loss"]})
    assert sorted(problem(answer, 404)["run_ids"]) == sorted(missing)
    assert locs(calls.post(path, {"run_ids": []})) == [["body", "run_ids"]]
    assert locs(calls.post(path, {})) == [["body", "run_ids"]]
    one = good(calls.http.post(path, json={"run_ids": [run["id"]]}))
    assert [found["run_id"] for found in one["comparison"]["runs"]] == [run["id"]]
