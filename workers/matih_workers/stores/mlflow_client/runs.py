"""One run in MLflow, as the walk through its changes needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from matih_schemas import tags
from matih_schemas.errors import InvalidEvent
from matih_workers.merge import KnownRun
from matih_workers.stores.calls import first_calls, last_calls
from matih_workers.stores.labels import ACTIVE
from matih_workers.stores.mlflow_client.errors import NotFound, Refused
from matih_workers.stores.mlflow_client.knowledge import MlflowRun, Outdated
from matih_workers.stores.mlflow_client.lookup import is_written

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mlflow.entities import Run

    from matih_workers.changes import Lifecycle, RunChange
    from matih_workers.merge import RunWrites
    from matih_workers.stores.mlflow_client.connection import Connection
    from matih_workers.stores.mlflow_client.experiments import Experiments
    from matih_workers.stores.mlflow_client.knowledge import Knowledge
    from matih_workers.stores.mlflow_client.lookup import Lookup

_CREATE_TRIES: Final = 2
_READ_AT_ONCE: Final = 200


class Runs:
    """The store's side of `RunPort`. After an exception from it, what is known of the run has to be dropped."""

    def __init__(self, connection: Connection, experiments: Experiments, lookup: Lookup, knowledge: Knowledge) -> None:
        self._connection = connection
        self._experiments = experiments
        self._lookup = lookup
        self._knowledge = knowledge
        self._absent: set[str] = set()  # runs for which MLflow had nothing under their own ids when the batch began

    def read_ahead(self, run_ids: Iterable[str]) -> None:
        """Reads the runs of a batch that are not known well enough in one call for many; `find` needs one for each.

        What is deleted, hidden or was not written to yet is left to `find`.
        """
        self._absent.clear()
        ids = self._knowledge.mlflow_ids
        unknown = [run_id for run_id in run_ids if self._knowledge.get(run_id) is None]
        if len(unknown) == 1:
            return
        places = {ids.get(run_id) or run_id: run_id for run_id in unknown}
        for some in _parts(list(places)):
            era = self._knowledge.era
            found = {run.info.run_id: run for run in self._connection.runs(some, self._experiments.fresh_ids())}
            for place, run in found.items():
                if is_written(run) and run.info.lifecycle_stage == ACTIVE and tags.DUPLICATE_OF not in run.data.tags:
                    self._knowledge.keep(self._known(run, places[place], era))
            self._absent.update(places[place] for place in some if place not in found)

    def find(self, run_id: str) -> MlflowRun | None:
        """The run; see `RunPort`."""
        known = self._knowledge.get(run_id)
        if known is not None:
            return known
        era = self._knowledge.era
        mlflow_id = self._knowledge.mlflow_ids.get(run_id)
        if mlflow_id is None and run_id in self._absent:
            run = self._lookup.find_by_tag(run_id)
        else:
            run = self._lookup.find(run_id, mlflow_id)
        return None if run is None else self._stored(run, run_id, era)

    def create(self, change: RunChange) -> MlflowRun:
        """Makes the run; see `RunPort`."""
        creation = change.creation
        if creation is None:
            raise ValueError(f"run {change.run_id}: a change without a creation makes no run")
        era = self._knowledge.era
        for left in reversed(range(_CREATE_TRIES)):
            experiment = self._experiments.ensure(change.tenant_id, creation.experiment)
            try:
                run = self._lookup.create(change, creation, experiment)
                break
            except (NotFound, Refused):
                # The experiment was there when it was last looked up: look again, it may be deleted by now.
                self._experiments.forget_one(change.tenant_id, creation.experiment.experiment_id)
                if not left:
                    raise
        stored = self._stored(run, change.run_id, era)
        stored.left_out = self._experiments.left_out(experiment)
        return stored

    def write(self, run: MlflowRun, writes: RunWrites) -> None:
        """Writes to the run; see `RunPort`."""
        try:
            for call in first_calls(writes):
                self._knowledge.check(run)
                self._connection.log(run.mlflow_id, call)
            if writes.status is not None:
                self._set_status(run, writes.status.status, writes.status.end_time)
            for call in last_calls(writes):
                self._knowledge.check(run)
                self._connection.log(run.mlflow_id, call)
        except (NotFound, Refused) as error:
            raise Outdated(str(error)) from error
        self._knowledge.keep(run)

    def set_lifecycle(self, run: MlflowRun, lifecycle: Lifecycle) -> None:
        """Deletes or restores the run; see `RunPort`."""
        self._knowledge.check(run)
        if lifecycle == "delete" and run.deleted is None:
            # The tag first: a deleted run takes none.
            self._connection.set_tag(run.mlflow_id, tags.DELETED, "1")
            self._connection.delete_run(run.mlflow_id)
            run.deleted = self._experiments.why_deleted(run.experiment, run.run_id)
        elif lifecycle == "restore":
            self._restore(run)
        self._knowledge.keep(run)

    def _restore(self, run: MlflowRun) -> None:
        if run.deleted is not None:
            if run.deleted.reason == "deleted_experiment":
                raise InvalidEvent(run.deleted.reason, run.deleted.detail)
            self._connection.restore_run(run.mlflow_id)
            run.deleted = None
        self._connection.set_tag(run.mlflow_id, tags.DELETED, "0")

    def _set_status(self, run: MlflowRun, status: str, end_time: int | None) -> None:
        self._knowledge.check(run)
        if status != "RUNNING" or run.status != status:
            self._connection.set_status(run.mlflow_id, status, end_time)
            run.status = status

    def _stored(self, run: Run, run_id: str, era: int) -> MlflowRun:
        stored = self._known(run, run_id, era)
        if run.info.lifecycle_stage == ACTIVE:
            self._lookup.link_family(run, run_id)
        else:
            stored.deleted = self._experiments.why_deleted(run.info.experiment_id, run_id)
        self._knowledge.keep(stored)
        return stored

    def _known(self, run: Run, run_id: str, era: int) -> MlflowRun:
        info, data = run.info, run.data
        return MlflowRun(
            tenant_id=data.tags.get(tags.TENANT_ID) or self._experiments.tenant_of_id(info.experiment_id),
            known=KnownRun.of(data.tags, data.params),
            run_id=run_id,
            mlflow_id=info.run_id,
            experiment=info.experiment_id,
            status=info.status,
            era=era,
        )


def _parts(places: list[str]) -> Iterator[list[str]]:
    """Cut for one call each."""
    for first in range(0, len(places), _READ_AT_ONCE):
        yield places[first : first + _READ_AT_ONCE]
