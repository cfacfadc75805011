"""Lists: what MLflow has, with what is acknowledged and not in MLflow yet where its order puts it.

As long as nothing changes between two requests, each object is on one page (`merging`). What is written or applied in
between moves the rest on or back by as much, as in any list with offsets.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, TypeVar

from matih_api.merging import Listed, is_one_moment, merged, moves, window
from matih_api.presenting import is_number
from matih_api.problems import FieldError, invalid
from matih_tracking.reading.queries import RunQuery, SortKey
from matih_tracking.reading.views import ExperimentSummary, ExperimentView, RunView

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from matih_api.merging import Moves
    from matih_api.objects import Objects
    from matih_tracking.reading.queries import ExperimentQuery
    from matih_tracking.reading.views import Page

PENDING_MAX: Final = 1_000
"""So many runs or experiments that are not in MLflow yet are looked at, the newest."""
SNAPSHOT_TRIES: Final = 4
"""So often are pages and counts read again while the worker applies what is pending."""
NEWEST_FIRST: Final = SortKey()

View = TypeVar("View")
Query = TypeVar("Query", "ExperimentQuery", "RunQuery")
Answer = TypeVar("Answer")
Changes = Sequence[tuple[View | None, View]]


async def experiments(
    objects: Objects, tenants: Collection[str] | None, query: ExperimentQuery
) -> Page[ExperimentView]:
    """A page of experiments.

    Raises:
        Problem: 503.
    """
    await objects.fresh()
    changed = partial(_changed_experiments, objects, tenants)
    return await page(
        experiments_listed(query),
        query,
        changed,
        lambda wider: objects.reads.call(objects.reads.reader.experiments, tenants, wider),
        objects.folded_experiment,
    )


async def runs(objects: Objects, tenants: Collection[str] | None, query: RunQuery) -> Page[RunView]:
    """A page of runs.

    Raises:
        Problem: 503.
    """
    await objects.fresh()
    changed = partial(_changed_runs, objects, tenants, logged=query.sort.kind != "attribute")
    return await page(
        runs_listed(query),
        query,
        changed,
        lambda wider: objects.reads.call(objects.reads.reader.runs, tenants, wider),
        objects.folded,
    )


async def page(
    listed: Listed[View],
    query: Query,
    changed: Callable[[], Awaitable[Changes[View]]],
    read: Callable[[Query], Awaitable[Page[View]]],
    folded: Callable[[View], View],
) -> Page[View]:
    """A page of a list, as it was at one moment if the worker lets it.

    Args:
        listed: what the list is.
        query: which page.
        changed: reads what events make or change, as for `moves`.
        read: reads MLflow's rows.
        folded: a row as it is by now.
    """

    async def rows(moved: Moves[View]) -> tuple[int, Page[View]]:
        start, count = window(query.offset, query.limit, moved)
        return start, await read(replace(query, offset=start, limit=count))

    known, (start, stored) = await _of_one_moment(listed, changed, rows)
    return merged(stored, start, known, folded, listed, query.offset, query.limit)


async def _of_one_moment(
    listed: Listed[View],
    changed: Callable[[], Awaitable[Changes[View]]],
    read: Callable[[Moves[View]], Awaitable[Answer]],
) -> tuple[Changes[View], Answer]:
    """What events change of the list, and what is read beside it: of one moment, if the worker lets it.

    The changes come first: what is made and applied meanwhile is in the answer then.
    """
    known = await changed()
    for tries_left in reversed(range(SNAPSHOT_TRIES)):
        moved = moves(known, listed)
        answer = await read(moved)
        if not tries_left or not (moved.gone or moved.new):
            break
        now = await changed()
        if is_one_moment(known, now, listed):
            break
        known = now
    return known, answer


def experiments_listed(query: ExperimentQuery) -> Listed[ExperimentView]:
    """The list that the query asks for a page of."""
    return Listed(attrgetter("experiment_id"), partial(_is_wanted, query=query), _age, _newest_first)


def runs_listed(query: RunQuery) -> Listed[RunView]:
    """The list that the query asks for a page of."""
    return Listed(
        attrgetter("run_id"),
        partial(_fits, query=query),
        partial(_place, sort=query.sort),
        partial(in_order, sort=query.sort),
    )


async def new_runs(objects: Objects, tenants: Collection[str] | None, experiment_id: str | None) -> list[RunView]:
    """The runs that are acknowledged and not in MLflow yet.

    Raises:
        Problem: 503.
    """
    changed = await _changed_runs(objects, tenants)
    return in_order(
        [now for was, now in changed if was is None and experiment_id in (None, now.experiment_id)], NEWEST_FIRST
    )


async def runs_named(objects: Objects, home: ExperimentView, name: str) -> list[RunView]:
    """The runs of an experiment that have exactly this name and are not deleted, as `RunReader.runs_named`.

    Raises:
        Problem: 503.
    """
    new = await new_runs(objects, {home.tenant_id}, home.experiment_id)
    stored = await objects.reads.call(objects.reads.reader.runs_named, home, name) if home.mlflow_id else []
    there = {run.run_id: run for run in [*new, *map(objects.folded, stored)]}
    return [run for run in there.values() if run.name == name and run.stage == "active"]


async def _changed_runs(
    objects: Objects, tenants: Collection[str] | None, *, logged: bool = False
) -> list[tuple[RunView | None, RunView]]:
    """The runs that events make or change: as they are in MLflow, and as they are.

    With `logged` also those that something is logged into, and that is all.
    """
    pending = objects.pendings.overlay.runs(tenants, logged=logged)[-PENDING_MAX:]
    if not pending:
        return []
    query = RunQuery(run_ids=tuple(pending), stage="all", limit=PENDING_MAX)
    stored = await objects.reads.call(objects.reads.reader.runs, tenants, query)
    there = {run.run_id: run for run in stored.items}
    both = [
        (was := there.get(run_id), objects.pending_run(tenants, run_id) if was is None else objects.folded(was))
        for run_id in pending
    ]
    return [(was, now) for was, now in both if now is not None]


async def summaries(objects: Objects, found: Sequence[ExperimentView]) -> dict[str, ExperimentSummary]:
    """What each experiment's runs have come to; those that are not in MLflow yet are counted.

    Raises:
        Problem: 503.
    """
    there, tenants = [one for one in found if one.mlflow_id], {one.tenant_id for one in found}

    async def counts(_moved: Moves[RunView]) -> dict[str, ExperimentSummary]:
        return await objects.reads.call(objects.reads.reader.summaries, there) if there else {}

    changed, stored = await _of_one_moment(
        runs_listed(RunQuery(stage="active")), partial(_changed_runs, objects, tenants), counts
    )
    summed = {one.experiment_id: stored.get(one.experiment_id, ExperimentSummary(0)) for one in found}
    for was, now in changed:
        more = (now.stage == "active") - (was is not None and was.stage == "active")
        if more and now.experiment_id in summed:
            counted = summed[now.experiment_id]
            summed[now.experiment_id] = replace(counted, run_count=counted.run_count + more)
    return summed


def in_order(some: Sequence[RunView], sort: SortKey) -> list[RunView]:
    """Runs as a reader sorts them: missing values and NaN last in both orders; ties by start time, then id."""
    ordered = sorted(some, key=lambda run: (run.start_time, run.run_id), reverse=sort.descending)
    there = [run for run in ordered if _is_there(sort_value(run, sort))]
    missing = [run for run in ordered if not _is_there(sort_value(run, sort))]
    return [*sorted(there, key=lambda run: sort_value(run, sort), reverse=sort.descending), *missing]


def sort_value(run: RunView, sort: SortKey) -> Any:
    """What the run is sorted by; None if it has no such thing."""
    if sort.kind == "metric":
        return run.metrics[sort.key].value if sort.key in run.metrics else None
    if sort.kind in ("param", "tag"):
        return (run.params if sort.kind == "param" else run.tags).get(sort.key)
    if sort.key == "duration":
        return None if run.end_time is None else run.end_time - run.start_time
    return getattr(run, sort.key)


def _place(run: RunView, sort: SortKey) -> tuple[Any, int, str]:
    value = sort_value(run, sort)
    return value if _is_there(value) else None, run.start_time, run.run_id


def _age(one: ExperimentView) -> tuple[int, float]:
    """By creation, then by MLflow's number; what has none yet will get a greater one."""
    return one.created_at, int(one.mlflow_id) if one.mlflow_id.isdecimal() else math.inf


def _newest_first(some: Sequence[ExperimentView]) -> list[ExperimentView]:
    return sorted(some, key=lambda one: (*_age(one), one.experiment_id), reverse=True)


def _is_there(value: Any) -> bool:
    return is_number(value) if isinstance(value, float) else value is not None


def _fits(run: RunView, query: RunQuery) -> bool:
    home = query.experiment_id in (None, run.experiment_id)
    return home and query.stage in ("all", run.stage) and query.status in (None, run.status)


def _is_wanted(one: ExperimentView, query: ExperimentQuery) -> bool:
    return query.stage in ("all", one.stage) and query.search.lower() in one.name.lower()


async def _changed_experiments(
    objects: Objects, tenants: Collection[str] | None
) -> list[tuple[ExperimentView | None, ExperimentView]]:
    """The experiments that events make or change: as they are in MLflow, and as they are."""
    pending = objects.pendings.overlay.experiments(tenants)[-PENDING_MAX:]
    reader = objects.reads.reader
    stored = await asyncio.gather(*(objects.reads.call(reader.experiment, tenants, one) for one in pending))
    both = [
        (was, objects.pending_experiment(tenants, one) if was is None else objects.folded_experiment(was))
        for one, was in zip(pending, stored, strict=True)
    ]
    return [(was, now) for was, now in both if now is not None]


def effective(limit: int, most: int) -> int:
    """The limit that is used: one above the greatest is cut to it."""
    return min(limit, most)


def sort_key(text: str, order: str) -> SortKey:
    """What `sort_by` and `order` say: `metrics.f1`, params.`a.b`, `tags.x`, `start_time`, ...

    Raises:
        Problem: 422.
    """
    attributes = {"start_time": "start_time", "created_at": "start_time", "end_time": "end_time"}
    attributes |= {"duration_seconds": "duration", "status": "status", "name": "name"}
    if order.lower() not in ("asc", "desc"):
        raise invalid(f"order {order[:80]!r}: use asc or desc", FieldError(("query", "order"), "asc or desc"))
    descending = order.lower() == "desc"
    if text in attributes:
        return SortKey("attribute", attributes[text], descending)
    kind, dot, key = text.partition(".")
    kinds = {"metrics": "metric", "params": "param", "parameters": "param", "tags": "tag"}
    key = key[1:-1] if len(key) > 1 and key[0] == key[-1] == "`" else key
    if not dot or kind not in kinds or not key:
        known = f"metrics.NAME, params.NAME, tags.NAME, {', '.join(attributes)}"
        raise invalid(f"sort_by {text[:80]!r}: use one of {known}", FieldError(("query", "sort_by"), known))
    return SortKey(kinds[kind], key, descending)  # type: ignore[arg-type]
