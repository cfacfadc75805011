"""Clients that are not ours, as the platform's users write them: a script with httpx, and a shell with curl."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
from typing import Any

SCRIPT = """
import sys
import httpx

with httpx.Client(base_url=sys.argv[1] + "/api/v1", headers={"X-Tenant-ID": sys.argv[2]}, timeout=20) as client:
    experiment = client.post("/experiments", json={"name": "churn", "description": "who leaves", "tags": {"a": "b"}})
    experiment.raise_for_status()
    run = client.post("/experiments/runs", json={"experiment_id": experiment.json()["id"], "name": "baseline"})
    run.raise_for_status()
    path = "/experiments/runs/" + run.json()["id"]
    client.post(path + "/log-params", json={"params": {"lr": 0.001, "optimizer": "adam"}}).raise_for_status()
    for step in range(3):
        body = {"metrics": {"loss": 1 / (step + 1)}, "step": step}
        client.post(path + "/log-metrics", json=body).raise_for_status()
    batch = {"metrics": [{"key": "f1_score", "value": 0.5}], "tags": [{"key": "stage", "value": "final"}]}
    client.post(path + "/log-batch", json=batch).raise_for_status()
    client.post(path + "/end", params={"status": "finished"}).raise_for_status()
    print(client.get(path).raise_for_status().text)
"""


def check(run: dict[str, Any]) -> None:
    assert run["name"] == "baseline"
    assert run["status"] == "finished"
    assert run["params"] == {"lr": "0.001", "optimizer": "adam"}
    assert run["metrics"] == {"loss": 1 / 3, "f1_score": 0.5}
    assert run["tags"] == {"stage": "final"}
    assert run["start_time"] <= run["end_time"]
    assert run["duration_seconds"] >= 0


def test_a_script_with_httpx(api_url: str) -> None:
    command = [sys.executable, "-c", SCRIPT, api_url, f"t-{secrets.token_hex(5)}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    check(json.loads(done.stdout))


def test_a_shell_with_curl(api_url: str) -> None:
    tenant = f"t-{secrets.token_hex(5)}"

    def curl(method: str, path: str, body: object = None) -> Any:
        command = ["curl", "--silent", "--show-error", "--fail-with-body", "--request", method]
        command += ["--header", f"X-Tenant-ID: {tenant}", f"{api_url}/api/v1{path}"]
        if body is not None:
            command += ["--header", "Content-Type: application/json", "--data", json.dumps(body)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout) if done.stdout else None

    experiment = curl("POST", "/experiments", {"name": "churn"})
    run = curl("POST", "/experiments/runs", {"experiment_id": experiment["id"], "name": "baseline"})
    path = f"/experiments/runs/{run['id']}"
    curl("POST", f"{path}/log-params", {"params": {"lr": 0.001, "optimizer": "adam"}})
    for step in range(3):
        curl("POST", f"{path}/log-metrics", {"metrics": {"loss": 1 / (step + 1)}, "step": step})
    curl("POST", f"{path}/log-batch", {"metrics": [{"key": "f1_score", "value": 0.5}]})
    curl("POST", f"{path}/log-batch", {"tags": [{"key": "stage", "value": "final"}]})
    curl("POST", f"{path}/end?status=finished")
    check(curl("GET", path))
    assert curl("GET", "/ml/experiments")["experiments"][0]["run_count"] == 1
