"""What a batch comes to for each of its runs: the walk through its changes writes here, and nothing into MLflow yet."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from matih_schemas import tags
from matih_schemas.identity import run_id_from
from matih_workers.merge import RUN_NAME, KnownRun, RunWrites
from matih_workers.operations import PARENT
from matih_workers.stores import labels, refusals
from matih_workers.stores.labels import ACTIVE, DELETED
from matih_workers.stores.mlflow_sql.experiments import artifact_uri
from matih_workers.stores.walk import StoredRun

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from matih_workers.changes import Creation, ExperimentSpec, Lifecycle, Metric, RunChange, StatusChange
    from matih_workers.stores.mlflow_sql.experiments import SqlExperiment

_UUID: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,31}")
_USER: Final = "unknown"  # what MLflow's client says for a run that it makes for others


@dataclass(kw_only=True)
class SqlRun(StoredRun):
    """A run's row, and what the batch does to it.

    Attributes:
        run_uuid: MLflow's id of it.
        row: the row to be inserted; None for a run that is there.
        precedence: of several made for one of ours the least is in use, as for the client store.
        family: its tags of parents: `matih.parent_run_id` and MLflow's own.
        again: some of the metrics were probably written before.
        lifecycle: the stage it ends in, None if it stays.
    """

    run_id: str
    run_uuid: str
    experiment: SqlExperiment
    row: dict[str, Any] | None = None
    precedence: tuple[Any, ...] = ()
    family: dict[str, str] = field(default_factory=dict)
    metrics: list[Metric] = field(default_factory=list)
    again: bool = False
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    status: StatusChange | None = None
    lifecycle: Lifecycle | None = None

    @property
    def parent(self) -> str | None:
        """Its parent's id: ours, or MLflow's."""
        return self.family.get(tags.PARENT_RUN_ID)


class Plan:
    """The store's side of `RunPort`: notes what has to be written.

    Attributes:
        runs: by our id; those that the batch makes too.
    """

    def __init__(self, found: Mapping[str, SqlRun], ensure: Callable[[str, ExperimentSpec], SqlExperiment]) -> None:
        self.runs = dict(found)
        self._ensure = ensure

    def find(self, run_id: str) -> SqlRun | None:
        """The run; see `RunPort`."""
        return self.runs.get(run_id)

    def create(self, change: RunChange) -> SqlRun:
        """Makes the run, also in a deleted experiment, with which it is hidden then; see `RunPort`."""
        creation = change.creation
        if creation is None:
            raise ValueError(f"run {change.run_id}: a change without a creation makes no run")
        experiment = self._ensure(change.tenant_id, creation.experiment)
        run = _made(change, creation, experiment)
        self.runs[change.run_id] = run
        return run

    def write(self, run: SqlRun, writes: RunWrites) -> None:
        """Notes the writes; see `RunPort`."""
        # A point may come again behind a lifecycle event. Twice, and each of two connections waits for the other's.
        run.metrics = list(dict.fromkeys([*run.metrics, *writes.metrics])) if run.metrics else writes.metrics
        run.again |= writes.again
        run.params |= writes.params
        run.tags |= writes.tags | writes.last_tags()
        run.status = writes.status or run.status

    def set_lifecycle(self, run: SqlRun, lifecycle: Lifecycle) -> None:
        """Notes that the run is deleted or restored; see `RunPort`."""
        if lifecycle == "restore" and run.experiment.deleted:
            raise refusals.deleted_experiment(run.experiment.name)
        if lifecycle == "delete" and run.deleted is not None:
            return
        run.lifecycle = lifecycle
        run.tags[tags.DELETED] = "1" if lifecycle == "delete" else "0"
        run.deleted = refusals.deleted_run(run.run_id) if lifecycle == "delete" else None


def run_uuid_of(run_id: str) -> str:
    """MLflow's id for a run of ours: our own, or a hash of one that its column can't hold. Run ids have no tenant."""
    return run_id if _UUID.fullmatch(run_id) else run_id_from(run_id, "")


def stored_run(
    run_id: str, row: Mapping[str, Any], experiment: SqlExperiment, stored: Mapping[str, str], params: Mapping[str, str]
) -> SqlRun:
    """A run as it was read: its row, its tags and those of its params that matter."""
    alone = row["lifecycle_stage"] == DELETED and (not experiment.deleted or stored.get(tags.DELETED) == "1")
    known = KnownRun.of(stored, params)
    return SqlRun(
        tenant_id=stored.get(tags.TENANT_ID) or experiment.tenant_id,
        known=known,
        deleted=refusals.deleted_run(run_id) if alone else None,
        run_id=run_id,
        run_uuid=row["run_uuid"],
        experiment=experiment,
        precedence=(row["lifecycle_stage"] != ACTIVE, not known.marks, row["start_time"], row["run_uuid"]),
        family={key: stored[key] for key in (tags.PARENT_RUN_ID, PARENT) if key in stored},
    )


def _made(change: RunChange, creation: Creation, experiment: SqlExperiment) -> SqlRun:
    run_uuid = run_uuid_of(change.run_id)
    name = creation.run_name or f"run-{run_uuid[:8]}"
    first = {**labels.run_labels(change, creation), RUN_NAME: name}
    row = {
        "run_uuid": run_uuid,
        "name": name,
        "source_type": "UNKNOWN",
        "source_name": "",
        "entry_point_name": "",
        "user_id": _USER,
        "status": "RUNNING",
        "start_time": creation.start_time,
        "end_time": None,
        "deleted_time": None,
        "source_version": "",
        "lifecycle_stage": DELETED if experiment.deleted else ACTIVE,
        "artifact_uri": artifact_uri(experiment.artifact_location, run_uuid),
        "experiment_id": experiment.mlflow_id,
    }
    return SqlRun(
        tenant_id=change.tenant_id,
        known=KnownRun.of(first, {}),
        run_id=change.run_id,
        run_uuid=run_uuid,
        experiment=experiment,
        row=row,
        family={tags.PARENT_RUN_ID: creation.parent_run_id} if creation.parent_run_id else {},
        tags=first,
    )
