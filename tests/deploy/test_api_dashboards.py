"""The API's dashboard, alerts and table of metrics against the metrics that a working API really exports."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from tests.api.guard.apps import call, served

from matih_api.guard.metrics import Metrics

ROOT = Path(__file__).parents[2]
ALERTS = yaml.safe_load((ROOT / "deploy/prometheus/matih-api-alerts.yml").read_text(encoding="utf-8"))
DASHBOARD = json.loads((ROOT / "deploy/grafana/matih-api.json").read_text(encoding="utf-8"))
OPERATING = (ROOT / "docs/operating-api.md").read_text(encoding="utf-8")
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
QUERIES = [rule["expr"] for rule in RULES] + [
    target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]
]


def exported() -> Metrics:
    """Of an API that has done some of everything."""
    metrics = Metrics()
    app = served(metrics=metrics)
    for path in ("/api/runs/x", "/api/missing"):
        call(app, "GET", path)
    metrics.refused("bytes_per_day", "acme")
    metrics.published("acme", 1, 1)
    return metrics


@pytest.fixture(scope="module")
def samples() -> dict[str, set[str]]:
    """Every sample's name and its labels."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(exported().text().decode()):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.mark.parametrize("query", QUERIES)
def test_every_metric_and_label_in_a_query_exists(query: str, samples: dict[str, set[str]]) -> None:
    names = re.findall(r"\b((?:matih|process)_[a-z_]+)", query)
    assert names
    assert set(names) <= set(samples)
    known = set().union(*(samples[name] for name in names)) | {"instance"}
    grouped = {label.strip() for group in re.findall(r"by \(([^)]*)\)", query) for label in group.split(",")}
    chosen = set(re.findall(r"[{,](\w+)=", query))
    assert grouped | chosen <= known
    assert query.count("(") == query.count(")")


def test_every_alert_says_what_and_where_it_is_explained() -> None:
    headings = [line.removeprefix("## ") for line in OPERATING.splitlines() if line.startswith("## ")]
    anchors = {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert len(RULES) == len({rule["alert"] for rule in RULES})
    for rule in RULES:
        assert {"summary", "description", "runbook"} <= set(rule["annotations"])
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert page == "docs/operating-api.md"
        assert anchor in anchors
        for label in re.findall(r"\$labels\.(\w+)", rule["annotations"]["description"]):
            assert label in re.search(r"by \(([^)]*)\)", rule["expr"])[1]  # type: ignore[index]


def table() -> dict[str, Any]:
    """The rows that the page has to have."""
    return {
        family.name + ("_total" if family.type == "counter" else ""): [family.type, family.documentation]
        for family in text_string_to_metric_families(exported().text().decode())
        if family.name.startswith("matih_") and not family.name.endswith("_created")
    }


def test_the_table_of_metrics_is_complete_and_true() -> None:
    rows: dict[str, Any] = {
        row[0]: row[1:]
        for line in OPERATING.splitlines()
        if line.startswith("| `matih_api_")
        for row in [[cell.strip(" `") for cell in line.strip("|").split("|")]]
    }
    assert rows == table()
