"""Dashboards, alerts and tables of metrics against the metrics that working servers really export."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.deploy.monitored import MONITORED, Monitored

ROOT = Path(__file__).parents[2]
QUERIES = [(server, query) for server in MONITORED for query in server.queries]
each_server = pytest.mark.parametrize("server", MONITORED, ids=lambda server: server.prefix)


@pytest.mark.parametrize(("server", "query"), QUERIES)
def test_every_metric_and_label_in_a_query_exists(server: Monitored, query: str) -> None:
    names = re.findall(r"\b((?:matih|process)_[a-z_]+)", query)
    assert names
    assert set(names) <= set(server.samples)
    grouped = {label.strip() for group in re.findall(r"by \(([^)]*)\)", query) for label in group.split(",")}
    chosen = set(re.findall(r"[{,](\w+)=", query))
    assert grouped | chosen <= server.labels(query)
    assert query.count("(") == query.count(")")


def test_every_kind_of_problem_in_a_query_is_one_that_the_api_answers_with() -> None:
    code = "".join(path.read_text() for path in (ROOT / "producers" / "matih_api").rglob("*.py"))
    kinds = {kind for _, query in QUERIES for kind in re.findall(r'kind="([^"]*)"', query)}
    assert kinds >= {"event-log-unavailable", "tracking-backend-unavailable"}
    assert not {kind for kind in kinds if f'"{kind}"' not in code}


@each_server
def test_every_alert_says_what_and_where_it_is_explained(server: Monitored) -> None:
    assert len(server.rules) == len({rule["alert"] for rule in server.rules})
    for rule in server.rules:
        assert {"summary", "description", "runbook"} <= set(rule["annotations"])
        page, _, anchor = rule["annotations"]["runbook"].partition("#")
        assert page == server.page
        assert anchor in server.anchors
        told = re.search(r"by \(([^)]*)\)", rule["expr"])
        labels = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["description"]))
        assert labels <= (set(re.split(r"\W+", told[1])) if told else server.labels(rule["expr"]))


@each_server
def test_the_table_of_metrics_is_complete_and_true(server: Monitored) -> None:
    assert server.table == server.metrics
