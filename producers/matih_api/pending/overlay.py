"""The events that are on the topic and not applied yet, by the experiments and runs they are about: pure, bounded."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, Literal

from matih_api.pending.fold import name_given
from matih_schemas import codec
from matih_schemas.errors import InvalidEvent
from matih_schemas.events import (
    ExperimentCreated,
    ExperimentDeleted,
    ExperimentRestored,
    ExperimentUpdated,
    RunCreated,
    RunDeleted,
    RunEnded,
    RunRestored,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from matih_schemas.events import TrackingEvent

LOGGED: Final = "RunLogged"
OF_EXPERIMENTS: Final = (ExperimentCreated, ExperimentUpdated, ExperimentDeleted, ExperimentRestored, RunCreated)
"""What says something of an experiment."""
_OF_RUNS: Final = (RunCreated, RunEnded, RunDeleted, RunRestored)
_OVERHEAD_BYTES: Final = 600
"""What an event takes in memory besides its value, roughly."""


@dataclass(eq=False, slots=True)
class Pending:
    """One event.

    Attributes:
        tenant_id, object_id: of the record's key.
        ours: an API has acknowledged it: it must be found.
        value: the record's.
        event: what it says; None for points, which are decoded when somebody wants them.
        objects: the ids that it is about.
        time: when it occurred, of points when they were published; ms since the epoch.
    """

    partition: int
    offset: int
    tenant_id: str
    object_id: str
    ours: bool
    value: bytes
    event: TrackingEvent | None = None
    objects: tuple[str, ...] = ()
    time: int = 0

    @property
    def size(self) -> int:
        """Bytes of memory, roughly."""
        return len(self.value) + _OVERHEAD_BYTES

    def read(self) -> TrackingEvent:
        """The event."""
        return self.event if self.event is not None else codec.decode(self.value)


def pending(
    partition: int, offset: int, key: bytes, value: bytes, kind: str, *, ours: bool, time: int = 0
) -> Pending | None:
    """A record as it is kept here; None if it says nothing about experiments and runs.

    Args:
        partition: its place, with the offset.
        offset: see there.
        key: `tenant/id`.
        value: the framed event.
        kind: the payload's name, as the record's headers have it.
        ours: an API has acknowledged it.
        time: the record's.
    """
    tenant, slash, object_id = key.decode(errors="replace").partition("/")
    if not slash:
        return None
    found = Pending(partition, offset, tenant, object_id, ours, value, objects=(object_id,), time=time)
    if kind == LOGGED:
        return found
    try:
        found.event = codec.decode(value)
    except InvalidEvent:
        return None  # a dead letter soon
    found.time = found.event.occurred_at
    payload = found.event.payload
    if isinstance(payload, RunCreated):
        found.objects = (object_id, payload.experiment_id)
    return found


class Overlay:
    """What is pending, in the order of the topic. For one event loop.

    Bounded by `most` bytes: past it points go first (they are seen once they are in MLflow), then what other producers
    than the API have sent; what the API has acknowledged is kept, and `full` says that no more can be.

    Attributes:
        done: by partition the offset before which all is in MLflow; it may be kept here a little longer.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.done: dict[int, int] = {}
        self._objects: dict[str, dict[Pending, None]] = {}
        self._names: dict[tuple[str, str], dict[Pending, None]] = {}
        self._stages: dict[str, dict[Pending, None]] = {}
        self._partitions: dict[int, OrderedDict[Pending, None]] = {}
        self._logged: OrderedDict[Pending, None] = OrderedDict()
        self._others: OrderedDict[Pending, None] = OrderedDict()
        self.bytes = 0
        self._bytes_of_ours = 0

    @property
    def full(self) -> bool:
        """Whether what the API has acknowledged takes all the room: nothing more may be acknowledged."""
        return self._bytes_of_ours >= self.most

    def __len__(self) -> int:
        """How many events are kept."""
        return sum(map(len, self._partitions.values()))

    def holds(self, partition: int) -> bool:
        """Whether any event of the partition is kept."""
        return bool(self._partitions.get(partition))

    def put(self, one: Pending) -> None:
        """Takes an event; those of a partition come in their order."""
        self._partitions.setdefault(one.partition, OrderedDict())[one] = None
        for places, key in self._places(one):
            places.setdefault(key, {})[one] = None
        if not one.ours:
            (self._logged if one.event is None else self._others)[one] = None
        self.bytes += one.size
        self._bytes_of_ours += one.size if one.ours else 0
        self._make_room()

    def applied(self, partition: int, end: int) -> None:
        """All before this offset is in MLflow."""
        waiting = self._partitions.get(partition)
        while waiting and (first := next(iter(waiting))).offset < end:
            self._drop(first)

    def of(self, tenants: Collection[str] | None, object_id: str) -> list[TrackingEvent]:
        """The events about an experiment or a run, as far as it is one of these tenants' (None: anybody's)."""
        return [one.read() for one in self._kept(tenants, object_id)]

    def lifecycle_of(self, tenants: Collection[str] | None, object_id: str) -> list[TrackingEvent]:
        """As `of`, without what was logged: however much that is, none of it has to be decoded."""
        return [one.event for one in self._kept(tenants, object_id) if one.event is not None]

    def _kept(self, tenants: Collection[str] | None, object_id: str) -> Iterator[Pending]:
        return (one for one in self._objects.get(object_id, ()) if tenants is None or one.tenant_id in tenants)

    def knows(self, object_id: str) -> bool:
        """Whether an event about it is kept."""
        return object_id in self._objects

    def experiment_named(self, tenant: str, name: str) -> str | None:
        """The experiment that an event gives this name to."""
        kept = self._names.get((tenant, name))
        return next(reversed(kept)).objects[-1] if kept else None

    def stage(self, tenant: str, experiment_id: str) -> Literal["active", "deleted"] | None:
        """What the latest event makes of the experiment: its runs go with it. None if there is no such event."""
        for one in reversed(self._stages.get(experiment_id, {})):
            if one.tenant_id == tenant and one.event is not None:
                return "deleted" if isinstance(one.event.payload, ExperimentDeleted) else "active"
        return None

    def experiments(self, tenants: Collection[str] | None) -> list[str]:
        """The experiments that events make or change, the latest last."""
        return self._about(tenants, lambda event: isinstance(event.payload, OF_EXPERIMENTS), -1)

    def runs(self, tenants: Collection[str] | None, *, logged: bool = False) -> list[str]:
        """The runs that events make, end, delete or restore, the latest last.

        With `logged` those too that something is logged into that was not in MLflow when it was last asked about.
        """
        return self._about(tenants, lambda event: isinstance(event.payload, _OF_RUNS), 0, logged=logged)

    def _about(
        self,
        tenants: Collection[str] | None,
        wanted: Callable[[TrackingEvent], bool],
        which: int,
        *,
        logged: bool = False,
    ) -> list[str]:
        found: dict[str, int] = {}
        for one in chain.from_iterable(self._partitions.values()):
            mine = tenants is None or one.tenant_id in tenants
            new = logged and one.offset >= self.done.get(one.partition, 0)
            if mine and (new if one.event is None else wanted(one.event)):
                about = one.objects[which]
                found[about] = max(one.time, found.get(about, 0))
        return sorted(found, key=found.__getitem__)

    def _make_room(self) -> None:
        for kept in (self._logged, self._others):
            while kept and self.bytes > self.most:
                self._drop(next(iter(kept)))

    def _drop(self, one: Pending) -> None:
        del self._partitions[one.partition][one]
        for places, key in self._places(one):
            del places[key][one]
            if not places[key]:
                del places[key]
        if not one.ours:
            del (self._logged if one.event is None else self._others)[one]
        self.bytes -= one.size
        self._bytes_of_ours -= one.size if one.ours else 0

    def _places(self, one: Pending) -> Iterator[tuple[dict[Any, dict[Pending, None]], Any]]:
        """Where it is found: by what it is about, and by the name that it gives."""
        for object_id in dict.fromkeys(one.objects):
            yield self._objects, object_id
        if one.event is not None and (name := name_given(one.event)) is not None:
            yield self._names, (one.tenant_id, name)
        if one.event is not None and isinstance(one.event.payload, ExperimentDeleted | ExperimentRestored):
            yield self._stages, one.object_id
