"""The share of dead letters among the last events: pure, bounded memory, no clock."""

from __future__ import annotations

from collections import deque
from typing import Final

WINDOW_EVENTS: Final = 10_000
"""Events that the share is of, roughly: whole batches leave it."""
LEAST_EVENTS: Final = 100
"""Fewer say nothing."""


class Share:
    """Counts batches; forgets them when `WINDOW_EVENTS` newer events came."""

    def __init__(self) -> None:
        self._batches: deque[tuple[int, int]] = deque()
        self._events = 0
        self._dead = 0

    def add(self, events: int, dead: int) -> None:
        """A batch was settled, with so many dead letters among its events."""
        self._batches.append((events, dead))
        self._events += events
        self._dead += dead
        while self._events - self._batches[0][0] >= WINDOW_EVENTS:
            first_events, first_dead = self._batches.popleft()
            self._events -= first_events
            self._dead -= first_dead

    @property
    def value(self) -> float:
        """From 0 to 1; 0 while too few events were seen."""
        return min(1.0, self._dead / self._events) if self._events >= LEAST_EVENTS else 0.0
