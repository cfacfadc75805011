"""Experiments in MLflow's tables: found by id or name, listed, with their tags."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from matih_schemas import tags
from matih_schemas.identity import experiment_id, mlflow_experiment_name
from matih_schemas.mlflow_names import full_name, tenant_of
from matih_tracking.reading.sql import tables
from matih_tracking.reading.sql.functions import position_of, small_letters, storable
from matih_tracking.reading.sql.naming import HOMES, NAME, TENANT, of_tenants
from matih_tracking.reading.views import ExperimentView, Page

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from matih_tracking.reading.queries import ExperimentQuery, StageWanted

NOTE: Final = "mlflow.note.content"
POSITIONS: Final = "matih.position."
_UUID: Final = re.compile(r"[0-9A-Fa-f]{32}|[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_NUMBER: Final = re.compile(r"[0-9]{1,9}")
_COLLATION: Final = "matih.collation"
_COLLATIONS: Final = ("und-x-icu", "pg_c_utf8", "C.utf8", "en_US.utf8")
"""PostgreSQL's collations that know the small letters of all scripts, the best first."""
_experiment = tables.experiments.c
_tag = tables.experiment_tags.c


def find(connection: sa.Connection, tenants: Collection[str] | None, which: str) -> ExperimentView | None:
    """By our id, by an alias, by MLflow's own number."""
    ours = str(uuid.UUID(which)) if _UUID.fullmatch(which) else None
    if ours is not None:
        found = _labelled(connection, tenants, ours) or _made_by_hand(connection, tenants, ours)
    elif _NUMBER.fullmatch(which):
        found = _numbers(connection, sa.and_(_experiment.experiment_id == int(which), of_tenants(tenants)))
    else:
        found = []
    return next(iter(read(connection, found[:1])), None)


def find_named(connection: sa.Connection, tenant: str, name: str) -> ExperimentView | None:
    """By the name it has now, else by one that it had."""
    if not (storable(tenant) and storable(name)):
        return None
    present = sa.case((_experiment.name == mlflow_experiment_name(tenant, name), 0), else_=1)
    found = _numbers(connection, sa.and_(NAME.is_not_distinct_from(name), of_tenants([tenant])), present)
    found = found or _labelled(connection, [tenant], experiment_id(tenant, name))
    return next(iter(read(connection, found[:1])), None)


def page(connection: sa.Connection, tenants: Collection[str] | None, query: ExperimentQuery) -> Page[ExperimentView]:
    """A page of them, newest first."""
    if not storable(query.search):
        return Page([], 0)
    wanted = [of_tenants(tenants), *_stage(query.stage), *_search(connection, query.search)]
    total = connection.execute(sa.select(sa.func.count()).select_from(HOMES).where(*wanted)).scalar_one()
    newest = sa.func.coalesce(_experiment.creation_time, 0).desc(), _experiment.experiment_id.desc()
    statement = sa.select(_experiment.experiment_id).select_from(HOMES).where(*wanted).order_by(*newest)
    numbers = connection.execute(statement.limit(query.limit).offset(query.offset)).scalars().all()
    return Page(read(connection, numbers), total)


def read(connection: sa.Connection, numbers: Sequence[int]) -> list[ExperimentView]:
    """The experiments with these numbers of MLflow's, in this order."""
    if not numbers:
        return []
    rows = connection.execute(sa.select(tables.experiments).where(_experiment.experiment_id.in_(numbers)))
    by_number = {row.experiment_id: row for row in rows}
    stored = _tags(connection, numbers)
    return [_view(by_number[number], stored.get(number, {})) for number in numbers if number in by_number]


def numbers_of(connection: sa.Connection, tenants: Collection[str] | None) -> list[int]:
    """MLflow's numbers of all experiments of the tenants."""
    return _numbers(connection, of_tenants(tenants))


def _labelled(connection: sa.Connection, tenants: Collection[str] | None, ours: str) -> list[int]:
    """By the tags: the one that has the id for its own, else those that it leads to."""
    own = sa.and_(_tag.key == tags.EXPERIMENT_ID, _tag.value == ours)
    leads = sa.select(_tag.experiment_id).where(sa.or_(own, _tag.key == tags.experiment_lookup(ours)))
    is_own = sa.exists().where(_tag.experiment_id == _experiment.experiment_id, own)
    which = sa.and_(_experiment.experiment_id.in_(leads), of_tenants(tenants))
    return _numbers(connection, which, sa.case((is_own, 0), else_=1))


def _made_by_hand(connection: sa.Connection, tenants: Collection[str] | None, ours: str) -> list[int]:
    """Those without an id in their tags that will get this one: a hash of tenant and name, so all are looked at."""
    has_id = sa.exists().where(
        _tag.experiment_id == _experiment.experiment_id, _tag.key == tags.EXPERIMENT_ID, _tag.value != ""
    )
    statement = sa.select(_experiment.experiment_id, TENANT, NAME).select_from(HOMES)
    rows = connection.execute(statement.where(of_tenants(tenants), ~has_id).order_by(_experiment.experiment_id))
    return [number for number, tenant, name in rows if experiment_id(tenant, name) == ours]


def _numbers(connection: sa.Connection, which: sa.ColumnElement[bool], *first: sa.ColumnElement[Any]) -> list[int]:
    statement = sa.select(_experiment.experiment_id).select_from(HOMES).where(which)
    return list(connection.execute(statement.order_by(*first, _experiment.experiment_id)).scalars())


def _stage(stage: StageWanted) -> list[sa.ColumnElement[bool]]:
    return [] if stage == "all" else [_experiment.lifecycle_stage == stage]


def _search(connection: sa.Connection, part: str) -> list[sa.ColumnElement[bool]]:
    if not part:
        return []
    collation = _collation(connection)
    letters = [sa.collate(text, collation) if collation else text for text in (NAME, sa.literal(part))]
    return [position_of(*(small_letters(text) for text in letters)) > 0]


def _collation(connection: sa.Connection) -> str | None:
    """PostgreSQL's own may be C, which knows the small letters of ASCII only."""
    if connection.dialect.name != "postgresql":
        return None
    if _COLLATION not in connection.info:
        fitting = sa.text(
            "SELECT collname FROM pg_collation WHERE collencoding IN (-1, pg_char_to_encoding(getdatabaseencoding()))"
        )
        there = set(connection.execute(fitting).scalars())
        connection.info[_COLLATION] = next((name for name in _COLLATIONS if name in there), None)
    collation: str | None = connection.info[_COLLATION]
    return collation


def _tags(connection: sa.Connection, numbers: Iterable[int]) -> dict[int, dict[str, str]]:
    found: dict[int, dict[str, str]] = {}
    no_position = sa.func.substr(_tag.key, 1, len(POSITIONS)) != POSITIONS
    statement = sa.select(_tag.experiment_id, _tag.key, _tag.value).where(_tag.experiment_id.in_(list(numbers)))
    for number, key, value in connection.execute(statement.where(no_position).order_by(_tag.key)).all():
        found.setdefault(number, {})[key] = value or ""
    return found


def _view(row: sa.Row[Any], stored: dict[str, str]) -> ExperimentView:
    tenant = tenant_of(row.name, stored)
    name = full_name(row.name, stored, tenant)
    return ExperimentView(
        experiment_id=stored.get(tags.EXPERIMENT_ID) or experiment_id(tenant, name),
        mlflow_id=str(row.experiment_id),
        tenant_id=tenant,
        name=name,
        artifact_location=row.artifact_location or "",
        stage="deleted" if row.lifecycle_stage == tables.DELETED else "active",
        created_at=row.creation_time or 0,
        last_updated=row.last_update_time or 0,
        description=stored.get(NOTE, ""),
        tags=stored,
    )
