"""From what a request says to events: pure, but for the numbers that a process counts its entries with."""

from __future__ import annotations

import math
import socket
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from uuid import UUID, uuid4

from matih_schemas import events
from matih_schemas.clock import now_ms
from matih_schemas.events import EntryGroup, Pair, TrackingEvent
from matih_schemas.identity import new_producer_id
from matih_schemas.limits import EVENT_MAX_BYTES, METRICS_PER_EVENT
from matih_schemas.tags import is_own

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from matih_api.pending.keys import RequestKey
    from matih_api.pending.pendings import RunFacts
    from matih_tracking.reading.views import ExperimentView

_DISTRIBUTION: Final = "matih-tracking"
_PIECE_BYTES: Final = EVENT_MAX_BYTES // 2  # texts may take more bytes than characters


class Numbers:
    """This process as a producer: its entries are counted through, for all runs together.

    The numbers of one run rise, and that is all that is asked of them; gaps say nothing.
    """

    def __init__(self) -> None:
        self.producer_id = new_producer_id()
        self._next = 0

    def take(self, count: int = 1) -> int:
        """The first of so many numbers."""
        first, self._next = self._next, self._next + count
        return first


@dataclass(frozen=True)
class Author:
    """Who writes, for which tenant.

    Attributes:
        actor: the authenticated principal; None in open mode.
        key: of a request that must happen once: its ids come of it.
        now: ms since the epoch.
    """

    tenant_id: str
    actor: str | None = None
    key: RequestKey | None = None
    now: int = field(default_factory=now_ms)

    def id(self, kind: str) -> UUID:
        """A new id, or the one that every repetition of the request has."""
        return self.key.id(kind) if self.key is not None else uuid4()

    def event(self, payload: events.Payload, kind: str = "event", occurred_at: int | None = None) -> TrackingEvent:
        """The event; `kind` tells the events of one request apart."""
        return TrackingEvent(
            event_id=str(self.id(kind)),
            tenant_id=self.tenant_id,
            occurred_at=self.now if occurred_at is None else occurred_at,
            payload=payload,
            actor=self.actor,
            host=_host(),
            sdk_version=_release(),
        )


class LoggedMetric(NamedTuple):
    """A metric of a request; timestamp in ms since the epoch."""

    key: str
    value: float
    step: int
    timestamp: int


def run_created(
    author: Author,
    numbers: Numbers,
    run_id: str,
    experiment: ExperimentView,
    name: str,
    description: str,
    tags: Mapping[str, str],
) -> TrackingEvent:
    """A run begins, with this process as its owner; it makes its experiment if it comes to the worker first."""
    on_its_way = not experiment.mlflow_id
    return author.event(
        events.RunCreated(
            run_id=run_id,
            producer_id=numbers.producer_id,
            sequence=numbers.take(),
            experiment_id=experiment.experiment_id,
            experiment_name=experiment.name,
            run_name=name,
            attempt=author.now,
            owner=True,
            description=description,
            tags=dict(tags),
            experiment_description=experiment.description if on_its_way else "",
            experiment_tags=_given(experiment.tags) if on_its_way else {},
            artifact_location=(experiment.artifact_location or None) if on_its_way else None,
        )
    )


def _given(stored: Mapping[str, str]) -> dict[str, str]:
    """Without the tags that only the worker writes."""
    return {key: value for key, value in stored.items() if not is_own(key)}


def run_ended(author: Author, numbers: Numbers, run: RunFacts, status: events.Status) -> TrackingEvent:
    """The run's end, as somebody says it: above all that was inferred, and below a later one."""
    return author.event(
        events.RunEnded(
            run_id=run.run_id,
            producer_id=numbers.producer_id,
            sequence=numbers.take(),
            status=status,
            attempt=author.now if run.attempt is None else run.attempt,
            owner=True,
            end_time=author.now,
        )
    )


def run_logged(
    author: Author,
    numbers: Numbers,
    run_id: str,
    metrics: Sequence[LoggedMetric] = (),
    params: Sequence[tuple[str, str]] = (),
    tags: Sequence[tuple[str, str]] = (),
) -> list[TrackingEvent]:
    """What was logged, in as many events as it takes: at most 1 000 metrics and 512 KiB each."""
    groups = [*_metric_groups(metrics), *_pair_groups(author.now, params, tags)]
    found = []
    for number, group in enumerate(groups):
        group.producer_id, group.first_sequence = numbers.producer_id, numbers.take(len(group.shape))
        found.append(author.event(events.RunLogged(run_id, [group]), f"logged-{number}"))
    return found


def _metric_groups(metrics: Sequence[LoggedMetric]) -> Iterator[EntryGroup]:
    for start in range(0, len(metrics), METRICS_PER_EVENT):
        yield _metric_group(metrics[start : start + METRICS_PER_EVENT])


def _metric_group(metrics: Iterable[LoggedMetric]) -> EntryGroup:
    """One entry for consecutive metrics of one step and time with different keys."""
    group = EntryGroup("", 0)
    shapes: dict[tuple[str, ...], int] = {}
    for keys, values, step, timestamp in _entries(metrics):
        group.shape.append(shapes.setdefault(keys, len(shapes)))
        group.value += values
        group.step.append(step)
        group.time.append(timestamp)
    group.shapes = [list(keys) for keys in shapes]
    return group


def _entries(metrics: Iterable[LoggedMetric]) -> Iterator[tuple[tuple[str, ...], list[float], int, int]]:
    entry: dict[str, float] = {}
    place: tuple[int, int] | None = None
    for metric in metrics:
        if entry and ((metric.step, metric.timestamp) != place or metric.key in entry):
            assert place is not None
            yield tuple(entry), list(entry.values()), *place
            entry = {}
        place = metric.step, metric.timestamp
        entry[metric.key] = metric.value
    if entry and place is not None:
        yield tuple(entry), list(entry.values()), *place


def _pair_groups(now: int, params: Sequence[tuple[str, str]], tags: Sequence[tuple[str, str]]) -> Iterator[EntryGroup]:
    pairs = [("params", pair) for pair in params] + [("tags", pair) for pair in tags]
    size, group = 0, _empty(now)
    for kind, (key, value) in pairs:
        if size and size + len(key) + len(value) > _PIECE_BYTES // 4:
            yield group
            size, group = 0, _empty(now)
        getattr(group, kind).append(Pair(0, key, value))
        size += len(key) + len(value)
    if size or pairs:
        yield group


def _empty(now: int) -> EntryGroup:
    """One entry without metrics."""
    return EntryGroup("", 0, shapes=[[]], shape=[0], time=[now], step=[0])


def text(value: Any) -> str:
    """A tag's or param's value as it is stored: MLflow's str(); NaN and infinities as JSON's users write them."""
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    return str(value)


@lru_cache(maxsize=1)
def _host() -> str:
    return socket.gethostname()


@lru_cache(maxsize=1)
def _release() -> str:
    return version(_DISTRIBUTION)
