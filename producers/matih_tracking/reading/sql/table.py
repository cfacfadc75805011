"""Many runs of one experiment in columns, fetched in bulk: one row per key, not one per run and key."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa

from matih_schemas import tags
from matih_tracking.reading.sql import scope, tables
from matih_tracking.reading.sql.functions import listed, storable, texts
from matih_tracking.reading.sql.naming import full_run_name
from matih_tracking.reading.sql.points import number
from matih_tracking.reading.sql.runs import of_ids
from matih_tracking.reading.sql.tables import GREATEST
from matih_tracking.reading.views import RunTable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matih_tracking.reading.views import ExperimentView

Cell = TypeVar("Cell")
_run = tables.runs.c
_id_tag = tables.tags.alias("id_tag")
_name_tag = tables.tags.alias("name_tag")


def read(
    connection: sa.Connection,
    experiment: ExperimentView,
    run_ids: Sequence[str] | None,
    metrics: Sequence[str] | None,
    params: Sequence[str] | None,
) -> RunTable:
    """Runs that are not deleted, newest first; keys that none of them has are left out."""
    within = scope.of_experiments(connection, [experiment.tenant_id], [experiment]).of_stage("active")
    wanted = within if run_ids is None else [*within, of_ids(run_ids)]
    places = _places(wanted)
    rows = connection.execute(_attributes(places)).all()
    if run_ids is not None:
        places = _places_of(connection, [row[0] for row in rows])
    values = _columns(connection, tables.latest_metrics, places, metrics)
    words = _columns(connection, tables.params, places, params)
    return RunTable(
        run_ids=[run_id or run_uuid for run_uuid, run_id, *_ in rows],
        names=[full_run_name(name or "", whole) for _, _, name, whole, _ in rows],
        statuses=[row[-1] for row in rows],
        metrics={key: _filled(len(rows), at, _numbers(column)) for key, at, column in values},
        params={key: _filled(len(rows), at, column) for key, at, column in words},
    )


def _places(wanted: list[sa.ColumnElement[bool]]) -> sa.CTE:
    """The runs, numbered from 0 on, the newest first."""
    newest = (_run.start_time.desc().nulls_last(), _run.run_uuid.desc())
    place = sa.func.row_number().over(order_by=newest)
    return sa.select(_run.run_uuid, sa.cast(place - 1, sa.Integer).label("place")).where(*wanted).cte("places")


def _places_of(connection: sa.Connection, run_uuids: Sequence[str]) -> sa.CTE:
    """Runs that were found already, in this order: looking them up by their ids once is enough."""
    if connection.dialect.name == "postgresql":
        rows = texts(run_uuids).table_valued("value", with_ordinality="place").render_derived()
        return sa.select(rows.c.value.label("run_uuid"), sa.cast(rows.c.place - 1, sa.Integer).label("place")).cte(
            "places"
        )
    rows = texts(run_uuids).table_valued("value", "key")
    return sa.select(rows.c.value.label("run_uuid"), rows.c.key.label("place")).cte("places")


def _attributes(places: sa.CTE) -> sa.Select[Any]:
    run_uuid = places.c.run_uuid
    joined = places.join(tables.runs, _run.run_uuid == run_uuid)
    for tag, key in ((_id_tag, tags.RUN_ID), (_name_tag, tags.RUN_NAME)):
        joined = joined.outerjoin(tag, sa.and_(tag.c.key == key, tag.c.run_uuid == run_uuid))
    columns = (run_uuid, _id_tag.c.value, _run.name, _name_tag.c.value, _run.status)
    return sa.select(*columns).select_from(joined).order_by(places.c.place)


def _columns(
    connection: sa.Connection, table: sa.Table, places: sa.CTE, keys: Sequence[str] | None
) -> Iterator[tuple[str, Sequence[int], Sequence[Any]]]:
    """Per key: the places of the runs that have it, and their values; NaN is None."""
    value = sa.case((table.c.is_nan, sa.null()), else_=table.c.value) if "is_nan" in table.c else table.c.value
    joined = table.join(places, places.c.run_uuid == table.c.run_uuid)
    chosen = [] if keys is None else [table.c.key.in_(listed(key for key in keys if storable(key)))]
    if connection.dialect.name == "postgresql":
        arrays = (sa.func.array_agg(column, type_=sa.types.NullType()) for column in (places.c.place, value))
        statement = sa.select(table.c.key, *arrays).select_from(joined).where(*chosen).group_by(table.c.key)
        yield from ((row[0], row[1], row[2]) for row in connection.execute(statement.order_by(table.c.key)))
        return
    found: dict[str, tuple[list[int], list[Any]]] = {}
    statement = sa.select(table.c.key, places.c.place, value).select_from(joined).where(*chosen)
    for key, at, cell in connection.execute(statement.order_by(table.c.key)).all():
        places_and_cells = found.setdefault(key, ([], []))
        places_and_cells[0].append(at)
        places_and_cells[1].append(cell)
    yield from ((key, *columns) for key, columns in found.items())


def _numbers(column: Sequence[float | None]) -> list[float]:
    """The values that were logged; see `points.number`."""
    return [
        value if value is not None and -GREATEST < value < GREATEST else number(value or 0.0, is_nan=value is None)
        for value in column
    ]


def _filled(length: int, places: Sequence[int], cells: Sequence[Cell]) -> list[Cell | None]:
    filled: list[Cell | None] = [None] * length
    for place, cell in zip(places, cells, strict=True):
        filled[place] = cell
    return filled
