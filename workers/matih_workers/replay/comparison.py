"""Two MLflows compared, run by run and experiment by experiment, by our ids: pure.

The old one is what people see, the new one what the events say. They differ by design in MLflow's own ids, in where
artifacts are, in the times of its own clock, in names that it invents, and in what the system writes to find things.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, Literal

from matih_schemas import tags
from matih_schemas.errors import MatihError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Point = tuple[str, str, int, int]
"""Key, value as text, timestamp in ms since the epoch, step."""
Cause = Literal["difference", "edited in MLflow", "in the old one only"]
"""Whether events say otherwise, or people did it; or only the events can tell which of the two (see `settled`)."""

DIFFERENCE: Final[Cause] = "difference"
EDITED: Final[Cause] = "edited in MLflow"
OLD_ONLY: Final[Cause] = "in the old one only"
POINTS_MAX: Final = 1000
_PARENT: Final = "mlflow.parentRunId"
_NAME: Final = "mlflow.runName"
_INVENTED: Final = re.compile(r"run-[0-9A-Za-z_-]{1,8}|[a-z]+-[a-z]+-\d{1,4}")
_COMPARED: Final = (tags.TENANT_ID, tags.USER_ID, tags.JOB_ID, tags.PARENT_RUN_ID, tags.RUN_NAME, tags.END_REASON)


class NotReadable(MatihError):
    """One of the two MLflows can't be read."""


@dataclass
class RunSeen:
    """A run as MLflow's API shows it.

    Attributes:
        experiment: our id of its experiment.
        start_time, end_time: ms since the epoch.
        parent: our id of the parent in MLflow's own tag, or MLflow's if that run is not ours.
    """

    experiment: str
    name: str
    status: str
    start_time: int
    end_time: int | None
    deleted: bool
    params: dict[str, str]
    tags: dict[str, str]
    latest: dict[str, str]
    points: set[Point] = field(default_factory=set)
    parent: str | None = None


@dataclass
class ExperimentSeen:
    """An experiment as MLflow's API shows it."""

    name: str
    deleted: bool
    tags: dict[str, str]


@dataclass
class Finding:
    """One thing that differs.

    Attributes:
        points: of a metric those that only one of them has, the first `POINTS_MAX`.
    """

    cause: Cause
    of: str
    what: str
    old: Any
    new: Any
    points: tuple[Point, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """For a report."""
        return {"cause": self.cause, "of": self.of, "what": self.what, "old": self.old, "new": self.new}


def compare_runs(of: str, old: RunSeen, new: RunSeen) -> Iterator[Finding]:
    """What differs between a run and the same rebuilt."""
    behind = _is_behind(old, new)
    edited: Cause = DIFFERENCE if behind else EDITED
    for name in ("experiment", "start_time"):
        yield from _differing(DIFFERENCE, of, name, getattr(old, name), getattr(new, name))
    same_order = old.tags.get(tags.STATUS) == new.tags.get(tags.STATUS)
    yield from _differing(EDITED if same_order else DIFFERENCE, of, "status", old.status, new.status)
    if not old.status == new.status == "RUNNING":  # MLflow's API leaves end_time when a run reopens
        yield from _differing(EDITED if same_order else DIFFERENCE, of, "end_time", old.end_time, new.end_time)
    same_stage = old.tags.get(tags.DELETED, "0") == new.tags.get(tags.DELETED, "0")
    yield from _differing(EDITED if same_stage else DIFFERENCE, of, "deleted", old.deleted, new.deleted)
    if not (_INVENTED.fullmatch(new.name) and _INVENTED.fullmatch(old.name)):
        yield from _differing(edited, of, "name", old.name, new.name)
    yield from _differing(edited, of, "parent", old.parent, new.parent)
    yield from _compare_pairs(of, "param", old.params, new.params, DIFFERENCE)
    yield from _compare_pairs(of, "tag", _of_people(old.tags), _of_people(new.tags), edited)
    yield from _compare_marks(of, old, new)
    yield from _compare_points(of, old, new)


def compare_experiments(
    of: str, old: ExperimentSeen | None, new: ExperimentSeen | None, said: ExperimentSeen | None
) -> Iterator[Finding]:
    """What differs between an experiment and the same rebuilt, of which one may be missing.

    Experiments have no marks: where the rebuilt one is not what the events say, that is a difference, and where it is,
    somebody has edited the old one.

    Args:
        of: which it is, for people.
        old: what people see.
        new: what was rebuilt.
        said: what the events make of it; None if there are none.
    """
    if old is None or new is None:
        yield from whole(of, there=old is not None, absent=EDITED if said is None else DIFFERENCE)
        return
    for name in ("name", "deleted"):
        values = [getattr(one, name) for one in (old, new, said or new)]
        yield from _judged(of, name, *values)
    before, after = _of_people(old.tags), _of_people(new.tags)
    told = after if said is None else _of_people(said.tags)
    for key in sorted(before.keys() | after.keys()):
        yield from _judged(of, f"tag {key}", before.get(key), after.get(key), told.get(key))


def whole(of: str, *, there: bool, absent: Cause) -> Iterator[Finding]:
    """What one of them has not at all.

    Args:
        of: which run or experiment.
        there: the old one has it; what only the rebuilt one has, the old one lacks.
        absent: why the rebuilt one has none.
    """
    yield Finding(absent if there else DIFFERENCE, of, "the whole", *(("there", None) if there else (None, "there")))


def _judged(of: str, what: str, old: Any, new: Any, said: Any) -> Iterator[Finding]:
    """A value of an experiment, by what the events say."""
    yield from _differing(EDITED if new == said else DIFFERENCE, of, what, old, new)


def settled(finding: Finding, events_have_it: bool) -> Finding:
    """A finding of the old one only, once it is known whether there are events of it."""
    cause: Cause = DIFFERENCE if events_have_it else EDITED
    return replace(finding, cause=cause)


def _is_behind(old: RunSeen, new: RunSeen) -> bool:
    """Whether the old one has not applied all that the new one has."""
    before, after = tags.marks(old.tags), tags.marks(new.tags)
    return any(before.get(producer, -1) < mark for producer, mark in after.items())


def _differing(cause: Cause, of: str, what: str, old: Any, new: Any) -> Iterator[Finding]:
    if old != new:
        yield Finding(cause, of, what, old, new)


def _compare_pairs(
    of: str, what: str, old: Mapping[str, str], new: Mapping[str, str], edited: Cause
) -> Iterator[Finding]:
    for key in sorted(old.keys() | new.keys()):
        if key not in new:
            yield Finding(OLD_ONLY, of, f"{what} {key}", old[key], None)
        else:
            yield from _differing(edited, of, f"{what} {key}", old.get(key), new[key])


def _compare_marks(of: str, old: RunSeen, new: RunSeen) -> Iterator[Finding]:
    before, after = tags.marks(old.tags), tags.marks(new.tags)
    for producer in sorted(before.keys() | after.keys()):
        what = f"entries of producer {producer}"
        yield from _differing(DIFFERENCE, of, what, before.get(producer), after.get(producer))
    conflicts = tags.PARAM_CONFLICTS
    yield from _differing(DIFFERENCE, of, f"tag {conflicts}", old.tags.get(conflicts), new.tags.get(conflicts))


def _compare_points(of: str, old: RunSeen, new: RunSeen) -> Iterator[Finding]:
    for key, points in _by_key(new.points - old.points):
        yield Finding(DIFFERENCE, of, f"metric {key}", None, _told(points), points[:POINTS_MAX])
    for key, points in _by_key(old.points - new.points):
        yield Finding(OLD_ONLY, of, f"metric {key}", _told(points), None, points[:POINTS_MAX])
    if old.points == new.points:
        for key in sorted(old.latest.keys() | new.latest.keys()):
            yield from _differing(DIFFERENCE, of, f"latest {key}", old.latest.get(key), new.latest.get(key))


def _by_key(points: set[Point]) -> Iterator[tuple[str, tuple[Point, ...]]]:
    """The points by their metric, each metric's by step and time."""
    ordered = sorted(points, key=lambda point: (point[0], point[3], point[2], point[1]))
    for key, some in groupby(ordered, key=lambda point: point[0]):
        yield key, tuple(some)


def _told(points: tuple[Point, ...]) -> str:
    _, value, _, step = points[0]
    return f"{len(points)} points, the first {value} at step {step}"


def _of_people(stored: Mapping[str, str]) -> dict[str, str]:
    """The tags that events, or people, bring: without those that are for finding things, and MLflow's copies."""
    return {
        key: value
        for key, value in stored.items()
        if key in _COMPARED or not (tags.is_own(key) or key in (_NAME, _PARENT))
    }
