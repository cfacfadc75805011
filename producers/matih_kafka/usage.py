"""What was written, by tenant or kind: exact figures, counted from the events topic's own records."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from matih_schemas.tenant_labels import UNKNOWN, TenantLabels

if TYPE_CHECKING:
    from collections.abc import Iterable

TENANTS_MAX: Final = 1_000_000
_TYPE: Final = "ce_type"


@dataclass
class Amount:
    """So many records, and the bytes of their values, before compression."""

    records: int = 0
    bytes: int = 0

    def add(self, records: int, size: int) -> None:
        """More of them."""
        self.records += records
        self.bytes += size


class Usage:
    """A tally by tenant and kind: pure. Whose a record is says its key, what it is its header `ce_type`."""

    def __init__(self) -> None:
        self._labels = TenantLabels(TENANTS_MAX)
        self._amounts: dict[tuple[str, str], Amount] = defaultdict(Amount)
        self.total = Amount()

    def count(self, key: bytes | None, headers: Iterable[tuple[str, bytes]], size: int) -> None:
        """One record, with the bytes of its value."""
        self._amounts[self._labels.of_key(key), kind_of(headers)].add(1, size)
        self.total.add(1, size)

    def by_tenant(self) -> list[tuple[str, Amount, dict[str, Amount]]]:
        """Each tenant with its sum, and that by kind; whoever wrote most bytes first."""
        return self._grouped(0)

    def by_kind(self) -> list[tuple[str, Amount, dict[str, Amount]]]:
        """Each kind with its sum, and that by tenant; what has most bytes first."""
        return self._grouped(1)

    def _grouped(self, by: int) -> list[tuple[str, Amount, dict[str, Amount]]]:
        groups: dict[str, dict[str, Amount]] = defaultdict(dict)
        for names, amount in self._amounts.items():
            groups[names[by]][names[1 - by]] = amount
        rows = [(name, _sum(parts.values()), _ordered(parts)) for name, parts in groups.items()]
        return sorted(rows, key=lambda row: (-row[1].bytes, row[0]))


def kind_of(headers: Iterable[tuple[str, bytes]]) -> str:
    """The event's kind, `RunLogged`; `(unknown)` if no header says it."""
    found = next((value for name, value in headers if name == _TYPE), b"")
    return found.decode("utf-8", "replace").rpartition(".")[2] or UNKNOWN


def _sum(amounts: Iterable[Amount]) -> Amount:
    total = Amount()
    for amount in amounts:
        total.add(amount.records, amount.bytes)
    return total


def _ordered(parts: dict[str, Amount]) -> dict[str, Amount]:
    return dict(sorted(parts.items(), key=lambda item: (-item[1].bytes, item[0])))
