"""Moments as people write them: a date, a date with a time, or how long ago. Pure."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

from matih_schemas.errors import MatihError

_AGO: Final = re.compile(r"(\d{1,6})([smhdw])")
_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class InvalidMoment(MatihError):
    """A text that is no moment."""


def moment(text: str, now: datetime) -> int:
    """Ms since the epoch of `2026-01-31`, `2026-01-31T08:00`, `2026-01-31T08:00+01:00`, or `30m`, `2h`, `3d`, `1w` ago.

    A time without a zone is in that of `now`.

    Raises:
        InvalidMoment: the text is none of these.
    """
    ago = _AGO.fullmatch(text)
    if ago:
        return _ms(now - timedelta(**{_UNITS[ago[2]]: int(ago[1])}))
    try:
        found = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as error:
        raise InvalidMoment(f"{text!r} is no moment: write 2026-01-31, 2026-01-31T08:00Z, or 2h, 3d ago") from error
    return _ms(found if found.tzinfo else found.replace(tzinfo=now.tzinfo))


def _ms(when: datetime) -> int:
    return round(when.timestamp() * 1000)
