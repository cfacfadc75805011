"""The shorter way to an endpoint answers as FastAPI's own: whatever the body, the headers and the query are."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from matih_api.asking import Asked, Asking  # Asked: FastAPI reads the annotations
from matih_api.errors import add_handlers
from matih_api.models.v1 import BatchIn, MetricsIn, ParamsIn
from matih_api.routes import direct
from matih_api.routes.direct import DirectRoute

if TYPE_CHECKING:
    from pydantic import BaseModel

MODELS: dict[str, type[BaseModel]] = {"metrics": MetricsIn, "params": ParamsIn, "batch": BatchIn}
KEYS = st.sampled_from(["metrics", "params", "tags", "step", "timestamp", "key", "value", "other", "loss", ""])
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=True)
    | KEYS
    | st.text(max_size=5)
    | st.just(10**400)
)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4))
GOOD = st.fixed_dictionaries(
    {"metrics": st.dictionaries(KEYS, st.floats() | st.integers() | st.text(max_size=3), max_size=3)},
    optional={"step": LEAVES, "timestamp": LEAVES},
)
BODIES = (
    (VALUES | GOOD).map(lambda value: json.dumps(value).encode())
    | st.binary(max_size=20)
    | st.sampled_from([b"", b"{", b'{"params": {"a": "1", "a": "2"}}', b'{"metrics": {"a": 1e999}}'])
)
HEADERS = st.fixed_dictionaries({}, optional={"X-Tenant-ID": st.just("acme"), "Idempotency-Key": st.just("k")})


def endpoint(model: type[BaseModel]) -> Any:
    async def told(asked: Asked, id: str, body: Any, wait: bool = False) -> JSONResponse:  # noqa: A002
        given = {"id": id, "body": repr(body), "header": asked._header, "query": asked._query, "key": asked._key}
        return JSONResponse({**given, "wait": wait}, 202)

    told.__annotations__["body"] = model
    return told


@pytest.fixture(scope="module")
def client() -> TestClient:
    app = FastAPI()
    app.state.services = None
    add_handlers(app)

    @app.middleware("http")
    async def known(request: Request, call_next: Any) -> Any:
        request.state.principal = None
        return await call_next(request)

    for name, model in MODELS.items():
        told = endpoint(model)
        app.router.add_api_route(f"/direct/{name}/{{id}}", told, methods=["POST"], route_class_override=DirectRoute)
        app.router.add_api_route(f"/usual/{name}/{{id}}", told, methods=["POST"])
    return TestClient(app)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(
    name=st.sampled_from(sorted(MODELS)),
    body=BODIES,
    headers=HEADERS,
    query=st.sampled_from(["", "?wait=true", "?wait=x", "?tenant_id=b", "?y"]),
)
@example("metrics", b'{"metrics": {"a": NaN, "b": "Infinity", "c": 1}, "step": 1.0}', {}, "")
@example("params", b'{"params": {"a": "1"}}', {"X-Tenant-ID": "acme", "Idempotency-Key": "k"}, "?wait=1")
def test_both_ways_give_the_same_answer(
    client: TestClient, name: str, body: bytes, headers: dict[str, str], query: str
) -> None:
    headers = {**headers, "Content-Type": "application/json"}
    short, usual = (
        client.post(f"/{way}/{name}/the%20id{query}", content=body, headers=headers) for way in ("direct", "usual")
    )
    assert (short.status_code, short.text.replace("/direct/", "/usual/")) == (usual.status_code, usual.text)


@pytest.mark.parametrize(
    ("query", "body", "goes"),
    [
        ("", b'{"params": {"a": "1"}}', True),
        ("?wait=true", b'{"params": {"a": "1"}}', False),
        ("", b'{"params": 1}', False),
    ],
)
def test_only_a_valid_request_without_a_query_goes_the_shorter_way(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, query: str, body: bytes, goes: bool
) -> None:
    taken: list[Any] = []

    def asking(*given: Any) -> Asking:
        taken.append(given)
        return Asking(*given)

    monkeypatch.setattr(direct, "Asking", asking)
    client.post(f"/direct/params/x{query}", content=body, headers={"Content-Type": "application/json"})
    assert bool(taken) == goes
