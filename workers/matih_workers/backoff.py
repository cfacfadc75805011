"""Waiting longer and longer between tries, never two workers in step."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Backoff:
    """Seconds to wait before the next try: twice as long each time, up to a limit, with jitter."""

    def __init__(self, first: float, limit: float, jitter: Callable[[], float] = random.random) -> None:
        """Begins with `first` seconds and never exceeds `limit`; `jitter` gives numbers from 0 to 1."""
        self._first = first
        self._limit = limit
        self._jitter = jitter
        self.tries = 0

    def next(self, at_least: float | None = None) -> float:
        """The next wait: between half of it and all of it, and at least what the other side asked for."""
        full = min(self._limit, self._first * 2.0 ** min(self.tries, 30))
        self.tries += 1
        return max(full * (0.5 + self._jitter() / 2), at_least or 0.0)

    def reset(self) -> None:
        """Begins anew, after a success."""
        self.tries = 0
