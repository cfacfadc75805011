"""Whether this process lives, and whether it can do its work."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, ConfigDict

from matih_api.document import OPERATING
from matih_api.guard.metrics import Metrics
from matih_api.problems import Problem
from matih_api.publishing import RETRY_AFTER
from matih_api.routes.answers import PROBLEMS, answer

router = APIRouter(tags=[OPERATING])

_NOT_READY: Final = {**PROBLEMS[503], "description": "Kafka takes no events: `problems` says why."}


class Ready(BaseModel):
    """Whether requests can be answered, and what is wrong."""

    model_config = ConfigDict(json_schema_extra={"example": {"ready": True, "problems": [], "warnings": []}})

    ready: bool
    problems: list[str]
    warnings: list[str]


@router.get("/healthz")
async def healthz() -> JSONResponse:
    """Whether the process lives: true however its backends are."""
    return answer({"status": "alive"})


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """What Prometheus reads."""
    found: Metrics = request.app.state.services.metrics
    return Response(found.text(), media_type=CONTENT_TYPE_LATEST)


@router.get("/readyz", response_model=Ready, responses={503: _NOT_READY})
async def readyz(request: Request) -> JSONResponse:
    """Whether requests can be answered: Kafka takes events. MLflow away is a warning: writes go on.

    The answer that it is not ready is a problem, with the same members.
    """
    services = request.app.state.services
    problems = [f"Kafka: {services.events.problem}"] if services.events.problem else []
    try:
        await services.objects.reads.call(services.objects.reads.reader.check)
        warnings = []
    except Problem as problem:
        warnings = [problem.detail]
    found = {"ready": not problems, "problems": problems, "warnings": warnings}
    if problems:
        raise Problem(503, "not-ready", "; ".join(problems), headers={"Retry-After": str(RETRY_AFTER)}, members=found)
    return answer(found)
