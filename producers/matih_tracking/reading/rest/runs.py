"""Runs through MLflow's API: found by our id or MLflow's, and read in whole."""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING, Any, Final

from matih_schemas import tags
from matih_schemas.identity import check_tenant
from matih_tracking.reading.rest import experiments, limits
from matih_tracking.reading.rest.entities import experiment_view, is_hidden, run_view

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from matih_tracking.reading.queries import StageWanted
    from matih_tracking.reading.rest.calls import Calls, View
    from matih_tracking.reading.views import ExperimentView, RunView

_RUN_ID = re.compile(r"[A-Za-z0-9][\w-]{0,99}\Z", re.ASCII)
_KNOWN_MAX: Final = 10_000
_VIEWS: Final[dict[StageWanted, View]] = {"active": "ACTIVE_ONLY", "deleted": "ALL", "all": "ALL"}
_FIRST: Final = "0"


class Known:
    """Where runs were found whose ids in MLflow are other ones: what is found there is looked at again."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}

    def get(self, run_id: str) -> str | None:
        """MLflow's id for ours."""
        return self._ids.get(run_id)

    def put(self, view: RunView) -> None:
        """Remembers the run."""
        if len(self._ids) >= _KNOWN_MAX:
            self._ids = {}
        if view.run_id != view.mlflow_run_id:
            self._ids[view.run_id] = view.mlflow_run_id


def find(calls: Calls, known: Known, tenants: Collection[str] | None, which: str) -> RunView | None:
    """The run with this id; see `RunReader.run`. Asks the same for another tenant's and for none."""
    run_id = plain(which)
    if not _RUN_ID.match(run_id):
        return None
    for candidate in dict.fromkeys(filter(None, (known.get(run_id), run_id))):
        view = _at(calls, tenants, candidate)
        if view is not None and run_id in (view.run_id, view.mlflow_run_id):
            return view
    found = _labelled(calls, known, experiments.listed(calls, None), run_id)
    return next((run for run in found if tenants is None or run.tenant_id in tenants), None)


def several(
    calls: Calls, known: Known, homes: Sequence[ExperimentView], run_ids: Iterable[str], view: View
) -> list[RunView]:
    """The runs of these experiments with these ids (ours); unknown ones are left out."""
    wanted = {run_id for run_id in map(plain, run_ids) if _RUN_ID.match(run_id)}
    asked = sorted(known.get(run_id) or run_id for run_id in wanted)
    found: dict[str, RunView] = {}
    for start in range(0, len(asked), limits.IDS_PER_SEARCH):
        names = ", ".join(f"'{run_id}'" for run_id in asked[start : start + limits.IDS_PER_SEARCH])
        found |= {run.run_id: run for run in read(calls, homes, view, f"attributes.run_id IN ({names})")}
    left = wanted - found.keys()
    if len(left) > limits.LOOKUPS_MAX:
        found |= {run.run_id: run for run in read(calls, homes, view) if run.run_id in left}
    else:
        found |= {run.run_id: run for run_id in left for run in _labelled(calls, known, homes, run_id)[:1]}
    return [run for run in found.values() if run.run_id in wanted and (view == "ALL" or run.stage == "active")]


def read(calls: Calls, homes: Sequence[ExperimentView], view: View = "ALL", wanted: str = "") -> list[RunView]:
    """All runs of these experiments that fit the filter `wanted`, in no order."""
    return _views(calls.runs([home.mlflow_id for home in homes], view, wanted), homes)


def searched(
    calls: Calls, homes: Sequence[ExperimentView], wanted: str, order: Sequence[str], most: int
) -> list[RunView]:
    """The first runs that are not deleted and fit MLflow's filter, in MLflow's order."""
    found = calls.runs([home.mlflow_id for home in homes if home.stage == "active"], "ACTIVE_ONLY", wanted, order, most)
    return [run for run in _views(found, homes) if any(run.tenant_id == home.tenant_id for home in homes)]


def of_stage(calls: Calls, homes: Sequence[ExperimentView], stage: StageWanted, wanted: str = "") -> list[RunView]:
    """All runs of these experiments that are in this stage; a deleted experiment's are deleted."""
    fit = [home for home in homes if stage != "active" or home.stage == "active"]
    return [run for run in read(calls, fit, _VIEWS[stage], wanted) if stage in ("all", run.stage)]


def own(calls: Calls, homes: Sequence[ExperimentView], wanted: str = "") -> list[RunView]:
    """All runs of these experiments that are their tenant's, not deleted, and fit the filter `wanted`."""
    whose = {home.mlflow_id: home.tenant_id for home in homes}
    found = of_stage(calls, homes, "active", wanted)
    return [run for run in found if run.tenant_id == whose[run.mlflow_experiment_id]]


def lent(calls: Calls, tenants: Collection[str] | None, stage: StageWanted, wanted: str) -> list[RunView]:
    """The tenants' runs in experiments of others: a run's tag says whose it is."""
    if not tenants:
        return []
    homes = [home for home in experiments.listed(calls, None) if home.tenant_id not in tenants]
    both = f" AND {wanted}" if wanted else ""
    filters = [f"tags.`{tags.TENANT_ID}` = '{check_tenant(tenant)}'{both}" for tenant in tenants]
    return [run for one in filters for run in of_stage(calls, homes, stage, one)]


def _at(calls: Calls, tenants: Collection[str] | None, mlflow_run_id: str) -> RunView | None:
    found = calls.run(mlflow_run_id)
    # The experiment is asked for in any case: a run that is nobody's takes as long as another tenant's.
    home = calls.experiment(_FIRST if found is None else found["info"]["experiment_id"])
    if found is None or home is None or is_hidden(found):
        return None
    view = run_view(found, experiment_view(home))
    return view if tenants is None or view.tenant_id in tenants else None


def _labelled(calls: Calls, known: Known, homes: Sequence[ExperimentView], run_id: str) -> list[RunView]:
    """The runs with the tag of this id, the one in use first: as the worker chooses it."""
    found = read(calls, homes, "ALL", f"tags.`{tags.run_lookup(run_id)}` = '1'")
    found.sort(key=_precedence)
    for run in found[:1]:
        known.put(run)
    return found


def _views(found: Iterable[dict[str, Any]], homes: Sequence[ExperimentView]) -> list[RunView]:
    by_id = {home.mlflow_id: home for home in homes}
    return [run_view(run, by_id[str(run["info"]["experiment_id"])]) for run in found if not is_hidden(run)]


def _precedence(run: RunView) -> tuple[Any, ...]:
    return run.stage != "active", not tags.marks(run.tags), run.start_time, run.mlflow_run_id


def plain(which: str) -> str:
    """A run id as it is stored: a UUID without dashes, in lower case."""
    try:
        return uuid.UUID(which.strip()).hex
    except ValueError:
        return which.strip()
