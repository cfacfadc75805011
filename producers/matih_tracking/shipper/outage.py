"""One line when Kafka is lost, one now and then, one when it is back."""

from __future__ import annotations

import logging
from typing import Final

REMIND_SECONDS: Final = 600.0
_log = logging.getLogger(__name__)


class Outage:
    """Remembers whether Kafka is away, and says so once.

    Attributes:
        reason: why nothing is delivered now; None while all is well.
        last_error: the reason of the last outage, over or not.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self.last_error: str | None = None
        self._since = 0.0
        self._said = 0.0

    def lost(self, reason: str, now: float) -> None:
        """Kafka did not take it."""
        if self.reason is None:
            self._since = now
        if self.reason is None or now - self._said >= REMIND_SECONDS:
            self._said = now
            _log.warning("nothing is delivered, all is kept on disk, trying again: %s", reason)
        self.reason = self.last_error = reason

    def over(self, now: float) -> None:
        """Kafka takes it."""
        if self.reason is not None:
            _log.warning("delivering again, after %.0f s", now - self._since)
        self.reason = None
