"""Whose an experiment is and what its name is to its tenant: `matih_schemas.mlflow_names`, in SQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from matih_schemas import tags
from matih_schemas.identity import DEFAULT_TENANT
from matih_schemas.limits import EXPERIMENT_NAME_MAX, RUN_NAME_MAX
from matih_tracking.reading.sql import tables
from matih_tracking.reading.sql.functions import hash8, position_of

if TYPE_CHECKING:
    from collections.abc import Collection

_MARK: Final = 9  # `~` and 8 hex characters
_experiment = tables.experiments.c
_tenant_tag = tables.experiment_tags.alias("tenant_tag")
_name_tag = tables.experiment_tags.alias("name_tag")


def _tagged(alias: sa.FromClause, key: str) -> sa.ColumnElement[bool]:
    return sa.and_(alias.c.experiment_id == _experiment.experiment_id, alias.c.key == key)


HOMES: Final = tables.experiments.outerjoin(_tenant_tag, _tagged(_tenant_tag, tags.TENANT_ID)).outerjoin(
    _name_tag, _tagged(_name_tag, tags.EXPERIMENT_NAME)
)
"""The experiments with the tags that `TENANT` and `NAME` look at."""
_slash = position_of(_experiment.name, "/")
TENANT: Final[sa.ColumnElement[str]] = sa.func.coalesce(
    sa.func.nullif(_tenant_tag.c.value, ""),
    sa.case((_slash > 0, sa.func.substr(_experiment.name, 1, _slash - 1)), else_=DEFAULT_TENANT),
)


def _in_mlflow(full: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
    """MLflow's name of the tenant's experiment with this full name; see `identity.mlflow_experiment_name`."""
    bare = sa.and_(TENANT == DEFAULT_TENANT, position_of(full, "/") == 0)
    whole = sa.case((bare, full), else_=TENANT + "/" + full)
    cut = sa.func.substr(whole, 1, EXPERIMENT_NAME_MAX - _MARK) + "~" + hash8(full)
    return sa.case((sa.func.length(whole) <= EXPERIMENT_NAME_MAX, whole), else_=cut)


_prefixed = sa.func.substr(_experiment.name, 1, sa.func.length(TENANT) + 1) == TENANT + "/"
_bare_name = sa.case((_prefixed, sa.func.substr(_experiment.name, sa.func.length(TENANT) + 2)), else_=_experiment.name)
_full = _name_tag.c.value
_is_its = sa.and_(_full != "", _in_mlflow(_full) == _experiment.name)
NAME: Final[sa.ColumnElement[str]] = sa.case((_is_its, _full), else_=_bare_name)
"""The name without the tenant, whole."""


def of_tenants(tenants: Collection[str] | None) -> sa.ColumnElement[bool]:
    """Whether the experiment is one of these tenants'; None is everybody's. Other workspaces are nobody's."""
    here = _experiment.workspace == tables.WORKSPACE
    return here if tenants is None else sa.and_(here, TENANT.in_(sorted(tenants)))


def full_run_name(column: str, stored: str | None) -> str:
    """A run's name, whole also where MLflow's column holds a cut one; the tag counts if it begins as the column."""
    return stored if stored and stored[:RUN_NAME_MAX] == column else column


def full_run_name_sql(column: sa.ColumnElement[Any], stored: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
    """`full_run_name` in SQL."""
    return sa.case((sa.func.substr(stored, 1, RUN_NAME_MAX) == column, stored), else_=sa.func.coalesce(column, ""))
