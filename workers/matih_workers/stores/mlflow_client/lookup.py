"""Which of MLflow's runs is ours: MLflow chooses its ids itself, so a run is found by a tag; and only one may be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matih_schemas import tags
from matih_workers.operations import PARENT
from matih_workers.stores.labels import ACTIVE, run_labels
from matih_workers.stores.mlflow_client.errors import NotFound, Refused

if TYPE_CHECKING:
    from mlflow.entities import Run

    from matih_workers.changes import Creation, RunChange
    from matih_workers.stores.mlflow_client.connection import Connection
    from matih_workers.stores.mlflow_client.experiments import Experiments


class Lookup:
    """Finds and makes runs."""

    def __init__(self, connection: Connection, experiments: Experiments) -> None:
        self._connection = connection
        self._experiments = experiments

    def find(self, run_id: str, mlflow_id: str | None) -> Run | None:
        """MLflow's run for ours, deleted or not; `mlflow_id` is where it was last seen."""
        for candidate in filter(None, (mlflow_id, run_id)):
            run = self._by_id(candidate)
            if run is not None and tags.DUPLICATE_OF not in run.data.tags:
                return run
        return self.find_by_tag(run_id)

    def find_by_tag(self, run_id: str) -> Run | None:
        """As `find`, where MLflow has nothing under our own id."""
        key, known = tags.run_lookup(run_id), self._experiments.known_ids()
        found = self._connection.runs_with_tag(key, known)
        if not found:
            new = self._experiments.fresh_ids() - known
            found = self._connection.runs_with_tag(key, new) if new else []
        return self._only(found) if found else None

    def create(self, change: RunChange, creation: Creation, experiment: str) -> Run:
        """Makes the run in MLflow's experiment; if another worker does so too, both end with the same one."""
        made = self._connection.create_run(
            experiment, creation.start_time, creation.run_name or None, run_labels(change, creation)
        )
        found = self._connection.runs_with_tag(tags.run_lookup(change.run_id), self._experiments.known_ids())
        return self._only(found or [made])

    def link_family(self, run: Run, run_id: str) -> None:
        """Sets MLflow's parent tag, of the run and of its children: in whatever order they came.

        Each writes itself first and looks for the other then, so at least one of them sees both.
        """
        parent = run.data.tags.get(tags.PARENT_RUN_ID)
        if parent and PARENT not in run.data.tags:
            found = self.find(parent, None)
            if found is not None:
                self._connection.set_tag(run.info.run_id, PARENT, found.info.run_id)
        if not is_written(run):
            for child in self._connection.runs_with_tag(tags.child_of(run_id), self._experiments.known_ids()):
                if PARENT not in child.data.tags and child.info.lifecycle_stage == ACTIVE:
                    self._connection.set_tag(child.info.run_id, PARENT, run.info.run_id)

    def _by_id(self, mlflow_id: str) -> Run | None:
        try:
            return self._connection.run(mlflow_id)
        except (NotFound, Refused):
            return None

    def _only(self, found: list[Run]) -> Run:
        """The run among those made for one of ours; the others are hidden.

        Two workers make the same run only around a rebalance, and what the one that lost the partition wrote is
        applied again by the other, so nothing is lost with a run that is hidden here.
        """
        candidates = [run for run in found if tags.DUPLICATE_OF not in run.data.tags] or found
        winner = min(candidates, key=_precedence)
        for run in candidates:
            if run is not winner and run.info.lifecycle_stage == ACTIVE:
                self._connection.set_tag(run.info.run_id, tags.DUPLICATE_OF, winner.info.run_id)
                self._connection.set_tag(run.info.run_id, tags.DELETED, "1")
                self._connection.delete_run(run.info.run_id)
        return winner


def _precedence(run: Run) -> tuple[Any, ...]:
    """The run in use comes first, then the earliest: the same for all who look."""
    return (run.info.lifecycle_stage != ACTIVE, not is_written(run), run.info.start_time, run.info.run_id)


def is_written(run: Run) -> bool:
    """Whether anything of ours was applied to it: its creation leaves a mark too."""
    return bool(tags.marks(run.data.tags))
