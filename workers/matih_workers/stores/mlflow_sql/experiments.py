"""Experiments in MLflow's tables: found by our id, then by name; made if they are not there; changed, hidden, shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit, urlunsplit

import sqlalchemy as sa

from matih_schemas import tags
from matih_schemas.clock import now_ms
from matih_schemas.identity import mlflow_experiment_name
from matih_schemas.mlflow_names import tenant_of
from matih_workers.stores import labels, refusals
from matih_workers.stores.labels import ACTIVE, DELETED
from matih_workers.stores.mlflow_sql import tables
from matih_workers.stores.mlflow_sql.bulk import add_missing, set_values
from matih_workers.stores.mlflow_sql.errors import Outdated

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from matih_workers.changes import ExperimentChange, ExperimentSpec, Lifecycle

_WORKSPACE: Final = "default"
_PROXIED: Final = "mlflow-artifacts:"
_FIRST_EXPERIMENT: Final = 0


@dataclass
class SqlExperiment:
    """An experiment's row; `mlflow_id` is MLflow's number for it."""

    mlflow_id: int
    name: str
    artifact_location: str
    deleted: bool
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def tenant_id(self) -> str:
        """Whose it is."""
        return tenant_of(self.name, self.tags)


class Experiments:
    """The experiments, within one transaction."""

    def __init__(self, connection: sa.Connection, artifact_root: str | None) -> None:
        self._connection = connection
        self._artifact_root = artifact_root
        self._met: dict[tuple[str, str], SqlExperiment] = {}

    def ensure(self, tenant_id: str, spec: ExperimentSpec) -> SqlExperiment:
        """The experiment, made if it is not there; it can't be deleted or shown until the transaction ends.

        Raises:
            InvalidEvent: it is another tenant's.
        """
        key = (tenant_id, spec.experiment_id)
        if key not in self._met:
            found = self._find(tenant_id, spec.experiment_id, spec.name) or self._make(tenant_id, spec)
            if not found.deleted:
                adoption = labels.adoption_labels(found.tags, tenant_id, spec.experiment_id)
                self._set_tags(found, adoption)
            self._met[key] = found
        return self._met[key]

    def apply(self, change: ExperimentChange) -> None:
        """Applies one change to one experiment.

        Raises:
            InvalidEvent: nobody created it, it is deleted, another tenant's, or its new name is taken.
        """
        if change.create is not None:
            if (made := self.ensure(change.tenant_id, change.create)).deleted:
                raise refusals.deleted_experiment(made.name)
            self._set_tags(made, labels.lacking_tags(change.create, made.tags))
            return
        found = self._find(change.tenant_id, change.experiment_id)
        if found is None:
            raise refusals.unknown_experiment(change.tenant_id, change.experiment_id)
        # What follows in this transaction meets it as it is then.
        self._met = {key: one for key, one in self._met.items() if one.mlflow_id != found.mlflow_id}
        if change.lifecycle is not None:
            if not labels.only_fills(change, found.tags):
                self._set_lifecycle(found, change.lifecycle)
        elif found.deleted:
            raise refusals.deleted_experiment(found.name)
        else:
            self._update(found, change)

    def read(self, mlflow_ids: Iterable[int]) -> dict[int, SqlExperiment]:
        """The experiments with these numbers, as they are."""
        wanted = sorted(set(mlflow_ids))
        return {found.mlflow_id: found for found in self._read(tables.experiments.c.experiment_id.in_(wanted))}

    def are_none(self) -> bool:
        """Whether there are none but for MLflow's first one."""
        column = tables.experiments.c.experiment_id
        others = sa.select(sa.func.count()).where(column != _FIRST_EXPERIMENT)
        return not self._connection.execute(others).scalar()

    def touch(self) -> None:
        """Writes a tag of the first active experiment: a write that concerns no run."""
        active = tables.experiments.c.lifecycle_stage == ACTIVE
        first = self._connection.execute(sa.select(sa.func.min(tables.experiments.c.experiment_id)).where(active))
        number = first.scalar()
        if number is not None:
            row = {"key": tags.CANARY, "experiment_id": number, "value": str(now_ms())}
            set_values(self._connection, tables.experiment_tags, [row])

    def _find(self, tenant_id: str, wanted: str, name: str | None = None) -> SqlExperiment | None:
        """The experiment by its id or an alias, else by its name; locked against other workers' changes."""
        tag = tables.experiment_tags.c
        by_id = sa.select(tag.experiment_id).where(tag.key == tags.experiment_lookup(wanted))
        found = self._read(tables.experiments.c.experiment_id.in_(by_id))
        if not found and name is not None:
            found = self._by_name(mlflow_experiment_name(tenant_id, name))
        if found and found[0].tenant_id != tenant_id:
            raise refusals.foreign_experiment(tenant_id, wanted)
        return found[0] if found else None

    def _by_name(self, mlflow_name: str) -> list[SqlExperiment]:
        column = tables.experiments.c
        return self._read(sa.and_(column.name == mlflow_name, column.workspace == _WORKSPACE))

    def _read(self, which: sa.ColumnElement[bool]) -> list[SqlExperiment]:
        column = tables.experiments.c
        statement = sa.select(column.experiment_id, column.name, column.artifact_location, column.lifecycle_stage)
        rows = self._connection.execute(
            statement.where(which).order_by(column.experiment_id).with_for_update(read=True)
        ).all()
        found = {row[0]: SqlExperiment(row[0], row[1], row[2] or "", row[3] == DELETED) for row in rows}
        tag = tables.experiment_tags.c
        for number, key, value in self._connection.execute(
            sa.select(tag.experiment_id, tag.key, tag.value).where(tag.experiment_id.in_(found))
        ):
            found[number].tags[key] = value
        return list(found.values())

    def _make(self, tenant_id: str, spec: ExperimentSpec) -> SqlExperiment:
        name, now = mlflow_experiment_name(tenant_id, spec.name), now_ms()
        row = {"name": name, "lifecycle_stage": ACTIVE, "creation_time": now, "last_update_time": now}
        numbers = add_missing(self._connection, tables.experiments, [row])
        if not numbers:
            raise Outdated(f"another worker made experiment {name!r}")
        number = numbers[0]
        location = spec.artifact_location or self._location(spec, number)
        self._set(number, artifact_location=location)
        made = SqlExperiment(number, name, location, deleted=False)
        self._set_tags(made, labels.experiment_labels(tenant_id, spec, name))
        return made

    def _location(self, spec: ExperimentSpec, number: int) -> str:
        """Under the given root, else where MLflow's server puts them: beside those of its first experiment."""
        if self._artifact_root:
            return labels.location_in(self._artifact_root, spec)
        first = self._connection.execute(
            sa.select(tables.experiments.c.artifact_location).where(
                tables.experiments.c.experiment_id == _FIRST_EXPERIMENT
            )
        ).scalar()
        root, slash, last = (first or "").rpartition("/")
        return f"{root if slash and last == str(_FIRST_EXPERIMENT) else _PROXIED}/{number}"

    def _update(self, found: SqlExperiment, change: ExperimentChange) -> None:
        keeps_name = labels.only_fills(change, found.tags)
        self._set_tags(found, labels.changed_tags(change, found.tags))
        if change.name is not None and not keeps_name:
            self._rename(found, change.tenant_id, change.name)

    def _rename(self, found: SqlExperiment, tenant_id: str, name: str) -> None:
        """Renames it; the id of its old name leads to it still, so that running jobs land where they meant to."""
        new = mlflow_experiment_name(tenant_id, name)
        if new == found.name:
            return
        if self._by_name(new):
            raise refusals.name_taken(found.name, name, "another experiment has that name")
        alias = labels.alias(found.name, found.tags, tenant_id)
        self._set(found.mlflow_id, name=new, last_update_time=now_ms())
        self._set_tags(found, {alias: "1", tags.EXPERIMENT_NAME: name})

    def _set_lifecycle(self, found: SqlExperiment, lifecycle: Lifecycle) -> None:
        stage, now = (DELETED, now_ms()) if lifecycle == "delete" else (ACTIVE, None)
        if found.deleted != (lifecycle == "delete"):
            self._set(found.mlflow_id, lifecycle_stage=stage, last_update_time=now_ms())
        run, tag = tables.runs.c, tables.tags.c
        alone = sa.select(tag.run_uuid).where(tag.key == tags.DELETED, tag.value == "1")
        self._connection.execute(
            sa.update(tables.runs)
            .where(run.experiment_id == found.mlflow_id, run.lifecycle_stage != stage, run.run_uuid.not_in(alone))
            .values(lifecycle_stage=stage, deleted_time=now)
        )

    def _set(self, number: int, **values: object) -> None:
        statement = sa.update(tables.experiments).where(tables.experiments.c.experiment_id == number)
        self._connection.execute(statement.values(**values))

    def _set_tags(self, found: SqlExperiment, new: Mapping[str, str]) -> None:
        rows = [{"key": key, "experiment_id": found.mlflow_id, "value": value} for key, value in new.items()]
        set_values(self._connection, tables.experiment_tags, rows)
        found.tags |= new


def artifact_uri(location: str, run_uuid: str) -> str:
    """Where a run's artifacts are: under its experiment's location, before a query if that has one."""
    parts = urlsplit(location)
    if not (parts.query or parts.fragment):
        return f"{location.rstrip('/')}/{run_uuid}/artifacts"
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{run_uuid}/artifacts"))
