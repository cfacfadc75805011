"""A moment as an option of a command."""

from __future__ import annotations

from datetime import datetime, timezone

from matih_console.errors import WrongUse
from matih_workers.moments import InvalidMoment, moment


def moment_option(option: str, text: str | None) -> int | None:
    """Ms since the epoch of what was given, in UTC where it names no zone; None for nothing.

    Args:
        option: its name, for the message.
        text: as `moment` takes it.

    Raises:
        WrongUse: the text is no moment.
    """
    try:
        return None if text is None else moment(text, datetime.now(timezone.utc))
    except InvalidMoment as error:
        raise WrongUse(f"{option}: {error}") from error
