"""Schemathesis calls the running API as its own OpenAPI document says: no 5xx, no undocumented answer."""

from __future__ import annotations

import hypothesis
import schemathesis
from schemathesis import checks
from schemathesis.specs.openapi import checks as openapi

SEED = 20_240_607
EXAMPLES = 15
CHECKS = [
    checks.not_a_server_error,
    openapi.status_code_conformance,
    openapi.content_type_conformance,
    openapi.response_schema_conformance,
]
OPERATING = ("/healthz", "/readyz", "/metrics")


def test_answers_are_as_documented(api_url: str) -> None:
    schema = schemathesis.openapi.from_url(f"{api_url}/openapi.json")
    failures, count = [], 0
    for found in schema.get_all_operations():
        operation = found.ok()
        count += 1
        try:
            _call_many(operation)
        except Exception as failed:
            failures.append(f"{operation.label}: {failed!r} {getattr(failed, 'exceptions', '')}")
    assert count > 20
    assert failures == []


def _call_many(operation) -> None:
    @hypothesis.seed(SEED)
    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(operation.as_strategy())
    def call(case) -> None:
        case.call_and_validate(checks=CHECKS, timeout=20)

    call()
