"""A bound on how fast events are delivered or replayed beside live ones: pure, without a clock."""

from __future__ import annotations

from typing import Final

TURN_SECONDS: Final = 0.1
"""How long the events of one batch may take at the rate: so a batch holds the rows of live runs that briefly."""


class Rate:
    """Says when the next ones may go, by the time of the caller's clock in seconds.

    Attributes:
        at: when they may.
    """

    def __init__(self, per_second: float | None) -> None:
        """So many a second on average; None: as many as there are."""
        self._rate = per_second
        self.at = 0.0

    def together(self, most: int) -> int:
        """How many may go at once, of at most so many."""
        return most if self._rate is None else max(1, min(most, int(self._rate * TURN_SECONDS)))

    def took(self, count: int, now: float) -> None:
        """So many go: the next ones may when these have had their time."""
        if self._rate is not None:
            self.at = max(self.at, now) + count / self._rate

    def wait(self, count: int, now: float) -> float:
        """Seconds to wait before so many; they count as gone then."""
        seconds = max(0.0, self.at - now)
        self.took(count, now)
        return seconds
