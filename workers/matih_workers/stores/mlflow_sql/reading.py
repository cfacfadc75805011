"""The runs of a batch as MLflow's tables have them, locked until the transaction ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from matih_schemas import tags
from matih_schemas.clock import now_ms
from matih_workers.merge import RUN_NAME
from matih_workers.operations import PARENT
from matih_workers.stores.labels import DELETED
from matih_workers.stores.mlflow_sql import tables
from matih_workers.stores.mlflow_sql.bulk import set_values
from matih_workers.stores.mlflow_sql.plan import SqlRun, run_uuid_of, stored_run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matih_workers.batch import RunGroup
    from matih_workers.stores.mlflow_sql.experiments import Experiments

_OWN = "matih.%"


def read_runs(connection: sa.Connection, experiments: Experiments, groups: Sequence[RunGroup]) -> dict[str, SqlRun]:
    """The runs that are there, by our id, deleted ones too. Other writers wait until this transaction ends."""
    places = _places(connection, groups)
    rows = _locked(connection, places)
    homes = experiments.read(row["experiment_id"] for row in rows.values())
    stored = _tags(connection, list(rows))
    asking = {group.run_id for group in groups if _asks(group)}
    params = _params(connection, [run_uuid for run_uuid, run_id in places.items() if run_id in asking])
    found: dict[str, list[SqlRun]] = {}
    for run_uuid, row in rows.items():
        tags_and_params = stored.get(run_uuid, {}), params.get(run_uuid, {})
        run = stored_run(places[run_uuid], row, homes[row["experiment_id"]], *tags_and_params)
        found.setdefault(run.run_id, []).append(run)
    return {run_id: _only(connection, candidates) for run_id, candidates in found.items()}


def find_anywhere(connection: sa.Connection, run_ids: Sequence[str]) -> dict[str, str]:
    """MLflow's ids of the runs that are there, by ours or by MLflow's own."""
    run = tables.runs.c
    there = connection.execute(sa.select(run.run_uuid).where(run.run_uuid.in_(run_ids))).scalars()
    labelled = _labelled(connection, run_ids)
    return {run_id: run_uuid for run_uuid, run_id in labelled.items()} | {run_uuid: run_uuid for run_uuid in there}


def _places(connection: sa.Connection, groups: Sequence[RunGroup]) -> dict[str, str]:
    """Our ids by those that MLflow may have the batch's runs under: the same, and those the client store got."""
    own = {run_uuid_of(group.run_id): group.run_id for group in groups}
    return _labelled(connection, [group.run_id for group in groups]) | own


def _labelled(connection: sa.Connection, run_ids: Iterable[str]) -> dict[str, str]:
    """Our ids by MLflow's, of the runs that are labelled with ours, without hidden twins."""
    keys = {tags.run_lookup(run_id): run_id for run_id in run_ids}
    tag, twin = tables.tags.c, tables.tags.alias().c
    hidden = sa.exists().where(twin.run_uuid == tag.run_uuid, twin.key == tags.DUPLICATE_OF)
    rows = connection.execute(sa.select(tag.run_uuid, tag.key).where(tag.key.in_(keys), ~hidden))
    return {run_uuid: keys[key] for run_uuid, key in rows}


def _locked(connection: sa.Connection, run_uuids: Iterable[str]) -> dict[str, Mapping[str, Any]]:
    """The rows, locked in one order, so that two workers can't wait for each other."""
    run = tables.runs.c
    statement = sa.select(run.run_uuid, run.experiment_id, run.lifecycle_stage, run.start_time)
    statement = statement.where(run.run_uuid.in_(sorted(run_uuids))).order_by(run.run_uuid)
    rows = connection.execute(statement.with_for_update(key_share=True)).mappings()
    return {row["run_uuid"]: dict(row) for row in rows}


def _only(connection: sa.Connection, candidates: list[SqlRun]) -> SqlRun:
    """The run in use among those that client stores made for one of ours at the same moment; the others are hidden."""
    winner, *twins = sorted(candidates, key=lambda run: run.precedence)
    for twin in twins:
        labels = {tags.DUPLICATE_OF: winner.run_uuid, tags.DELETED: "1"}
        rows = [{"key": key, "run_uuid": twin.run_uuid, "value": value} for key, value in labels.items()]
        set_values(connection, tables.tags, rows)
        which = tables.runs.c.run_uuid == twin.run_uuid
        hidden = sa.update(tables.runs).where(which).values(lifecycle_stage=DELETED, deleted_time=now_ms())
        connection.execute(hidden)
    return winner


def _tags(connection: sa.Connection, run_uuids: Sequence[str]) -> dict[str, dict[str, str]]:
    """Each run's tags; the values of the system's own only, for of the others it matters that they are there."""
    tag = tables.tags.c
    telling = sa.or_(tag.key.like(_OWN), tag.key.in_([RUN_NAME, PARENT]))
    statement = sa.select(tag.run_uuid, tag.key, sa.case((telling, tag.value), else_=""))
    return _by_run(connection, statement.where(tag.run_uuid.in_(run_uuids)))


def _params(connection: sa.Connection, run_uuids: Sequence[str]) -> dict[str, dict[str, str]]:
    param = tables.params.c
    statement = sa.select(param.run_uuid, param.key, param.value)
    return _by_run(connection, statement.where(param.run_uuid.in_(run_uuids)))


def _by_run(connection: sa.Connection, statement: sa.Select[Any]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for run_uuid, key, value in connection.execute(statement):
        found.setdefault(run_uuid, {})[key] = value or ""
    return found


def _asks(group: RunGroup) -> bool:
    """Whether the run's params matter to the batch."""
    return any(logged.params for _, change in group.changes for logged in change.logged)
