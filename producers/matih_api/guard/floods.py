"""A bound on log lines: what is above it is counted, and the count is told with the next line."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from matih_api.guard.buckets import Bucket, Rate

if TYPE_CHECKING:
    from collections.abc import Callable


class FloodFilter(logging.Filter):
    """For a handler. Errors have a bound of their own, so that no flood hides them."""

    def __init__(self, lines: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`lines`: per second, and as many at once."""
        super().__init__()
        self._rate = Rate(lines, lines)
        self._monotonic = monotonic
        self._usual = Bucket(lines, monotonic())
        self._errors = Bucket(lines, monotonic())
        self._suppressed = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written; gives it the number of those before it that were not."""
        bucket = self._errors if record.levelno >= logging.ERROR else self._usual
        if bucket.take(1, self._rate, self._monotonic()) > 0:
            self._suppressed += 1
            return False
        if self._suppressed:
            record.suppressed, self._suppressed = self._suppressed, 0
        return True
