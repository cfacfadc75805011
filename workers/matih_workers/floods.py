"""What a flood of events that fail by themselves may cost the others. Pure but for the clock.

One such event is tried several times, with pauses, for its error may pass. If the last few that failed alike were never
helped by that, the next ones get a single try. And so that others come between, fewer events go together.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

KNOWN_AFTER: Final = 3
"""So many events that failed alike, and all for good, make a kind of failure known."""
FORGOTTEN_AFTER: Final = 60.0
"""Seconds without another one, after which it is not known any more."""
_FEWER, _MORE = 4, 2
_HEAD: Final = 40
Kind = tuple[str, ...]


class Floods:
    """What is known of the failures so far.

    Attributes:
        events: so many events may go together now.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing has failed; `most` events go together."""
        self.events = most
        self._most = most
        self._clock = clock
        self._kinds: dict[Kind, tuple[int, float]] = {}

    def poisoned(self, error: Exception) -> None:
        """An event failed with this for good."""
        now, this = self._clock(), kind_of(error)
        self._kinds = {kind: seen for kind, seen in self._kinds.items() if now - seen[1] < FORGOTTEN_AFTER}
        self._kinds[this] = (self._kinds.get(this, (0, now))[0] + 1, now)
        self.events = max(1, self.events // _FEWER)

    def passed(self, events: int, failed_before: Exception | None = None) -> None:
        """So many passed together, perhaps after they had failed with this."""
        if failed_before is not None:
            self._kinds.pop(kind_of(failed_before), None)
        if events >= self.events:
            self.events = min(self._most, self.events * _MORE)

    def is_known(self, error: Exception) -> bool:
        """Whether another try has helped none of the last ones that failed like this."""
        number, at = self._kinds.get(kind_of(error), (0, 0.0))
        return number >= KNOWN_AFTER and self._clock() - at < FORGOTTEN_AFTER


def kind_of(error: Exception) -> Kind:
    """What failures have in common that have one reason: the types of an error and its causes, and how it begins."""
    types: list[str] = []
    link = error.__cause__
    while isinstance(link, Exception) and len(types) < _HEAD:
        types.append(type(link).__qualname__)
        link = link.__cause__
    return (type(error).__qualname__, *types, str(error)[:_HEAD])
