"""What the commands of `matih audit` print for people: moments, and rows under a head."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING

from matih_console.output import console

if TYPE_CHECKING:
    from collections.abc import Sequence


def moment(ms: int | None) -> str:
    """The moment, from ms since the epoch, in UTC; `-` for none."""
    if ms is None:
        return "-"
    return datetime.fromtimestamp(ms / 1000, timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def print_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints the rows under their head, each column as wide as it has to be; nothing if there are none."""
    texts = [[str(cell) for cell in row] for row in (head, *rows)] if rows else []
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        console.print(line.rstrip(), soft_wrap=True, markup=False)
