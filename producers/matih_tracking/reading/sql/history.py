"""A metric's points, thinned out by the database.

The points between the first and the last are cut by their number into buckets of equal size (to one), half as many as
points may be told; of each the first of its least and of its greatest values is kept. NaN is neither, but for a bucket
that holds nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from matih_tracking.reading.sql import tables
from matih_tracking.reading.sql.functions import storable
from matih_tracking.reading.sql.points import points
from matih_tracking.reading.views import History

if TYPE_CHECKING:
    from matih_tracking.reading.views import MetricPoint

_MIN_POINTS: Final = 4
_metric = tables.metrics.c
_columns = (_metric.value, _metric.timestamp, _metric.step, _metric.is_nan)
_order = (_metric.step, _metric.timestamp, _metric.value, _metric.is_nan)


def read(
    connection: sa.Connection,
    run_uuid: str,
    key: str,
    max_points: int | None = None,
    steps: tuple[int | None, int | None] = (None, None),
) -> History:
    """The points with steps in this range, at most so many (4 or more)."""
    if not storable(key):
        return History([], 0)
    wanted = [_metric.run_uuid == run_uuid, _metric.key == key, *_between(*steps)]
    if max_points is None:
        found = _all(connection, key, wanted)
        return History(found, len(found))
    total = connection.execute(sa.select(sa.func.count()).select_from(tables.metrics).where(*wanted)).scalar_one()
    if total <= max(max_points, _MIN_POINTS):
        return History(_all(connection, key, wanted), total)
    rows = connection.execute(thinned(wanted, total, (max(max_points, _MIN_POINTS) - 2) // 2))
    return History(points(key, rows.all()), total)


def thinned(wanted: list[sa.ColumnElement[bool]], total: int, buckets: int) -> sa.Select[Any]:
    """The rows that are kept of `total`: first, last, and two of each bucket."""
    place = sa.func.row_number().over(order_by=_order)
    numbered = sa.select(*_columns, (place - 1).label("place")).where(*wanted).cte("numbered")
    columns = numbered.c
    bucket = ((columns.place - 1) * buckets // (total - 2)).label("bucket")
    inner = sa.select(columns.place, columns.is_nan, columns.value, bucket)
    middle = inner.where(columns.place > 0, columns.place < total - 1).cte("middle")
    kept = _extremes(middle)
    ends = sa.or_(columns.place == 0, columns.place == total - 1)
    statement = sa.select(columns.value, columns.timestamp, columns.step, columns.is_nan)
    return statement.where(sa.or_(ends, columns.place.in_(kept))).order_by(columns.place)


def _extremes(middle: sa.CTE) -> sa.CompoundSelect[Any]:
    """The places of each bucket's least and greatest values; hash aggregates, where ranks would sort twice."""
    number = sa.case((middle.c.is_nan, sa.null()), else_=middle.c.value)
    bounds = sa.select(
        middle.c.bucket, sa.func.min(number).label("least"), sa.func.max(number).label("greatest")
    ).group_by(middle.c.bucket)
    limits = bounds.cte("limits")
    return sa.union_all(
        _first(middle, limits, number == limits.c.least),
        _first(middle, limits, number == limits.c.greatest),
        _first(middle, limits, limits.c.least.is_(None)),
    )


def _first(middle: sa.CTE, limits: sa.CTE, which: sa.ColumnElement[bool]) -> sa.Select[Any]:
    joined = sa.select(sa.func.min(middle.c.place)).join_from(middle, limits, middle.c.bucket == limits.c.bucket)
    return joined.where(which).group_by(middle.c.bucket)


def _all(connection: sa.Connection, key: str, wanted: list[sa.ColumnElement[bool]]) -> list[MetricPoint]:
    rows = connection.execute(sa.select(*_columns).where(*wanted).order_by(*_order))
    return points(key, rows.all())


def _between(least: int | None, greatest: int | None) -> list[sa.ColumnElement[bool]]:
    wanted = [] if least is None else [_metric.step >= least]
    return wanted if greatest is None else [*wanted, _metric.step <= greatest]
