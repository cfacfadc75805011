"""What MLflow takes, item by item: what it does not take is left out of an event and told, the rest applies."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from matih_schemas.checks import location_problem, tag_problem
from matih_schemas.errors import InvalidEvent
from matih_schemas.limits import EXPERIMENT_TAG_VALUE_MAX, TAG_VALUE_MAX

if TYPE_CHECKING:
    from collections.abc import Iterator

_IDENTIFIER = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,63}")
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


def kept_value(key: str, value: str, limit: int, problems: Problems, where: str) -> str:
    """As much of a param's or a run's tag's value as MLflow keeps; what is cut off is told."""
    if len(value) > limit:
        problems.add(
            f"{where}: the value of {key[:_SHOWN_MAX]!r} has {len(value)} characters: the first {limit} are kept"
        )
    return value[:limit]


def kept_tags(given: dict[str, str], problems: Problems, where: str) -> dict[str, str]:
    """A run's tags that can be stored, as long as MLflow keeps them; what is left out is told."""
    return {key: kept_value(key, given[key], TAG_VALUE_MAX, problems, where) for key in _good(given, problems, where)}


def kept_experiment_tags(given: dict[str, str], problems: Problems) -> dict[str, str]:
    """An experiment's tags that can be stored: MLflow refuses what is too long there; the others are told."""
    return {key: given[key] for key in _good(given, problems, "experiment", EXPERIMENT_TAG_VALUE_MAX)}


def _good(given: dict[str, str], problems: Problems, where: str, limit: int | None = None) -> Iterator[str]:
    """The keys of the tags that can be stored."""
    for key, value in given.items():
        problem = tag_problem(key, value, limit or len(value))
        if problem is None:
            yield key
        else:
            problems.add(f"{where}: {problem}")


def kept_location(location: str | None, problems: Problems) -> str | None:
    """The artifact location if MLflow takes it; else None, and told."""
    if location is None:
        return None
    problem = location_problem(location)
    if problem is not None:
        problems.add(f"{problem}: the server's own is used")
        return None
    return location


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
