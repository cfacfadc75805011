"""The general rules of the API, clause by clause: each test's first line is the clause, in the specification's words.

What a credential grants is tests/api/auth's, quotas and hostile requests tests/api/guard's.
"""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING

import pytest
from tests.api.calls import ML, RUNS, V1, Calls, good, locs, made, problem
from tests.waiting import until

if TYPE_CHECKING:
    import httpx

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
NOBODY = "0" * 32


def test_errors_400_malformed_json(calls: Calls) -> None:
    answer = calls.call("POST", V1, {"Content-Type": "application/json"}, content=b'{"name": ')
    assert problem(answer, 400)["type"] == "urn:matih:problem:malformed-json"


def test_errors_404_405_415(calls: Calls) -> None:
    problem(calls.get(f"{V1}/{NOBODY}"), 404)
    problem(calls.get("/api/v1/nothing"), 404)
    problem(calls.call("PUT", V1, json={}), 405)
    problem(calls.call("POST", V1, {"Content-Type": "text/plain"}, content=b"{}"), 415)


def test_errors_422_schema_field_named(calls: Calls) -> None:
    assert locs(calls.post(V1, {"name": 7})) == [["body", "name"]]
    assert locs(calls.get(V1, limit="many")) == [["query", "limit"]]
    assert locs(calls.post(RUNS, {})) == [["body", "experiment_id"]]


def test_unknown_json_fields_on_writes_422_naming_the_field(calls: Calls) -> None:
    run = calls.fresh_run()
    for path, body in (
        (V1, {"name": "a"}),
        (ML, {"name": "a"}),
        (RUNS, {"experiment_id": run["experiment_id"]}),
        (f"{RUNS}/{run['id']}/log-metrics", {"metrics": {"loss": 1}}),
        (f"{RUNS}/{run['id']}/log-params", {"params": {"lr": 1}}),
    ):
        assert locs(calls.post(path, {**body, "colour": "red"})) == [["body", "colour"]]
    assert locs(calls.patch(f"{V1}/{run['experiment_id']}", {"colour": "red"})) == [["body", "colour"]]
    batch = {"metrics": [{"key": "loss", "value": 1, "colour": "red"}]}
    assert locs(calls.post(f"{RUNS}/{run['id']}/log-batch", batch)) == [["body", "metrics", 0, "colour"]]


def test_tenant_by_header_then_by_query(calls: Calls) -> None:
    here = calls.experiment("here")
    there = made(calls.http.post(V1, json={"name": "there"}, params={"tenant_id": calls.tenant}))
    listed = good(calls.http.get(V1, params={"tenant_id": calls.tenant}))["experiments"]
    assert {one["id"] for one in listed} == {here["id"], there["id"]}
    assert good(calls.get(V1)) == good(calls.get(V1, tenant_id=calls.tenant))


def test_header_against_query_that_differ_400(calls: Calls) -> None:
    for path in (V1, ML, RUNS, f"{V1}/{NOBODY}"):
        problem(calls.get(path, tenant_id="another"), 400)
    problem(calls.post(V1, {"name": "a"}, tenant_id="another"), 400)


def test_tenant_that_can_be_none_422(calls: Calls) -> None:
    assert locs(calls.http.get(V1, headers={"X-Tenant-ID": "a/b"})) == [["header", "X-Tenant-ID"]]
    assert locs(calls.http.get(V1, params={"tenant_id": ""})) == [["query", "tenant_id"]]


def test_open_mode_a_call_on_an_id_without_any_tenant_takes_the_objects_own(calls: Calls, http: httpx.Client) -> None:
    """Calls on ids (log-*, end, PATCH, DELETE, restore) come without the header in the platform's examples, and work"""
    experiment = calls.experiment()
    run = made(http.post(RUNS, json={"experiment_id": experiment["id"]}))
    of_run, of_experiment = f"{RUNS}/{run['id']}", f"{V1}/{experiment['id']}"
    assert http.post(f"{of_run}/log-metrics", json={"metrics": {"loss": 1}}).status_code == 202
    assert http.post(f"{of_run}/log-params", json={"params": {"lr": 1}}).status_code == 202
    assert http.post(f"{of_run}/log-batch", json={"tags": [{"key": "a", "value": "b"}]}).status_code == 202
    assert http.post(f"{of_run}/end").status_code == 200
    assert http.delete(of_run).status_code == 204
    assert http.post(f"{of_run}/restore").status_code == 200
    assert http.patch(of_experiment, json={"description": "new"}).status_code == 200
    assert http.delete(of_experiment).status_code == 204
    assert http.post(f"{of_experiment}/restore").status_code == 200
    shown = calls.shown(run)
    assert (shown["metrics"], shown["params"], shown["tags"]) == ({"loss": 1.0}, {"lr": "1"}, {"a": "b"})
    assert good(http.get(of_experiment))["description"] == "new"


def test_open_mode_create_and_list_take_the_default_tenant(calls: Calls, http: httpx.Client) -> None:
    name = f"bare-{uuid.uuid4().hex}"
    found = made(http.post(V1, json={"name": name}))
    assert found["id"] in {one["id"] for one in good(http.get(V1, params={"search": name}))["experiments"]}
    assert good(http.get(V1, params={"search": name}, headers={"X-Tenant-ID": "default"}))["total"] == 1
    assert good(calls.get(V1))["total"] == 0


def test_another_tenants_object_404_same_body_as_a_missing_one(calls: Calls) -> None:
    run, stranger = calls.fresh_run(), Calls(calls.http, f"{calls.tenant}-other")
    for method, path, body in (
        ("GET", "", None),
        ("DELETE", "", None),
        ("POST", "/restore", None),
        ("POST", "/end", None),
        ("POST", "/log-metrics", {"metrics": {"loss": 1}}),
        ("POST", "/log-params", {"params": {"lr": 1}}),
        ("POST", "/log-batch", {"params": [{"key": "lr", "value": 1}]}),
    ):
        assert _same_404(stranger, method, RUNS, run["id"], NOBODY, path, body)
    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"name": "mine"}),
        ("DELETE", "", None),
        ("POST", "/restore", None),
    ):
        assert _same_404(stranger, method, V1, run["experiment_id"], str(uuid.UUID(NOBODY)), path, body)
    assert _same_404(stranger, "GET", ML, run["experiment_id"], str(uuid.UUID(NOBODY)), "/runs", None)
    assert _same_404(stranger, "POST", ML, run["experiment_id"], str(uuid.UUID(NOBODY)), "/compare", {})
    problem(stranger.post(RUNS, {"experiment_id": run["experiment_id"]}), 404)
    problem(stranger.get(RUNS, experiment_id=run["experiment_id"]), 404)
    assert calls.shown(run)["status"] == "running"


def _same_404(who: Calls, method: str, base: str, theirs: str, nobodys: str, path: str, body: object) -> bool:
    seen = []
    for which in (theirs, nobodys):
        answer = who.call(method, f"{base}/{which}{path}", json=body)
        found = {**problem(answer, 404), "request_id": ""}
        seen.append(str(found).replace(which, "ID"))
    return seen[0] == seen[1]


def test_times_out_rfc_3339_utc_with_z_and_durations_null_while_unknown(calls: Calls) -> None:
    experiment = calls.experiment()
    run = calls.run(experiment["id"])
    assert INSTANT.fullmatch(experiment["created_at"])
    assert INSTANT.fullmatch(experiment["last_updated"])
    assert INSTANT.fullmatch(run["start_time"])
    assert (run["end_time"], run["duration_seconds"]) == (None, None)
    calls.ended(run)
    shown = calls.shown(run)
    assert INSTANT.fullmatch(shown["end_time"])
    assert isinstance(shown["duration_seconds"], float)
    assert INSTANT.fullmatch(good(calls.get(ML))["experiments"][0]["created_at"])


def test_times_in_int_ms(calls: Calls) -> None:
    run = calls.fresh_run()
    body = {"metrics": {"loss": 1}, "timestamp": 1_700_000_000_123}
    assert calls.post(f"{RUNS}/{run['id']}/log-metrics", body, wait=True).status_code == 200
    found = good(calls.get(f"{ML}/{run['experiment_id']}/runs/{run['id']}/metrics/loss"))
    assert found["steps"] == [{"step": 0, "value": 1.0, "timestamp": "2023-11-14T22:13:20.123Z"}]


def test_nan_and_infinities_are_kept_and_are_strings_in_json(calls: Calls) -> None:
    run = calls.fresh_run()
    values = {"a": "NaN", "b": "Infinity", "c": "-Infinity", "d": 0.5}
    calls.log(run, values)
    assert calls.shown(run)["metrics"] == values
    assert good(calls.get(f"{ML}/{run['experiment_id']}/runs"))["runs"][0]["metrics"] == values
    history = good(calls.get(f"{ML}/{run['experiment_id']}/runs/{run['id']}/metrics/c"))
    assert history["steps"][0]["value"] == "-Infinity"


def test_tags_in_answers_are_the_users_own_unless_include_system_tags(calls: Calls) -> None:
    experiment = calls.experiment(tags={"team": "growth", "matih.primary_metric": "f1"})
    run = calls.run(experiment["id"], tags={"stage": "warmup"})
    assert experiment["tags"] == {"team": "growth", "matih.primary_metric": "f1"}
    assert run["tags"] == {"stage": "warmup"}
    for path, own in ((f"{V1}/{experiment['id']}", experiment["tags"]), (f"{RUNS}/{run['id']}", run["tags"])):
        assert good(calls.get(path))["tags"] == own
        everything = good(calls.get(path, include="system_tags"))["tags"]
        assert own.items() <= everything.items()
        assert everything["matih.tenant_id"] == calls.tenant
        assert locs(calls.get(path, include="all")) == [["query", "include"]]
    assert "mlflow.runName" in good(calls.get(RUNS, include="system_tags"))["runs"][0]["tags"]
    assert "matih.tenant_id" in good(calls.get(V1, include="system_tags"))["experiments"][0]["tags"]
    assert good(calls.get(RUNS))["runs"][0]["tags"] == run["tags"]
    assert good(calls.get(V1))["experiments"][0]["tags"] == experiment["tags"]


def test_writing_a_matih_tag_422_but_for_the_primary_metric_and_its_goal(calls: Calls) -> None:
    run = calls.fresh_run()
    tags = {"matih.tenant_id": "x"}
    for answer in (calls.post(V1, {"name": "a", "tags": tags}), calls.post(ML, {"name": "a", "tags": tags})):
        assert locs(answer)[0][:2] == ["body", "tags"]
    assert locs(calls.post(RUNS, {"experiment_id": run["experiment_id"], "tags": tags}))[0][:2] == ["body", "tags"]
    assert locs(calls.patch(f"{V1}/{run['experiment_id']}", {"tags": tags}))[0][:2] == ["body", "tags"]
    batch = {"tags": [{"key": "matih.x", "value": "y"}]}
    assert locs(calls.post(f"{RUNS}/{run['id']}/log-batch", batch)) == [["body", "tags", 0, "key"]]
    mine = {"matih.primary_metric": "f1", "matih.primary_metric_goal": "maximize"}
    assert good(calls.patch(f"{V1}/{run['experiment_id']}", {"tags": mine}))["tags"] == mine


def test_booleans_and_numbers_as_tag_or_param_values_are_stored_as_strings(calls: Calls) -> None:
    values = {"flag": True, "count": 7, "rate": 0.001}
    texts = {"flag": "True", "count": "7", "rate": "0.001"}
    experiment = calls.experiment(tags=values)
    run = calls.run(experiment["id"], tags=values)
    calls.log(run, params=values)
    assert (experiment["tags"], run["tags"], calls.shown(run)["params"]) == (texts, texts, texts)
    assert locs(calls.post(V1, {"name": "a", "tags": {"a": None}})) == [["body", "tags", "a"]]
    assert locs(calls.post(V1, {"name": "a", "tags": {"a": [1]}})) == [["body", "tags", "a"]]


def test_a_create_201_with_the_full_body_plus_location(calls: Calls) -> None:
    for path, body in ((V1, {"name": "a"}), (ML, {"name": "b"})):
        answer = calls.post(path, body)
        found = made(answer)
        assert set(answer.json()) == set(found)
        assert answer.headers["location"].endswith(f"/{found['id']}")
        assert good(calls.get(answer.headers["location"]))["name"] == found["name"]
    answer = calls.post(RUNS, {"experiment_id": found["id"]})
    assert made(answer) == good(calls.get(answer.headers["location"]))
    home = {"experiment_id": found["id"]}
    until(lambda: calls.post(RUNS, home).status_code == 201, "a creation that is visible within 2 s")


def test_log_202_and_with_wait_200_when_visible(calls: Calls) -> None:
    run = calls.fresh_run()
    for call, body in (
        ("log-metrics", {"metrics": {"loss": 1}}),
        ("log-params", {"params": {"lr": 1}}),
        ("log-batch", {"tags": [{"key": "a", "value": "b"}]}),
    ):
        assert calls.post(f"{RUNS}/{run['id']}/{call}", body).status_code == 202
        assert calls.post(f"{RUNS}/{run['id']}/{call}", body, wait=True).status_code == 200
    assert locs(calls.post(f"{RUNS}/{run['id']}/log-params", body, wait="maybe"))[0] == ["query", "wait"]


def test_what_was_acknowledged_is_there_at_once(calls: Calls) -> None:
    """Later calls on it are judged with it in mind (read your writes)"""
    run = calls.fresh_run()
    for step in range(5):
        calls.post(f"{RUNS}/{run['id']}/log-metrics", {"metrics": {"loss": step}, "step": step})
        assert calls.shown(run)["metrics"] == {"loss": float(step)}
        history = good(calls.get(f"{ML}/{run['experiment_id']}/runs/{run['id']}/metrics/loss"))
        assert [point["value"] for point in history["steps"]] == [float(one) for one in range(step + 1)]
        assert history["total_steps"] == step + 1
    assert calls.delete(f"{RUNS}/{run['id']}").status_code == 204
    problem(calls.post(f"{RUNS}/{run['id']}/log-metrics", {"metrics": {"loss": 1}}), 409)
    assert good(calls.get(RUNS))["runs"] == []
    assert calls.post(f"{RUNS}/{run['id']}/restore").status_code == 200
    assert [one["id"] for one in good(calls.get(RUNS))["runs"]] == [run["id"]]


def test_limit_and_offset_with_the_effective_limit_echoed_and_clamped(calls: Calls) -> None:
    experiment = calls.experiment()
    for path, most in ((V1, 1000), (ML, 1000), (RUNS, 100), (f"{ML}/{experiment['id']}/runs", 100)):
        shown = good(calls.get(path, limit=5, offset=0))
        assert (shown["limit"], shown["offset"]) == (5, 0)
        assert good(calls.get(path, limit=10**6))["limit"] == most
        beyond = good(calls.get(path, offset=50))
        assert [beyond["offset"], *beyond.get("runs", []), *beyond.get("experiments", [])] == [50]
        for name, bad in (("limit", 0), ("limit", -1), ("offset", -1), ("limit", "x"), ("offset", 1.5)):
            assert locs(calls.get(path, **{name: bad})) == [["query", name]]


def test_request_size_limit_1_mib_413(calls: Calls) -> None:
    problem(calls.post(V1, {"name": "a", "description": "x" * (1 << 20)}), 413)


@pytest.mark.parametrize("form", [lambda one: uuid.UUID(one).hex, lambda one: str(uuid.UUID(one)), str.upper])
def test_ids_in_dashed_or_plain_uuid(calls: Calls, form) -> None:
    run = calls.fresh_run()
    which, home = form(run["id"]), form(run["experiment_id"])
    assert calls.post(f"{RUNS}/{which}/log-metrics", {"metrics": {"loss": 1}}).json()["run_id"] == run["id"]
    assert good(calls.get(f"{RUNS}/{which}"))["id"] == run["id"]
    assert good(calls.get(f"{V1}/{home}"))["id"] == run["experiment_id"]
    assert good(calls.get(RUNS, experiment_id=home))["total"] == 1
    assert good(calls.get(f"{ML}/{home}/runs"))["total"] == 1
    assert calls.run(home)["experiment_id"] == run["experiment_id"]
    assert good(calls.get(f"{ML}/{home}/runs/{which}/metrics/loss"))["total_steps"] == 1


def test_ids_in_mlflows_own(calls: Calls) -> None:
    run = calls.fresh_run()
    number = re.search(r"/experiments/(\d+)/runs/", run["url"])
    assert number is not None
    assert good(calls.get(f"{V1}/{number[1]}"))["id"] == run["experiment_id"]
    assert calls.run(number[1])["experiment_id"] == run["experiment_id"]
    assert good(calls.get(f"{RUNS}/{run['mlflow_run_id']}"))["id"] == run["id"]
    assert good(calls.get(f"{ML}/{number[1]}/runs"))["total"] == 2
