"""MLflow's JSON as views, by our ids. Pure."""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any, Final

from matih_schemas import tags
from matih_schemas.identity import experiment_id
from matih_schemas.limits import RUN_NAME_MAX, TENANT_MAX
from matih_schemas.mlflow_names import full_name, tenant_of
from matih_tracking.reading.views import ExperimentView, MetricPoint, RunView

if TYPE_CHECKING:
    from matih_tracking.reading.views import Stage

_NOTE: Final = "mlflow.note.content"
_POSITIONS: Final = "matih.position."
_GOING_ON: Final = ("RUNNING", "SCHEDULED")


def askable(text: str) -> bool:
    """Whether MLflow can be asked for the text: what a database can't hold is not in it."""
    return bool(text) and "\x00" not in text and not any("\ud800" <= character <= "\udfff" for character in text)


def experiment_view(found: dict[str, Any]) -> ExperimentView:
    """An experiment of MLflow's JSON."""
    stored = _pairs(found.get("tags", []))
    tenant = tenant_of(found["name"], stored)
    name = full_name(found["name"], stored, tenant)
    return ExperimentView(
        experiment_id=stored.get(tags.EXPERIMENT_ID) or experiment_id(tenant, name),
        mlflow_id=str(found["experiment_id"]),
        tenant_id=tenant,
        name=name,
        artifact_location=found.get("artifact_location", ""),
        stage="deleted" if found.get("lifecycle_stage") == "deleted" else "active",
        created_at=int(found.get("creation_time", 0)),
        last_updated=int(found.get("last_update_time", 0)),
        description=stored.get(_NOTE, ""),
        tags={key: value for key, value in stored.items() if not key.startswith(_POSITIONS)},
    )


def run_view(found: dict[str, Any], home: ExperimentView) -> RunView:
    """A run of MLflow's JSON; `home` is its experiment."""
    info, data = found["info"], found.get("data", {})
    stored = _pairs(data.get("tags", []))
    return RunView(
        run_id=stored.get(tags.RUN_ID) or info["run_id"],
        mlflow_run_id=info["run_id"],
        tenant_id=_named_tenant(stored) or home.tenant_id,
        experiment_id=home.experiment_id,
        mlflow_experiment_id=home.mlflow_id,
        name=_run_name(info.get("run_name", ""), stored),
        status=info.get("status", "RUNNING"),
        start_time=int(info.get("start_time", 0)),
        end_time=None if info.get("status") in _GOING_ON else int(info.get("end_time", 0)) or None,
        stage=_stage(info, home),
        artifact_uri=info.get("artifact_uri", ""),
        tags=stored,
        params=_pairs(data.get("params", [])),
        metrics={metric["key"]: point(metric) for metric in data.get("metrics", [])},
    )


def point(metric: dict[str, Any]) -> MetricPoint:
    """A point. MLflow's tables hold the greatest double for an infinity."""
    value = float(metric.get("value", 0.0))
    if abs(value) == sys.float_info.max:
        value = math.copysign(math.inf, value)
    return MetricPoint(metric["key"], value, int(metric.get("timestamp", 0)), int(metric.get("step", 0)))


def is_hidden(found: dict[str, Any]) -> bool:
    """Whether this run is another one's twin."""
    return any(tag["key"] == tags.DUPLICATE_OF for tag in found.get("data", {}).get("tags", []))


def _stage(info: dict[str, Any], home: ExperimentView) -> Stage:
    return "deleted" if info.get("lifecycle_stage") == "deleted" or home.stage == "deleted" else "active"


def _named_tenant(stored: dict[str, str]) -> str:
    """The tenant that a run's tag names; more characters than a tenant may have name none."""
    named = stored.get(tags.TENANT_ID, "")
    return named if len(named) <= TENANT_MAX else ""


def _run_name(column: str, stored: dict[str, str]) -> str:
    """The whole name, where the column holds the first part of it."""
    whole = stored.get(tags.RUN_NAME, "")
    return whole if whole and whole[:RUN_NAME_MAX] == column else column


def _pairs(items: list[dict[str, Any]]) -> dict[str, str]:
    return {item["key"]: item.get("value", "") for item in items}
