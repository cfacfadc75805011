"""`RunReader` through MLflow's public REST API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from matih_schemas.limits import RUN_NAME_MAX
from matih_tracking.mlflow_http import MlflowHttp
from matih_tracking.reading.errors import NotReadable
from matih_tracking.reading.queries import SortKey
from matih_tracking.reading.rest import experiments, runs, tables
from matih_tracking.reading.rest.calls import Calls
from matih_tracking.reading.rest.entities import askable, point
from matih_tracking.reading.rest.order import ordered
from matih_tracking.reading.thinning import thinned
from matih_tracking.reading.views import History, Page

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from matih_tracking.reading.queries import ExperimentQuery, RunQuery, StageWanted
    from matih_tracking.reading.rest.calls import View
    from matih_tracking.reading.views import ExperimentSummary, ExperimentView, MetricPoint, RunTable, RunView

_STATUSES: Final = frozenset({"RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED"})
_VIEWS: Final[dict[StageWanted, View]] = {"active": "ACTIVE_ONLY", "deleted": "DELETED_ONLY", "all": "ALL"}
_NEWEST: Final = SortKey()
_NAMED_MAX: Final = 20


class RestReader:
    """Reads from any MLflow server; what its API can't do is done here, up to the limits of limits.py.

    See `RunReader`. Beside it there is `search`, which takes MLflow's own filters.
    """

    def __init__(self, tracking_uri: str, timeout: float) -> None:
        """Connects to nothing.

        Args:
            tracking_uri: of MLflow's server, http(s).
            timeout: seconds for one call, all that it asks of MLflow included.

        Raises:
            NotReadable: the URI is not http(s).
        """
        if not tracking_uri.strip().startswith(("http://", "https://")):
            raise NotReadable("MLFLOW_TRACKING_URI is not http(s)://: name MLflow's server, or its database")
        try:
            self._http = MlflowHttp(tracking_uri)
        except ValueError as error:
            raise NotReadable(f"MLFLOW_TRACKING_URI is no address: {error}") from error
        self._timeout = timeout
        self._known = runs.Known()

    def check(self) -> None:
        """Asks for one experiment; see `RunReader`."""
        self._calls().any_experiment()

    def experiment(self, tenants: Collection[str] | None, which: str) -> ExperimentView | None:
        """See `RunReader`."""
        return experiments.find(self._calls(), tenants, which)

    def experiment_named(self, tenant: str, name: str) -> ExperimentView | None:
        """See `RunReader`."""
        return experiments.named(self._calls(), tenant, name)

    def experiments(self, tenants: Collection[str] | None, query: ExperimentQuery) -> Page[ExperimentView]:
        """See `RunReader`."""
        part = query.search.lower()
        found = experiments.listed(self._calls(), tenants, _VIEWS[query.stage])
        fit = [view for view in found if part in view.name.lower()]
        return Page(fit[query.offset : query.offset + query.limit], len(fit))

    def summaries(self, experiments: Sequence[ExperimentView]) -> dict[str, ExperimentSummary]:
        """See `RunReader`."""
        found: dict[str, list[RunView]] = {view.experiment_id: [] for view in experiments}
        for run in runs.own(self._calls(), experiments):
            found[run.experiment_id].append(run)
        return {identity: tables.summary(its) for identity, its in found.items()}

    def run(self, tenants: Collection[str] | None, which: str) -> RunView | None:
        """See `RunReader`."""
        return runs.find(self._calls(), self._known, tenants, which)

    def runs(self, tenants: Collection[str] | None, query: RunQuery) -> Page[RunView]:
        """See `RunReader`."""
        found = self._found(self._calls(), tenants, query)
        fit = ordered((run for run in found if tenants is None or run.tenant_id in tenants), query.sort)
        return Page(fit[query.offset : query.offset + query.limit], len(fit))

    def runs_named(self, experiment: ExperimentView, name: str) -> list[RunView]:
        """See `RunReader`."""
        if not askable(name):
            return []
        found = runs.own(self._calls(), [experiment], _named(name))
        return ordered((run for run in found if run.name == name), _NEWEST)[:_NAMED_MAX]

    def table(
        self,
        experiment: ExperimentView,
        run_ids: Sequence[str] | None = None,
        metrics: Sequence[str] | None = None,
        params: Sequence[str] | None = None,
    ) -> RunTable:
        """See `RunReader`."""
        calls = self._calls()
        if experiment.stage == "deleted":
            found = []
        elif run_ids is None:
            found = runs.own(calls, [experiment])
        else:
            some = runs.several(calls, self._known, [experiment], run_ids, "ACTIVE_ONLY")
            found = [run for run in some if run.tenant_id == experiment.tenant_id]
        return tables.table(ordered(found, _NEWEST), metrics, params)

    def history(
        self,
        run: RunView,
        key: str,
        max_points: int | None = None,
        from_step: int | None = None,
        to_step: int | None = None,
    ) -> History:
        """See `RunReader`."""
        if not askable(key):
            return History([], 0)
        found = [
            made
            for made in map(point, self._calls().history(run.mlflow_run_id, key))
            if (from_step is None or made.step >= from_step) and (to_step is None or made.step <= to_step)
        ]
        found.sort(key=lambda made: (made.step, made.timestamp))
        return History(found if max_points is None else thinned(found, max_points), len(found))

    def latest(self, run: RunView) -> dict[str, MetricPoint]:
        """See `RunReader`."""
        found = self._calls().run(run.mlflow_run_id) or {}
        return {metric["key"]: point(metric) for metric in found.get("data", {}).get("metrics", [])}

    def search(
        self,
        tenant: str,
        filter_string: str = "",
        order_by: Sequence[str] = (),
        max_results: int = 1000,
        names: Sequence[str] | None = None,
    ) -> list[RunView]:
        """The tenant's runs that are not deleted and fit, by MLflow's own filter and order.

        Args:
            tenant: whose.
            filter_string: in MLflow's syntax.
            order_by: in MLflow's syntax.
            max_results: at most so many.
            names: of experiments; unknown ones are left out; None is all.

        Raises:
            ReadsUnavailable: MLflow can't be asked now.
            NotReadable: MLflow does not take the filter or the order.
        """
        calls = self._calls()
        if names is None:
            homes = experiments.listed(calls, {tenant}, "ACTIVE_ONLY")
        else:
            asked = (experiments.named(calls, tenant, name) for name in names)
            homes = list({view.mlflow_id: view for view in asked if view is not None}.values())
        return runs.searched(calls, homes, filter_string, order_by, max_results)

    def close(self) -> None:
        """Closes its connections."""
        self._http.close()

    def _found(self, calls: Calls, tenants: Collection[str] | None, query: RunQuery) -> list[RunView]:
        """All runs that fit the query."""
        if query.status is not None and query.status not in _STATUSES:
            return []
        if query.experiment_id is None:
            homes = experiments.listed(calls, tenants)
        else:
            home = experiments.find(calls, tenants, query.experiment_id)
            homes = [] if home is None else [home]
        if query.run_ids is None:
            wanted = "" if query.status is None else f"attributes.status = '{query.status}'"
            lent = runs.lent(calls, tenants, query.stage, wanted) if query.experiment_id is None else []
            return [*runs.of_stage(calls, homes, query.stage, wanted), *lent]
        found = runs.several(calls, self._known, homes, query.run_ids, "ALL")
        return [run for run in found if query.stage in ("all", run.stage) and query.status in (None, run.status)]

    def _calls(self) -> Calls:
        return Calls(self._http, self._timeout)


def _named(name: str) -> str:
    """The filter for a run's name; what can't be quoted is looked for among all."""
    cut = name[:RUN_NAME_MAX]
    quote = next((mark for mark in ("'", '"') if mark not in cut and "\\" not in cut), None)
    if quote is None or not cut:
        return ""
    return f"attributes.run_name = {quote}{cut}{quote}"
