"""When the offsets of a partition were applied, from a few marks: to the batch for the newest, coarser with age. Pure.

A mark is the offset behind the last that was applied, and when. A store has room for some thirty of them beside a
position. So of two marks that lie close together for their age one goes, and what is left is always true: an event was
applied after one moment and by another.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

MARKS_MAX: Final = 30
Mark = tuple[int, int]
"""The offset behind the last that was applied, and when, in ms since the epoch."""


class Window(NamedTuple):
    """Both in ms since the epoch; `after` is None if it may have been at any time before `by`."""

    after: int | None
    by: int


@dataclass(frozen=True)
class Times:
    """When what was applied.

    Attributes:
        marks: in order, both numbers rising.
        late: offsets (from the first to the one before the second) among which some were applied out of order, to fill
            a gap, and when the last of them were.
    """

    marks: tuple[Mark, ...] = ()
    late: tuple[int, int, int] | None = None

    def advanced(self, end: int, at_ms: int) -> Times:
        """After the offsets up to before `end` were applied."""
        last = self.marks[-1][1] if self.marks else 0
        return replace(self, marks=_thinned((*self.marks, (end, max(at_ms, last)))))

    def filled(self, first: int, end: int, at_ms: int) -> Times:
        """After offsets among these were applied that had been left out."""
        before = self.late or (first, end, at_ms)
        return replace(self, late=(min(first, before[0]), max(end, before[1]), max(at_ms, before[2])))

    def window(self, offset: int) -> Window | None:
        """When an offset that was applied was applied; None if nothing is known of it."""
        number = next((number for number, (end, _) in enumerate(self.marks) if offset < end), None)
        if number is None:
            return None
        after, by = self.marks[number - 1][1] if number else None, self.marks[number][1]
        if self.late is not None and self.late[0] <= offset < self.late[1]:
            by = max(by, self.late[2])
        return Window(after, by)


def _thinned(marks: tuple[Mark, ...]) -> tuple[Mark, ...]:
    if len(marks) <= MARKS_MAX:
        return marks
    now = marks[-1][1]
    dearest = min(range(1, len(marks) - 1), key=lambda number: _loss(marks, number, now))
    return marks[:dearest] + marks[dearest + 1 :]


def _loss(marks: Sequence[Mark], number: int, now: int) -> float:
    """How much wider than its age a window becomes without this mark."""
    before, behind = marks[number - 1][1], marks[number + 1][1]
    return (behind - before) / (now - before + 1)
