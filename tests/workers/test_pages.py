"""The worker's pages and settings, and the guide on dead letters."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import aiohttp
import pytest

from matih_kafka.errors import InvalidSettings
from matih_schemas.errors import REASONS, InvalidEvent
from matih_workers.dead_letters import DeadLetter
from matih_workers.health import Health
from matih_workers.records import Received
from matih_workers.settings import worker_settings
from matih_workers.web import Pages, PortTaken

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "dead-letters.md"


async def fetch(health: Health, path: str) -> tuple[int, str]:
    pages = Pages(health)
    port = await pages.start("127.0.0.1", 0)
    try:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
            return answer.status, await answer.text()
    finally:
        await pages.stop()


def test_ready_says_why_it_is_not() -> None:
    health = Health()
    status, text = asyncio.run(fetch(health, "/readyz"))
    assert status == 503
    assert "no partitions were assigned yet" in text
    health.store_works()
    health.kafka.works()
    health.assigned = frozenset()
    assert asyncio.run(fetch(health, "/readyz"))[0] == 200
    health.store_fails("connection refused")
    assert "the store is down: connection refused" in asyncio.run(fetch(health, "/readyz"))[1]
    assert asyncio.run(fetch(health, "/healthz"))[0] == 200


def test_metrics_count() -> None:
    health = Health(lag=lambda: {0: 3, 1: 4})
    health.applied(3, 1000, 0.2)
    health.dead([DeadLetter(Received("t", 0, 0, None, None), InvalidEvent("malformed", "x"))])
    with health.in_flight(5):
        text = asyncio.run(fetch(health, "/metrics"))[1]
    for line in (
        "matih_worker_events_total 3.0",
        "matih_worker_points_total 1000.0",
        'matih_worker_dead_letters_total{reason="malformed"} 1.0',
        "matih_worker_in_flight_events 5.0",
        "matih_worker_lag_events 7.0",
        "matih_worker_apply_seconds_count 1.0",
    ):
        assert line in text
    assert health.report()["in_flight"] == 0


def test_a_port_that_is_taken_names_the_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(PortTaken, match="MATIH_WORKER_PORT"):
        asyncio.run(Pages(Health()).start("127.0.0.1", taken.getsockname()[1]))


def test_where_the_store_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert worker_settings().store_uri == "http://mlflow:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking")
    assert worker_settings().store_uri == "http://tracking"
    monkeypatch.setenv("MATIH_STORE_URI", "postgresql://db")
    assert worker_settings().store_uri == "postgresql://db"


def test_the_stores_uri_may_stand_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "uri"
    file.write_text("postgresql://me:secret@db/mlflow\n")
    monkeypatch.setenv("MATIH_STORE_URI_FILE", str(file))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://tracking")
    assert worker_settings().store_uri == "postgresql://me:secret@db/mlflow"
    monkeypatch.setenv("MATIH_STORE_URI", "http://given")
    assert worker_settings().store_uri == "http://given"
    monkeypatch.delenv("MATIH_STORE_URI")
    file.unlink()
    with pytest.raises(InvalidSettings, match=str(file)):
        worker_settings()


@pytest.mark.parametrize(("name", "value"), [("MATIH_WORKER_PORT", "http"), ("MATIH_WORKER_ATTEMPTS", "0")])
def test_a_setting_that_can_not_be_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(InvalidSettings, match=name):
        worker_settings()


def test_the_guide_has_a_line_for_every_reason() -> None:
    rows = [line.split("|")[1:-1] for line in GUIDE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert [row[0].strip().strip("`") for row in rows] == list(REASONS)
    assert all(cell.strip() for row in rows for cell in row)
