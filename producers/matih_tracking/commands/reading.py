"""What all commands that read have in common: the reader, the tenant, the words of their options."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from matih_console.errors import CommandFailed, WrongUse
from matih_schemas.errors import InvalidName
from matih_schemas.identity import check_tenant
from matih_tracking.reading.errors import NotReadable, ReadsUnavailable
from matih_tracking.reading.opening import open_reader
from matih_tracking.reading.queries import RunQuery, SortKey
from matih_tracking.settings import read

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matih_tracking.reading.protocol import RunReader
    from matih_tracking.reading.views import ExperimentView, RunView

SECONDS: Final = 60.0
_STATUSES: Final = {
    "running": "RUNNING",
    "active": "RUNNING",
    "scheduled": "SCHEDULED",
    "finished": "FINISHED",
    "completed": "FINISHED",
    "failed": "FAILED",
    "killed": "KILLED",
}
_KINDS: Final = {"metrics": "metric", "params": "param", "parameters": "param", "tags": "tag"}
_ATTRIBUTES: Final = {
    "start_time": "start_time",
    "created_at": "start_time",
    "end_time": "end_time",
    "duration_seconds": "duration",
    "status": "status",
    "name": "name",
}


@contextmanager
def reader(seconds: float = SECONDS) -> Iterator[RunReader]:
    """The reader that MLFLOW_TRACKING_URI names; what goes wrong with it is the command's one line of error."""
    settings, problems = read(os.environ)
    if problems:
        raise WrongUse("; ".join(problems))
    try:
        opened = open_reader(settings.tracking_uri, seconds)
        try:
            yield opened
        finally:
            opened.close()
    except ReadsUnavailable as error:
        hint = "" if settings.tracking_uri_given else " (MLFLOW_TRACKING_URI is not set: name MLflow's server there)"
        raise CommandFailed(f"{error}{hint}") from error
    except NotReadable as error:
        raise CommandFailed(str(error)) from error


def tenant_of(given: str | None) -> str:
    """The tenant asked for, else MATIH_TENANT."""
    try:
        return check_tenant(given) if given is not None else read(os.environ)[0].tenant
    except InvalidName as error:
        raise WrongUse(str(error)) from error


def experiment_of(opened: RunReader, tenant: str, which: str) -> ExperimentView:
    """The tenant's experiment of this name, else with this id."""
    found = opened.experiment_named(tenant, which) or opened.experiment([tenant], which)
    if found is None:
        raise CommandFailed(f"tenant {tenant} has no experiment {which!r}: see `matih experiments list`, or --tenant")
    return found


def run_of(opened: RunReader, tenant: str, which: str) -> RunView:
    """The tenant's run with this id."""
    found = opened.run([tenant], which)
    if found is None:
        raise CommandFailed(f"tenant {tenant} has no run {which!r}: see `matih runs list`, or --tenant")
    return found


def query_of(
    opened: RunReader, tenant: str, experiment: str | None, status: str | None, sort: SortKey, limit: int
) -> RunQuery:
    """The query that the options ask for."""
    home = None if experiment is None else experiment_of(opened, tenant, experiment).experiment_id
    return RunQuery(experiment_id=home, status=status_of(status), sort=sort, limit=limit)


def status_of(word: str | None) -> str | None:
    """MLflow's word for a status, the platform's words allowed."""
    if word is None:
        return None
    found = _STATUSES.get(word.strip().lower())
    if found is None:
        raise WrongUse(f"--status {word!r}: use one of {', '.join(_STATUSES)}")
    return found


def sort_of(text: str, order: str) -> SortKey:
    """The sort key in `metrics.f1`, `` params.`odd key` ``, `tags.team`, `start_time`, ..., and `asc` or `desc`."""
    if order.lower() not in ("asc", "desc"):
        raise WrongUse(f"--order {order!r}: use asc or desc")
    descending = order.lower() == "desc"
    kind, dot, key = text.strip().partition(".")
    if not dot and kind in _ATTRIBUTES:
        return SortKey("attribute", _ATTRIBUTES[kind], descending)
    if len(key) > 1 and key[0] == key[-1] == "`":
        key = key[1:-1]
    if kind not in _KINDS or not key:
        raise WrongUse(f"--sort {text!r}: use metrics.KEY, params.KEY, tags.KEY or one of {', '.join(_ATTRIBUTES)}")
    return SortKey(_KINDS[kind], key, descending)  # type: ignore[arg-type]
