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

if TYPE_CHECKING:
    from mlflow.entities import Run

    from matih_workers.changes import Lifecycle, RunChange
    from matih_workers.merge import RunWrites
    from matih_workers.stores.mlflow_client.connection import Connection
    from matih_workers.stores.mlflow_client.experiments import Experiments
    from matih_workers.stores.mlflow_client.knowledge import Knowledge
    from matih_workers.stores.mlflow_client.lookup import Lookup

_CREATE_TRIES: Final = 2


class Runs:
    """The store's side of `RunPort`. After an exception from it, what is known of the run has to be dropped."""

    def __init__(self, connection: Connection, experiments: Experiments, lookup: Lookup, knowledge: Knowledge) -> None:
        self._connection = connection
        self._experiments = experiments
        self._lookup = lookup
        self._knowledge = knowledge

    def find(self, run_id: str) -> MlflowRun | None:
        """The run; see `RunPort`."""
        known = self._knowledge.get(run_id)
        if known is not None:
            return known
        era = self._knowledge.era
        run = self._lookup.find(run_id, self._knowledge.mlflow_ids.get(run_id))
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
        return self._stored(run, change.run_id, era)

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
        info, data = run.info, run.data
        stored = MlflowRun(
            tenant_id=data.tags.get(tags.TENANT_ID) or self._experiments.tenant_of_id(info.experiment_id),
            known=KnownRun.of(data.tags, data.params),
            run_id=run_id,
            mlflow_id=info.run_id,
            experiment=info.experiment_id,
            status=info.status,
            era=era,
        )
        if info.lifecycle_stage == ACTIVE:
            self._lookup.link_family(run, run_id)
        else:
            stored.deleted = self._experiments.why_deleted(info.experiment_id, run_id)
        self._knowledge.keep(stored)
        return stored
