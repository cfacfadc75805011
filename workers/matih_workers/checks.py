"""What MLflow takes, item by item: what it does not take is left out of an event and told, the rest applies."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from matih_schemas import tags
from matih_schemas.errors import InvalidEvent
from matih_schemas.limits import KEY_MAX, TAG_VALUE_MAX

ARTIFACT_LOCATION_MAX: Final = 157

_KEY = re.compile(r"[/\w.\- :]+")
_IDENTIFIER = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,63}")
_LOCATION = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:|/)[^\x00-\x1f#?]+")
_SHOWN_MAX: Final = 80


class Problems:
    """Collects what was left out, in words; keeps the first few and the number of all."""

    KEPT: Final = 20

    def __init__(self) -> None:
        self._kept: list[str] = []
        self._count = 0

    def add(self, problem: str) -> None:
        """Notes one thing that was left out."""
        self._count += 1
        if len(self._kept) < self.KEPT:
            self._kept.append(problem)

    def all(self) -> tuple[str, ...]:
        """The problems; the last says how many more there were."""
        more = self._count - len(self._kept)
        return (*self._kept, f"and {more} more") if more else tuple(self._kept)


@lru_cache(maxsize=8192)
def key_problem(key: str) -> str | None:
    """Why MLflow refuses the key, None if it takes it."""
    if len(key) > KEY_MAX:
        return f"key {key[:_SHOWN_MAX]!r}... has {len(key)} characters, more than {KEY_MAX}"
    parts = key.split("/")
    if not _KEY.fullmatch(key) or any(part in {"", ".", ".."} for part in parts) or key.startswith(".."):
        return f"key {key[:_SHOWN_MAX]!r} is none that MLflow takes"
    return None


def value_problem(key: str, value: str, limit: int) -> str | None:
    """Why a param's or tag's value can't be stored as it is, None if it can."""
    if "\x00" in value:
        return f"the value of {key!r} holds NUL"
    if len(value) > limit:
        return f"the value of {key!r} has {len(value)} characters, more than {limit}"
    return None


def tag_problem(key: str, value: str) -> str | None:
    """Why a producer's tag can't be stored, None if it can."""
    if tags.is_own(key):
        return f"tag {key!r} is the system's own"
    return key_problem(key) or value_problem(key, value, TAG_VALUE_MAX)


def kept_tags(given: dict[str, str], problems: Problems, where: str) -> dict[str, str]:
    """The tags that can be stored; the others are told."""
    kept = {}
    for key, value in given.items():
        problem = tag_problem(key, value)
        if problem is None:
            kept[key] = value
        else:
            problems.add(f"{where}: {problem}")
    return kept


def kept_location(location: str | None, problems: Problems) -> str | None:
    """The artifact location if MLflow takes it; else None, and told."""
    if location is None:
        return None
    if len(location) <= ARTIFACT_LOCATION_MAX and _LOCATION.fullmatch(location) and "/.." not in location:
        return location
    problems.add(f"artifact location {location[:_SHOWN_MAX]!r} is none that MLflow takes: the server's own is used")
    return None


def check_identifier(identifier: str, what: str) -> str:
    """Returns the id if it can stand in a tag's key and in a filter of MLflow's.

    Raises:
        InvalidEvent: it can't.
    """
    if not _IDENTIFIER.fullmatch(identifier):
        raise InvalidEvent(
            "malformed", f"{what} {identifier[:_SHOWN_MAX]!r}: an id is 1 to 64 letters, digits, '-', '_'"
        )
    return identifier
