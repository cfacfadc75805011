"""A plan, written: the rows of all its runs together, table by table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

import sqlalchemy as sa

from matih_schemas import tags
from matih_schemas.clock import now_ms
from matih_workers.merge import RUN_NAME
from matih_workers.operations import PARENT
from matih_workers.stores.labels import ACTIVE, DELETED
from matih_workers.stores.mlflow_sql import tables
from matih_workers.stores.mlflow_sql.bulk import (
    add_latest,
    add_metrics,
    add_missing,
    add_new,
    raise_latest,
    set_columns,
    set_values,
)
from matih_workers.stores.mlflow_sql.errors import Outdated
from matih_workers.stores.mlflow_sql.reading import find_anywhere
from matih_workers.stores.mlflow_sql.rows import RunPoints, halves, run_points

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matih_workers.stores.mlflow_sql.plan import SqlRun

SIDE_BY_SIDE: Final = 2_000
"""Points that are worth a second connection: its transaction takes some 5 ms, a point 10 us."""
_LOCK_FAMILIES: Final = sa.text(
    "SELECT pg_advisory_xact_lock(hashtextextended(id, 0)) FROM unnest(CAST(:ids AS text[])) AS id"
)


@dataclass
class Points:
    """A plan's points.

    Attributes:
        first: those for the first connection.
        second: those for another one, side by side.
        of_new_runs: those of runs that the plan makes; they are in `first` too.
        of_others: those of all other runs.
        new: none of them was written before, as far as is known.
    """

    first: list[RunPoints]
    second: list[RunPoints]
    of_new_runs: list[RunPoints]
    of_others: list[RunPoints]
    new: bool


def points(runs: Sequence[SqlRun], side_by_side: bool) -> Points:
    """The points of a plan, parted. Another connection does not see the runs that this transaction makes."""
    new = [run_points(run.run_uuid, run.metrics) for run in runs if run.metrics and run.row is not None]
    others = [run_points(run.run_uuid, run.metrics) for run in runs if run.metrics and run.row is None]
    count = sum(len(some.metrics) for some in new)
    enough = side_by_side and count + sum(len(some.metrics) for some in others) >= SIDE_BY_SIDE
    first, second = halves(count, others) if enough else (others, [])
    return Points(new + first, second, new, others, not any(run.again for run in runs))


def make_runs(connection: sa.Connection, runs: Sequence[SqlRun]) -> None:
    """Inserts the new runs, as they end up.

    Raises:
        Outdated: one of them is there after all.
    """
    rows = [run.row | _state(run) for run in runs if run.row is not None]
    if not rows:
        return
    _lock_families(connection, runs)
    made = add_missing(connection, tables.runs, sorted(rows, key=lambda row: str(row["run_uuid"])))
    if len(made) < len(rows):
        raise Outdated("another worker made the same run")


def write_attributes(connection: sa.Connection, runs: Sequence[SqlRun]) -> None:
    """Writes all that is not points: params, tags, names, statuses, lifecycles."""
    new = [run for run in runs if run.row is not None]
    others = [run for run in runs if run.row is None]
    add_new(connection, tables.params, _pairs(new, "params"))
    add_new(connection, tables.tags, _pairs(new, "tags"))
    add_missing(connection, tables.params, _pairs(others, "params"))
    set_values(connection, tables.tags, _pairs(others, "tags"))
    states = {run.run_uuid: state for run in others if (state := _state(run))}
    set_columns(connection, tables.runs.c.run_uuid, states)


def write_points(connection: sa.Connection, some: Points) -> None:
    """Writes the first connection's points, and the latest of all."""
    add_metrics(connection, some.first, new=some.new)
    add_latest(connection, some.of_new_runs)
    raise_latest(connection, some.of_others)


def link_families(connection: sa.Connection, runs: Sequence[SqlRun]) -> None:
    """Sets MLflow's parent tag, of the runs and of their children, in whatever order they came."""
    orphans = [(run.run_uuid, run.parent) for run in runs if run.parent and PARENT not in run.family]
    known = find_anywhere(connection, sorted({parent for _, parent in orphans})) if orphans else {}
    rows = [_row(child, PARENT, known[parent]) for child, parent in orphans if parent in known]
    new = {tags.child_of(run.run_id): run.run_uuid for run in runs if run.row is not None}
    if new:
        tag = tables.tags.c
        children = connection.execute(sa.select(tag.key, tag.run_uuid).where(tag.key.in_(new)))
        rows += [_row(child, PARENT, new[key]) for key, child in children]
    add_missing(connection, tables.tags, sorted(rows, key=_place))


def _lock_families(connection: sa.Connection, runs: Sequence[SqlRun]) -> None:
    """Lets no other worker make a parent or a child of these until this transaction ends: each would miss the other."""
    if connection.dialect.name == "postgresql":
        ids = {run.run_id for run in runs if run.row is not None} | {run.parent for run in runs if run.parent}
        connection.execute(_LOCK_FAMILIES, {"ids": sorted(ids)})


def _state(run: SqlRun) -> dict[str, Any]:
    """The columns of the run's row that the batch changes."""
    state: dict[str, Any] = {}
    if run.status is not None:
        state |= {"status": run.status.status, "end_time": run.status.end_time}
    if RUN_NAME in run.tags:
        state["name"] = run.tags[RUN_NAME]
    if run.lifecycle == "delete":
        state |= {"lifecycle_stage": DELETED, "deleted_time": now_ms()}
    elif run.lifecycle == "restore":
        state |= {"lifecycle_stage": ACTIVE, "deleted_time": None}
    return state


def _pairs(runs: Iterable[SqlRun], kind: Literal["params", "tags"]) -> list[dict[str, str]]:
    """The rows of the runs' params or tags."""
    rows = [_row(run.run_uuid, *pair) for run in runs for pair in getattr(run, kind).items()]
    return sorted(rows, key=_place)


def _row(run_uuid: str, key: str, value: str) -> dict[str, str]:
    return {"key": key, "run_uuid": run_uuid, "value": value}


def _place(row: Mapping[str, Any]) -> tuple[str, str]:
    """The order in which rows are written: the same for all, so that two workers can't wait for each other."""
    return row["run_uuid"], row["key"]
