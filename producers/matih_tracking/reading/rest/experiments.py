"""Experiments through MLflow's API: found by our id, an alias, MLflow's number or their name, and listed."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

from matih_schemas import tags
from matih_schemas.identity import DEFAULT_TENANT, check_tenant, experiment_id, mlflow_experiment_name
from matih_tracking.reading.rest.entities import askable, experiment_view

if TYPE_CHECKING:
    from collections.abc import Collection

    from matih_tracking.reading.rest.calls import Calls, View
    from matih_tracking.reading.views import ExperimentView

_NUMBER_MAX: Final = 20
_TENANTS_ONE_BY_ONE: Final = 4


def find(calls: Calls, tenants: Collection[str] | None, which: str) -> ExperimentView | None:
    """The experiment with this id; see `RunReader.experiment`. Asks the same for another tenant's and for none."""
    which = which.strip()
    if which.isascii() and which.isdecimal() and len(which) <= _NUMBER_MAX:
        found = calls.experiment(which)
        return _granted(tenants, [] if found is None else [experiment_view(found)])
    identity = _dashed(which)
    if identity is None:
        return None
    return _granted(tenants, _labelled(calls, identity)) or _unlabelled(calls, tenants, identity)


def named(calls: Calls, tenant: str, name: str) -> ExperimentView | None:
    """The tenant's experiment of this name; see `RunReader.experiment_named`."""
    if not askable(name):
        return None
    # One whose tag says the tenant may have any name in MLflow.
    for stored in dict.fromkeys((mlflow_experiment_name(tenant, name), name)):
        found = calls.experiment_by_name(stored)
        view = None if found is None else experiment_view(found)
        if view is not None and (view.tenant_id, view.name) == (tenant, name):
            return view
    return _granted({tenant}, _labelled(calls, experiment_id(tenant, name)))


def listed(calls: Calls, tenants: Collection[str] | None, view: View = "ALL") -> list[ExperimentView]:
    """All experiments of the tenants, newest first."""
    found = {item["experiment_id"]: item for wanted in _filters(tenants) for item in calls.experiments(view, wanted)}
    views = [experiment_view(item) for item in found.values()]
    return sorted((item for item in views if _is_granted(tenants, item)), key=_age, reverse=True)


def _labelled(calls: Calls, identity: str) -> list[ExperimentView]:
    """Those with the tag of this id, its own first."""
    found = calls.experiments("ALL", f"tags.`{tags.experiment_lookup(identity)}` = '1'")
    views = [experiment_view(item) for item in found]
    return sorted(views, key=lambda view: (view.experiment_id != identity, _age(view)))


def _unlabelled(calls: Calls, tenants: Collection[str] | None, identity: str) -> ExperimentView | None:
    """The one made in MLflow by hand whose name gives this id."""
    return next((view for view in listed(calls, tenants) if view.experiment_id == identity), None)


def _filters(tenants: Collection[str] | None) -> list[str]:
    """What MLflow is asked, so that it finds all experiments of these tenants, and maybe more.

    The default tenant's names have nothing in front of them, so all experiments have to be looked at for it.
    """
    if tenants is None or DEFAULT_TENANT in tenants or len(tenants) > _TENANTS_ONE_BY_ONE:
        return [""]
    checked = [check_tenant(tenant) for tenant in tenants]
    by_name = [f"name LIKE '{tenant}/%'" for tenant in checked]
    return by_name + [f"tags.`{tags.TENANT_ID}` = '{tenant}'" for tenant in checked]


def _granted(tenants: Collection[str] | None, views: list[ExperimentView]) -> ExperimentView | None:
    return next((view for view in views if _is_granted(tenants, view)), None)


def _is_granted(tenants: Collection[str] | None, view: ExperimentView) -> bool:
    return tenants is None or view.tenant_id in tenants


def _age(view: ExperimentView) -> tuple[Any, ...]:
    """By creation, then by MLflow's number."""
    number = int(view.mlflow_id) if view.mlflow_id.isdecimal() else 0
    return view.created_at, number, view.mlflow_id


def _dashed(which: str) -> str | None:
    try:
        return str(uuid.UUID(which)) if len(which) in (32, 36) else None
    except ValueError:
        return None
