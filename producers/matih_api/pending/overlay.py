"""The events that are on the topic and not applied yet, by the experiments and runs they are about: pure, bounded."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

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
    from collections.abc import Callable, Collection

    from matih_schemas.events import TrackingEvent

LOGGED: Final = "RunLogged"
_OF_EXPERIMENTS: Final = (ExperimentCreated, ExperimentUpdated, ExperimentDeleted, ExperimentRestored, RunCreated)
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
    """

    partition: int
    offset: int
    tenant_id: str
    object_id: str
    ours: bool
    value: bytes
    event: TrackingEvent | None = None
    objects: tuple[str, ...] = ()
    dropped: bool = False

    @property
    def size(self) -> int:
        """Bytes of memory, roughly."""
        return len(self.value) + _OVERHEAD_BYTES

    def read(self) -> TrackingEvent:
        """The event."""
        return self.event if self.event is not None else codec.decode(self.value)


def pending(partition: int, offset: int, key: bytes, value: bytes, kind: str, *, ours: bool) -> Pending | None:
    """A record as it is kept here; None if it says nothing about experiments and runs.

    Args:
        partition: its place, with the offset.
        offset: see there.
        key: `tenant/id`.
        value: the framed event.
        kind: the payload's name, as the record's headers have it.
        ours: an API has acknowledged it.
    """
    tenant, slash, object_id = key.decode(errors="replace").partition("/")
    if not slash:
        return None
    found = Pending(partition, offset, tenant, object_id, ours, value, objects=(object_id,))
    if kind == LOGGED:
        return found
    try:
        found.event = codec.decode(value)
    except InvalidEvent:
        return None  # a dead letter soon
    payload = found.event.payload
    if isinstance(payload, RunCreated):
        found.objects = (object_id, payload.experiment_id)
    return found


class Overlay:
    """What is pending, in the order of the topic. For one event loop.

    Bounded by `most` bytes: past it points go first (they are seen once they are in MLflow), then what other producers
    than the API have sent; what the API has acknowledged is kept, and `full` says that no more can be.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._objects: dict[str, deque[Pending]] = {}
        self._partitions: dict[int, deque[Pending]] = {}
        self._names: dict[tuple[str, str], str] = {}
        self._stages: dict[str, deque[Pending]] = {}
        self._logged: deque[Pending] = deque()
        self._others: deque[Pending] = deque()
        self.bytes = 0
        self._bytes_of_ours = 0

    @property
    def full(self) -> bool:
        """Whether what the API has acknowledged takes all the room: nothing more may be acknowledged."""
        return self._bytes_of_ours >= self._most

    def __len__(self) -> int:
        """How many events are kept."""
        return sum(map(len, self._partitions.values()))

    def put(self, one: Pending) -> None:
        """Takes an event; those of a partition come in their order."""
        self._partitions.setdefault(one.partition, deque()).append(one)
        for object_id in one.objects:
            self._objects.setdefault(object_id, deque()).append(one)
        if one.event is not None and (name := name_given(one.event)) is not None:
            self._names[one.tenant_id, name] = one.objects[-1]
        if one.event is not None and isinstance(one.event.payload, ExperimentDeleted | ExperimentRestored):
            self._stages.setdefault(one.object_id, deque()).append(one)
        (self._logged if one.event is None else self._others).append(one) if not one.ours else None
        self.bytes += one.size
        self._bytes_of_ours += one.size if one.ours else 0
        self._make_room()

    def applied(self, partition: int, end: int) -> None:
        """All before this offset is in MLflow."""
        waiting = self._partitions.get(partition, deque())
        while waiting and waiting[0].offset < end:
            self._drop(waiting.popleft())

    def of(self, tenants: Collection[str] | None, object_id: str) -> list[TrackingEvent]:
        """The events about an experiment or a run, as far as it is one of these tenants' (None: anybody's)."""
        kept = self._objects.get(object_id, ())
        return [one.read() for one in kept if tenants is None or one.tenant_id in tenants]

    def knows(self, object_id: str) -> bool:
        """Whether an event about it is kept."""
        return object_id in self._objects

    def experiment_named(self, tenant: str, name: str) -> str | None:
        """The experiment that an event gives this name to."""
        return self._names.get((tenant, name))

    def stage(self, tenant: str, experiment_id: str) -> Literal["active", "deleted"] | None:
        """What the latest event makes of the experiment: its runs go with it. None if there is no such event."""
        for one in reversed(self._stages.get(experiment_id, ())):
            if one.tenant_id == tenant and one.event is not None:
                return "deleted" if isinstance(one.event.payload, ExperimentDeleted) else "active"
        return None

    def experiments(self, tenants: Collection[str] | None) -> list[str]:
        """The experiments that events make or change, in the order of the topic."""
        return self._about(tenants, lambda event: isinstance(event.payload, _OF_EXPERIMENTS), -1)

    def runs(self, tenants: Collection[str] | None) -> list[str]:
        """The runs that events make, end, delete or restore."""
        return self._about(tenants, lambda event: isinstance(event.payload, _OF_RUNS), 0)

    def _about(self, tenants: Collection[str] | None, wanted: Callable[[TrackingEvent], bool], which: int) -> list[str]:
        found: dict[str, None] = {}
        for kept in self._partitions.values():
            for one in kept:
                mine = tenants is None or one.tenant_id in tenants
                if mine and not one.dropped and one.event is not None and wanted(one.event):
                    found[one.objects[which]] = None
        return list(found)

    def _make_room(self) -> None:
        for kept in (self._logged, self._others):
            while kept and self.bytes > self._most:
                self._drop(kept.popleft())

    def _drop(self, one: Pending) -> None:
        if one.dropped:
            return
        one.dropped = True
        self.bytes -= one.size
        self._bytes_of_ours -= one.size if one.ours else 0
        for object_id in one.objects:
            kept = self._objects[object_id]
            kept.remove(one)
            if not kept:
                del self._objects[object_id]
        if one.event is not None and (name := name_given(one.event)) is not None:
            self._forget_name(one, name)
        if one in (stages := self._stages.get(one.object_id, ())):
            stages.remove(one)  # type: ignore[union-attr]
            if not stages:
                del self._stages[one.object_id]
        one.value, one.event = b"", None

    def _forget_name(self, one: Pending, name: str) -> None:
        """Unless a later event gives the same name."""
        if one.objects[-1] not in self._objects:
            self._names.pop((one.tenant_id, name), None)
