"""How many points at once: fewer after the store was too slow for them, more again while it keeps up."""

from __future__ import annotations

from typing import Final

_GROWTH: Final = 10
"""A batch that was as large as it may be and passed in time lets the next one be larger by a tenth."""


class Pace:
    """The bound on the points of a batch.

    Attributes:
        points: it, now.
    """

    def __init__(self, most: int) -> None:
        self.points = most
        self._most = most

    def too_slow(self, points: int) -> None:
        """So many took too long: half of them next time."""
        self.points = max(1, min(self.points, points) // 2)

    def kept_up(self, points: int) -> None:
        """So many were applied in time; fewer than the bound say nothing about it (as in RFC 7661 for TCP)."""
        if points >= self.points:
            self.points = min(self._most, self.points + max(1, self.points // _GROWTH))
