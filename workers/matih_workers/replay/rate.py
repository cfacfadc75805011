"""A bound on how fast events are replayed: pure, without a clock."""

from __future__ import annotations

from typing import Final

TURN_SECONDS: Final = 0.1
"""How long the events of one batch may take at the rate: so a batch holds the rows of live runs that briefly."""


class Rate:
    """Says how long to wait, by the time of the caller's clock in seconds."""

    def __init__(self, events_per_second: float | None) -> None:
        self._rate = events_per_second
        self._free_at = 0.0

    def together(self, most: int) -> int:
        """How many events may be applied at once, of at most so many."""
        return most if self._rate is None else max(1, min(most, int(self._rate * TURN_SECONDS)))

    def wait(self, events: int, now: float) -> float:
        """Seconds to wait before so many events; they count as applied then."""
        if self._rate is None:
            return 0.0
        begin = max(now, self._free_at)
        self._free_at = begin + events / self._rate
        return begin - now
