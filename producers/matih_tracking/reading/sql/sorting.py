"""The order of runs, as `queries.SortKey` says it, in SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from matih_schemas import tags
from matih_tracking.reading.errors import NotReadable
from matih_tracking.reading.sql import tables
from matih_tracking.reading.sql.functions import exact
from matih_tracking.reading.sql.naming import full_run_name_sql

if TYPE_CHECKING:
    from matih_tracking.reading.queries import SortKey

_run = tables.runs.c
_by = tables.tags.alias("sorted_by")
_end = sa.case((_run.status.in_(tables.UNENDED), sa.null()), else_=_run.end_time)
_ATTRIBUTES: Final[dict[str, sa.ColumnElement[Any]]] = {
    "start_time": _run.start_time,
    "end_time": _end,
    "duration": _end - _run.start_time,
    "status": exact(_run.status),
}


def ordered(statement: sa.Select[Any], sort: SortKey) -> sa.Select[Any]:
    """The statement on `runs`, in this order.

    Raises:
        NotReadable: there is no such attribute.
    """
    statement, value = _value(statement, sort)
    return statement.order_by(
        _directed(value, sort.descending).nulls_last(),
        _directed(_run.start_time, sort.descending).nulls_last(),
        _directed(_run.run_uuid, sort.descending),
    )


def _value(statement: sa.Select[Any], sort: SortKey) -> tuple[sa.Select[Any], sa.ColumnElement[Any]]:
    if sort.kind == "metric":
        latest = tables.latest_metrics
        value = sa.case((latest.c.is_nan, sa.null()), else_=latest.c.value)
        return _joined(statement, latest, sort.key), value
    if sort.kind == "param":
        return _joined(statement, tables.params, sort.key), exact(tables.params.c.value)
    if sort.kind == "tag":
        return _joined(statement, _by, sort.key), exact(_by.c.value)
    if sort.key == "name":
        return _joined(statement, _by, tags.RUN_NAME), exact(full_run_name_sql(_run.name, _by.c.value))
    if sort.key not in _ATTRIBUTES:
        known = ", ".join([*_ATTRIBUTES, "name"])
        raise NotReadable(f"runs have no attribute {sort.key[:80]!r} to sort by: use one of {known}")
    return statement, _ATTRIBUTES[sort.key]


def _joined(statement: sa.Select[Any], table: sa.FromClause, key: str) -> sa.Select[Any]:
    return statement.outerjoin(table, sa.and_(table.c.key == key, table.c.run_uuid == _run.run_uuid))


def _directed(value: sa.ColumnElement[Any], descending: bool) -> sa.ColumnElement[Any]:
    return value.desc() if descending else value.asc()
