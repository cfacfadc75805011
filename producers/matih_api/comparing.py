"""Comparing runs for a request: what is asked, what is read, and the answer."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from matih_api.comparison.compare import compare as compared
from matih_api.comparison.direction import UnknownGoal
from matih_api.listing import new_runs
from matih_api.objects import plain
from matih_api.problems import FieldError, Problem, invalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matih_api.asking import Asking
    from matih_api.models.v1 import CompareIn
    from matih_tracking.reading.views import ExperimentView, RunTable, RunView


async def compare(asked: Asking, home: ExperimentView, body: CompareIn) -> dict[str, Any]:
    """The body of the answer.

    Raises:
        Problem: 404, some of the runs are not there: it lists them; 422, the goal is none; 503.
    """
    objects = asked.services.objects
    wanted = None if body.run_ids is None else list(dict.fromkeys(map(plain, body.run_ids)))
    table = await objects.reads.call(objects.reads.reader.table, home, wanted, body.metrics or None, body.parameters)
    new = [run for run in await new_runs(objects, {home.tenant_id}, home.experiment_id) if run.stage == "active"]
    table = with_runs(table, [run for run in new if wanted is None or run.run_id in wanted], body)
    _check_all_there(wanted, table)
    try:
        found = await asyncio.to_thread(compared, table, body.metrics, body.parameters, body.goal, home.tags)
    except UnknownGoal as error:
        raise invalid(str(error), FieldError(("body", "goal"), str(error))) from error
    return found.answer()


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
