"""Runs in MLflow's tables: found, listed, with their tags, params and latest metrics."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from matih_schemas import tags
from matih_schemas.limits import RUN_NAME_MAX
from matih_tracking.reading.sql import experiments, scope, tables
from matih_tracking.reading.sql.functions import listed, storable
from matih_tracking.reading.sql.naming import HOMES, TENANT, full_run_name, full_run_name_sql, of_tenants
from matih_tracking.reading.sql.points import point
from matih_tracking.reading.sql.sorting import ordered
from matih_tracking.reading.views import MetricPoint, Page, RunView

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from matih_tracking.reading.queries import RunQuery
    from matih_tracking.reading.sql.scope import Scope
    from matih_tracking.reading.views import ExperimentView

NAMED_MAX: Final = 20
_HEX: Final = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_run = tables.runs.c
_tag = tables.tags.c
_whose = tables.tags.alias("whose")
_named = tables.tags.alias("named")


def find(connection: sa.Connection, tenants: Collection[str] | None, which: str) -> RunView | None:
    """By our id, else by MLflow's own; of several made for one id, the one in use."""
    candidates = spellings(which)
    lookups = [tags.run_lookup(candidate) for candidate in candidates]
    labelled = connection.execute(sa.select(_tag.run_uuid).where(_tag.key.in_(lookups))).scalars().all()
    tenant = sa.func.coalesce(scope.tenant_in_tag(_whose.c.value), TENANT)
    allowed = of_tenants(None) if tenants is None else sa.and_(of_tenants(None), tenant.in_(sorted(tenants)))
    first = (
        sa.case((_run.run_uuid.in_(labelled), 0), else_=1),
        sa.case((_run.lifecycle_stage == tables.ACTIVE, 0), else_=1),
        _run.start_time,
        _run.run_uuid,
    )
    whose = sa.and_(_whose.c.run_uuid == _run.run_uuid, _whose.c.key == tags.TENANT_ID)
    home = tables.experiments.c.experiment_id == _run.experiment_id
    places = tables.runs.join(HOMES, home).outerjoin(_whose, whose)
    statement = sa.select(_run.run_uuid).select_from(places).where(scope.no_twin(), allowed)
    statement = statement.where(_run.run_uuid.in_([*labelled, *candidates])).order_by(*first)
    return next(iter(read(connection, connection.execute(statement.limit(1)).scalars().all())), None)


def page(connection: sa.Connection, tenants: Collection[str] | None, query: RunQuery) -> Page[RunView]:
    """A page of them, in the order asked for."""
    within = _scope(connection, tenants, query.experiment_id)
    if within is None:
        return Page([], 0)
    wanted = [*within.of_stage(query.stage), *_filters(query)]
    total = connection.execute(sa.select(sa.func.count()).select_from(tables.runs).where(*wanted)).scalar_one()
    if not total or query.offset >= total or not query.limit:
        return Page([], total)
    statement = ordered(sa.select(_run.run_uuid).select_from(tables.runs).where(*wanted), query.sort)
    found = connection.execute(statement.limit(query.limit).offset(query.offset)).scalars().all()
    return Page(read(connection, found), total)


def named(connection: sa.Connection, experiment: ExperimentView, name: str) -> list[RunView]:
    """Those of exactly this name that are not deleted, newest first."""
    if not storable(name):
        return []
    within = scope.of_experiments(connection, [experiment.tenant_id], [experiment])
    whole = sa.and_(_named.c.run_uuid == _run.run_uuid, _named.c.key == tags.RUN_NAME)
    statement = sa.select(_run.run_uuid).select_from(tables.runs.outerjoin(_named, whole))
    statement = statement.where(*within.of_stage("active"), _run.name == name[:RUN_NAME_MAX])
    statement = statement.where(full_run_name_sql(_run.name, _named.c.value) == name)
    newest = statement.order_by(_run.start_time.desc().nulls_last(), _run.run_uuid.desc()).limit(NAMED_MAX)
    return read(connection, connection.execute(newest).scalars().all())


def read(connection: sa.Connection, run_uuids: Sequence[str]) -> list[RunView]:
    """The runs with these ids of MLflow's, in this order."""
    if not run_uuids:
        return []
    rows = {row.run_uuid: row for row in connection.execute(_these(sa.select(tables.runs), _run, run_uuids))}
    homes = experiments.read(connection, sorted({row.experiment_id for row in rows.values()}))
    by_number = {int(home.mlflow_id): home for home in homes}
    stored, params = (_texts(connection, table, run_uuids) for table in (tables.tags, tables.params))
    metrics = latest(connection, run_uuids)
    return [
        _view(
            rows[uuid],
            by_number[rows[uuid].experiment_id],
            stored.get(uuid, {}),
            params.get(uuid, {}),
            metrics.get(uuid, {}),
        )
        for uuid in run_uuids
    ]


def latest(connection: sa.Connection, run_uuids: Iterable[str]) -> dict[str, dict[str, MetricPoint]]:
    """The latest points by key, by MLflow's run id."""
    column = tables.latest_metrics.c
    statement = sa.select(column.run_uuid, column.key, column.value, column.timestamp, column.step, column.is_nan)
    found: dict[str, dict[str, MetricPoint]] = {}
    for run_uuid, key, *rest in connection.execute(_these(statement, column, run_uuids).order_by(column.key)).all():
        found.setdefault(run_uuid, {})[key] = point(key, *rest)
    return found


def spellings(which: str) -> list[str]:
    """What an id that was given may be stored as: itself, or 32 hex characters in small letters."""
    if not storable(which):
        return []
    small = which.strip().lower()
    plain = small.replace("-", "") if _HEX.fullmatch(small) else which
    return list(dict.fromkeys([plain, which]))


def of_ids(run_ids: Iterable[str]) -> sa.ColumnElement[bool]:
    """The condition for runs with these ids, ours or MLflow's own."""
    wanted = [spelling for run_id in run_ids for spelling in spellings(run_id)]
    lookups = listed(tags.run_lookup(spelling) for spelling in wanted)
    labelled = sa.select(_tag.run_uuid).where(_tag.key.in_(lookups))
    return _run.run_uuid.in_(sa.union_all(labelled, listed(wanted)))


def _scope(connection: sa.Connection, tenants: Collection[str] | None, experiment: str | None) -> Scope | None:
    if experiment is None:
        return scope.of_everything(connection, tenants)
    home = experiments.find(connection, tenants, experiment)
    return None if home is None else scope.of_experiments(connection, tenants, [home])


def _filters(query: RunQuery) -> list[sa.ColumnElement[bool]]:
    wanted = [] if query.status is None else [_run.status == query.status]
    return wanted if query.run_ids is None else [*wanted, of_ids(query.run_ids)]


def _these(statement: sa.Select[Any], column: Any, run_uuids: Iterable[str]) -> sa.Select[Any]:
    return statement.where(column.run_uuid.in_(list(run_uuids)))


def _texts(connection: sa.Connection, table: sa.Table, run_uuids: Sequence[str]) -> dict[str, dict[str, str]]:
    column = table.c
    statement = _these(sa.select(column.run_uuid, column.key, column.value), column, run_uuids)
    found: dict[str, dict[str, str]] = {}
    for run_uuid, key, value in connection.execute(statement.order_by(column.key)).all():
        if not key.startswith(experiments.POSITIONS):
            found.setdefault(run_uuid, {})[key] = value or ""
    return found


def _view(
    row: sa.Row[Any],
    home: ExperimentView,
    stored: dict[str, str],
    params: dict[str, str],
    metrics: dict[str, MetricPoint],
) -> RunView:
    deleted = row.lifecycle_stage == tables.DELETED or home.stage == "deleted"
    return RunView(
        run_id=stored.get(tags.RUN_ID) or row.run_uuid,
        mlflow_run_id=row.run_uuid,
        tenant_id=scope.tenant_named(stored.get(tags.TENANT_ID)) or home.tenant_id,
        experiment_id=home.experiment_id,
        mlflow_experiment_id=home.mlflow_id,
        name=full_run_name(row.name or "", stored.get(tags.RUN_NAME)),
        status=row.status,
        start_time=row.start_time or 0,
        end_time=None if row.status in tables.UNENDED else row.end_time,
        stage="deleted" if deleted else "active",
        artifact_uri=row.artifact_uri or "",
        tags=stored,
        params=params,
        metrics=metrics,
    )
