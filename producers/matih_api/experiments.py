"""What is done with experiments, for both families of endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from matih_api.auth.principal import Role
from matih_api.problems import FieldError, Problem, invalid, not_found
from matih_schemas import events
from matih_schemas.errors import InvalidName
from matih_schemas.events import ExperimentCreated
from matih_schemas.identity import check_experiment_name, experiment_id

if TYPE_CHECKING:
    from matih_api.asking import Asking
    from matih_tracking.reading.views import ExperimentView

WHAT = "experiment"


class Made(NamedTuple):
    """What was made; `visible`: MLflow shows it already."""

    experiment: ExperimentView
    visible: bool


async def create(asked: Asking, payload: ExperimentCreated, tenant: str) -> Made:
    """Makes an experiment.

    Raises:
        Problem: 409, the name is taken, or was; 503.
    """
    services, author = asked.services, await asked.author(tenant)
    async with services.writes.once(author) as needed:
        if needed:
            await _must_be_free(asked, tenant, payload.name)
            event = author.event(payload)
            await services.writes.publish(author, [event])
            await _must_be_first(asked, tenant, payload, event.event_id)
    asked.has_worked()
    objects, made = services.objects, payload.experiment_id
    seen = await objects.visible_experiment(tenant, made, services.settings.visible_timeout)
    if seen is not None:
        return Made(objects.folded_experiment(seen), visible=True)
    pending = objects.pending_experiment({tenant}, made)
    # A repetition may come after all of it was applied: then MLflow alone has it.
    found = pending or await objects.experiment({tenant}, made)
    if found is None:
        raise not_found(WHAT, made)
    return Made(found, visible=pending is None)


async def find(asked: Asking, which: str, role: Role) -> ExperimentView:
    """The experiment, for somebody with this role for its tenant.

    Raises:
        Problem: 404, 403, 503.
    """
    objects = asked.services.objects
    look = objects.experiment if role is Role.READER else objects.experiment_for_write
    found = await look(asked.tenants, which)
    if found is None:
        raise not_found(WHAT, which)
    asked.may(found.tenant_id, role, WHAT, which)
    return found


async def update(asked: Asking, which: str, payload: events.ExperimentUpdated) -> ExperimentView:
    """Changes an experiment; `payload.experiment_id` is filled in here.

    Raises:
        Problem: 409, it is deleted or the name is taken; 404, 403, 503.
    """
    found = await find(asked, which, Role.WRITER)
    must_be_active(found)
    # What the topic alone says may be a part: only of what MLflow has shown is it known that nothing would change.
    shown = bool(found.mlflow_id)
    name = None if shown and payload.name == found.name else payload.name
    same_note = payload.description is None or (shown and payload.description == found.description)
    if name is None and same_note and not payload.tags:
        return found
    services, author = asked.services, await asked.author(found.tenant_id)
    async with services.writes.once(author) as needed:
        if needed:
            if name is not None:
                await _must_be_free(asked, found.tenant_id, name, found.experiment_id)
            change = events.ExperimentUpdated(found.experiment_id, name, payload.description, payload.tags)
            await services.writes.publish(author, [author.event(change)])
    await services.objects.must_be_fresh()
    return services.objects.folded_experiment(found)


async def set_lifecycle(
    asked: Asking, which: str, payload: type[events.ExperimentDeleted | events.ExperimentRestored]
) -> ExperimentView:
    """Deletes or restores an experiment; one that is so already stays so.

    Its runs go with it: the answer waits for MLflow to show that, for as long as a creation does.

    Raises:
        Problem: 404, 403, 503.
    """
    found = await find(asked, which, Role.WRITER)
    wanted = "deleted" if payload is events.ExperimentDeleted else "active"
    if found.stage != wanted or not found.mlflow_id:  # what MLflow has not shown may be otherwise there
        author = await asked.author(found.tenant_id)
        async with asked.services.writes.once(author) as needed:
            if needed:
                await asked.services.writes.publish(author, [author.event(payload(found.experiment_id))])
        await asked.services.objects.must_be_fresh()
        if needed:
            asked.has_worked()
            seconds = asked.services.settings.visible_timeout
            await asked.services.objects.visible_experiment(found.tenant_id, found.experiment_id, seconds, wanted)
    return asked.services.objects.folded_experiment(found)


def created(tenant: str, name: str, description: str, tags: dict[str, str], location: str | None) -> ExperimentCreated:
    """The event's payload for an experiment to be made."""
    return ExperimentCreated(experiment_id(tenant, name), name, description, location, tags)


def must_be_active(found: ExperimentView) -> None:
    """Lets pass an experiment that is not deleted.

    Raises:
        Problem: 409.
    """
    if found.stage == "deleted":
        raise conflict(found, f"experiment {found.name!r} is deleted: restore it first")


def conflict(found: ExperimentView, detail: str) -> Problem:
    """409, naming the experiment that is in the way."""
    return Problem(409, "experiment-conflict", detail, members={"id": found.experiment_id})


async def _must_be_free(asked: Asking, tenant: str, name: str, own: str | None = None) -> None:
    objects = asked.services.objects
    found = await objects.experiment_named(tenant, name)
    if found is None or found.experiment_id == own:
        return
    if found.stage == "deleted":
        raise conflict(found, f"experiment {name!r} is deleted (id {found.experiment_id}): restore it")
    had = "" if found.name == name else f", which is called {found.name!r} now"
    raise conflict(found, f"the name {name!r} belongs to experiment {found.experiment_id}{had}: choose another name")


async def _must_be_first(asked: Asking, tenant: str, payload: ExperimentCreated, event_id: str) -> None:
    """Of two that make the same experiment at the same moment the first on the topic has made it."""
    objects = asked.services.objects
    await objects.must_be_fresh()
    first = next(
        (
            event
            for event in objects.pendings.overlay.of({tenant}, payload.experiment_id)
            if isinstance(event.payload, ExperimentCreated)
        ),
        None,
    )
    if first is not None and first.event_id != event_id:
        raise Problem(
            409,
            "experiment-conflict",
            f"experiment {payload.name!r} was made by another request at the same moment: use it",
            members={"id": payload.experiment_id},
        )


def both(query: str | None, body: str | None, field: str) -> str | None:
    """What a PATCH says in its query or its body.

    Raises:
        Problem: 400, both, and not the same.
    """
    if query is not None and body is not None and query != body:
        where = FieldError(("query", field), "differs from the body's")
        raise Problem(
            400, "contradictory-request", f"{field} in the query and in the body differ: send one", errors=[where]
        )
    return body if query is None else query


def name_of(query: str | None) -> str | None:
    """The name that a query gives.

    Raises:
        Problem: 422, an experiment can't be called so.
    """
    try:
        return query if query is None else check_experiment_name(query)
    except InvalidName as error:
        raise invalid(str(error), FieldError(("query", "name"), str(error))) from None
