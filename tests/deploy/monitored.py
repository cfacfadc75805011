"""What is checked for each server that exports metrics: its dashboard, its alert rules and its page for operators."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from prometheus_client.parser import text_string_to_metric_families
from tests.api.guard.apps import call, served

from matih_api.guard.metrics import Metrics
from matih_schemas.errors import InvalidEvent
from matih_workers.audit.metrics import ArchiverMetrics
from matih_workers.dead_letters import DeadLetter
from matih_workers.health import Health
from matih_workers.records import Received

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Monitored:
    """A server's files by name, and the text that it exports after it has done some of everything."""

    prefix: str
    alerts: str
    dashboard: str
    page: str
    exported: Callable[[], str]

    @cached_property
    def operating(self) -> str:
        return (ROOT / self.page).read_text(encoding="utf-8")

    @cached_property
    def rules(self) -> list[dict[str, Any]]:
        groups = yaml.safe_load((ROOT / self.alerts).read_text(encoding="utf-8"))["groups"]
        return [rule for group in groups for rule in group["rules"]]

    @cached_property
    def queries(self) -> list[str]:
        panels = json.loads((ROOT / self.dashboard).read_text(encoding="utf-8"))["panels"]
        return [rule["expr"] for rule in self.rules] + [
            target["expr"] for panel in panels for target in panel["targets"]
        ]

    @cached_property
    def samples(self) -> dict[str, set[str]]:
        """Every sample's name and its labels."""
        found: dict[str, set[str]] = {}
        for family in text_string_to_metric_families(self.exported()):
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
        return found

    def labels(self, query: str) -> set[str]:
        """Those of the metrics in a query, and those that Prometheus adds."""
        names = re.findall(r"\b((?:matih|process)_[a-z_]+)", query)
        return set().union(*(self.samples[name] for name in names)) | {"instance", "job"}

    @cached_property
    def metrics(self) -> dict[str, list[str]]:
        """Type and meaning of each metric."""
        return {
            family.name + ("_total" if family.type == "counter" else ""): [family.type, family.documentation]
            for family in text_string_to_metric_families(self.exported())
            if family.name.startswith("matih_") and not family.name.endswith("_created")
        }

    @cached_property
    def table(self) -> dict[str, list[str]]:
        """The same as the page tells it."""
        lines = [line for line in self.operating.splitlines() if line.startswith(f"| `{self.prefix}")]
        rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines]
        return {row[0]: row[1:] for row in rows}

    @cached_property
    def anchors(self) -> set[str]:
        headings = [line.removeprefix("## ") for line in self.operating.splitlines() if line.startswith("## ")]
        return {re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _worker() -> str:
    health = Health(lag=lambda: {0: 7})
    record = Received("t", 0, 0, b"acme/r", b"x", timestamp_ms=1)
    health.applied(1, 1, 0.1)
    health.took([record], 1, 2)
    health.dead([DeadLetter(record, InvalidEvent("malformed", "x"))])
    return health.metrics.text().decode()


def _api() -> str:
    metrics = Metrics()
    app = served(metrics=metrics)
    for path in ("/api/runs/x", "/api/missing"):
        call(app, "GET", path)
    metrics.refused("bytes_per_day", "acme")
    metrics.published("acme", 1, 1)
    return metrics.text().decode()


def _audit() -> str:
    metrics = ArchiverMetrics()
    metrics.checkpointed(1)
    return metrics.text().decode()


WORKER = Monitored(
    "matih_worker_",
    "deploy/prometheus/matih-alerts.yml",
    "deploy/grafana/matih-worker.json",
    "docs/operating.md",
    _worker,
)
API = Monitored(
    "matih_api_",
    "deploy/prometheus/matih-api-alerts.yml",
    "deploy/grafana/matih-api.json",
    "docs/operating-api.md",
    _api,
)
AUDIT = Monitored(
    "matih_audit_",
    "deploy/prometheus/matih-audit-alerts.yml",
    "deploy/grafana/matih-audit.json",
    "docs/operating.md",
    _audit,
)
MONITORED = (WORKER, API, AUDIT)
