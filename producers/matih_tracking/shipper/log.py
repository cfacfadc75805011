"""The shipper's log: a bounded file in its spool, or the terminal."""

from __future__ import annotations

import logging
import sys
from logging.handlers import RotatingFileHandler
from typing import TYPE_CHECKING, Final

from matih_tracking.shipper.state import LOG_FILE

if TYPE_CHECKING:
    from pathlib import Path

LOG_BYTES: Final = 1 << 20
_FORMAT: Final = "%(asctime)s shipper %(process)d %(levelname)s %(message)s"


def log_to_spool(spool: Path) -> None:
    """Logs into the spool: at most two files of `LOG_BYTES`."""
    _use(RotatingFileHandler(spool / LOG_FILE, maxBytes=LOG_BYTES, backupCount=1, delay=True))


def log_to_terminal() -> None:
    """Logs to stderr."""
    _use(logging.StreamHandler(sys.stderr))


def _use(handler: logging.Handler) -> None:
    handler.setFormatter(logging.Formatter(_FORMAT))
    logger = logging.getLogger(__package__)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
