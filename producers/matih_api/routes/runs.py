"""`/api/v1/experiments/runs`: declared before `/api/v1/experiments/{id}`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import msgspec
from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse

from matih_api import comparing, listing, runs
from matih_api.asking import Asked
from matih_api.auth.principal import Role
from matih_api.events import LoggedMetric
from matih_api.experiments import find as find_experiment
from matih_api.models.common import STATUS_WORDS, MlflowStatus, status_word
from matih_api.models.comparison import ComparisonResponse
from matih_api.models.v1 import (
    BATCH_MAX,
    BatchIn,
    CompareRunsIn,
    EndedOut,
    LoggedOut,
    MetricsIn,
    ParamsIn,
    RestoringOut,
    RunIn,
    RunList,
    RunOut,
)
from matih_api.presenting import run
from matih_api.problems import FieldError, invalid
from matih_api.routes.answers import answer
from matih_api.routes.direct import DirectRoute
from matih_api.routes.experiments import Include
from matih_schemas.clock import now_ms
from matih_schemas.events import RunDeleted, RunRestored
from matih_tracking.reading.queries import RunQuery

router = APIRouter(prefix="/api/v1/experiments/runs", tags=["runs"])

Wait = Annotated[bool, Query(description="Answer 200 once MLflow shows it, if that does not take too long.")]
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


def _logs(path: str) -> Callable[[Endpoint], Endpoint]:
    """Declares an endpoint that jobs call all the time."""

    def declared(endpoint: Endpoint) -> Endpoint:
        responses: dict[int | str, dict[str, Any]] = {200: {"model": LoggedOut}}
        router.add_api_route(
            path,
            endpoint,
            methods=["POST"],
            status_code=202,
            response_model=LoggedOut,
            responses=responses,
            route_class_override=DirectRoute,
        )
        return endpoint

    return declared


@router.post("", status_code=201, response_model=RunOut, responses={202: {"model": RunOut}})
async def create(asked: Asked, body: RunIn) -> JSONResponse:
    """Begin a run: 201 if it is to be seen in MLflow already, 202 if it is on its way there."""
    made = await runs.create(asked, body.experiment_id, body.name, body.description, body.tags)
    found = run(made.run, page_of(asked, made.run))
    return answer(found, 201 if made.visible else 202, f"{router.prefix}/{found['id']}")


@router.get("", response_model=RunList)
async def many(
    asked: Asked,
    experiment_id: Annotated[str | None, Query(max_length=64)] = None,
    status: str | None = None,
    limit: Annotated[int, Query(ge=1, le=2**31 - 1)] = 50,
    offset: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    include: Include = None,
) -> JSONResponse:
    """List runs, newest first."""
    wanted = None if status is None else status_of(status)
    used = listing.effective(limit, asked.services.settings.max_runs)
    if experiment_id is None:
        tenant, home = asked.tenant(Role.READER), None
    else:
        found = await find_experiment(asked, experiment_id, Role.READER)
        tenant, home = found.tenant_id, found.experiment_id
    query = RunQuery(home, wanted, limit=used, offset=offset)
    page = await listing.runs(asked.services.objects, {tenant}, query)
    shown = [run(one, page_of(asked, one), include is not None) for one in page.items]
    return answer({"runs": shown, "total": page.total, "limit": used, "offset": offset})


@router.post("/compare", response_model=ComparisonResponse)
async def compare(asked: Asked, body: CompareRunsIn) -> Response:
    """Compare runs of one tenant, of one experiment or several: the answer is that of the ml family's compare."""
    found = await comparing.compare_runs(asked, body)
    return Response(await asyncio.to_thread(msgspec.json.encode, found), media_type="application/json")


@router.get("/{id}", response_model=RunOut)
async def one(asked: Asked, id: str, include: Include = None) -> JSONResponse:
    """Show a run, a deleted one too."""
    found = await runs.find(asked, id)
    return answer(run(found, page_of(asked, found), include is not None))


@router.delete("/{id}", status_code=204)
async def delete(asked: Asked, id: str) -> Response:
    """Delete a run; it stays to be seen and can be restored."""
    await runs.set_lifecycle(asked, id, RunDeleted)
    return Response(status_code=204)


@router.post("/{id}/restore", response_model=RunOut, responses={202: {"model": RestoringOut}})
async def restore(asked: Asked, id: str) -> JSONResponse:
    """Restore a run: 202 without its fields if it can't be read, MLflow being away."""
    found = await runs.find_or_pending(asked, id)
    restored = await runs.set_lifecycle(asked, id, RunRestored)
    if found is None:
        return answer({"message": "Run restored", "run_id": restored.run_id}, 202)
    return answer(run(found, page_of(asked, found)))


@_logs("/{id}/log-metrics")
async def log_metrics(asked: Asked, id: str, body: MetricsIn, wait: Wait = False) -> JSONResponse:
    """Log metrics of one step."""
    timestamp = now_ms() if body.timestamp is None else body.timestamp
    metrics = [LoggedMetric(key, value, body.step, timestamp) for key, value in body.metrics.items()]
    return _logged("Metrics logged", await runs.log(asked, id, metrics, wait=wait), len(metrics))


@_logs("/{id}/log-params")
async def log_params(asked: Asked, id: str, body: ParamsIn, wait: Wait = False) -> JSONResponse:
    """Log params; the first value of a param holds."""
    params = list(body.params.items())
    return _logged("Parameters logged", await runs.log(asked, id, params=params, wait=wait), len(params))


@_logs("/{id}/log-batch")
async def log_batch(asked: Asked, id: str, body: BatchIn, wait: Wait = False) -> JSONResponse:
    """Log metrics, params and tags, all of them or none."""
    count = len(body.metrics) + len(body.params) + len(body.tags)
    _check_batch(body, count)
    now = now_ms()
    metrics = [
        LoggedMetric(one.key, one.value, one.step, now if one.timestamp is None else one.timestamp)
        for one in body.metrics
    ]
    params, tags = [(one.key, one.value) for one in body.params], [(one.key, one.value) for one in body.tags]
    return _logged("Batch logged", await runs.log(asked, id, metrics, params, tags, wait=wait), count)


@router.post("/{id}/end", response_model=EndedOut)
async def end(asked: Asked, id: str, status: str = "finished") -> JSONResponse:
    """End a run; of two ends the later one holds."""
    wanted = status_of(status)
    if wanted not in ("FINISHED", "FAILED", "KILLED"):
        raise invalid(
            f"status {status[:80]!r} is no end", FieldError(("query", "status"), "finished, failed or killed")
        )
    ended, seconds = await runs.end(asked, id, wanted)
    body = {"message": "Run ended", "run_id": ended.run_id, "status": wanted.lower(), "duration_seconds": seconds}
    return answer(body)


def status_of(word: str) -> MlflowStatus:
    """MLflow's word for a status.

    Raises:
        Problem: 422, it is none.
    """
    found = status_word(word)
    if found is None:
        known = ", ".join(STATUS_WORDS)
        raise invalid(f"status {word[:80]!r}: use one of {known}", FieldError(("query", "status"), f"one of {known}"))
    return found


def page_of(asked: Asked, found: Any) -> str | None:
    """The run's page in MLflow, if MLflow shows it and its address is known."""
    base = asked.services.settings.mlflow_url
    if not base or not found.mlflow_experiment_id:
        return None
    return f"{base.rstrip('/')}/#/experiments/{found.mlflow_experiment_id}/runs/{found.mlflow_run_id}"


def _check_batch(body: BatchIn, count: int) -> None:
    if count == 0:
        raise invalid("the batch is empty", FieldError(("body",), "give at least one metric, param or tag"))
    if count > BATCH_MAX:
        raise invalid(f"{count} items: at most {BATCH_MAX}", FieldError(("body",), f"at most {BATCH_MAX} items"))
    first: dict[str, str] = {}
    for index, one in enumerate(body.params):
        if first.setdefault(one.key, one.value) != one.value:
            where = FieldError(("body", "params", index), f"{one.key!r} has another value before it in this request")
            raise invalid("a param has one value", where)


def _logged(message: str, logged: runs.Logged, count: int) -> JSONResponse:
    body = {"message": message, "run_id": logged.run.run_id, "accepted": count}
    return answer(body, 200 if logged.visible else 202)
