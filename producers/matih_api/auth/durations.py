"""How long something is good, as people write it."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

from matih_schemas.errors import MatihError

_UNITS: Final = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_DURATION: Final = re.compile(r"(\d{1,5})([hdw])", re.ASCII)


class InvalidDuration(MatihError, ValueError):
    """It is no duration; the message says how one is written."""


def duration(text: str) -> timedelta:
    """The duration of `12h`, `90d` or `4w`.

    Raises:
        InvalidDuration: it is written differently, or is nothing.
    """
    found = _DURATION.fullmatch(text.strip().lower())
    length = int(found[1]) * _UNITS[found[2]] if found else timedelta()
    if not length:
        raise InvalidDuration(f"{text[:40]!r} is no time to expire after: write hours, days or weeks: 12h, 90d, 4w")
    return length
