"""What is counted, under which bounded labels, and the sum over processes."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.api.guard.apps import call, raw, served

from matih_api.guard.metrics import Metrics
from matih_api.guard.multiprocess import share_metrics
from matih_api.problems import Problem, unavailable
from matih_schemas.tenant_labels import OTHER, TENANTS_MAX, UNKNOWN

if TYPE_CHECKING:
    from pathlib import Path

    from matih_api.guard.asgi import App


def samples(text: str) -> dict[tuple[str, ...], float]:
    """By name and the values of the labels but le."""
    return {
        (sample.name, *(value for label, value in sample.labels.items() if label != "le")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_bucket")
    }


def page(metrics: Metrics) -> dict[tuple[str, ...], float]:
    app: App = metrics.page
    answer = call(app, "GET", "/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    return samples(answer.text)


def test_requests_by_route_template_and_status() -> None:
    metrics = Metrics()
    app = served(metrics=metrics)
    for run in ("a", "b", "c"):
        call(app, "GET", f"/api/runs/{run}")
    call(app, "GET", "/api/missing")
    call(app, "GET", "/nowhere/1")
    call(app, "GET", "/nowhere/2")
    raw(app, "HACK", b"/api/runs/a")
    found = page(metrics)
    name = "matih_api_requests_total"
    assert {key[1:]: value for key, value in found.items() if key[0] == name} == {
        ("GET", "/api/runs/{run_id}", "200"): 3,
        ("GET", "/api/missing", "404"): 1,
        ("GET", "(none)", "404"): 2,
        ("(other)", "/api/runs/{run_id}", "405"): 1,
    }
    assert found["matih_api_request_seconds_count", "GET", "/api/runs/{run_id}"] == 3
    assert found["matih_api_problems_total", "run-not-found"] == 1
    assert found["matih_api_tenant_requests_total", "acme"] == 3
    assert found["matih_api_in_flight_requests",] == 0


def test_what_is_in_flight_is_counted_while_it_is() -> None:
    metrics = Metrics()
    app = served(metrics=metrics, request_timeout=0.2)
    seen: list[float] = []

    async def ask() -> None:
        transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            slow = asyncio.create_task(client.get("/api/slow"))
            while not seen or seen[-1] != 1.0:
                await asyncio.sleep(0)
                seen.append(samples(metrics.text().decode())["matih_api_in_flight_requests",])
            await slow

    asyncio.run(ask())
    assert page(metrics)["matih_api_in_flight_requests",] == 0


def test_refusals_and_publications() -> None:
    metrics = Metrics()
    metrics.refused("bytes_per_day", "acme")
    metrics.published("acme", 3, 100)
    with metrics.publishing():
        pass
    with pytest.raises(Problem), metrics.publishing():
        raise unavailable("event-log-unavailable", "x")
    with pytest.raises(Problem), metrics.publishing():
        raise Problem(413, "event-too-large", "x")
    found = page(metrics)
    assert found["matih_api_quota_refusals_total", "bytes_per_day", "acme"] == 1
    assert found["matih_api_tenant_events_total", "acme"] == 3
    assert found["matih_api_tenant_bytes_total", "acme"] == 100
    assert found["matih_api_publish_seconds_count",] == 1
    assert found["matih_api_publish_failures_total",] == 1


def test_many_tenants_fill_no_memory() -> None:
    metrics = Metrics()
    for number in range(TENANTS_MAX + 20):
        metrics.refused("in_flight", f"t{number}")
    metrics.refused("in_flight", "no/tenant")
    found = page(metrics)
    assert found["matih_api_quota_refusals_total", "in_flight", OTHER] == 20
    assert found["matih_api_quota_refusals_total", "in_flight", UNKNOWN] == 1
    assert sum(key[0] == "matih_api_quota_refusals_total" for key in found) == TENANTS_MAX + 2


PROCESS = """
import sys
from matih_api.guard.metrics import Metrics
metrics = Metrics()
metrics.published("acme", int(sys.argv[1]), 10)
metrics._in_flight.inc(5)
if sys.argv[2:]:
    print(metrics.text().decode())
"""


def test_processes_are_summed_and_the_dead_are_not_in_flight(tmp_path: Path) -> None:
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    command = [sys.executable, "-c", PROCESS]
    subprocess.run([*command, "1"], env=environment, check=True)
    subprocess.run([*command, "2"], env=environment, check=True)
    last = subprocess.run([*command, "4", "print"], env=environment, check=True, capture_output=True, text=True)
    found = samples(last.stdout)
    assert found["matih_api_tenant_events_total", "acme"] == 7
    assert found["matih_api_tenant_bytes_total", "acme"] == 30
    assert found["matih_api_in_flight_requests",] == 5


def test_the_shared_folder_is_made_once_and_goes_with_its_owner() -> None:
    code = "from matih_api.guard.multiprocess import *; a = share_metrics(); assert share_metrics() == a; print(a)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "matih-api-metrics-" in done.stdout
    assert not os.path.exists(done.stdout.strip())  # noqa: PTH110


def test_a_folder_that_is_given_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "metrics"))
    assert share_metrics() == tmp_path / "metrics"
    assert (tmp_path / "metrics").is_dir()
