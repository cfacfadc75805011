"""A store that keeps everything in this process: for tests, and the model that the real stores are held against."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from matih_schemas import tags
from matih_schemas.identity import mlflow_experiment_name
from matih_workers.batch import grouped
from matih_workers.filled import Filled, made_by
from matih_workers.merge import KnownRun, RunWrites
from matih_workers.positions import Noticed, Position, Spans, advanced
from matih_workers.stores import labels, refusals
from matih_workers.stores.labels import position_keys
from matih_workers.stores.protocol import NOWHERE
from matih_workers.stores.walk import StoredRun, apply_run

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matih_schemas.errors import InvalidEvent
    from matih_workers.changes import Change, ExperimentChange, ExperimentSpec, Lifecycle, Metric, RunChange
    from matih_workers.positions import Source
    from matih_workers.stores.protocol import Refusals


@dataclass
class MemoryExperiment:
    """An experiment, as MLflow would show it."""

    tenant_id: str
    experiment_id: str
    name: str
    tags: dict[str, str] = field(default_factory=dict)
    deleted: bool = False


@dataclass
class MemoryRun(StoredRun):
    """A run, as MLflow would show it."""

    experiment: MemoryExperiment = field(default_factory=lambda: MemoryExperiment("", "", ""))
    start_time: int = 0
    end_time: int | None = None
    status: str = "RUNNING"
    metrics: set[Metric] = field(default_factory=set)
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    deleted_alone: bool = False


class MemoryStore:
    """The contract of `RunStore`, on dictionaries."""

    def __init__(self) -> None:
        self.runs: dict[str, MemoryRun] = {}
        self.experiments: dict[str, MemoryExperiment] = {}
        self._noted: dict[str, Position] = {}
        self.noticed = Noticed()
        self._serial = itertools.count(1)

    def open(self) -> None:
        """Nothing to do."""

    def apply(self, changes: Sequence[Change], spans: Spans = NOWHERE) -> Refusals:
        """Applies the changes; see `RunStore`."""
        groups = grouped(changes)
        refused: dict[int, InvalidEvent] = {}
        for some in groups.experiments:
            refused |= refusals.refused(self._apply_experiment, some)
        for group in groups.runs:
            refused |= apply_run(self, group)
        self._advance(spans)
        return refused

    def _advance(self, spans: Spans) -> None:
        for key, span in position_keys(spans).items():
            if spans.source is not None:
                self._noted[key] = advanced(self._noted.get(key), spans.source, span, spans.at_ms)
                self.noticed.put(spans.source, {span.partition: self._noted[key]})

    def probe(self) -> None:
        """Memory is always there."""

    def forget(self) -> None:
        """Nothing is remembered beside the data."""

    def positions(self, source: Source, partitions: Iterable[int]) -> dict[int, Position]:
        """The positions; see `RunStore`."""
        keys = {labels.position_key(source, number): number for number in partitions}
        found = {number: self._noted[key] for key, number in keys.items() if key in self._noted}
        self.noticed.put(source, found)
        return found

    def is_empty(self) -> bool:
        """Whether there are no experiments; see `RunStore`."""
        return not self.experiments

    def present(self, run_ids: Iterable[str]) -> set[str]:
        """The runs that are there; see `RunStore`."""
        return self.runs.keys() & set(run_ids)

    def close(self) -> None:
        """Nothing to give back."""

    def find(self, run_id: str) -> MemoryRun | None:
        """The run; see `RunPort`."""
        run = self.runs.get(run_id)
        if run is not None:
            run.known = KnownRun.of(run.tags, run.params)
            run.deleted = _why_deleted(run, run_id)
        return run

    def create(self, change: RunChange) -> MemoryRun:
        """Makes the run; see `RunPort`."""
        creation = change.creation
        if creation is None:
            raise ValueError(f"run {change.run_id}: a change without a creation makes no run")
        experiment = self._experiment(change.tenant_id, creation.experiment)
        if experiment.deleted:
            raise refusals.deleted_experiment(experiment.name)
        name = creation.run_name or f"run-{next(self._serial)}"
        run = MemoryRun(change.tenant_id, KnownRun(name=name), experiment=experiment, start_time=creation.start_time)
        run.tags = {
            tags.RUN_ID: change.run_id,
            tags.TENANT_ID: change.tenant_id,
            "mlflow.runName": name,
            **made_by(change.fill),
        }
        run.known.filled = Filled.of(run.tags)
        self.runs[change.run_id] = run
        return run

    def write(self, run: MemoryRun, writes: RunWrites) -> None:
        """Writes to the run; see `RunPort`."""
        run.params |= writes.params
        run.metrics |= set(writes.metrics)
        run.tags |= writes.tags
        if writes.status is not None:
            run.status = writes.status.status
            run.end_time = writes.status.end_time or run.end_time
        run.tags |= writes.last_tags()

    def set_lifecycle(self, run: MemoryRun, lifecycle: Lifecycle) -> None:
        """Deletes or restores the run; see `RunPort`."""
        if lifecycle == "restore" and run.experiment.deleted:
            raise refusals.deleted_experiment(run.experiment.name)
        run.deleted_alone = lifecycle == "delete"
        run.deleted = _why_deleted(run, run.tags[tags.RUN_ID])

    def _apply_experiment(self, change: ExperimentChange) -> None:
        if change.create is not None:
            made = self._experiment(change.tenant_id, change.create)
            if made.deleted:
                raise refusals.deleted_experiment(made.name)
            made.tags |= labels.lacking_tags(change.create, made.tags)
            return
        experiment = self.experiments.get(change.experiment_id)
        if experiment is None:
            raise refusals.unknown_experiment(change.tenant_id, change.experiment_id)
        if experiment.tenant_id != change.tenant_id:
            raise refusals.foreign_experiment(change.tenant_id, change.experiment_id)
        if change.lifecycle is not None:
            if labels.only_fills(change, experiment.tags):
                return
            experiment.deleted = change.lifecycle == "delete"
        elif experiment.deleted:
            raise refusals.deleted_experiment(experiment.name)
        else:
            self._update(experiment, change)

    def _update(self, experiment: MemoryExperiment, change: ExperimentChange) -> None:
        keeps_name = labels.only_fills(change, experiment.tags)
        experiment.tags |= labels.changed_tags(change, experiment.tags)
        if change.name is None or keeps_name:
            return
        new = mlflow_experiment_name(change.tenant_id, change.name)
        if self._by_name(new) not in (None, experiment):
            raise refusals.name_taken(experiment.name, change.name, "another experiment has that name")
        experiment.name = new

    def _experiment(self, tenant_id: str, spec: ExperimentSpec) -> MemoryExperiment:
        name = mlflow_experiment_name(tenant_id, spec.name)
        known = self.experiments.get(spec.experiment_id) or self._by_name(name)
        if known is not None and known.tenant_id != tenant_id:
            raise refusals.foreign_experiment(tenant_id, spec.experiment_id)
        own = {**labels.given_tags(spec), **made_by(spec.fill)}
        experiment = known or MemoryExperiment(tenant_id, spec.experiment_id, name, own)
        return self.experiments.setdefault(spec.experiment_id, experiment)

    def _by_name(self, name: str) -> MemoryExperiment | None:
        return next((experiment for experiment in self.experiments.values() if experiment.name == name), None)


def _why_deleted(run: MemoryRun, run_id: str) -> InvalidEvent | None:
    if run.experiment.deleted:
        return refusals.deleted_experiment(run.experiment.name)
    return refusals.deleted_run(run_id) if run.deleted_alone else None
