"""`/readyz`: ready, or a problem that says what is wrong."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from fastapi import FastAPI
from tests.api.guard.apps import call

from matih_api.errors import add_handlers
from matih_api.problems import unavailable
from matih_api.routes.health import router

if TYPE_CHECKING:
    from collections.abc import Callable

    import httpx


def asked(kafka: str | None, mlflow: str | None) -> httpx.Response:
    """The answer with these troubles."""

    async def ask(_check: Callable[[], None]) -> None:
        if mlflow is not None:
            raise unavailable("tracking-backend-unavailable", mlflow)

    app = FastAPI()
    app.include_router(router)
    add_handlers(app)
    reads = SimpleNamespace(call=ask, reader=SimpleNamespace(check=None))
    app.state.services = SimpleNamespace(events=SimpleNamespace(problem=kafka), objects=SimpleNamespace(reads=reads))
    return call(app, "GET", "/readyz")


@pytest.mark.parametrize("mlflow", [None, "MLflow is away"])
def test_it_is_ready_with_mlflow_and_without(mlflow: str | None) -> None:
    answer = asked(None, mlflow)
    assert answer.status_code == 200
    assert answer.json() == {"ready": True, "problems": [], "warnings": [mlflow] if mlflow else []}


def test_without_kafka_it_is_a_problem_with_the_same_members() -> None:
    answer = asked("down on purpose", "MLflow is away")
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert (body["type"], body["status"]) == ("urn:matih:problem:not-ready", 503)
    assert body["detail"] == "Kafka: down on purpose"
    assert (body["ready"], body["problems"], body["warnings"]) == (
        False,
        ["Kafka: down on purpose"],
        ["MLflow is away"],
    )
    assert int(answer.headers["retry-after"]) > 0
