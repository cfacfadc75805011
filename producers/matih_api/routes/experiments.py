"""`/api/v1/experiments`."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body, Query, Response
from fastapi.responses import JSONResponse

from matih_api import experiments, listing
from matih_api.asking import Asked
from matih_api.auth.principal import Role
from matih_api.locations import local_problem, may_name_local
from matih_api.models.v1 import ExperimentIn, ExperimentList, ExperimentOut, ExperimentPatch
from matih_api.presenting import experiment
from matih_api.problems import FieldError, invalid
from matih_api.routes.answers import answer
from matih_schemas.events import ExperimentDeleted, ExperimentRestored, ExperimentUpdated
from matih_tracking.reading.queries import ExperimentQuery, StageWanted

router = APIRouter(prefix="/api/v1/experiments", tags=["experiments"])

MAX = 1_000
"""Experiments in one answer, at most."""
Include = Annotated[str | None, Query(pattern="^system_tags$", description="`system_tags`: the systems' own tags too.")]


@router.post("", status_code=201, response_model=ExperimentOut, responses={202: {"model": ExperimentOut}})
async def create(asked: Asked, body: ExperimentIn) -> JSONResponse:
    """Make an experiment: 201 if it is to be seen in MLflow already, 202 if it is on its way there."""
    tenant = asked.tenant(Role.WRITER)
    _check_location(asked, body.artifact_location)
    payload = experiments.created(tenant, body.name, body.description, body.tags, body.artifact_location)
    made = await experiments.create(asked, payload, tenant)
    found = experiment(made.experiment)
    return answer(found, 201 if made.visible else 202, f"{router.prefix}/{found['id']}")


@router.get("", response_model=ExperimentList)
async def many(
    asked: Asked,
    search: Annotated[str, Query(max_length=255, description="A part of the name, in any case.")] = "",
    lifecycle_stage: StageWanted = "active",
    limit: Annotated[int, Query(ge=1, le=2**31 - 1)] = 100,
    offset: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    include: Include = None,
) -> JSONResponse:
    """List experiments, newest first."""
    tenant = asked.tenant(Role.READER)
    used = listing.effective(limit, MAX)
    query = ExperimentQuery(search, lifecycle_stage, used, offset)
    page = await listing.experiments(asked.services.objects, {tenant}, query)
    found = [experiment(one, include is not None) for one in page.items]
    return answer({"experiments": found, "total": page.total, "limit": used, "offset": offset})


@router.get("/{id}", response_model=ExperimentOut)
async def one(asked: Asked, id: str, include: Include = None) -> JSONResponse:
    """Show an experiment, a deleted one too."""
    return answer(experiment(await experiments.find(asked, id, Role.READER), include is not None))


@router.patch("/{id}", response_model=ExperimentOut)
async def change(
    asked: Asked,
    id: str,
    body: Annotated[ExperimentPatch | None, Body()] = None,
    name: Annotated[str | None, Query(max_length=255)] = None,
    description: Annotated[str | None, Query(max_length=1000)] = None,
) -> JSONResponse:
    """Change name, description or tags, in the query or the body; what is not given stays."""
    said = body or ExperimentPatch()
    new_name = experiments.both(experiments.name_of(name), said.name, "name")
    new_description = experiments.both(description, said.description, "description")
    payload = ExperimentUpdated(id, new_name, new_description, said.tags)
    return answer(experiment(await experiments.update(asked, id, payload)))


@router.delete("/{id}", status_code=204)
async def delete(asked: Asked, id: str) -> Response:
    """Delete an experiment; deleted ones stay to be seen and can be restored."""
    await experiments.set_lifecycle(asked, id, ExperimentDeleted)
    return Response(status_code=204)


@router.post("/{id}/restore", response_model=ExperimentOut)
async def restore(asked: Asked, id: str) -> JSONResponse:
    """Restore an experiment, with its runs but those that were deleted one by one."""
    return answer(experiment(await experiments.set_lifecycle(asked, id, ExperimentRestored)))


def _check_location(asked: Asked, location: str | None) -> None:
    problem = None if location is None else local_problem(location)
    if problem is not None and not may_name_local(asked.principal, asked.services.settings):
        raise invalid(problem, FieldError(("body", "artifact_location"), problem))
