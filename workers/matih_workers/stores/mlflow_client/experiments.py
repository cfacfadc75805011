"""Experiments in MLflow: found by our id, then by name; made if they are not there; changed, hidden and shown."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from matih_schemas import tags
from matih_schemas.errors import InvalidEvent
from matih_schemas.identity import mlflow_experiment_name
from matih_schemas.mlflow_names import tenant_of
from matih_workers.stores import labels, refusals
from matih_workers.stores.labels import ACTIVE
from matih_workers.stores.mlflow_client.errors import AlreadyExists, NotFound, Refused
from matih_workers.stores.mlflow_client.knowledge import Lru

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mlflow.entities import Experiment

    from matih_workers.changes import ExperimentChange, ExperimentSpec, Lifecycle
    from matih_workers.stores.mlflow_client.connection import Connection

_KNOWN_MAX: Final = 10_000


class Experiments:
    """The experiments behind one connection."""

    def __init__(self, connection: Connection, artifact_root: str | None = None) -> None:
        self._connection = connection
        self._artifact_root = artifact_root
        self._known: Lru[tuple[str, str], str] = Lru(_KNOWN_MAX)
        self._ids: set[str] = set()
        self._ids_are_fresh = False
        self._ids_lock = threading.Lock()
        self._make_lock = threading.Lock()
        self._left_out: dict[str, list[str]] = {}

    def begin_batch(self) -> None:
        """Lets `fresh_ids` ask MLflow once more: one answer per batch is as fresh as the batch."""
        self._ids_are_fresh = False

    def forget_one(self, tenant_id: str, wanted: str) -> None:
        """Looks one experiment up anew."""
        self._known.drop((tenant_id, wanted))

    def known_ids(self) -> set[str]:
        """MLflow's ids of the experiments known so far, deleted ones too; MLflow searches runs in experiments only."""
        return set(self._ids) or self.fresh_ids()

    def fresh_ids(self) -> set[str]:
        """MLflow's ids of all experiments that were there when the batch began, deleted ones too."""
        with self._ids_lock:
            if not self._ids_are_fresh:
                self._ids.update(experiment.experiment_id for experiment in self._connection.experiments())
                self._ids_are_fresh = True
            return set(self._ids)

    def ensure(self, tenant_id: str, spec: ExperimentSpec) -> str:
        """MLflow's id of the experiment, made if it is not there.

        Raises:
            InvalidEvent: it is deleted, or another tenant's.
        """
        known = self._known.get((tenant_id, spec.experiment_id))
        if known is not None:
            return known
        with self._make_lock:
            found = self._find(tenant_id, spec.experiment_id, spec.name) or self._make(tenant_id, spec)
        if found.lifecycle_stage != ACTIVE:
            raise refusals.deleted_experiment(found.name)
        self._adopt(found, tenant_id, spec.experiment_id)
        self._known.put((tenant_id, spec.experiment_id), found.experiment_id)
        with self._ids_lock:
            self._ids.add(found.experiment_id)
        return found.experiment_id

    def left_out(self, mlflow_id: str) -> tuple[str, ...]:
        """What MLflow did not take when the experiment was made here, in words; told once."""
        return tuple(self._left_out.pop(mlflow_id, ()))

    def apply(self, change: ExperimentChange) -> None:
        """Applies one change to one experiment.

        Raises:
            InvalidEvent: nobody created it, it is deleted, another tenant's, or its new name is taken; or all but
                some of its tags was applied.
        """
        if change.create is not None:
            mlflow_id = self.ensure(change.tenant_id, change.create)
            refused = self._fill_tags(mlflow_id, change.create)
            self._tell(change, dict.fromkeys([*self.left_out(mlflow_id), *refused]))
            return
        found = self._find(change.tenant_id, change.experiment_id)
        if found is None:
            raise refusals.unknown_experiment(change.tenant_id, change.experiment_id)
        if change.lifecycle is not None:
            if not labels.only_fills(change, found.tags):
                self._set_lifecycle(found, change.lifecycle)
                self.forget_one(change.tenant_id, change.experiment_id)
        elif found.lifecycle_stage != ACTIVE:
            raise refusals.deleted_experiment(found.name)
        else:
            self._update(found, change)

    def _fill_tags(self, mlflow_id: str, spec: ExperimentSpec) -> list[str]:
        stored = self._connection.experiment(mlflow_id).tags
        return self._set_tags(mlflow_id, labels.lacking_tags(spec, stored))

    def _set_tags(self, mlflow_id: str, wanted: Mapping[str, str]) -> list[str]:
        """Sets a user's tags; returns why MLflow did not take some."""
        refusals = [self._refusal(mlflow_id, key, value) for key, value in wanted.items()]
        return [why for why in refusals if why is not None]

    def _refusal(self, mlflow_id: str, key: str, value: str) -> str | None:
        try:
            self._connection.set_experiment_tag(mlflow_id, key, value)
        except Refused as error:
            return str(error)
        return None

    def _tell(self, change: ExperimentChange, refused: Iterable[str]) -> None:
        told = list(refused)
        if told:
            raise InvalidEvent("invalid_entry", "; ".join([*change.problems, *told]))

    def _find(self, tenant_id: str, wanted: str, name: str | None = None) -> Experiment | None:
        """The experiment by its id or an alias, else by its name."""
        found = self._connection.experiments(f"tags.`{tags.experiment_lookup(wanted)}` = '1'")
        experiment = found[0] if found else None
        if experiment is None and name is not None:
            experiment = self._connection.experiment_by_name(mlflow_experiment_name(tenant_id, name))
        if experiment is not None and tenant_of(experiment.name, experiment.tags) != tenant_id:
            raise refusals.foreign_experiment(tenant_id, wanted)
        return experiment

    def _make(self, tenant_id: str, spec: ExperimentSpec) -> Experiment:
        name = mlflow_experiment_name(tenant_id, spec.name)
        try:
            mlflow_id = self._made(tenant_id, spec, name)
        except AlreadyExists:
            # Another worker was faster; what it made is the experiment.
            found = self._connection.experiment_by_name(name)
            if found is None:
                raise
            return found
        return self._connection.experiment(mlflow_id)

    def _made(self, tenant_id: str, spec: ExperimentSpec, name: str) -> str:
        """Makes it, without those of the given tags and places that this release of MLflow refuses."""
        create = self._connection.create_experiment
        try:
            return create(name, self._location(spec), labels.experiment_labels(tenant_id, spec, name))
        except Refused:
            bare = replace(spec, description="", tags={})
        own, told = labels.experiment_labels(tenant_id, bare, name), list[str]()
        try:
            mlflow_id = create(name, self._location(bare), own)
        except Refused as error:
            told.append(str(error))
            mlflow_id = create(name, None, own)
        self._left_out[mlflow_id] = told + self._set_tags(mlflow_id, labels.given_tags(spec))
        return mlflow_id

    def _location(self, spec: ExperimentSpec) -> str | None:
        if spec.artifact_location or not self._artifact_root:
            return spec.artifact_location
        return labels.location_in(self._artifact_root, spec)

    def _adopt(self, found: Experiment, tenant_id: str, wanted: str) -> None:
        """Gives an experiment that was met by its name our tags: the id it was met by leads to it from now on."""
        for key, value in labels.adoption_labels(found.tags, tenant_id, wanted).items():
            self._connection.set_experiment_tag(found.experiment_id, key, value)

    def _update(self, found: Experiment, change: ExperimentChange) -> None:
        refused = self._set_tags(found.experiment_id, labels.changed_tags(change, found.tags))
        if change.name is not None and not labels.only_fills(change, found.tags):
            self._rename(found, change.tenant_id, change.name)
        self._tell(change, refused)

    def _rename(self, found: Experiment, tenant_id: str, name: str) -> None:
        """Renames it; the id of its old name leads to it still, so that running jobs land where they meant to."""
        new = mlflow_experiment_name(tenant_id, name)
        if new == found.name:
            return
        if self._connection.experiment_by_name(new) is not None:
            # Asked before, for MLflow answers with a violated constraint, which may be anything.
            raise refusals.name_taken(found.name, name, "another experiment has that name")
        alias = labels.alias(found.name, found.tags, tenant_id)
        self._connection.set_experiment_tag(found.experiment_id, alias, "1")
        try:
            self._connection.rename_experiment(found.experiment_id, new)
        except (AlreadyExists, Refused) as error:
            raise refusals.name_taken(found.name, name, error) from error
        self._connection.set_experiment_tag(found.experiment_id, tags.EXPERIMENT_NAME, name)

    def _set_lifecycle(self, found: Experiment, lifecycle: Lifecycle) -> None:
        if lifecycle == "delete" and found.lifecycle_stage == ACTIVE:
            self._connection.delete_experiment(found.experiment_id)
        elif lifecycle == "restore":
            if found.lifecycle_stage != ACTIVE:
                self._connection.restore_experiment(found.experiment_id)
            self._delete_again(found.experiment_id)

    def _delete_again(self, mlflow_id: str) -> None:
        """MLflow restores all runs of an experiment; those that were deleted on their own go again."""
        for run in self._connection.runs_with_tag(tags.DELETED, [mlflow_id]):
            if run.info.lifecycle_stage == ACTIVE:
                self._connection.delete_run(run.info.run_id)

    def why_deleted(self, mlflow_id: str, run_id: str) -> InvalidEvent:
        """Why a run that MLflow calls deleted is so: on its own, or with its experiment."""
        try:
            experiment = self._connection.experiment(mlflow_id)
        except NotFound:
            return InvalidEvent("deleted_experiment", f"experiment {mlflow_id} of run {run_id} is gone for good")
        if experiment.lifecycle_stage != ACTIVE:
            return refusals.deleted_experiment(experiment.name)
        return refusals.deleted_run(run_id)

    def tenant_of_id(self, mlflow_id: str) -> str:
        """Whose the experiment with this MLflow id is."""
        experiment = self._connection.experiment(mlflow_id)
        return tenant_of(experiment.name, experiment.tags)
