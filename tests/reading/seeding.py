"""Experiments and runs in MLflow as the worker's client store makes them, and as people do by hand."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlflow.entities import Metric, Param

from matih_schemas import identity, tags

if TYPE_CHECKING:
    from mlflow import MlflowClient


@dataclass
class Seed:
    """One tenant's own corner of the session's MLflow."""

    client: MlflowClient
    tenant: str = field(default_factory=lambda: f"t{secrets.token_hex(5)}")

    def experiment(self, name: str, *, by_hand: bool = False, tenant: str | None = None, **stored: str) -> str:
        """Makes an experiment; returns MLflow's number."""
        tenant = tenant or self.tenant
        ours = identity.experiment_id(tenant, name)
        labels = {tags.EXPERIMENT_ID: ours, tags.TENANT_ID: tenant, tags.experiment_lookup(ours): "1"}
        found = identity.mlflow_experiment_name(tenant, name)
        if found.removeprefix(f"{tenant}/") != name:
            labels[tags.EXPERIMENT_NAME] = name
        return self.client.create_experiment(found, tags={**({} if by_hand else labels), **stored})

    def ours(self, name: str) -> str:
        return identity.experiment_id(self.tenant, name)

    def run(
        self,
        experiment: str,
        start_time: int,
        name: str = "",
        *,
        end: tuple[str, int] | None = None,
        metrics: dict[str, float] | None = None,
        params: dict[str, str] | None = None,
        stored: dict[str, str] | None = None,
        by_hand: bool = False,
        tenant: str | None = None,
    ) -> str:
        """Makes a run; returns our id (MLflow's, if it is made by hand)."""
        run_id = identity.new_run_id()
        labels = {tags.RUN_ID: run_id, tags.run_lookup(run_id): "1", tags.TENANT_ID: tenant or self.tenant}
        mine = {**({} if by_hand else labels), **(stored or {})}
        made = self.client.create_run(experiment, start_time=start_time, tags=mine, run_name=name or None)
        mlflow_id: str = made.info.run_id
        points = [Metric(key, value, start_time, 0) for key, value in (metrics or {}).items()]
        self.client.log_batch(mlflow_id, metrics=points, params=[Param(*pair) for pair in (params or {}).items()])
        if end is not None:
            self.client.set_terminated(mlflow_id, status=end[0], end_time=end[1])
        return mlflow_id if by_hand else run_id

    def log(self, mlflow_id: str, key: str, points: list[tuple[float, int, int]]) -> None:
        """Logs (value, timestamp, step)."""
        for start in range(0, len(points), 1000):
            self.client.log_batch(mlflow_id, metrics=[Metric(key, *item) for item in points[start : start + 1000]])
