"""The partitions' positions in MLflow's tables: tags of one of its first experiments, written with the data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from matih_workers.positions import Position, advanced
from matih_workers.stores.labels import position_key, position_keys
from matih_workers.stores.mlflow_sql import tables
from matih_workers.stores.mlflow_sql.bulk import set_values

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matih_workers.positions import Source, Spans


def advance(connection: sa.Connection, spans: Spans) -> dict[int, Position]:
    """Moves the positions of the spans' partitions on, never back; returns them. Locks their rows, in one order."""
    keys = position_keys(spans)
    if spans.source is None or not keys:
        return {}
    stored = _stored(connection, keys)
    home = connection.execute(sa.select(sa.func.min(tables.experiments.c.experiment_id))).scalar()
    found: dict[int, Position] = {}
    rows = []
    for key in sorted(keys):
        number, before = stored.get(key, (home, None))
        found[keys[key].partition] = after = advanced(before, spans.source, keys[key], spans.at_ms)
        if after != before and number is not None:
            rows.append({"key": key, "experiment_id": number, "value": after.text()})
    set_values(connection, tables.experiment_tags, rows)
    return found


def read_positions(connection: sa.Connection, source: Source, partitions: Iterable[int]) -> dict[int, Position]:
    """The positions of these partitions, as far as there are any."""
    keys = {position_key(source, number): number for number in partitions}
    return {keys[key]: position for key, (_, position) in _stored(connection, keys).items()}


def _stored(connection: sa.Connection, keys: Iterable[str]) -> dict[str, tuple[int, Position]]:
    """The positions, and whose tags they are: MLflow may have made its experiment 0 after the first was noted."""
    tag = tables.experiment_tags.c
    statement = sa.select(tag.key, tag.experiment_id, tag.value).where(tag.key.in_(keys))
    found: dict[str, tuple[int, Position]] = {}
    for key, number, text in connection.execute(statement.order_by(tag.key, tag.experiment_id).with_for_update()):
        position = Position.parse(text)
        if position is not None and (key not in found or found[key][1].end < position.end):
            found[key] = number, position
    return found
