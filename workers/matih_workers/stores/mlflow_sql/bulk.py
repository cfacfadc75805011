"""Many rows at once, insert if absent, by each database's own means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from matih_workers.stores.mlflow_sql.tables import latest_metrics

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from matih_workers.stores.mlflow_sql.rows import MetricRow

_STAGE: Final = (
    "CREATE TEMP TABLE IF NOT EXISTS matih_points (key varchar, value double precision, timestamp bigint, "
    "step bigint, is_nan boolean, run_uuid varchar) ON COMMIT DELETE ROWS"
)
_COPY: Final = "COPY pg_temp.matih_points (key, value, timestamp, step, is_nan, run_uuid) FROM STDIN"
_MOVE: Final = (
    "INSERT INTO metrics (key, value, timestamp, step, is_nan, run_uuid) "
    "SELECT key, value, timestamp, step, is_nan, run_uuid FROM pg_temp.matih_points ON CONFLICT DO NOTHING"
)
_INSERT: Final = (
    "INSERT INTO metrics (key, value, timestamp, step, is_nan, run_uuid) VALUES (?, ?, ?, ?, ?, ?) "
    "ON CONFLICT DO NOTHING"
)
_BLOCK: Final = 4096
_ORDER: Final = ("step", "timestamp", "value")


def add_metrics(connection: sa.Connection, rows: Sequence[MetricRow]) -> None:
    """Inserts the points that are not there."""
    if not rows:
        return
    if connection.dialect.name != "postgresql":
        connection.exec_driver_sql(_INSERT, list(rows))
        return
    connection.exec_driver_sql(_STAGE)
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor:
        with cursor.copy(_COPY) as copy:
            for start in range(0, len(rows), _BLOCK):
                copy.write(_copy_text(rows[start : start + _BLOCK]))
        cursor.execute(_MOVE)


def _copy_text(rows: Iterable[MetricRow]) -> str:
    """COPY's text format. A metric's key holds nothing that it would have to escape (see checks.py)."""
    return "".join(
        [
            f"{key}\t{value!r}\t{timestamp}\t{step}\t{'t' if is_nan else 'f'}\t{run_uuid}\n"
            for key, value, timestamp, step, is_nan, run_uuid in rows
        ]
    )


def raise_latest(connection: sa.Connection, rows: Sequence[MetricRow]) -> None:
    """Sets the latest metrics to these rows where they are greater by (step, timestamp, value)."""
    if not rows:
        return
    statement = _insert(connection, latest_metrics)
    new, old = statement.excluded, latest_metrics.c
    statement = statement.on_conflict_do_update(
        index_elements=["key", "run_uuid"],
        set_={name: new[name] for name in (*_ORDER, "is_nan")},
        where=sa.tuple_(*(new[name] for name in _ORDER)) > sa.tuple_(*(old[name] for name in _ORDER)),
    )
    connection.execute(statement, [row._asdict() for row in rows])


def add_missing(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> list[Any]:
    """Inserts the rows that violate no unique constraint; returns the first key column of each that was inserted."""
    if not rows:
        return []
    key = next(iter(table.primary_key))
    statement = _insert(connection, table).on_conflict_do_nothing().returning(key)
    return list(connection.execute(statement, list(rows)).scalars())


def set_values(connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts rows of key, owner and `value`, or sets the value where the row is there."""
    if rows:
        statement = _insert(connection, table)
        keys = [column.name for column in table.primary_key]
        statement = statement.on_conflict_do_update(index_elements=keys, set_={"value": statement.excluded.value})
        connection.execute(statement, list(rows))


def _insert(connection: sa.Connection, table: sa.Table) -> Any:
    """INSERT with ON CONFLICT: SQLAlchemy has one for each database, alike and not of one type."""
    return (postgresql if connection.dialect.name == "postgresql" else sqlite).insert(table)
