"""One tenant's flood on the REST API beside another tenant's requests: the other's p99, with the flood and without.

The other tenant logs and reads twenty times a second. The flood is a process of its own that sends what 32 connections
can, with the quotas as they are by default.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.api_writes import METRICS, new_run
from benchmarks.http_load import CONNECTIONS, Load, request_bytes, send_all

from matih_api.tenancy import HEADER
from matih_local.downloads import fetch
from matih_local.system import LocalSystem

if TYPE_CHECKING:
    from collections.abc import Iterator

ROUNDS = 3
REQUESTS = 400
PAUSE_S = 0.05
FLOODING_S = 2.0
"""How long the flood lasts before the other tenant is measured."""
BAR = 2.0


def requests_of(api: str, tenant: str, run: str) -> list[bytes]:
    """A write and a read."""
    url, headers = f"{api}/api/v1/experiments/runs/{run}", {HEADER: tenant}
    log = request_bytes(f"{url}/log-metrics", "POST", {"metrics": METRICS, "step": 1}, headers)
    return [log, request_bytes(url, "GET", None, headers)]


def other(api: str, run: str) -> Load:
    """The other tenant's requests."""
    return send_all(api, requests_of(api, "other", run), REQUESTS, 1, PAUSE_S)


@contextmanager
def flood(api: str, run: str) -> Iterator[None]:
    """A process that floods for the time of the block, and prints what came of it."""
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.api_flood", api, run])
    try:
        time.sleep(FLOODING_S)
        yield
    finally:
        process.terminate()
        process.wait()


def flooding(api: str, run: str) -> None:
    """Sends until it is stopped; the log-metrics only, for a read shows nothing new."""
    while True:
        load = send_all(api, requests_of(api, "flood", run)[:1], 2_000, CONNECTIONS)
        print(f"    flood: {load.per_second:,.0f} requests/s, answers {load.statuses}", flush=True)


def main() -> None:
    """Prints both tenants' figures, round by round, and the ratio that the bar is for."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    fetch()
    ratios = []
    with tempfile.TemporaryDirectory(dir="/var/tmp") as home, LocalSystem(Path(home)) as system:
        system.start()
        api = system.api.url
        run = new_run(api, "other")
        other(api, run)
        for _ in range(ROUNDS):
            alone = other(api, run)
            with flood(api, new_run(api, "flood")):
                beside = other(api, run)
            ratios.append(beside.percentile(0.99) / alone.percentile(0.99))
            for name, load in (("alone", alone), ("beside the flood", beside)):
                p50, p99 = (1000 * load.percentile(part) for part in (0.5, 0.99))
                print(f"  {name:<17} p50 {p50:4.0f} ms   p99 {p99:4.0f} ms   {load.statuses}", flush=True)
    print(f"the other tenant's p99 is {statistics.median(ratios):.1f} x that without a flood (bar {BAR})")


if __name__ == "__main__":
    flooding(*sys.argv[1:]) if len(sys.argv) > 1 else main()
