"""What aiokafka says to the log: lines without end while Kafka is down. We say it once, and keep its last words."""

from __future__ import annotations

import logging
from typing import Final


class LastWords(logging.Handler):
    """Keeps the last line, and prints none."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.line = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps the record's message."""
        self.line = record.getMessage()


AIOKAFKA: Final = LastWords()
"""Why aiokafka could not connect: its exceptions do not say it."""


def only_errors_of_ours() -> None:
    """Keeps aiokafka's own lines out of the log."""
    logger = logging.getLogger("aiokafka")
    if AIOKAFKA not in logger.handlers:
        logger.addHandler(AIOKAFKA)
        logger.propagate = False
