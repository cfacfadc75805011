"""How often a journal is looked at: soon while it grows, ever more seldom while it is quiet. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

SOONEST: Final = 0.005
LATEST: Final = 1.0
"""Seconds between two looks."""
_SHARE: Final = 0.1
"""The next look comes after this share of the quiet so far: an entry waits for a tenth of the time since the last."""

_TOGETHER: Final = 0.05
"""Quiet journals are looked at in common moments, so that hundreds of them wake the shipper no more often than one."""


def window(journals: int) -> float:
    """Seconds that entries wait for company: longer with many open journals, as each of their events would be small."""
    return min(0.3, 0.02 + 0.0005 * journals)


@dataclass(slots=True)
class Pace:
    """The pace of one journal.

    Attributes:
        at: the moment to look next.
    """

    at: float = 0.0
    _grown: float | None = None

    def found(self, now: float, *, more: bool) -> None:
        """It has grown; `more` if there is probably more to be read at once."""
        self._grown = now
        self.at = now if more else now + SOONEST

    def quiet(self, now: float) -> None:
        """It has not grown."""
        if self._grown is None:
            self._grown = now
        pause = min(LATEST, max(SOONEST, _SHARE * (now - self._grown)))
        self.at = now + pause if pause < _TOGETHER else math.ceil((now + pause) / _TOGETHER) * _TOGETHER

    def hurry(self) -> None:
        """Somebody waits for what is in it."""
        self.at = 0.0
