"""MLflow's tables, row by row: what no API shows is compared too."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from matih_workers.stores.mlflow_sql import tables

if TYPE_CHECKING:
    from collections.abc import Iterable

_metrics = sa.table("metrics", *map(sa.column, ("key", "value", "timestamp", "step", "is_nan", "run_uuid")))
_OF_EXPERIMENTS = (tables.experiments, tables.experiment_tags)
_OF_RUNS = (tables.runs, tables.tags, tables.params, tables.latest_metrics, _metrics)


def dump(uri: str, mlflow_runs: Iterable[str] | None = None) -> dict[str, list[Any]]:
    """Every row that the stores write; with MLflow's ids of runs only those of these and of their experiments."""
    engine = sa.create_engine(uri.replace("postgresql://", "postgresql+psycopg://"))
    chosen = None if mlflow_runs is None else sorted(mlflow_runs)
    own = sa.true() if chosen is None else tables.runs.c.run_uuid.in_(chosen)
    experiments = sa.select(tables.runs.c.experiment_id).where(own)
    found = {}
    with engine.connect() as connection:
        for table in (*_OF_EXPERIMENTS, *_OF_RUNS):
            rows = sa.select(table)
            if chosen is not None:
                key, wanted = ("experiment_id", experiments) if table in _OF_EXPERIMENTS else ("run_uuid", chosen)
                rows = rows.where(table.c[key].in_(wanted))
            found[table.name] = sorted(map(repr, connection.execute(rows)))
    engine.dispose()
    return found
