"""Where runs may keep their files: MLflow's server opens these places, and its own disk is not everybody's. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from matih_api.auth.addresses import is_loopback
from matih_schemas.checks import location_problem

if TYPE_CHECKING:
    from matih_api.auth.principal import Principal
    from matih_api.settings import ApiSettings

_LOCAL: Final = "file"
SCHEMES: Final = ("s3", "gs", "abfss", "wasbs", "hdfs", "mlflow-artifacts", _LOCAL)
_SHOWN_MAX: Final = 80


def may_name_local(principal: Principal, settings: ApiSettings) -> bool:
    """Whether a place on the server's own disk may be named: by who may do everything on this machine, or if it is set.

    An address says nothing of it where people log in: a proxy on this machine lets in others.
    """
    return settings.local_artifacts or (principal.open and is_loopback(settings.host))


def place_problem(location: str) -> str | None:
    """Why it is no place that anybody may name, None if it is one."""
    problem = location_problem(location)
    if problem is not None or ".." in unquote(location):
        return problem or "holds '..'"
    scheme, colon, _ = location.partition(":")
    return None if colon and scheme in SCHEMES else f"begins with none of {', '.join(SCHEMES)}"


def local_problem(location: str) -> str | None:
    """Why only who may name places on the server's own disk may name it, None if others may too."""
    if not location.startswith((f"{_LOCAL}:", "/")):
        return None
    return (
        f"{location[:_SHOWN_MAX]!r} is on the server's own disk: leave it out, or use s3:, gs:, ... or "
        "mlflow-artifacts:; who runs the API may allow it by MATIH_API_LOCAL_ARTIFACTS"
    )


def shipped_problem(location: str, *, local: bool) -> str | None:
    """Why a shipper may not send it, None if it may.

    Args:
        location: as it stands in an event. What is no place at all passes: the worker leaves it out, and tells.
        local: whether places on the server's own disk may be named, as paths too.
    """
    if location_problem(location) is not None or (local and location.startswith("/")):
        return None
    return (None if local else local_problem(location)) or place_problem(location)
