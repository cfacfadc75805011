"""Whether this process lives, and whether it can do its work."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST

from matih_api.guard.metrics import Metrics
from matih_api.problems import Problem
from matih_api.routes.answers import answer

router = APIRouter(tags=["operating"])


@router.get("/healthz")
async def healthz() -> JSONResponse:
    """Whether the process lives: true however its backends are."""
    return answer({"status": "alive"})


@router.get("/metrics", response_class=PlainTextResponse)
async def metrics(request: Request) -> Response:
    """What Prometheus reads."""
    found: Metrics = request.app.state.services.metrics
    return Response(found.text(), media_type=CONTENT_TYPE_LATEST)


@router.get("/readyz", responses={503: {}})
async def readyz(request: Request) -> JSONResponse:
    """Whether requests can be answered: Kafka takes events. MLflow away is a warning: writes go on."""
    services = request.app.state.services
    problems = [f"Kafka: {services.events.problem}"] if services.events.problem else []
    try:
        await services.objects.reads.call(services.objects.reads.reader.check)
        warnings = []
    except Problem as problem:
        warnings = [problem.detail]
    ready = not problems
    return answer({"ready": ready, "problems": problems, "warnings": warnings}, 200 if ready else 503)
