"""Whose events these are, by their keys, with a bound on how many tenants are told apart: pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from matih_schemas.errors import InvalidName
from matih_schemas.identity import check_tenant

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matih_workers.records import Received

TENANTS_MAX: Final = 1000
"""Tenants with counters of their own: garbage in keys must not fill the memory."""
OTHER: Final = "(other)"
UNKNOWN: Final = "(unknown)"


class Tenants:
    """Names for counters: the first `TENANTS_MAX` tenants have their own, the rest is `(other)`."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def label(self, key: bytes | None) -> str:
        """The tenant in a record's key; `(unknown)` if there can be none of that name."""
        tenant, slash, _ = (key or b"").decode("utf-8", "replace").partition("/")
        if tenant in self._known:
            return tenant
        try:
            check_tenant(tenant if slash else "")
        except InvalidName:
            return UNKNOWN
        if len(self._known) >= TENANTS_MAX:
            return OTHER
        self._known.add(tenant)
        return tenant

    def counted(self, records: Iterable[Received]) -> dict[str, tuple[int, int]]:
        """Events and bytes by tenant."""
        found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for record in records:
            of = found[self.label(record.key)]
            of[0] += 1
            of[1] += len(record.value or b"")
        return {tenant: (events, size) for tenant, (events, size) in found.items()}
