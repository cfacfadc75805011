"""`/api/v1/ml/experiments`: the platform's other family, in its own words, on the same things."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Query, Response
from fastapi.responses import JSONResponse

from matih_api import comparing, experiments, listing, runs
from matih_api.asking import Asked
from matih_api.auth.principal import Role
from matih_api.comparison.direction import best_metric
from matih_api.jsonable import plain
from matih_api.models.comparison import ComparisonResponse
from matih_api.models.ml import MetricHistoryOut, MlExperimentIn, MlExperimentList, MlExperimentOut, MlRunList
from matih_api.models.v1 import CompareIn
from matih_api.presenting import instant, ml_run, users_tags
from matih_api.problems import Problem, not_found
from matih_api.routes.answers import answer
from matih_api.routes.experiments import MAX
from matih_api.routes.runs import status_of
from matih_tracking.reading.queries import ExperimentQuery, RunQuery
from matih_tracking.reading.views import ExperimentSummary, ExperimentView

router = APIRouter(prefix="/api/v1/ml/experiments", tags=["ml"])


@router.post("", status_code=201, response_model=MlExperimentOut, responses={202: {"model": MlExperimentOut}})
async def create(asked: Asked, body: MlExperimentIn) -> JSONResponse:
    """Make an experiment: 201 if it is to be seen in MLflow already, 202 if it is on its way there."""
    tenant = asked.tenant(Role.WRITER)
    made = await experiments.create(
        asked, experiments.created(tenant, body.name, body.description, body.tags, None), tenant
    )
    found = _experiment(made.experiment, ExperimentSummary(0))
    return answer(found, 201 if made.visible else 202, f"/api/v1/experiments/{found['id']}")


@router.get("", response_model=MlExperimentList)
async def many(
    asked: Asked,
    limit: Annotated[int, Query(ge=1, le=2**31 - 1)] = 100,
    offset: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
) -> JSONResponse:
    """List experiments with what their runs have reached, newest first."""
    objects, tenant = asked.services.objects, asked.tenant(Role.READER)
    used = listing.effective(limit, MAX)
    page = await listing.experiments(objects, {tenant}, ExperimentQuery(limit=used, offset=offset))
    summaries = await listing.summaries(objects, page.items)
    found = [_experiment(one, summaries[one.experiment_id]) for one in page.items]
    return answer({"experiments": found, "total": page.total, "limit": used, "offset": offset})


@router.get("/{id}/runs", response_model=MlRunList)
async def runs_of(
    asked: Asked,
    id: str,
    sort_by: str = "start_time",
    order: str = "desc",
    status: str | None = None,
    limit: Annotated[int, Query(ge=1, le=2**31 - 1)] = 50,
    offset: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
) -> JSONResponse:
    """List an experiment's runs, sorted by a metric, a param, a tag or an attribute; what is missing comes last."""
    sort, wanted = listing.sort_key(sort_by, order), None if status is None else status_of(status)
    home = await experiments.find(asked, id, Role.READER)
    used = listing.effective(limit, asked.services.settings.max_runs)
    query = RunQuery(home.experiment_id, wanted, sort=sort, limit=used, offset=offset)
    page = await listing.runs(asked.services.objects, {home.tenant_id}, query)
    shown = [ml_run(one) for one in page.items]
    return answer({"runs": shown, "total": page.total, "limit": used, "offset": offset})


@router.post("/{id}/compare", response_model=ComparisonResponse)
async def compare(asked: Asked, id: str, body: CompareIn) -> Response:
    """Compare runs, and say what their params have to do with the first metric; without `run_ids` all of them."""
    home = await experiments.find(asked, id, Role.READER)
    found = await comparing.compare(asked, home, body)
    # 30 000 runs are 13 MB: json.dumps takes seconds for them, in the event loop.
    return Response(await asyncio.to_thread(msgspec.json.encode, found), media_type="application/json")


@router.get("/{id}/runs/{run}/metrics/{metric:path}", response_model=MetricHistoryOut)
async def history(
    asked: Asked,
    id: str,
    run: str,
    metric: str,
    max_points: Annotated[int | None, Query(ge=4, le=2**31 - 1)] = None,
    from_step: Annotated[int | None, Query(ge=-(2**63), le=2**63 - 1)] = None,
    to_step: Annotated[int | None, Query(ge=-(2**63), le=2**63 - 1)] = None,
) -> JSONResponse:
    """Show a metric's history: the first and last points, minima and maxima are kept where it is thinned out."""
    home = await experiments.find(asked, id, Role.READER)
    found = await runs.find_in(asked, home, run)
    if metric not in found.metrics:
        raise _no_metric(metric, found.metrics)
    most = asked.services.settings.metric_history_limit
    wanted = listing.effective(most if max_points is None else max_points, most)
    shown = await asked.services.objects.history(found, metric, wanted, (from_step, to_step))
    steps = [
        {"step": point.step, "value": plain(point.value), "timestamp": instant(point.timestamp)}
        for point in shown.points
    ]
    return answer({"metric": metric, "steps": steps, "total_steps": shown.total})


def _experiment(found: ExperimentView, summary: ExperimentSummary) -> dict[str, Any]:
    return {
        "id": found.experiment_id,
        "name": found.name,
        "description": found.description,
        "tags": users_tags(found.tags),
        "run_count": summary.run_count,
        "best_metric": plain(best_metric(summary, found.tags)),
        "status": found.stage,
        "created_at": instant(found.created_at),
    }


def _no_metric(metric: str, known: Any) -> Problem:
    from difflib import get_close_matches

    near = get_close_matches(metric, list(known), n=5, cutoff=0.5)
    problem = not_found("metric", metric)
    told = f"{problem.detail}; near it: {', '.join(near)}" if near else problem.detail
    return Problem(404, problem.kind, told, members={"near": near})
