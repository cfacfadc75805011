"""Tenants' names for counters, with a bound on how many are told apart: pure."""

from __future__ import annotations

from typing import Final

from matih_schemas.errors import InvalidName
from matih_schemas.identity import check_tenant

TENANTS_MAX: Final = 1000
"""Tenants with counters of their own: garbage in names must not fill the memory."""
OTHER: Final = "(other)"
UNKNOWN: Final = "(unknown)"


class TenantLabels:
    """The first `most` tenants have a name of their own, the rest is `(other)`."""

    def __init__(self, most: int = TENANTS_MAX) -> None:
        self._most = most
        self._known: set[str] = set()

    def label(self, tenant: str) -> str:
        """The tenant's name; `(unknown)` if there can be none of that name."""
        if tenant in self._known:
            return tenant
        try:
            check_tenant(tenant)
        except InvalidName:
            return UNKNOWN
        if len(self._known) >= self._most:
            return OTHER
        self._known.add(tenant)
        return tenant

    def of_key(self, key: bytes | None) -> str:
        """The tenant in a record's key."""
        tenant, slash, _ = (key or b"").decode("utf-8", "replace").partition("/")
        return self.label(tenant if slash else "")
