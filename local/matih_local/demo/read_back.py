"""What MLflow holds, read through MLflow's own client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matih_local.demo.comparison import InMlflow
from matih_local.demo.ledger import Point

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


def runs_of(client: MlflowClient, experiment: str) -> list[InMlflow]:
    """Every run of the experiment, deleted ones too, with its whole history."""
    from mlflow.entities import ViewType

    found = client.get_experiment_by_name(experiment)
    if found is None:
        return []
    runs, token = [], None
    while True:
        page = client.search_runs([found.experiment_id], run_view_type=ViewType.ALL, page_token=token)
        runs += [_whole(client, run) for run in page]
        token = page.token
        if not token:
            return runs


def _whole(client: MlflowClient, run: Run) -> InMlflow:
    points = [
        Point(metric.key, metric.value, metric.step, metric.timestamp)
        for key in run.data.metrics
        for metric in client.get_metric_history(run.info.run_id, key)
    ]
    tags = dict(run.data.tags)
    ours = tags.get("matih.run_id", run.info.run_id)
    return InMlflow(ours, run.info.run_name, run.info.status, points, dict(run.data.params), tags)
