"""Schemathesis calls the running API as its own OpenAPI document says: no 5xx, no undocumented answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import hypothesis
import schemathesis
from hypothesis import strategies
from schemathesis import checks
from schemathesis.specs.openapi import checks as openapi
from tests.api.calls import Calls

from matih_schemas.event_batch import CONTENT_TYPE

if TYPE_CHECKING:
    import httpx

SEED = 20_240_607
EXAMPLES = 15
CHECKS = [
    checks.not_a_server_error,
    openapi.status_code_conformance,
    openapi.content_type_conformance,
    openapi.response_schema_conformance,
]
TENANT = "schemathesis"


@schemathesis.serializer(CONTENT_TYPE)
def events(_context: Any, value: Any) -> bytes:
    return value if isinstance(value, bytes) else getattr(value, "data", str(value).encode())


def test_answers_are_as_documented(api_url: str, http: httpx.Client) -> None:
    calls = Calls(http, TENANT)
    schema = schemathesis.openapi.from_url(f"{api_url}/openapi.json")
    failures, count = [], 0
    for count, found in enumerate(schema.get_all_operations()):
        operation = found.ok()
        try:
            _call_many(operation, _ids(calls, operation.path, f"churn {count}") if "{id}" in operation.path else {})
        except Exception as failed:
            failures.append(f"{operation.label}: {failed!r} {getattr(failed, 'exceptions', '')}")
    assert count > 20
    assert failures == []


def _ids(calls: Calls, path: str, name: str) -> dict[str, str]:
    """What is there to be called on, by the names of the path's parameters."""
    run = calls.run(calls.experiment(name)["id"])
    calls.log(run, {"loss": 1})
    if "/experiments/runs/" in path:
        return {"id": run["id"]}
    return {"id": run["experiment_id"], **({"run": run["id"], "metric": "loss"} if "{run}" in path else {})}


def _call_many(operation: Any, ids: dict[str, str]) -> None:
    """Half of the calls are on something that is there, for its tenant."""

    @hypothesis.seed(SEED)
    @hypothesis.settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(operation.as_strategy(), strategies.booleans())
    def call(case: Any, known: bool) -> None:
        if known:
            case.path_parameters.update(ids)
            case.headers = {"X-Tenant-ID": TENANT}
            case.query.pop("tenant_id", None)
        case.call_and_validate(checks=CHECKS, timeout=20)

    call()
