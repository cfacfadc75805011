"""Comparing runs for a request: what is asked, what is read, and the answer."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from matih_api.auth.principal import Role
from matih_api.comparison.compare import compare as compared
from matih_api.comparison.direction import UnknownGoal
from matih_api.listing import NEWEST_FIRST, PENDING_MAX, in_order, new_runs
from matih_api.objects import is_run_id, plain
from matih_api.problems import FieldError, Problem, bad_request, invalid
from matih_api.runs import find_in
from matih_tracking.reading.queries import RunQuery
from matih_tracking.reading.views import RunTable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matih_api.asking import Asking
    from matih_api.models.v1 import CompareIn, CompareRunsIn
    from matih_api.objects import Objects
    from matih_tracking.reading.views import ExperimentView, RunView


async def compare(asked: Asking, home: ExperimentView, body: CompareIn) -> dict[str, Any]:
    """The body of the answer.

    Raises:
        Problem: 404, some of the runs are not there: it lists them; 422, the goal is none; 503.
    """
    objects = asked.services.objects
    wanted = None if body.run_ids is None else await _ids(asked, home, body.run_ids)
    new = [run for run in await new_runs(objects, {home.tenant_id}, home.experiment_id) if run.stage == "active"]
    table = RunTable([], [], [])
    if home.mlflow_id:  # else MLflow does not have it yet
        reader = objects.reads.reader
        table = await objects.reads.call(reader.table, home, wanted, body.metrics or None, body.parameters)
    new = [run for run in new if run.run_id not in set(table.run_ids)]
    table = with_changes(table, await _changed(objects, home, table), body)
    table = with_runs(table, [run for run in new if wanted is None or run.run_id in wanted], body)
    _check_all_there(wanted, table)
    return await _answer(table, body, home.tags)


async def compare_runs(asked: Asking, body: CompareRunsIn) -> dict[str, Any]:
    """The body of the answer for runs of one tenant, of one experiment or several.

    Which metric stands first, and which direction is better, an experiment's tags say only if all are of that one.

    Raises:
        Problem: 422, the goal is none; 404, some are not there: it lists them; 400, they are of
            several tenants; 503.
    """
    objects, tenants = asked.services.objects, asked.tenants
    wanted = list(dict.fromkeys(map(plain, body.run_ids)))
    await objects.must_be_fresh()
    query = RunQuery(run_ids=tuple(wanted), limit=len(wanted))
    stored = await objects.reads.call(objects.reads.reader.runs, tenants, query)
    found = {run.run_id: objects.folded(run) for run in stored.items}
    for run_id in wanted:
        if run_id not in found and (pending := objects.pending_run(tenants, run_id)) is not None:
            found[run_id] = pending
    there = in_order([run for run in found.values() if run.stage == "active"], NEWEST_FIRST)
    table = with_runs(RunTable([], [], []), there, body)
    _check_all_there(wanted, table)
    if len({run.tenant_id for run in there}) > 1:
        raise bad_request("contradictory-tenants", "the runs are of several tenants: compare those of one")
    asked.may(there[0].tenant_id, Role.READER, "run", wanted[0])
    homes = {run.experiment_id for run in there}
    home = await objects.experiment(tenants, homes.pop()) if len(homes) == 1 else None
    return await _answer(table, body, home.tags if home is not None else {})


async def _answer(table: RunTable, body: CompareIn, tags: Mapping[str, str]) -> dict[str, Any]:
    try:
        found = await asyncio.to_thread(compared, table, body.metrics, body.parameters, body.goal, tags)
    except UnknownGoal as error:
        raise invalid(str(error), FieldError(("body", "goal"), str(error))) from error
    return found.answer()


async def _ids(asked: Asking, home: ExperimentView, some: Sequence[str]) -> list[str]:
    """Runs as ids; what has not the form of one may be a name that one run of the experiment has.

    Raises:
        Problem: 409, several have the name; 503.
    """
    found: dict[str, None] = {}
    for which in some:
        found[plain(which) if is_run_id(which) else await _id_named(asked, home, which)] = None
    return list(found)


async def _id_named(asked: Asking, home: ExperimentView, name: str) -> str:
    try:
        return (await find_in(asked, home, name)).run_id
    except Problem as problem:
        if problem.status != 404:
            raise
        return name  # is listed with the other unknown ones


async def _changed(objects: Objects, home: ExperimentView, table: RunTable) -> dict[str, RunView]:
    """The runs of the table that events are pending for, as they are."""
    touched = [run_id for run_id in table.run_ids if objects.pendings.overlay.knows(run_id)][:PENDING_MAX]
    if not touched:
        return {}
    query = RunQuery(home.experiment_id, run_ids=tuple(touched), stage="all", limit=PENDING_MAX)
    stored = await objects.reads.call(objects.reads.reader.runs, {home.tenant_id}, query)
    return {run.run_id: objects.folded(run) for run in stored.items}


def with_changes(table: RunTable, changed: Mapping[str, RunView], body: CompareIn) -> RunTable:
    """The table with these of its runs as they are now, without those that are deleted."""
    if not changed:
        return table
    runs = [changed[run_id] for run_id in table.run_ids if run_id in changed and changed[run_id].stage == "active"]
    now = with_runs(RunTable([], [], []), runs, body)
    places = {run_id: row for row, run_id in enumerate(now.run_ids)}
    rows = [(row, run_id) for row, run_id in enumerate(table.run_ids) if run_id not in changed or run_id in places]

    def column(old: Sequence[Any] | None, new: Sequence[Any] | None) -> list[Any]:
        return [
            (new and new[places[run_id]]) if run_id in places else (old and old[row])  # None: nobody there has it
            for row, run_id in rows
        ]

    return RunTable(
        run_ids=[run_id for _, run_id in rows],
        names=column(table.names, now.names),
        statuses=column(table.statuses, now.statuses),
        metrics={
            key: column(table.metrics.get(key), now.metrics.get(key)) for key in sorted({*table.metrics, *now.metrics})
        },
        params={
            key: column(table.params.get(key), now.params.get(key)) for key in sorted({*table.params, *now.params})
        },
    )


def with_runs(table: RunTable, new: Sequence[RunView], body: CompareIn) -> RunTable:
    """The table with runs that MLflow does not have yet before the others."""
    if not new:
        return table
    metrics = set(table.metrics) | {key for run in new for key in run.metrics}
    params = set(table.params) | {key for run in new for key in run.params}
    kept_metrics = metrics if not body.metrics else metrics & set(body.metrics)
    kept_params = params if body.parameters is None else params & set(body.parameters)
    none: list[Any] = [None] * len(table.run_ids)
    return replace(
        table,
        run_ids=[run.run_id for run in new] + table.run_ids,
        names=[run.name for run in new] + table.names,
        statuses=[run.status for run in new] + table.statuses,
        metrics={
            key: [run.metrics[key].value if key in run.metrics else None for run in new] + table.metrics.get(key, none)
            for key in sorted(kept_metrics)
        },
        params={key: [run.params.get(key) for run in new] + table.params.get(key, none) for key in sorted(kept_params)},
    )


def _check_all_there(wanted: Sequence[str] | None, table: RunTable) -> None:
    missing = sorted(set(wanted or ()) - set(table.run_ids))
    if missing:
        told = ", ".join(missing[:20]) + (f" and {len(missing) - 20} more" if len(missing) > 20 else "")
        raise Problem(404, "run-not-found", f"no such runs in this experiment: {told}", members={"run_ids": missing})
