"""`Idempotency-Key` makes any write happen once: the same ids, once in effect; another request under the key is 422."""

from __future__ import annotations

import secrets
from typing import Any

import pytest
from tests.api.calls import ML, RUNS, V1, Calls, good, made, problem


def key() -> dict[str, str]:
    return {"Idempotency-Key": secrets.token_hex(8)}


@pytest.mark.parametrize("family", [V1, ML])
def test_a_repeated_creation_of_an_experiment_answers_the_same(calls: Calls, family: str) -> None:
    once = key()
    first = made(calls.post(family, {"name": "a"}, once))
    assert made(calls.post(family, {"name": "a"}, once)) == first
    problem(calls.post(family, {"name": "b"}, once), 422)
    problem(calls.post(family, {"name": "a"}, key()), 409)
    assert good(calls.get(V1))["total"] == 1


def test_a_repeated_creation_of_a_run_answers_the_same_run(calls: Calls) -> None:
    home, once = calls.experiment()["id"], key()
    first = made(calls.post(RUNS, {"experiment_id": home}, once))
    assert made(calls.post(RUNS, {"experiment_id": home}, once)) == first
    problem(calls.post(RUNS, {"experiment_id": home, "name": "other"}, once), 422)
    assert good(calls.get(RUNS))["total"] == 1


@pytest.mark.parametrize(
    ("call", "body", "other"),
    [
        ("log-metrics", {"metrics": {"loss": 1}}, {"metrics": {"loss": 2}}),
        ("log-params", {"params": {"lr": 1}}, {"params": {"lr": 2}}),
        ("log-batch", {"metrics": [{"key": "loss", "value": 1}]}, {"metrics": [{"key": "loss", "value": 2}]}),
    ],
)
def test_a_repeated_log_is_logged_once(calls: Calls, call: str, body: Any, other: Any) -> None:
    run, once = calls.fresh_run(), key()
    path = f"{RUNS}/{run['id']}/{call}"
    first = calls.post(path, body, once)
    again = calls.post(path, body, once)
    assert (first.status_code, again.status_code, again.json()) == (202, 202, first.json())
    problem(calls.post(path, other, once), 422)
    calls.log(run, {"last": 1})
    if call != "log-params":
        history = good(calls.get(f"{ML}/{run['experiment_id']}/runs/{run['id']}/metrics/loss"))
        assert [point["value"] for point in history["steps"]] == [1.0]
    assert calls.shown(run)["params"] == ({"lr": "1"} if call == "log-params" else {})


def test_a_repeated_log_that_waits_is_visible(calls: Calls) -> None:
    run, once = calls.fresh_run(), key()
    path = f"{RUNS}/{run['id']}/log-metrics"
    assert [calls.post(path, {"metrics": {"loss": 1}}, once, wait=True).status_code for _ in range(2)] == [200, 200]


def test_a_repeated_end_changes_nothing(calls: Calls) -> None:
    run, once = calls.fresh_run(), key()
    path = f"{RUNS}/{run['id']}/end"
    first = good(calls.post(path, None, once, status="failed"))
    assert good(calls.post(path, None, once, status="failed")) == first
    assert calls.shown(run)["duration_seconds"] == first["duration_seconds"]
    good(calls.post(path, status="finished"))
    assert good(calls.post(path, None, once, status="failed"))["status"] == first["status"]
    assert calls.shown(run)["status"] == "finished"
    problem(calls.post(path, None, once, status="killed"), 422)


def test_a_repeated_patch_changes_nothing(calls: Calls) -> None:
    home, once = calls.experiment()["id"], key()
    good(calls.patch(f"{V1}/{home}", {"description": "first"}, once))
    good(calls.patch(f"{V1}/{home}", {"description": "second"}))
    assert good(calls.patch(f"{V1}/{home}", {"description": "first"}, once))["description"] == "second"
    problem(calls.patch(f"{V1}/{home}", {"description": "third"}, once), 422)


def test_a_repeated_delete_and_restore_of_an_experiment_change_nothing(calls: Calls) -> None:
    home, delete, restore = calls.experiment()["id"], key(), key()
    assert calls.delete(f"{V1}/{home}", delete).status_code == 204
    assert good(calls.post(f"{V1}/{home}/restore", headers=restore))["lifecycle_stage"] == "active"
    assert calls.delete(f"{V1}/{home}", delete).status_code == 204
    assert good(calls.get(f"{V1}/{home}"))["lifecycle_stage"] == "active"
    assert calls.delete(f"{V1}/{home}").status_code == 204
    assert good(calls.post(f"{V1}/{home}/restore", headers=restore))["lifecycle_stage"] == "deleted"
    problem(calls.post(f"{V1}/{home}/restore", headers=delete), 422)


def test_a_repeated_delete_and_restore_of_a_run_change_nothing(calls: Calls) -> None:
    run, delete, restore = calls.fresh_run(), key(), key()
    path = f"{RUNS}/{run['id']}"
    assert calls.delete(path, delete).status_code == 204
    good(calls.post(f"{path}/restore", headers=restore))
    assert calls.delete(path, delete).status_code == 204
    assert good(calls.get(RUNS))["total"] == 1
    assert calls.delete(path).status_code == 204
    good(calls.post(f"{path}/restore", headers=restore))
    assert good(calls.get(RUNS))["total"] == 0
    problem(calls.post(f"{path}/restore", headers=delete), 422)


def test_a_key_of_another_tenant_is_another_key(calls: Calls) -> None:
    once, other = key(), Calls(calls.http, f"{calls.tenant}-other")
    assert made(calls.post(V1, {"name": "a"}, once))["id"] != made(other.post(V1, {"name": "b"}, once))["id"]


def test_a_key_that_is_too_long_or_empty_is_422(calls: Calls) -> None:
    for bad in ("", "x" * 256):
        answer = calls.post(V1, {"name": "a"}, {"Idempotency-Key": bad})
        assert problem(answer, 422)["errors"][0]["loc"] == ["header", "Idempotency-Key"]
