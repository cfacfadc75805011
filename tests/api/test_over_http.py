"""The API where MLflow's server is all there is to read: it answers as it does over the database."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.api.servers import Bench, Stored, fresh, ok
from tests.waiting import until

if TYPE_CHECKING:
    import httpx

E, R, ML = "/api/v1/experiments", "/api/v1/experiments/runs", "/api/v1/ml/experiments"
TS = 1_700_000_000_000
RUNS = 4


@pytest.fixture(scope="module")
def bench(shared_bench: Bench) -> Bench:
    """A worker, an API over MLflow's server, and one over the database."""
    shared_bench.pipe.start()
    url = shared_bench.system.mlflow.url
    shared_bench.api(MATIH_API_TRACKING_URI=url, MATIH_API_VISIBLE_TIMEOUT="20")
    shared_bench.api(MATIH_API_MLFLOW_URL=url)
    for api in shared_bench.apis:
        api.ready()
    return shared_bench


def run_of(client: httpx.Client, home: str, number: int) -> str:
    """A run that has all there is, made and ended."""
    body = {"experiment_id": home, "name": f"r{number}", "tags": {"t": str(number)}}
    run = str(ok(client.post(R, json=body), 201)["id"])
    batch = {
        "metrics": [
            {"key": "f1_score", "value": number * step / 8, "step": step, "timestamp": TS + step} for step in range(5)
        ],
        "params": [{"key": "lr", "value": number / 10}],
        "tags": [{"key": "stage", "value": "trained"}],
    }
    ok(client.post(f"{R}/{run}/log-batch", json=batch, params={"wait": True}), 200)
    ok(client.post(f"{R}/{run}/log-metrics", json={"metrics": {"odd": "NaN"}, "timestamp": TS}), 202)
    ok(client.post(f"{R}/{run}/end"), 200)
    return run


@pytest.mark.soak
def test_what_is_written_is_read_as_over_the_database(bench: Bench, stored: Stored) -> None:
    http, sql = (api.client for api in bench.apis)
    name = fresh("http")
    made = ok(http.post(E, json={"name": name, "description": "d", "tags": {"a": "b"}}), 201)
    home = made["id"]
    assert (made["name"], made["description"], made["tags"]) == (name, "d", {"a": "b"})
    runs = [run_of(http, home, number) for number in range(RUNS)]
    until(lambda: all((stored.run(run) or ("", ""))[1] == "FINISHED" for run in runs), "all is in MLflow")
    shown = ok(http.get(f"{R}/{runs[2]}"), 200)
    assert (shown["name"], shown["status"], shown["tags"]) == ("r2", "finished", {"t": "2", "stage": "trained"})
    assert (shown["params"], shown["metrics"]) == ({"lr": "0.2"}, {"f1_score": 1.0, "odd": "NaN"})
    in_order = ok(http.get(f"{ML}/{home}/runs", params={"sort_by": "metrics.f1_score"}), 200)["runs"]
    assert [run["run_id"] for run in in_order] == runs[::-1]
    paths: list[tuple[str, dict[str, Any]]] = [
        (f"{E}/{home}", {}),
        (E, {"search": name}),
        (f"{R}/{runs[1]}", {"include": "system_tags"}),
        (R, {"experiment_id": home, "limit": 2, "offset": 1}),
        (f"{ML}/{home}/runs", {"sort_by": "params.lr", "order": "asc"}),
        (f"{ML}/{home}/runs", {"sort_by": "duration_seconds", "status": "completed"}),
        (f"{ML}/{home}/runs/{runs[3]}/metrics/f1_score", {}),
        (f"{ML}/{home}/runs/r3/metrics/f1_score", {"max_points": 4, "from_step": 1}),
        (f"{ML}/{home}/runs/{runs[3]}/metrics/odd", {}),
    ]
    for path, params in paths:
        assert ok(http.get(path, params=params), 200) == ok(sql.get(path, params=params), 200), path
    for path in (f"{R}/{'0' * 32}", f"{E}/{'0' * 32}", f"{ML}/{home}/runs/{runs[0]}/metrics/none"):
        assert ok(http.get(path), 404)["detail"] == ok(sql.get(path), 404)["detail"]
    mine = [one for one in ok(http.get(ML), 200)["experiments"] if one["id"] == home]
    assert mine == [one for one in ok(sql.get(ML), 200)["experiments"] if one["id"] == home]
    assert (mine[0]["run_count"], mine[0]["best_metric"]) == (RUNS, {"f1_score": 1.5})


@pytest.mark.soak
def test_runs_are_compared_as_over_the_database(bench: Bench) -> None:
    http, sql = (api.client for api in bench.apis)
    home = ok(http.post(E, json={"name": fresh("compared")}), 201)["id"]
    runs = [run_of(http, home, number) for number in range(RUNS)]
    for path, body in (
        (f"{ML}/{home}/compare", {"metrics": ["f1_score"]}),
        (f"{ML}/{home}/compare", {"run_ids": runs[1:], "metrics": ["f1_score"], "parameters": ["lr"]}),
        (f"{R}/compare", {"run_ids": runs}),
    ):
        found = ok(http.post(path, json=body), 200)["comparison"]
        assert found == ok(sql.post(path, json=body), 200)["comparison"]
        assert found["best_run"] == runs[-1]
        assert found["parameter_impact"]["lr"]["correlation"] == pytest.approx(1.0)


@pytest.mark.soak
def test_what_is_on_its_way_is_read_too(bench: Bench) -> None:
    http = bench.apis[0].client
    home = ok(http.post(E, json={"name": fresh("pending")}), 201)["id"]
    first = run_of(http, home, 1)
    bench.stop_worker()
    try:
        body = {"experiment_id": home, "name": "new"}
        run = ok(http.post(R, json=body, timeout=60), 202)["id"]
        ok(http.post(f"{R}/{run}/log-metrics", json={"metrics": {"f1_score": 9}}), 202)
        ok(http.post(f"{R}/{first}/log-metrics", json={"metrics": {"f1_score": 0.25}, "step": 9}), 202)
        listed = ok(http.get(f"{ML}/{home}/runs", params={"sort_by": "metrics.f1_score"}), 200)
        assert [(one["run_id"], one["metrics"]["f1_score"]) for one in listed["runs"]] == [(run, 9.0), (first, 0.25)]
        assert ok(http.get(f"{ML}/{home}/runs/{first}/metrics/f1_score"), 200)["total_steps"] == 6
    finally:
        bench.continue_worker()
