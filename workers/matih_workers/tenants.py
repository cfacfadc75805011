"""Whose events these are, by their keys: pure."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from matih_schemas.tenant_labels import OTHER, TENANTS_MAX, UNKNOWN, TenantLabels

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matih_workers.records import Received

__all__ = ["OTHER", "TENANTS_MAX", "UNKNOWN", "Tenants"]


class Tenants:
    """Names for counters: the first `TENANTS_MAX` tenants have their own, the rest is `(other)`."""

    def __init__(self) -> None:
        self._labels = TenantLabels()

    def label(self, key: bytes | None) -> str:
        """The tenant in a record's key; `(unknown)` if there can be none of that name."""
        return self._labels.of_key(key)

    def counted(self, records: Iterable[Received]) -> dict[str, tuple[int, int]]:
        """Events and bytes by tenant."""
        found: dict[str, list[int]] = defaultdict(lambda: [0, 0])
        for record in records:
            of = found[self.label(record.key)]
            of[0] += 1
            of[1] += len(record.value or b"")
        return {tenant: (events, size) for tenant, (events, size) in found.items()}
