"""The REST API's writes, beside MLflow's own server doing the same: requests a second, and a whole chain's time.

Client, broker, API, database and worker share the machine, as the peer's client, server and database do.
"""

from __future__ import annotations

import os
import secrets
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import psutil
from benchmarks.http_load import CONNECTIONS, Load, request_bytes, send_all

from matih_api.tenancy import QUERY
from matih_local.downloads import fetch
from matih_local.system import LocalSystem

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 3
REQUESTS = 6_000
PEER_REQUESTS = 300
BATCHES = 120
BATCH = 1_000
CHAINS = 30
METRICS = {"loss": 0.5, "accuracy": 0.9, "lr": 0.001}


def call(url: str, method: str = "GET", body: Any = None) -> Any:
    """One request's JSON."""
    import json

    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, data, {"Content-Type": "application/json"}, method=method), timeout=30) as answer:
        return json.load(answer)


def new_run(api: str, tenant: str = "default") -> str:
    """A run of a new experiment of the tenant, through the API."""
    base, of = f"{api}/api/v1/experiments", f"?{QUERY}={tenant}"
    home = call(f"{base}{of}", "POST", {"name": f"bench {secrets.token_hex(4)}"})
    return str(call(f"{base}/runs{of}", "POST", {"experiment_id": home["id"]})["id"])


def log_metrics(api: str, run: str) -> Load:
    """POST log-metrics of three values."""
    url = f"{api}/api/v1/experiments/runs/{run}/log-metrics"

    def make(step: int) -> bytes:
        return request_bytes(url, "POST", {"metrics": METRICS, "step": step})

    return send_all(api, make, REQUESTS, CONNECTIONS)


def log_batches(api: str, run: str) -> Load:
    """POST log-batch of a thousand metrics."""
    url = f"{api}/api/v1/experiments/runs/{run}/log-batch"
    metrics = [{"key": "loss", "value": 1 / (step + 1), "step": step} for step in range(BATCH)]
    return send_all(api, [request_bytes(url, "POST", {"metrics": metrics})], BATCHES, 4)


def peer(mlflow: str) -> Load:
    """MLflow's server: log-batch of three metrics."""
    api = f"{mlflow}/api/2.0/mlflow"
    home = call(f"{api}/experiments/create", "POST", {"name": f"peer {secrets.token_hex(4)}"})["experiment_id"]
    run = call(f"{api}/runs/create", "POST", {"experiment_id": home, "start_time": 1})["run"]["info"]["run_id"]

    def make(step: int) -> bytes:
        now = int(time.time() * 1000)
        metrics = [{"key": key, "value": value, "step": step, "timestamp": now} for key, value in METRICS.items()]
        return request_bytes(f"{api}/runs/log-batch", "POST", {"run_id": run, "metrics": metrics})

    return send_all(mlflow, make, PEER_REQUESTS, 8)


def chain(api: str) -> float:
    """Seconds from the creation of an experiment to a GET that shows all of its run."""
    start = time.perf_counter()
    run = new_run(api)
    base = f"{api}/api/v1/experiments/runs/{run}"
    call(f"{base}/log-metrics", "POST", {"metrics": METRICS, "step": 1})
    call(f"{base}/end", "POST")
    shown = call(base)
    assert (shown["status"], shown["metrics"]) == ("finished", METRICS)
    return time.perf_counter() - start


def cpu_seconds(pid: int) -> float:
    """CPU that a process and its children have used."""
    process = psutil.Process(pid)
    return sum(sum(each.cpu_times()[:2]) for each in (process, *process.children(recursive=True)))


def measured(pid: int, work: Callable[[], Load]) -> tuple[Load, float]:
    """The load, and the CPU seconds of the process per request."""
    before = cpu_seconds(pid)
    load = work()
    return load, (cpu_seconds(pid) - before) / len(load.seconds)


def main() -> None:
    """Prints one line per promise: medians of three rounds, on servers of its own."""
    fetch()
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    logs, peers, batches, chains, cpu = [], [], [], [], []
    quiet = {"MATIH_API_REQUESTS_PER_SECOND": "0", "MATIH_API_EVENTS_PER_SECOND": "0"}
    with (
        tempfile.TemporaryDirectory(dir="/var/tmp") as home,
        LocalSystem(Path(home), api_settings=quiet) as system,
    ):
        system.start()
        api, pid = system.api.url, system.state("api").pid
        assert pid is not None
        for _ in range(CHAINS // 3):
            chain(api)
        for _ in range(ROUNDS):
            load, each = measured(pid, lambda: log_metrics(api, new_run(api)))
            assert set(load.statuses) == {202}, load.statuses
            logs.append(load)
            cpu.append(each)
            peers.append(peer(system.mlflow.url))
            batches.append(log_batches(api, new_run(api)))
            chains += [chain(api) for _ in range(CHAINS // ROUNDS)]
    ratio = statistics.median(ours.per_second / other.per_second for ours, other in zip(logs, peers, strict=True))
    rate = statistics.median(load.per_second for load in logs)
    print(
        f"POST log-metrics, durable on Kafka, {CONNECTIONS} connections: {rate:,.0f} requests/s (bar 1 000), "
        f"{1000 * statistics.median(cpu):.2f} ms of the API's CPU each, "
        f"p50 {1000 * statistics.median(load.percentile(0.5) for load in logs):.0f} ms, "
        f"p99 {1000 * statistics.median(load.percentile(0.99) for load in logs):.0f} ms"
    )
    print(
        f"  MLflow's server, log-batch of the same: {statistics.median(load.per_second for load in peers):,.0f} "
        f"requests/s; {ratio:.1f} x (bar 10)"
    )
    rate = BATCH * statistics.median(load.per_second for load in batches)
    print(f"POST log-batch of {BATCH:,} metrics: {rate:,.0f} metrics/s (bar 100 000)")
    print(f"create, create, log, end, GET: p50 {1000 * statistics.median(chains):.0f} ms (bar 500)")


if __name__ == "__main__":
    main()
