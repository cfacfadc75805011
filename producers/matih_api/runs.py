"""What is done with runs, for both families of endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from matih_api import events as making
from matih_api import experiments, listing
from matih_api.auth.principal import Role
from matih_api.objects import plain
from matih_api.pending.fold import fold_run
from matih_api.pending.pendings import RunFacts
from matih_api.presenting import seconds_between
from matih_api.problems import Problem, not_found
from matih_api.reads import is_outage
from matih_api.writes import taken
from matih_schemas import events

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matih_api.asking import Asking
    from matih_api.events import LoggedMetric
    from matih_schemas.events import TrackingEvent
    from matih_tracking.reading.views import ExperimentView, RunView

WHAT = "run"


class Made(NamedTuple):
    """What was made; `visible`: MLflow shows it already."""

    run: RunView
    visible: bool


class Logged(NamedTuple):
    """What was logged; `visible`: it was waited for, and MLflow shows it."""

    run: RunFacts
    visible: bool


async def create(asked: Asking, experiment: str, name: str | None, description: str, tags: dict[str, str]) -> Made:
    """Begins a run; without a name it gets one here, so that a replay gives it the same.

    Raises:
        Problem: 404 or 409, the experiment is not there or deleted; 403, 503.
    """
    home = await experiments.find(asked, experiment, Role.WRITER)
    experiments.must_be_active(home)
    services, author = asked.services, await asked.author(home.tenant_id)
    run_id = author.id("run").hex
    event = making.run_created(author, services.numbers, run_id, home, name or f"run-{run_id[:8]}", description, tags)
    async with services.writes.once(author) as needed:
        if needed:
            await services.writes.publish(author, [event])
    asked.has_worked()
    objects = services.objects
    seen = await objects.visible_run(home.tenant_id, run_id, services.settings.visible_timeout)
    if seen is not None:
        return Made(objects.folded(seen), visible=True)
    if needed:
        return Made(objects.pending_run({home.tenant_id}, run_id) or first_view(event), visible=False)
    # A repetition may come after all of it was applied: then MLflow alone has it.
    found = await objects.run({home.tenant_id}, run_id)
    if found is None:
        raise not_found(WHAT, run_id)
    return Made(found, visible=bool(found.mlflow_experiment_id))


def first_view(event: TrackingEvent) -> RunView:
    """A run as its creation alone says, for when Kafka has it and can't be asked for it just then."""
    found = fold_run(None, [event])
    assert found is not None
    return found


async def find(asked: Asking, which: str) -> RunView:
    """The run, for a reader of its tenant.

    Raises:
        Problem: 404, 403, 503.
    """
    found = await asked.services.objects.run(asked.tenants, which)
    if found is None:
        raise not_found(WHAT, which)
    asked.may(found.tenant_id, Role.READER, WHAT, which)
    return found


async def find_or_pending(asked: Asking, which: str) -> RunView | None:
    """As `find`; while MLflow is away the run as the topic alone says, None if that does not say.

    Raises:
        Problem: 404, 403; 503, Kafka can't be asked.
    """
    try:
        return await find(asked, which)
    except Problem as problem:
        if not is_outage(problem):
            raise
        return asked.services.objects.pending_run(asked.tenants, plain(which))


async def find_in(asked: Asking, home: ExperimentView, which: str) -> RunView:
    """A run of an experiment, by its id, or by its exact name if that is the only one's.

    Raises:
        Problem: 404; 409, several have the name: it lists them; 503.
    """
    objects = asked.services.objects
    found = await objects.run({home.tenant_id}, which)
    if found is not None and found.experiment_id == home.experiment_id:
        return found
    named = await listing.runs_named(objects, home, which)
    if len(named) > 1:
        candidates = [run.run_id for run in named]
        detail = f"{len(named)} runs are called {which[:80]!r}: name one by its id: {', '.join(candidates)}"
        raise Problem(409, "ambiguous-run", detail, members={"candidates": candidates})
    if not named:
        raise not_found(WHAT, which)
    return named[0]


async def facts(asked: Asking, which: str) -> RunFacts:
    """What a write has to know of the run; while MLflow is away a run that nobody here has met is taken to be there.

    Raises:
        Problem: 404, 403, 503.
    """
    try:
        found = await asked.services.objects.run_for_write(asked.tenants, which)
    except Problem as problem:
        if not is_outage(problem):
            raise
        found = unknown(asked.only_tenant(WHAT, which), which)
    if found is None:
        raise not_found(WHAT, which)
    asked.may(found.tenant_id, Role.WRITER, WHAT, which)
    return found


def unknown(tenant: str, which: str) -> RunFacts:
    """A run that can't be looked for: the worker judges what is written to it."""
    return RunFacts(plain(which), tenant, "", deleted=False, attempt=None, start_time=0)


async def log(
    asked: Asking,
    which: str,
    metrics: Sequence[LoggedMetric] = (),
    params: Sequence[tuple[str, str]] = (),
    tags: Sequence[tuple[str, str]] = (),
    *,
    wait: bool = False,
) -> Logged:
    """Logs into a run, also into one that has ended.

    Raises:
        Problem: 409, it is deleted; 404, 403, 503.
    """
    run = await facts(asked, which)
    if run.deleted:
        raise deleted(run)
    services, author = asked.services, await asked.author(run.tenant_id)
    async with services.writes.once(author) as needed:
        # Nothing is waited for between taking numbers and publishing: one run's numbers have to rise on the topic.
        some = making.run_logged(author, services.numbers, run.run_id, metrics, params, tags)
        if needed:
            asked.has_worked()  # what is left is to wait for Kafka
            await services.writes.publish(author, some)
        else:
            some = services.objects.pending_again(run, some)
    if not wait or not some:
        return Logged(run, visible=wait)
    asked.has_worked()
    mark, last = taken(some)
    seen = await services.objects.visible_run(run.tenant_id, run.run_id, services.settings.visible_timeout, mark, last)
    return Logged(run, visible=seen is not None)


async def end(asked: Asking, which: str, status: events.Status) -> tuple[RunFacts, float | None]:
    """Ends a run; returns it, and how long it took in seconds if that is known.

    Raises:
        Problem: 409, it is deleted; 404, 403, 503.
    """
    run = await facts(asked, which)
    if run.deleted:
        raise deleted(run)
    services, author = asked.services, await asked.author(run.tenant_id)
    async with services.writes.once(author) as needed:
        event = making.run_ended(author, services.numbers, run, status)  # nothing is waited for after this, as above
        if needed:
            await services.writes.publish(author, [event])
    ended = author.now if needed else await _ended(asked, run, event)
    return run, seconds_between(run.start_time, ended)


async def _ended(asked: Asking, run: RunFacts, repeated: TrackingEvent) -> int | None:
    """The time of an end that was taken before: of that event while it is pending, else the run's; None if unknown."""
    objects = asked.services.objects
    for event in objects.pending_again(run, [repeated]):
        if isinstance(event.payload, events.RunEnded):
            return event.payload.end_time
    try:
        found = await objects.run({run.tenant_id}, run.run_id)
    except Problem as problem:
        if not is_outage(problem):
            raise
        return None
    return found.end_time if found is not None else None


async def set_lifecycle(asked: Asking, which: str, payload: type[events.RunDeleted | events.RunRestored]) -> RunFacts:
    """Deletes or restores a run; one that is so already stays so.

    Raises:
        Problem: 404, 403, 503; 409, its experiment is deleted.
    """
    run = await facts(asked, which)
    if payload is events.RunRestored and run.experiment_id:
        await _must_have_a_home(asked, run)
    known = bool(run.experiment_id)  # else the worker judges
    if not known or run.deleted != (payload is events.RunDeleted):
        services, author = asked.services, await asked.author(run.tenant_id)
        async with services.writes.once(author) as needed:
            if needed:
                await services.writes.publish(author, [author.event(payload(run.run_id))])
    return run


async def _must_have_a_home(asked: Asking, run: RunFacts) -> None:
    """The run's experiment is not deleted, as far as that is known."""
    try:
        home = await asked.services.objects.experiment_for_write({run.tenant_id}, run.experiment_id)
    except Problem as problem:
        if not is_outage(problem):
            raise
        return
    if home is not None:
        experiments.must_be_active(home)


def deleted(run: RunFacts) -> Problem:
    """409: nothing is logged into a deleted run."""
    return Problem(409, "run-deleted", f"run {run.run_id!r} is deleted: restore it first", members={"id": run.run_id})
