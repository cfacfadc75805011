"""Which runs somebody may see, in SQL: their tenants', without twins.

A run is its tag's tenant's, else its experiment's; nearly always both say the same. So the few runs of which they
don't are looked for first, and all that follows asks for runs by experiment.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from matih_schemas import tags
from matih_schemas.limits import TENANT_MAX
from matih_tracking.reading.sql import tables
from matih_tracking.reading.sql.functions import listed
from matih_tracking.reading.sql.naming import HOMES, of_tenants

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from matih_tracking.reading.queries import StageWanted
    from matih_tracking.reading.views import ExperimentView

_experiment = tables.experiments.c
_run = tables.runs.c
_tag = tables.tags.c
_twin = tables.tags.alias("twin")
_deleted_homes = sa.select(_experiment.experiment_id).where(_experiment.lifecycle_stage == tables.DELETED)


@dataclass(frozen=True)
class Scope:
    """Runs by their experiments.

    Attributes:
        active, deleted: MLflow's numbers of the experiments whose runs are in it.
        without: MLflow's ids of runs in these that are not in it.
        besides: MLflow's ids of runs in others that are in it.
    """

    active: Sequence[int]
    deleted: Sequence[int]
    without: Sequence[str] = ()
    besides: Sequence[str] = ()

    def of_stage(self, stage: StageWanted) -> list[sa.ColumnElement[bool]]:
        """The conditions for its runs of this stage; those of a deleted experiment are deleted."""
        within = self._within(stage)
        if self.without:
            within = sa.and_(within, _run.run_uuid.not_in(listed(self.without)))
        if not self.besides:
            return [within]
        besides = sa.and_(_run.run_uuid.in_(listed(self.besides)), *_of_stage(stage))
        return [sa.or_(within, besides)]

    def _within(self, stage: StageWanted) -> sa.ColumnElement[bool]:
        if stage == "all":
            return _run.experiment_id.in_([*self.active, *self.deleted])
        some = sa.and_(_run.experiment_id.in_(self.active), _run.lifecycle_stage == stage)
        if stage == "deleted" and self.deleted:
            return sa.or_(some, _run.experiment_id.in_(self.deleted))
        return some


def of_experiments(
    connection: sa.Connection, tenants: Collection[str] | None, homes: Iterable[ExperimentView]
) -> Scope:
    """The tenants' runs in these experiments, which have to be theirs."""
    return _scope(connection, tenants, ((int(home.mlflow_id), home.stage) for home in homes))


def of_everything(connection: sa.Connection, tenants: Collection[str] | None) -> Scope:
    """All runs of the tenants'."""
    statement = sa.select(_experiment.experiment_id, _experiment.lifecycle_stage).select_from(HOMES)
    homes = connection.execute(statement.where(of_tenants(tenants)).order_by(_experiment.experiment_id))
    found = _scope(connection, tenants, ((number, stage) for number, stage in homes))
    if tenants is None:
        return found
    tagged = _tagged(_tag.value.in_(sorted(tenants)))
    besides = _among(~_run.experiment_id.in_([*found.active, *found.deleted]), tagged)
    besides = besides.where(no_twin(), _in_workspace())
    return Scope(found.active, found.deleted, found.without, list(connection.execute(besides).scalars()))


def no_twin() -> sa.ColumnElement[bool]:
    """The run is not one that two workers made at the same moment and that is not in use."""
    return ~sa.exists().where(_twin.c.run_uuid == _run.run_uuid, _twin.c.key == tags.DUPLICATE_OF)


def tenant_in_tag(value: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """The tenant that a run's tag names, NULL if it names none; see `tenant_named`."""
    return sa.case((sa.func.length(value).between(1, TENANT_MAX), value), else_=sa.null())


def tenant_named(value: str | None) -> str | None:
    """The tenant that a run's tag names: more characters than a tenant may have name none."""
    return value if value and len(value) <= TENANT_MAX else None


def _scope(connection: sa.Connection, tenants: Collection[str] | None, homes: Iterable[tuple[int, str]]) -> Scope:
    stages = dict(homes)
    active = [number for number, stage in stages.items() if stage == tables.ACTIVE]
    deleted = [number for number, stage in stages.items() if stage != tables.ACTIVE]
    inside = _run.experiment_id.in_(list(stages))
    hidden = [_among(inside, sa.select(_tag.run_uuid).where(_tag.key == tags.DUPLICATE_OF))]
    if tenants is not None:
        hidden.append(_among(inside, _tagged(_tag.value != "", _tag.value.not_in(sorted(tenants)))))
    without = connection.execute(sa.union(*hidden)).scalars()
    return Scope(active, deleted, sorted(without))


def _tagged(*wanted: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Runs with such a tag of a tenant; written so that the index in deploy/postgresql answers it by itself."""
    key = _tag.key == sa.literal_column(f"'{tags.TENANT_ID}'")
    names_one = sa.func.length(_tag.value) <= sa.literal_column(str(TENANT_MAX))
    return sa.select(_tag.run_uuid).where(key, names_one, *wanted)


def _among(inside: sa.ColumnElement[bool], found: sa.Select[Any]) -> sa.Select[Any]:
    """Those of the found runs that are inside: the tags are looked at first, for few are found."""
    rows = found.cte().prefix_with("MATERIALIZED", dialect="postgresql")
    return sa.select(rows.c.run_uuid).join(tables.runs, _run.run_uuid == rows.c.run_uuid).where(inside)


def _of_stage(stage: StageWanted) -> list[sa.ColumnElement[bool]]:
    if stage == "all":
        return []
    deleted = sa.or_(_run.lifecycle_stage == tables.DELETED, _run.experiment_id.in_(_deleted_homes))
    return [deleted if stage == "deleted" else ~deleted]


def _in_workspace() -> sa.ColumnElement[bool]:
    here = sa.select(_experiment.experiment_id).where(_experiment.workspace == tables.WORKSPACE)
    return _run.experiment_id.in_(here)
