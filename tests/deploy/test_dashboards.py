"""Dashboard, alerts and the table of metrics against the metrics that a working worker really exports."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from matih_schemas.errors import InvalidEvent
from matih_workers.dead_letters import DeadLetter
from matih_workers.health import Health
from matih_workers.records import Received
from matih_workers.share import LEAST_EVENTS, WINDOW_EVENTS, Share
from matih_workers.tenants import OTHER, TENANTS_MAX, UNKNOWN, Tenants

ROOT = Path(__file__).parents[2]
ALERTS = yaml.safe_load((ROOT / "deploy/prometheus/matih-alerts.yml").read_text(encoding="utf-8"))
DASHBOARD = json.loads((ROOT / "deploy/grafana/matih-worker.json").read_text(encoding="utf-8"))
OPERATING = (ROOT / "docs/operating.md").read_text(encoding="utf-8")
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
QUERIES = [rule["expr"] for rule in RULES] + [
    target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]
]


@pytest.fixture(scope="module")
def exported() -> dict[str, set[str]]:
    """Every sample's name and its labels, of a worker that has done some of everything."""
    health = Health(lag=lambda: 7)
    record = Received("t", 0, 0, b"acme/r", b"x", timestamp_ms=1)
    health.applied(1, 1, 0.1)
    health.took([record], 1, 2)
    health.dead([DeadLetter(record, InvalidEvent("malformed", "x"))])
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(health.metrics.text().decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.mark.parametrize("query", QUERIES)
def test_every_metric_and_label_in_a_query_exists(query: str, exported: dict[str, set[str]]) -> None:
    names = re.findall(r"\b((?:matih|process)_[a-z_]+)", query)
    assert names
    assert set(names) <= set(exported)
    labels = {label.strip() for group in re.findall(r"by \(([^)]*)\)", query) for label in group.split(",")}
    known = set().union(*(exported[name] for name in names))
    assert labels <= known | {"instance"}
    assert query.count("(") == query.count(")")


def test_every_alert_says_what_and_where_it_is_explained() -> None:
    anchors = {re.sub(r"[^a-z0-9 -]", "", line.lower()).replace(" ", "-") for line in headings()}
    assert len(RULES) == len({rule["alert"] for rule in RULES})
    for rule in RULES:
        assert {"summary", "description", "runbook"} <= set(rule["annotations"])
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert page == "docs/operating.md"
        assert anchor in anchors


def headings() -> list[str]:
    return [line.removeprefix("## ") for line in OPERATING.splitlines() if line.startswith("## ")]


def test_the_table_of_metrics_is_complete_and_true() -> None:
    families = {family.name: family for family in text_string_to_metric_families(Health().metrics.text().decode())}
    rows: dict[str, Any] = {
        row[0]: row[1:]
        for line in OPERATING.splitlines()
        if line.startswith("| `matih_worker_")
        for row in [[cell.strip(" `") for cell in line.strip("|").split("|")]]
    }
    wanted = {
        name + ("_total" if family.type == "counter" else ""): [family.type, family.documentation]
        for name, family in families.items()
        if name.startswith("matih_")
    }
    assert rows == wanted


def test_redelivered_events_are_counted() -> None:
    health = Health()
    records = [Received("t", 0, offset, b"acme/r", b"x", timestamp_ms=1) for offset in (0, 1, 2, 1, 2, 3)]
    health.took(records, 0, 5)
    assert "matih_worker_redelivered_events_total 2.0" in health.metrics.text().decode()


def test_lag_in_seconds_is_of_the_last_event_applied_and_nothing_when_none_waits() -> None:
    waiting: list[int | None] = [None]
    health = Health(lag=lambda: waiting[0])
    assert health.lag_seconds() is None
    waiting[0] = 0
    assert health.lag_seconds() == 0.0
    waiting[0] = 5
    assert health.lag_seconds() is None
    health.took([Received("t", 0, 0, b"acme/r", b"x", timestamp_ms=1000)], 0, 5)
    assert (health.lag_seconds() or 0) > 1_000_000


def test_many_dead_letters_are_a_warning_and_the_worker_stays_ready(caplog: pytest.LogCaptureFixture) -> None:
    health = Health(share_bound=0.05)
    health.store_works()
    health.kafka.works()
    health.assigned = frozenset()
    letter = DeadLetter(Received("t", 0, 0, b"acme/r", b"x"), InvalidEvent("malformed", "x"))
    for _ in range(LEAST_EVENTS):
        health.dead([], 1)
    assert health.warnings() == []
    for _ in range(20):
        health.dead([letter], 1)
    (warning,) = health.warnings()
    assert "17 % of the last events" in warning
    assert health.report()["ready"] is True
    assert caplog.text.count("of the last events") == 1


def test_the_share_forgets() -> None:
    share = Share()
    share.add(1000, 1000)
    assert share.value == 1.0
    for _ in range(WINDOW_EVENTS // 100 + 10):
        share.add(100, 0)
    assert share.value == 0.0


def test_garbage_in_keys_fills_no_memory() -> None:
    tenants = Tenants()
    labels = {tenants.label(f"t{number}/r".encode()) for number in range(TENANTS_MAX + 500)}
    assert len(labels) == TENANTS_MAX + 1
    assert OTHER in labels
    assert {tenants.label(key) for key in (None, b"", b"no-slash", b"\xff\xfe/x", b"bad tenant/x")} == {UNKNOWN}
    assert tenants.label(b"t5/r") == "t5"
