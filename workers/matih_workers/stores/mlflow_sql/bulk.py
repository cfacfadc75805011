"""Many rows at once, insert if absent, by each database's own means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from psycopg import sql
from psycopg.errors import UniqueViolation
from sqlalchemy.dialects import postgresql, sqlite

from matih_workers.stores.mlflow_sql.rows import RunPoints, blocks, copy_text, latest, metric_rows
from matih_workers.stores.mlflow_sql.tables import latest_metrics

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_STAGE: Final = (
    "CREATE TEMP TABLE IF NOT EXISTS matih_points (key varchar, value double precision, timestamp bigint, "
    "step bigint, is_nan boolean, run_uuid varchar) ON COMMIT DELETE ROWS"
)
_COPY: Final = "COPY metrics (key, value, timestamp, step, is_nan, run_uuid) FROM STDIN"
_COPY_TO_STAGE: Final = "COPY pg_temp.matih_points (key, value, timestamp, step, is_nan, run_uuid) FROM STDIN"
_MOVE: Final = (
    "INSERT INTO metrics (key, value, timestamp, step, is_nan, run_uuid) "
    "SELECT key, value, timestamp, step, is_nan, run_uuid FROM pg_temp.matih_points ON CONFLICT DO NOTHING"
)
_INSERT: Final = (
    "INSERT INTO metrics (key, value, timestamp, step, is_nan, run_uuid) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT DO NOTHING"
)
_COLUMNS: Final = ("key", "value", "timestamp", "step", "is_nan", "run_uuid")
_BLOCK: Final = 4096
_OF: Final = "of"
_ORDER: Final = ("step", "timestamp", "value")


def add_metrics(connection: sa.Connection, points: Sequence[RunPoints], *, new: bool) -> None:
    """Inserts the points that are not there.

    Args:
        connection: in a transaction.
        points: of some runs.
        new: they have probably never been applied: PostgreSQL then takes them faster.
    """
    if not points:
        return
    if connection.dialect.name != "postgresql":
        connection.exec_driver_sql(_INSERT, list(metric_rows(points)))
    elif not (new and _copy_whole(connection, points)):
        connection.exec_driver_sql(_STAGE)
        _copy(connection, _COPY_TO_STAGE, points)
        connection.exec_driver_sql(_MOVE)


def _copy_whole(connection: sa.Connection, points: Sequence[RunPoints]) -> bool:
    """Copies the points straight into their table; False, and nothing done, if one of them is there already."""
    try:
        with connection.begin_nested():
            _copy(connection, _COPY, points)
    except UniqueViolation:
        return False
    return True


def _copy(connection: sa.Connection, statement: str, points: Sequence[RunPoints]) -> None:
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for block in blocks(points, _BLOCK):
            copy.write(copy_text(block))


def raise_latest(connection: sa.Connection, points: Sequence[RunPoints]) -> None:
    """Sets the latest metrics to the greatest of these where it is greater by (step, timestamp, value)."""
    if not points:
        return
    rows = _latest_rows(points)
    statement = _insert(connection, latest_metrics, rows)
    new, old = statement.excluded, latest_metrics.c
    statement = statement.on_conflict_do_update(
        index_elements=["key", "run_uuid"],
        set_={name: new[name] for name in (*_ORDER, "is_nan")},
        where=sa.tuple_(*(new[name] for name in _ORDER)) > sa.tuple_(*(old[name] for name in _ORDER)),
    )
    _execute(connection, statement, rows)


def add_latest(connection: sa.Connection, points: Sequence[RunPoints]) -> None:
    """Writes the latest metrics of runs that this transaction has made."""
    add_new(connection, latest_metrics, _latest_rows(points))


def _latest_rows(points: Iterable[RunPoints]) -> list[dict[str, Any]]:
    ordered = sorted(points, key=lambda some: some.run_uuid)
    rows = metric_rows(RunPoints(some.run_uuid, latest(some)) for some in ordered)
    return [dict(zip(_COLUMNS, row, strict=True)) for row in rows]


def add_missing(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Inserts the rows that violate no unique constraint; returns the first key column of each that was inserted."""
    if not rows:
        return []
    key = next(iter(table.primary_key))
    statement = _insert(connection, table, rows).on_conflict_do_nothing().returning(key)
    return list(_execute(connection, statement, rows).scalars())


def add_new(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts rows of runs that this transaction has made: none can be there. By COPY, many times as fast as INSERT."""
    if not rows:
        return
    if connection.dialect.name != "postgresql":
        connection.execute(sa.insert(table), list(rows))
        return
    columns = list(rows[0])
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table.name), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row([row[column] for column in columns])


def set_values(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts rows of key, owner and `value`, or sets the value where the row is there."""
    if rows:
        statement = _insert(connection, table, rows)
        keys = [column.name for column in table.primary_key]
        statement = statement.on_conflict_do_update(index_elements=keys, set_={"value": statement.excluded.value})
        _execute(connection, statement, rows)


def set_columns(connection: sa.Connection, key: sa.Column[Any], rows: Mapping[str, Mapping[str, Any]]) -> None:
    """Sets columns of the rows with these keys, those of like columns together."""
    alike: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for name in sorted(rows):
        alike.setdefault(tuple(rows[name]), []).append({_OF: name, **rows[name]})
    for columns, some in alike.items():
        if connection.dialect.name == "postgresql":
            values = _unnested({_OF: key.type} | {column: key.table.c[column].type for column in columns})
            statement = sa.update(key.table).where(key == values.c[_OF])
            _execute(connection, statement.values({column: values.c[column] for column in columns}), some)
        else:
            statement = sa.update(key.table).where(key == sa.bindparam(_OF))
            new: dict[str, Any] = {column: sa.bindparam(f"new_{column}") for column in columns}
            renamed = [{_OF: row[_OF]} | {f"new_{column}": row[column] for column in columns} for row in some]
            connection.execute(statement.values(new), renamed)


def _insert(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> Any:
    """INSERT of such rows, with ON CONFLICT: SQLAlchemy has one for each database, alike and not of one type.

    On PostgreSQL it is one statement for all rows: so many would each take their own time on a slow server.
    """
    if connection.dialect.name != "postgresql":
        return sqlite.insert(table)
    values = _unnested({column: table.c[column].type for column in rows[0]})
    return postgresql.insert(table).from_select(list(rows[0]), sa.select(*values.c))


def _unnested(types: Mapping[str, Any]) -> sa.TableValuedAlias:
    """The rows that `_execute` gives to a statement, as a table of these columns."""
    columns = [sa.bindparam(name, type_=postgresql.ARRAY(kind)) for name, kind in types.items()]
    return sa.func.unnest(*columns).table_valued(*types, name="given").render_derived()


def _execute(connection: sa.Connection, statement: Any, rows: Sequence[Mapping[str, Any]]) -> sa.CursorResult[Any]:
    """Runs it for rows of the same columns: once for all of them on PostgreSQL."""
    if connection.dialect.name != "postgresql":
        return connection.execute(statement, list(rows))
    return connection.execute(statement, {column: [row[column] for row in rows] for column in rows[0]})
