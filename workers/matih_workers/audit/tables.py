"""What the commands of `matih audit` print for people: moments, people, and rows under a head."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matih_console.output import console
from matih_schemas.rfc3339 import rfc3339

if TYPE_CHECKING:
    from collections.abc import Sequence


def moment(ms: int | None) -> str:
    """The moment, from ms since the epoch, in UTC; `-` for none."""
    return "-" if ms is None else rfc3339(ms)


def who(actor: str | None, claimed_user: str | None) -> str:
    """Who did something: who is authenticated, else who somebody says to be."""
    return actor or (f"{claimed_user} (as it says itself)" if claimed_user else "nobody named")


def print_table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Prints the rows under their head, each column as wide as it has to be; nothing if there are none."""
    texts = [[str(cell) for cell in row] for row in (head, *rows)] if rows else []
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    for row in texts:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        console.print(line.rstrip(), soft_wrap=True, markup=False)
