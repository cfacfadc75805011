"""log-metrics, log-params and log-batch, clause by clause: each test's name is the clause."""

from __future__ import annotations

from typing import Any

import pytest
from tests.api.calls import ML, RUNS, Calls, good, locs, problem


def history(calls: Calls, run: dict[str, Any], metric: str, **params: Any) -> list[tuple[int, Any]]:
    path = f"{ML}/{run['experiment_id']}/runs/{run['id']}/metrics/{metric}"
    return [(point["step"], point["value"]) for point in good(calls.get(path, **params))["steps"]]


def test_log_metrics_answers_message_run_id_accepted(calls: Calls) -> None:
    run = calls.fresh_run()
    answer = calls.post(f"{RUNS}/{run['id']}/log-metrics", {"metrics": {"loss": 0.5, "acc": 1}, "step": 7})
    assert answer.status_code == 202
    assert answer.json() == {"message": "Metrics logged", "run_id": run["id"], "accepted": 2}
    assert calls.shown(run)["metrics"] == {"loss": 0.5, "acc": 1.0}
    assert history(calls, run, "loss") == [(7, 0.5)]


def test_log_metrics_step_0_if_none_is_given(calls: Calls) -> None:
    run = calls.fresh_run()
    calls.post(f"{RUNS}/{run['id']}/log-metrics", {"metrics": {"loss": 0.5}}, wait=True)
    assert history(calls, run, "loss") == [(0, 0.5)]


def test_log_params_answers_message_run_id_accepted(calls: Calls) -> None:
    run = calls.fresh_run()
    answer = calls.post(f"{RUNS}/{run['id']}/log-params", {"params": {"lr": 0.001, "opt": "adam", "nested": True}})
    assert answer.status_code == 202
    assert answer.json() == {"message": "Parameters logged", "run_id": run["id"], "accepted": 3}
    assert calls.shown(run)["params"] == {"lr": "0.001", "opt": "adam", "nested": "True"}


def test_log_batch_answers_message_run_id_accepted(calls: Calls) -> None:
    run = calls.fresh_run()
    body = {
        "metrics": [
            {"key": "loss", "value": 1.0, "step": 1, "timestamp": 1_700_000_000_000},
            {"key": "loss", "value": "NaN", "step": 2},
            {"key": "acc", "value": 1},
        ],
        "params": [{"key": "lr", "value": 0.5}, {"key": "lr", "value": "0.5"}],
        "tags": [{"key": "stage", "value": 1}, {"key": "stage", "value": "two"}],
    }
    answer = calls.post(f"{RUNS}/{run['id']}/log-batch", body, wait=True)
    assert answer.json() == {"message": "Batch logged", "run_id": run["id"], "accepted": 7}
    shown = calls.shown(run)
    assert (shown["metrics"], shown["params"]) == ({"loss": "NaN", "acc": 1.0}, {"lr": "0.5"})
    assert shown["tags"] == {"stage": "two"}
    assert history(calls, run, "loss") == [(1, 1.0), (2, "NaN")]


def test_log_batch_10_000_items_split_by_us(calls: Calls) -> None:
    run = calls.fresh_run()
    metrics = [{"key": f"m{number % 10}", "value": number, "step": number // 10} for number in range(9_000)]
    params = [{"key": f"p{number}", "value": number} for number in range(1_000)]
    answer = calls.post(f"{RUNS}/{run['id']}/log-batch", {"metrics": metrics, "params": params})
    assert answer.json()["accepted"] == 10_000
    shown = calls.shown(run)
    assert shown["metrics"] == {f"m{number}": 8_990.0 + number for number in range(10)}
    assert shown["params"] == {f"p{number}": str(number) for number in range(1_000)}
    assert history(calls, run, "m3", max_points=1000) == [(step, step * 10.0 + 3) for step in range(900)]


def test_log_batch_more_than_10_000_items_422(untouched: tuple[Calls, dict[str, Any]]) -> None:
    calls, run = untouched
    metrics = [{"key": "m", "value": number, "step": number} for number in range(10_000)]
    body = {"metrics": metrics, "tags": [{"key": "a", "value": "b"}]}
    assert locs(calls.post(f"{RUNS}/{run['id']}/log-batch", body)) == [["body"]]
    assert calls.shown(run)["metrics"] == {}


@pytest.mark.parametrize(
    ("part", "item", "where"),
    [
        ("metrics", {"key": "b", "value": "high"}, "value"),
        ("metrics", {"key": "b", "value": None}, "value"),
        ("metrics", {"key": "b"}, "value"),
        ("metrics", {"key": "b", "value": 1, "step": 2**63}, "step"),
        ("metrics", {"key": "b", "value": 1, "timestamp": -1}, "timestamp"),
        ("metrics", {"key": "a\tb", "value": 1}, "key"),
        ("params", {"key": "b", "value": "x" * 6001}, "value"),
        ("params", {"key": "", "value": "x"}, "key"),
        ("tags", {"key": "x" * 251, "value": "x"}, "key"),
        ("tags", {"key": "b", "value": "x" * 8001}, "value"),
    ],
)
def test_log_batch_all_or_nothing_on_validation_with_the_index(
    untouched: tuple[Calls, dict[str, Any]], part: str, item: dict[str, Any], where: str
) -> None:
    calls, run = untouched
    body: dict[str, Any] = {kind: [{"key": "a", "value": 1}] for kind in ("metrics", "params", "tags")}
    body[part] = [*body[part], item]
    assert locs(calls.post(f"{RUNS}/{run['id']}/log-batch", body)) == [["body", part, 1, where]]
    shown = calls.shown(run)
    assert (shown["metrics"], shown["params"], shown["tags"]) == ({}, {}, {})


def test_log_batch_one_param_key_with_two_values_422(untouched: tuple[Calls, dict[str, Any]]) -> None:
    calls, run = untouched
    body = {"params": [{"key": "lr", "value": 1}, {"key": "b", "value": 1}, {"key": "lr", "value": 2}]}
    assert locs(calls.post(f"{RUNS}/{run['id']}/log-batch", body)) == [["body", "params", 2]]
    assert calls.shown(run)["params"] == {}


def test_a_param_logged_again_keeps_its_first_value(calls: Calls) -> None:
    run = calls.fresh_run()
    calls.log(run, params={"lr": 1})
    calls.log(run, params={"lr": 2, "b": 3})
    assert calls.shown(run)["params"] == {"lr": "1", "b": "3"}


@pytest.mark.parametrize(
    ("call", "body", "loc"),
    [
        ("log-metrics", {"metrics": {}}, ["body", "metrics"]),
        ("log-metrics", {}, ["body", "metrics"]),
        ("log-params", {"params": {}}, ["body", "params"]),
        ("log-batch", {}, ["body"]),
        ("log-batch", {"metrics": [], "params": [], "tags": []}, ["body"]),
    ],
)
def test_empty_422(untouched: tuple[Calls, dict[str, Any]], call: str, body: Any, loc: list[str]) -> None:
    calls, run = untouched
    assert locs(calls.post(f"{RUNS}/{run['id']}/{call}", body)) == [loc]


@pytest.mark.parametrize("bad", ["high", "0.5", "", None, True, [1], {"a": 1}, 10**400])
def test_log_metrics_non_numeric_422(untouched: tuple[Calls, dict[str, Any]], bad: Any) -> None:
    calls, run = untouched
    answer = calls.post(f"{RUNS}/{run['id']}/log-metrics", {"metrics": {"ok": 1, "loss": bad}})
    assert locs(answer) == [["body", "metrics", "loss"]]
    assert calls.shown(run)["metrics"] == {}


@pytest.mark.parametrize("bad", [2**63, -(2**63) - 1, 1.5, "one", None, True])
def test_log_metrics_step_outside_int64_422(untouched: tuple[Calls, dict[str, Any]], bad: Any) -> None:
    calls, run = untouched
    answer = calls.post(f"{RUNS}/{run['id']}/log-metrics", {"metrics": {"loss": 1}, "step": bad})
    assert locs(answer) == [["body", "step"]]


def test_log_metrics_steps_at_the_ends_of_int64(calls: Calls) -> None:
    run = calls.fresh_run()
    for step in (2**63 - 1, -(2**63)):
        answer = calls.post(f"{RUNS}/{run['id']}/log-metrics", {"metrics": {"loss": 1}, "step": step}, wait=True)
        assert answer.status_code == 200
    assert history(calls, run, "loss") == [(-(2**63), 1.0), (2**63 - 1, 1.0)]


@pytest.mark.parametrize("bad", [-1, 2**63, 0.5, "now", True])
def test_log_metrics_timestamp_below_0_422(untouched: tuple[Calls, dict[str, Any]], bad: Any) -> None:
    calls, run = untouched
    answer = calls.post(f"{RUNS}/{run['id']}/log-metrics", {"metrics": {"loss": 1}, "timestamp": bad})
    assert locs(answer) == [["body", "timestamp"]]


def test_param_value_above_6000_422(calls: Calls) -> None:
    run = calls.fresh_run()
    path = f"{RUNS}/{run['id']}/log-params"
    assert locs(calls.post(path, {"params": {"a": 1, "long": "x" * 6001}})) == [["body", "params", "long"]]
    assert calls.post(path, {"params": {"long": "x" * 6000}}, wait=True).status_code == 200
    assert calls.shown(run)["params"] == {"long": "x" * 6000}


def test_ended_run_accepted(calls: Calls) -> None:
    run = calls.fresh_run()
    calls.ended(run)
    calls.log(run, {"loss": 1}, {"lr": 1}, {"a": "b"})
    shown = calls.shown(run)
    assert (shown["metrics"], shown["params"], shown["tags"]) == ({"loss": 1.0}, {"lr": "1"}, {"a": "b"})
    assert shown["status"] == "finished"


def test_deleted_run_409_unknown_run_404(calls: Calls) -> None:
    run = calls.fresh_run()
    calls.delete(f"{RUNS}/{run['id']}")
    for call, body in (
        ("log-metrics", {"metrics": {"loss": 1}}),
        ("log-params", {"params": {"lr": 1}}),
        ("log-batch", {"tags": [{"key": "a", "value": "b"}]}),
    ):
        assert problem(calls.post(f"{RUNS}/{run['id']}/{call}", body), 409)["id"] == run["id"]
        problem(calls.post(f"{RUNS}/{'0' * 32}/{call}", body), 404)
