"""What the SDK reads: through whatever MLFLOW_TRACKING_URI names, loaded when somebody asks."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from matih_schemas.identity import run_id_from
from matih_tracking.errors import ExperimentNotFound, NotSupported, RunExists, RunNotFound

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matih_tracking.comparison import Comparison
    from matih_tracking.reading.protocol import RunReader
    from matih_tracking.reading.views import RunView

LOOK_SECONDS: Final = 5.0
"""The first question of each read: after so many seconds it is said that nobody answers."""
READ_SECONDS: Final = 120.0
"""What may take long, and is asked only when the first question was answered."""
PAGE: Final = 10_000
RESUME: Final = ("allow", "must", "never")


class Reads:
    """Reads for a tracker. Opened anew for each read, so nothing is kept across forks, and nothing has to be closed."""

    def __init__(self, tracking_uri: str, tenant: str) -> None:
        self._uri = tracking_uri
        self._tenant = tenant

    def history(self, run_id: str, key: str, max_points: int | None) -> list[dict[str, Any]]:
        """See `ExperimentTracker.get_metric_history`."""
        run = self._run(run_id)
        with self._reader(READ_SECONDS) as reader:
            points = reader.history(run, key, max_points).points
        return [
            {"key": point.key, "value": point.value, "timestamp": point.timestamp, "step": point.step}
            for point in points
        ]

    def search(
        self, filter_string: str, order_by: Sequence[str] | None, max_results: int, names: Sequence[str] | None
    ) -> list[RunView]:
        """See `ExperimentTracker.search_runs`."""
        from matih_tracking.reading.errors import NotReadable
        from matih_tracking.reading.rest import RestReader

        with self._reader(LOOK_SECONDS) as reader:
            reader.check()
        with self._reader(READ_SECONDS) as reader:
            if not isinstance(reader, RestReader):
                raise NotReadable(
                    "search_runs takes MLflow's own filters, which MLflow's server understands, not its database: "
                    "make an ExperimentTracker(tracking_uri='http://...') for it"
                )
            return reader.search(self._tenant, filter_string, order_by or (), max_results, names)

    def compare(
        self, run_ids: Sequence[str], metrics: Sequence[str] | None, params: Sequence[str] | None
    ) -> Comparison:
        """See `ExperimentTracker.compare_runs`."""
        from matih_tracking.comparison import compared

        return compared(self._runs(run_ids), metrics, params)

    def frame(self, what: str | Sequence[str | RunView]) -> Any:
        """See `ExperimentTracker.to_dataframe`."""
        from matih_tracking.reading.frames import frame, require_pandas

        require_pandas()
        if isinstance(what, str):
            return frame(self._of_experiment(what))
        ids = [run for run in what if isinstance(run, str)]
        looked_up = iter(self._runs(ids))
        return frame([next(looked_up) if isinstance(run, str) else run for run in what])

    def look_for(self, resume: str, tenant: str, run_id: str) -> None:
        """Whether the run may be started with this `resume`; see `ExperimentTracker.start_run`."""
        with self._reader(LOOK_SECONDS) as reader:
            found = reader.run([tenant], run_id)
        where = f"run {run_id} of tenant {tenant}"
        if resume == "never" and found is not None:
            raise RunExists(f"{where} is in MLflow already: go on with it by resume='allow', or take another run_id")
        if resume == "must" and found is None:
            raise RunNotFound(f"{where} is not in MLflow: name one that is by RunConfig.run_id or MATIH_RUN_ID")
        if resume == "must" and found is not None and found.stage == "deleted":
            raise RunNotFound(f"{where} is deleted: restore it first")

    def _run(self, run_id: str) -> RunView:
        return self._runs([run_id])[0]

    def _runs(self, run_ids: Sequence[str]) -> list[RunView]:
        """The runs in this order, of whichever tenant."""
        with self._reader(LOOK_SECONDS) as reader:
            found = [reader.run(None, run_id_from(str(run_id), self._tenant)) for run_id in run_ids]
        missing = [str(run_id) for run_id, run in zip(run_ids, found, strict=True) if run is None]
        if missing:
            raise RunNotFound(f"MLflow has no run {', '.join(missing)[:500]}: look at the id, or wait for its delivery")
        return [run for run in found if run is not None]

    def _of_experiment(self, name: str) -> list[RunView]:
        from matih_tracking.reading.queries import RunQuery

        with self._reader(LOOK_SECONDS) as reader:
            experiment = reader.experiment_named(self._tenant, name)
        if experiment is None:
            raise ExperimentNotFound(f"tenant {self._tenant} has no experiment {name!r} in MLflow: look at its name")
        runs: list[RunView] = []
        with self._reader(READ_SECONDS) as reader:
            while True:
                query = RunQuery(experiment_id=experiment.experiment_id, limit=PAGE, offset=len(runs))
                page = reader.runs([self._tenant], query)
                runs += page.items
                if len(runs) >= page.total or not page.items:
                    return runs

    @contextmanager
    def _reader(self, seconds: float) -> Iterator[RunReader]:
        from matih_tracking.reading.opening import open_reader

        reader = open_reader(self._uri, seconds)
        try:
            yield reader
        finally:
            reader.close()


def check_resume(resume: str) -> None:
    """Raises NotSupported for what is not one of `RESUME`."""
    if resume not in RESUME:
        raise NotSupported(f"resume={resume!r}: use one of {', '.join(RESUME)}")
