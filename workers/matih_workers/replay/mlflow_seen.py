"""An MLflow through its public API, as the comparison of two takes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from matih_schemas import tags
from matih_workers.replay.comparison import ExperimentSeen, Point, RunSeen

if TYPE_CHECKING:
    from collections.abc import Iterator

_PAGE: Final = 1000
_PARENT: Final = "mlflow.parentRunId"
_FIRST: Final = "0"


class MlflowSeen:
    """All experiments and runs of one MLflow, deleted ones included; histories are read run by run.

    Attributes:
        experiments: by our id.
        runs: MLflow's entities of our runs, by our id.
        foreign_experiments, foreign_runs: names and ids of what was made in MLflow itself.
    """

    def __init__(self, uri: str) -> None:
        """Reads everything but histories.

        Args:
            uri: a tracking URI: a server's or a database's.
        """
        from mlflow import MlflowClient

        self._client = MlflowClient(uri)
        self.experiments: dict[str, ExperimentSeen] = {}
        self.runs: dict[str, Any] = {}
        self.foreign_experiments: list[str] = []
        self.foreign_runs: list[str] = []
        self._homes: dict[str, str] = {}
        self._ours: dict[str, str] = {}
        self._mlflow_ids: list[str] = []
        for experiment in self._all_experiments():
            self._mlflow_ids.append(experiment.experiment_id)
            self._take_experiment(experiment)
        for run in self._all_runs():
            self._take_run(run)

    def run(self, run_id: str) -> RunSeen:
        """The run, with its histories."""
        found = self.runs[run_id]
        info, data = found.info, found.data
        parent = data.tags.get(_PARENT)
        points = {point for key in data.metrics for point in self._points(info.run_id, key)}
        return RunSeen(
            experiment=self._homes.get(info.experiment_id, info.experiment_id),
            name=info.run_name or "",
            status=info.status,
            start_time=info.start_time,
            end_time=info.end_time,
            deleted=info.lifecycle_stage == "deleted",
            params=dict(data.params),
            tags=dict(data.tags),
            latest={key: repr(value) for key, value in data.metrics.items()},
            points=points,
            parent=self._ours.get(parent, parent) if parent else None,
        )

    def _points(self, mlflow_id: str, key: str) -> Iterator[Point]:
        for metric in self._client.get_metric_history(mlflow_id, key):
            yield metric.key, repr(metric.value), metric.timestamp, metric.step

    def _take_experiment(self, found: Any) -> None:
        ours = found.tags.get(tags.EXPERIMENT_ID)
        if ours is not None:
            self._homes[found.experiment_id] = ours
            self.experiments[ours] = ExperimentSeen(found.name, found.lifecycle_stage == "deleted", dict(found.tags))
        elif found.experiment_id != _FIRST:
            self.foreign_experiments.append(found.name)

    def _take_run(self, found: Any) -> None:
        ours = found.data.tags.get(tags.RUN_ID)
        if ours is None:
            self.foreign_runs.append(found.info.run_id)
        elif tags.DUPLICATE_OF not in found.data.tags:
            self.runs[ours] = found
            self._ours[found.info.run_id] = ours

    def _all_experiments(self) -> Iterator[Any]:
        from mlflow.entities import ViewType

        token = None
        while True:
            page = self._client.search_experiments(ViewType.ALL, max_results=_PAGE, page_token=token)
            yield from page
            if not (token := page.token):
                return

    def _all_runs(self) -> Iterator[Any]:
        from mlflow.entities import ViewType

        token = None
        while True:
            page = self._client.search_runs(self._mlflow_ids, "", ViewType.ALL, max_results=_PAGE, page_token=token)
            yield from page
            if not (token := page.token):
                return
