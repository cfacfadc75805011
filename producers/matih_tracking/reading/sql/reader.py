"""The reader on MLflow's own tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from matih_tracking.reading.sql import experiments, history, runs, summaries, table
from matih_tracking.reading.sql.database import Database

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from matih_tracking.reading.queries import ExperimentQuery, RunQuery
    from matih_tracking.reading.views import (
        ExperimentSummary,
        ExperimentView,
        History,
        MetricPoint,
        Page,
        RunTable,
        RunView,
    )


class SqlReader:
    """`RunReader` on the tables of MLflow's PostgreSQL or SQLite: each method's contract stands there.

    Each call is one read-only transaction on one state of the database. For 16 threads at a time.
    """

    def __init__(self, uri: str, timeout: float = 5.0) -> None:
        """Connects at the first call.

        Args:
            uri: the database's, as MLflow's server has it in `--backend-store-uri`.
            timeout: seconds for one call, 3 or more where a server that hangs has to be given up in time.

        Raises:
            NotReadable: it is no address of such a database.
        """
        self._database = Database(uri, timeout)

    def check(self) -> None:
        """See `RunReader`."""
        self._database.read(lambda connection: connection.execute(sa.select(sa.literal(1))).scalar())

    def experiment(self, tenants: Collection[str] | None, which: str) -> ExperimentView | None:
        """See `RunReader`."""
        return self._database.read(lambda connection: experiments.find(connection, tenants, which))

    def experiment_named(self, tenant: str, name: str) -> ExperimentView | None:
        """See `RunReader`."""
        return self._database.read(lambda connection: experiments.find_named(connection, tenant, name))

    def experiments(self, tenants: Collection[str] | None, query: ExperimentQuery) -> Page[ExperimentView]:
        """See `RunReader`."""
        return self._database.read(lambda connection: experiments.page(connection, tenants, query))

    def summaries(self, experiments: Sequence[ExperimentView]) -> dict[str, ExperimentSummary]:
        """See `RunReader`."""
        return self._database.read(lambda connection: summaries.read(connection, experiments))

    def run(self, tenants: Collection[str] | None, which: str) -> RunView | None:
        """See `RunReader`."""
        return self._database.read(lambda connection: runs.find(connection, tenants, which))

    def runs(self, tenants: Collection[str] | None, query: RunQuery) -> Page[RunView]:
        """See `RunReader`."""
        return self._database.read(lambda connection: runs.page(connection, tenants, query))

    def runs_named(self, experiment: ExperimentView, name: str) -> list[RunView]:
        """See `RunReader`."""
        return self._database.read(lambda connection: runs.named(connection, experiment, name))

    def table(
        self,
        experiment: ExperimentView,
        run_ids: Sequence[str] | None = None,
        metrics: Sequence[str] | None = None,
        params: Sequence[str] | None = None,
    ) -> RunTable:
        """See `RunReader`."""
        return self._database.read(lambda connection: table.read(connection, experiment, run_ids, metrics, params))

    def history(
        self,
        run: RunView,
        key: str,
        max_points: int | None = None,
        from_step: int | None = None,
        to_step: int | None = None,
    ) -> History:
        """See `RunReader`."""
        steps = from_step, to_step
        return self._database.read(
            lambda connection: history.read(connection, run.mlflow_run_id, key, max_points, steps)
        )

    def latest(self, run: RunView) -> dict[str, MetricPoint]:
        """See `RunReader`."""
        found = self._database.read(lambda connection: runs.latest(connection, [run.mlflow_run_id]))
        return found.get(run.mlflow_run_id, {})

    def close(self) -> None:
        """See `RunReader`."""
        self._database.close()
