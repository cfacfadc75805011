"""What the SDK says to people: warnings by `logging`, and the two lines about where the data goes on stderr."""

from __future__ import annotations

import os
import sys
from typing import Final

LOGGER: Final = "matih_tracking"


def warn(message: str) -> None:
    """One warning, through the logger `matih_tracking`; on stderr where nobody has configured logging."""
    import logging  # most runs never warn

    logging.getLogger(LOGGER).warning("matih: %s", message)


def say(line: str) -> None:
    """One line on stderr."""
    if sys.stderr is None:  # no console, as under pythonw
        return
    try:
        print(f"matih: {line}", file=sys.stderr, flush=True)
    except (OSError, ValueError):
        return  # closed, full or gone: nobody is left to read it


def say_from_signal_handler(line: str) -> None:
    """One line on stderr, past its buffer, which the interrupted code may be writing to."""
    try:
        os.write(2, f"matih: {line}\n".encode())
    except OSError:
        return  # closed: nobody is left to read it
