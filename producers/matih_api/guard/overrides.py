"""Quotas of single tenants, from a file that is read again when it changes."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from matih_api.guard.buckets import Rate
from matih_kafka.errors import InvalidSettings
from matih_schemas.errors import InvalidName
from matih_schemas.identity import check_tenant

if TYPE_CHECKING:
    from pathlib import Path

    from matih_api.guard.settings import QuotaSettings

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 1.0
"""Seconds between two looks at the file."""
BURST_SECONDS: Final = 2.0
"""A burst that is not given is this many seconds' worth."""


@dataclass(frozen=True)
class Limits:
    """What one tenant may do in one process; `bytes_per_day` on the whole host. 0: no limit."""

    requests: Rate
    events: Rate
    bytes_per_day: int


class Override(BaseModel):
    """What the file says of one tenant; what it leaves out is as for all."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests_per_second: float | None = Field(default=None, ge=0)
    requests_burst: float | None = Field(default=None, ge=0)
    events_per_second: float | None = Field(default=None, ge=0)
    events_burst: float | None = Field(default=None, ge=0)
    bytes_per_day: int | None = Field(default=None, ge=0)


def limits(settings: QuotaSettings, override: Override, processes: int) -> Limits:
    """The limits of a tenant: the rates are shared evenly by the processes."""

    def chosen(name: str) -> Any:
        own = getattr(override, name)
        return getattr(settings, name) if own is None else own

    def rate(kind: str) -> Rate:
        per_second = chosen(f"{kind}_per_second") / processes
        own_burst = getattr(override, f"{kind}_burst")
        given = getattr(settings, f"{kind}_burst") if getattr(override, f"{kind}_per_second") is None else 0
        burst = (given if own_burst is None else own_burst) / processes
        return Rate(per_second, max(1.0, burst or per_second * BURST_SECONDS))

    return Limits(rate("requests"), rate("events"), chosen("bytes_per_day"))


def read_overrides(path: Path) -> dict[str, Override]:
    """What the file says.

    Raises:
        InvalidSettings: it can't be read, or is not {tenant: {quota: value}}.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {check_tenant(tenant): Override.model_validate(body) for tenant, body in found.items()}
    except OSError as error:
        raise InvalidSettings(f"MATIH_API_QUOTAS_FILE {path}: {error.strerror}") from error
    except (ValueError, AttributeError, InvalidName, ValidationError) as error:
        raise InvalidSettings(f"MATIH_API_QUOTAS_FILE {path}: {_first_line(error)}") from error


class Overrides:
    """The limits of every tenant, as the file has them now. A file that became wrong is told, the old values hold."""

    def __init__(self, settings: QuotaSettings, processes: int) -> None:
        """Reads the file.

        Raises:
            InvalidSettings: the file is wrong from the beginning.
        """
        self._settings = settings
        self._processes = processes
        self._default = limits(settings, Override(), processes)
        self._path = settings.quotas_file
        self._seen = self._mark()
        self._looked = float("-inf")
        self._own = self._read() if self._path else {}

    def of(self, tenant: str, now: float) -> Limits:
        """A tenant's limits; `now` is in seconds of any clock that goes forward."""
        if self._path and now - self._looked >= LOOK_SECONDS:
            self._looked = now
            self._look()
        return self._own.get(tenant, self._default)

    def _look(self) -> None:
        mark = self._mark()
        if mark == self._seen:
            return
        self._seen = mark
        try:
            self._own = self._read()
        except InvalidSettings as error:
            logger.warning("%s; the quotas stay as they were", error)

    def _read(self) -> dict[str, Limits]:
        if self._path is None:
            return {}
        found = read_overrides(self._path)
        return {tenant: limits(self._settings, override, self._processes) for tenant, override in found.items()}

    def _mark(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat() if self._path else None
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_size, found.st_ino) if found else None


def _first_line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        item = error.errors()[0]
        return f"{'.'.join(map(str, item['loc']))}: {item['msg']}"
    return f"it has to be a JSON object of tenants: {str(error).splitlines()[0]}"
