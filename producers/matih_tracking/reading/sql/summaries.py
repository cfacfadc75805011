"""What experiments have in runs, counted by the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from matih_tracking.reading.sql import scope, tables
from matih_tracking.reading.sql.points import number
from matih_tracking.reading.views import ExperimentSummary

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matih_tracking.reading.views import ExperimentView

Best = dict[str, tuple[float, float]]
_run = tables.runs.c
_latest = tables.latest_metrics.c


def read(connection: sa.Connection, wanted: Sequence[ExperimentView]) -> dict[str, ExperimentSummary]:
    """Each one's summary, by our id."""
    by_tenant: dict[str, list[ExperimentView]] = {}
    for experiment in wanted:
        by_tenant.setdefault(experiment.tenant_id, []).append(experiment)
    found: dict[str, ExperimentSummary] = {}
    for tenant, some in by_tenant.items():
        found |= _of_tenant(connection, tenant, some)
    return found


def _of_tenant(connection: sa.Connection, tenant: str, some: Sequence[ExperimentView]) -> dict[str, ExperimentSummary]:
    homes = [int(experiment.mlflow_id) for experiment in some]
    visible = scope.of_experiments(connection, [tenant], some).of_stage("active")
    statement = sa.select(_run.experiment_id, sa.func.count()).where(*visible).group_by(_run.experiment_id)
    counts: dict[int, int] = {row[0]: row[1] for row in connection.execute(statement)}
    best = _best(connection, visible)
    return {
        experiment.experiment_id: ExperimentSummary(counts.get(home, 0), best.get(home, {}))
        for home, experiment in zip(homes, some, strict=True)
    }


def _best(connection: sa.Connection, visible: list[sa.ColumnElement[bool]]) -> dict[int, Best]:
    statement = (
        sa.select(_run.experiment_id, _latest.key, sa.func.max(_latest.value), sa.func.min(_latest.value))
        .join_from(tables.latest_metrics, tables.runs, _run.run_uuid == _latest.run_uuid)
        .where(*visible, _run.status == "FINISHED", _latest.is_nan == sa.false())
        .group_by(_run.experiment_id, _latest.key)
        .order_by(_latest.key)
    )
    found: dict[int, Best] = {}
    for home, key, greatest, least in connection.execute(statement):
        found.setdefault(home, {})[key] = number(greatest, is_nan=False), number(least, is_nan=False)
    return found
