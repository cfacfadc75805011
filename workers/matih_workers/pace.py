"""How many points at once: fewer after the store was too slow for them, more again while it keeps up; and how often."""

from __future__ import annotations

from typing import Final

_GROWTH: Final = 10
"""A batch that was as large as it may be and passed in time lets the next one be larger by a tenth."""

REST: Final = 2.0
"""Times the last batch. What comes meanwhile shares a transaction, which takes as long for one event as for 50."""
REST_MAX: Final = 0.05
"""Seconds."""


def rest_after(took: float) -> float:
    """Seconds to wait before the next batch where there is no backlog, after one that took so many seconds."""
    return min(REST_MAX, REST * took)


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
