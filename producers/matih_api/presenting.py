"""From what was read to what is answered: pure."""

from __future__ import annotations

import math
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

from matih_api.comparison.numbers import number
from matih_api.jsonable import plain
from matih_api.models.common import USERS_OWN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matih_tracking.reading.views import ExperimentView, RunView

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)
_LAST: Final = 253_402_300_799_999  # the last ms of the year 9999
_SYSTEMS: Final = ("matih.", "mlflow.")


def instant(ms: int) -> str:
    """A time in ms since the epoch as RFC 3339 in UTC."""
    moment = _EPOCH + timedelta(milliseconds=min(max(ms, 0), _LAST))
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def seconds_between(start: int, end: int | None) -> float | None:
    """How long something took, in seconds, from ms since the epoch; None while that is not known."""
    return None if end is None or not start else max(0, end - start) / 1000


def users_tags(stored: Mapping[str, str], everything: bool = False) -> dict[str, str]:
    """The tags that users have set; with `everything` the systems' too."""
    return {
        key: value for key, value in stored.items() if everything or key in USERS_OWN or not key.startswith(_SYSTEMS)
    }


def experiment(found: ExperimentView, system_tags: bool = False) -> dict[str, Any]:
    """An experiment as v1 has it."""
    return {
        "id": found.experiment_id,
        "name": found.name,
        "description": found.description,
        "artifact_location": found.artifact_location,
        "lifecycle_stage": found.stage,
        "created_at": instant(found.created_at),
        "last_updated": instant(found.last_updated),
        "tags": users_tags(found.tags, system_tags),
    }


def run(found: RunView, page: str | None, system_tags: bool = False) -> dict[str, Any]:
    """A run as v1 has it; `page` is its page in MLflow."""
    return {
        "id": found.run_id,
        "experiment_id": found.experiment_id,
        "name": found.name,
        "status": found.status.lower(),
        "start_time": instant(found.start_time),
        "end_time": None if found.end_time is None else instant(found.end_time),
        "duration_seconds": seconds_between(found.start_time, found.end_time),
        "tags": users_tags(found.tags, system_tags),
        "params": found.params,
        "metrics": latest(found),
        "artifacts": [],
        "mlflow_run_id": found.mlflow_run_id,
        "url": page,
    }


def latest(found: RunView) -> dict[str, Any]:
    """The latest values by key."""
    return {key: plain(point.value) for key, point in found.metrics.items()}


def ml_run(found: RunView) -> dict[str, Any]:
    """A run as the ml family has it: parameters that are JSON numbers are numbers."""
    return {
        "run_id": found.run_id,
        "name": found.name,
        "status": ml_status(found.status),
        "parameters": {key: number(value) for key, value in found.params.items()},
        "metrics": latest(found),
        "duration_seconds": seconds_between(found.start_time, found.end_time),
        "created_at": instant(found.start_time),
    }


def ml_status(word: str) -> str:
    """MLflow's word for a status, in the ml family's words."""
    return "completed" if word == "FINISHED" else word.lower()


def is_number(value: float | None) -> bool:
    """Whether it is there, and no NaN."""
    return value is not None and not math.isnan(value)
