"""MLflow's client as this store uses it: few calls, short time-outs, no retries of its own, errors translated."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING, Any, Final, TypeVar

from matih_workers.changes import Metric
from matih_workers.stores.calls import without_stored_nans
from matih_workers.stores.mlflow_client.direct import SCHEMES, DirectLog
from matih_workers.stores.mlflow_client.errors import translated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from mlflow import MlflowClient
    from mlflow.entities import Experiment, Run

    from matih_workers.stores.calls import LogBatch

_T = TypeVar("_T")
_PAGE: Final = 1000
_DATABASES: Final = ("postgresql", "mysql", "mssql")
# MLflow logs a traceback for each failed statement; what matters of it is in the exception.
_LOUD: Final = ("mlflow.store.db.utils", "mlflow.utils.rest_utils", "urllib3.connectionpool")


class Connection:
    """Calls to one tracking URI. Thread-safe, as MLflow's client is.

    Each method raises NotFound, AlreadyExists, Refused, StoreUnavailable (see errors.py) or MLflow's own exception.
    """

    def __init__(self, uri: str, timeout: float) -> None:
        """Connects at the first call; imports MLflow, which takes seconds.

        Args:
            uri: MLflow's tracking URI.
            timeout: seconds for one answer.
        """
        _set_environment(timeout)
        from mlflow import MlflowClient, entities

        _try_database(uri, timeout)
        for name in _LOUD:
            logging.getLogger(name).setLevel(logging.CRITICAL)
        self._metric, self._param, self._tag = entities.Metric, entities.Param, entities.RunTag
        self._all = entities.ViewType.ALL
        self._client: MlflowClient = self._call("open", MlflowClient, _with_timeouts(uri, timeout))
        self._log = DirectLog(uri).log if uri.partition(":")[0] in SCHEMES else self._log_batch

    def run(self, mlflow_run_id: str) -> Run:
        """The run with this MLflow id, deleted or not."""
        return self._call(f"get run {mlflow_run_id}", self._client.get_run, mlflow_run_id)

    def runs(self, mlflow_run_ids: Iterable[str], experiments: Iterable[str]) -> list[Run]:
        """Those of the runs with these MLflow ids, deleted ones too, that are in the experiments; some hundreds."""
        wanted = ",".join(f"'{one}'" for one in mlflow_run_ids)
        return self._search_runs("search runs by their ids", sorted(experiments), f"attributes.run_id IN ({wanted})")

    def runs_with_tag(self, key: str, experiments: Iterable[str]) -> list[Run]:
        """The runs, deleted ones too, that have the tag `key` with the value `1`."""
        return self._search_runs(f"search runs with tag {key}", sorted(experiments), f"tags.`{key}` = '1'")

    def _search_runs(self, what: str, experiments: list[str], wanted: str) -> list[Run]:
        found: list[Run] = []
        token: str | None = None
        while True:
            page = self._call(
                what,
                self._client.search_runs,
                experiments,
                filter_string=wanted,
                run_view_type=self._all,
                max_results=_PAGE,
                page_token=token,
            )
            found += page
            token = page.token
            if not token:
                return found

    def create_run(self, experiment: str, start_time: int, name: str | None, tags: Mapping[str, str]) -> Run:
        """Makes a run; start_time in ms since the epoch. MLflow makes another one each time it is asked."""
        return self._call(
            f"create run in experiment {experiment}",
            self._client.create_run,
            experiment,
            start_time=start_time,
            tags=dict(tags),
            run_name=name,
        )

    def log(self, mlflow_run_id: str, batch: LogBatch) -> None:
        """One log_batch; servers before MLflow 3.16, which refuse a NaN that they have, get it without those."""
        from mlflow.exceptions import MlflowException

        what = f"log {batch.items} items to run {mlflow_run_id}"
        try:
            self._call(what, self._log, mlflow_run_id, batch)
        except MlflowException:
            left = without_stored_nans(batch, lambda key: self._history(mlflow_run_id, key))
            if left is None:
                raise
            self._call(what, self._log, mlflow_run_id, left)

    def _history(self, mlflow_run_id: str, key: str) -> list[Metric]:
        points = self._call(f"read {key} of {mlflow_run_id}", self._client.get_metric_history, mlflow_run_id, key)
        return [Metric(point.key, point.value, point.timestamp, point.step) for point in points]

    def set_tag(self, mlflow_run_id: str, key: str, value: str) -> None:
        """Sets one tag of a run."""
        self._call(f"set tag {key} of run {mlflow_run_id}", self._client.set_tag, mlflow_run_id, key, value)

    def set_status(self, mlflow_run_id: str, status: str, end_time: int | None) -> None:
        """Sets a run's status; end_time in ms since the epoch, None for a run that goes on."""
        what = f"set status {status} of run {mlflow_run_id}"
        if end_time is None:
            self._call(what, self._client.update_run, mlflow_run_id, status=status)
        else:
            self._call(what, self._client.set_terminated, mlflow_run_id, status=status, end_time=end_time)

    def delete_run(self, mlflow_run_id: str) -> None:
        """Hides a run."""
        self._call(f"delete run {mlflow_run_id}", self._client.delete_run, mlflow_run_id)

    def restore_run(self, mlflow_run_id: str) -> None:
        """Shows a hidden run."""
        self._call(f"restore run {mlflow_run_id}", self._client.restore_run, mlflow_run_id)

    def experiment(self, mlflow_id: str) -> Experiment:
        """The experiment with this MLflow id, deleted or not."""
        return self._call(f"get experiment {mlflow_id}", self._client.get_experiment, mlflow_id)

    def experiment_by_name(self, name: str) -> Experiment | None:
        """The experiment of this name in MLflow, deleted or not."""
        return self._call(f"get experiment {name!r}", self._client.get_experiment_by_name, name)

    def experiments(self, filter_string: str | None = None) -> list[Experiment]:
        """All experiments that fit the filter, deleted ones too."""
        found: list[Experiment] = []
        token: str | None = None
        while True:
            page = self._call(
                "search experiments",
                self._client.search_experiments,
                view_type=self._all,
                max_results=_PAGE,
                filter_string=filter_string,
                page_token=token,
            )
            found += page
            token = page.token
            if not token:
                return found

    def create_experiment(self, name: str, artifact_location: str | None, tags: Mapping[str, str]) -> str:
        """Makes an experiment; returns MLflow's id."""
        what = f"create experiment {name!r}"
        return self._call(what, self._client.create_experiment, name, artifact_location, dict(tags))

    def rename_experiment(self, mlflow_id: str, name: str) -> None:
        """Renames an experiment."""
        self._call(f"rename experiment {mlflow_id}", self._client.rename_experiment, mlflow_id, name)

    def set_experiment_tag(self, mlflow_id: str, key: str, value: str) -> None:
        """Sets one tag of an experiment that is not deleted."""
        what = f"set tag {key} of experiment {mlflow_id}"
        self._call(what, self._client.set_experiment_tag, mlflow_id, key, value)

    def delete_experiment(self, mlflow_id: str) -> None:
        """Hides an experiment and all its runs."""
        self._call(f"delete experiment {mlflow_id}", self._client.delete_experiment, mlflow_id)

    def restore_experiment(self, mlflow_id: str) -> None:
        """Shows an experiment and all its runs, also those that were deleted on their own."""
        self._call(f"restore experiment {mlflow_id}", self._client.restore_experiment, mlflow_id)

    def _log_batch(self, mlflow_run_id: str, batch: LogBatch) -> None:
        self._client.log_batch(
            mlflow_run_id,
            metrics=[self._metric(*metric) for metric in batch.metrics],
            params=[self._param(*param) for param in batch.params],
            tags=[self._tag(*tag) for tag in batch.tags],
        )

    def _call(self, what: str, function: Callable[..., _T], *args: Any, **kwargs: Any) -> _T:
        from mlflow.exceptions import MlflowException

        try:
            return function(*args, **kwargs)
        except MlflowException as error:
            raise translated(error, what) from error


def _set_environment(timeout: float) -> None:
    """MLflow's own settings, which it reads from the environment only."""
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = str(max(1, round(timeout)))
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


def _try_database(uri: str, timeout: float) -> None:
    """Fails at once if there is no database: MLflow itself would try for more than a minute."""
    if uri.startswith(_DATABASES):
        import sqlalchemy

        engine = sqlalchemy.create_engine(_with_timeouts(uri, timeout))
        try:
            engine.connect().close()
        finally:
            engine.dispose()


def _with_timeouts(uri: str, timeout: float) -> str:
    """The URI; for PostgreSQL with time-outs for connecting and for a statement, unless it has some."""
    if not uri.startswith("postgresql") or "connect_timeout" in uri:
        return uri
    joint = "&" if "?" in uri else "?"
    seconds = max(2, round(timeout))
    return f"{uri}{joint}connect_timeout={seconds}&options=-c%20statement_timeout%3D{seconds * 1000}"
