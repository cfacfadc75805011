"""What MLflow takes of keys, values and places: the same for whoever sends it and for whoever applies it. Pure."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from matih_schemas import tags
from matih_schemas.limits import KEY_MAX, TAG_VALUE_MAX

ARTIFACT_LOCATION_MAX: Final = 157

_KEY = re.compile(r"[/\w.\- :]+")
_LOCATION = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*:|/)[^\x00-\x1f#?]+")
_SHOWN_MAX: Final = 80


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


def tag_problem(key: str, value: str, limit: int = TAG_VALUE_MAX) -> str | None:
    """Why a producer's tag can't be stored, None if it can."""
    if tags.is_own(key):
        return f"tag {key!r} is the system's own"
    return key_problem(key) or value_problem(key, value, limit)


def location_problem(location: str) -> str | None:
    """Why MLflow refuses the place of artifacts, None if it takes it."""
    if len(location) <= ARTIFACT_LOCATION_MAX and _LOCATION.fullmatch(location) and "/.." not in location:
        return None
    return f"artifact location {location[:_SHOWN_MAX]!r} is none that MLflow takes"
