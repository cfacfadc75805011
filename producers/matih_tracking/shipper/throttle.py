"""So many entries a second on average, for what is delivered beside live runs. Pure."""

from __future__ import annotations


class Throttle:
    """Says when the next entries may be read.

    Attributes:
        at: the moment, in seconds of whatever clock `took` is given.
    """

    def __init__(self, entries_per_second: float) -> None:
        """0: no limit."""
        self._rate = entries_per_second
        self.at = 0.0

    def took(self, entries: int, now: float) -> None:
        """So many were read: the next ones wait for as long as these may take."""
        if self._rate:
            self.at = max(self.at, now) + entries / self._rate
