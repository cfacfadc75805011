"""What the API knows of the topic: events that are not applied yet, keys of requests, runs it has met."""

from __future__ import annotations

import math
import time
from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from matih_api.pending.keys import HEADER, RequestKey, SeenKeys
from matih_api.pending.met import MetExperiments
from matih_api.pending.overlay import OF_EXPERIMENTS, Overlay, pending
from matih_schemas import events, tags
from matih_schemas.status import StatusOrder

if TYPE_CHECKING:
    from collections.abc import Callable

    from matih_schemas.events import TrackingEvent
    from matih_tracking.reading.views import RunView

ORIGIN: Final = "matih_api"
"""The header of records that an API has acknowledged."""
KEYS_MAX: Final = 200_000
RUNS_MAX: Final = 50_000
TRUST_SECONDS: Final = 10.0
"""So long a run that was met is taken to be as it was: what is done to it in MLflow itself is seen after that."""
_TYPE: Final = "ce_type"
_TELLING: Final = frozenset(kind.__name__ for kind in (*OF_EXPERIMENTS, events.RunDeleted, events.RunRestored))
"""What is read also where it is applied: it says that something is there, or how it stands."""


class RunFacts(NamedTuple):
    """What a write has to know of a run.

    Attributes:
        attempt: ms since the epoch at which its owner began; None if that is not known.
        start_time: ms since the epoch.
    """

    run_id: str
    tenant_id: str
    experiment_id: str
    deleted: bool
    attempt: int | None
    start_time: int

    @classmethod
    def of(cls, run: RunView) -> RunFacts:
        """The facts of a run as it was read."""
        order = StatusOrder.parse(run.tags.get(tags.STATUS, ""))
        attempt = order.attempt if order is not None else None
        return cls(run.run_id, run.tenant_id, run.experiment_id, run.stage == "deleted", attempt, run.start_time)


class Pendings:
    """Told by the topic, asked by requests; for one event loop.

    What is applied is kept a little longer, so that a read of MLflow that began before never falls between the two.
    """

    def __init__(self, most_bytes: int, grace: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Empty.

        Args:
            most_bytes: of memory for events.
            grace: seconds that an applied event is kept: longer than any read takes.
            clock: gives seconds.
        """
        self.overlay = Overlay(most_bytes)
        self.keys = SeenKeys(KEYS_MAX)
        self._grace = grace
        self._clock = clock
        self._applied: deque[tuple[float, int, int]] = deque()
        self._next: dict[int, int] = {}
        self._distrusted = -math.inf
        self._runs: OrderedDict[str, tuple[float, RunFacts]] = OrderedDict()
        self.experiments = MetExperiments()

    def take(self, partition: int, records: list[Any]) -> None:
        """See `Follower.take`."""
        for record in records:
            headers = dict(record.headers)
            ours = ORIGIN in headers
            if ours and (key := RequestKey.parse(headers.get(HEADER, b""))) is not None:
                self.keys.add(key)
            if self._is_new(partition, record.offset) and record.value is not None and record.key is not None:
                needed = self._is_needed(partition, record.offset)
                self._put(partition, record, headers, ours=ours, needed=needed)
        self._prune()

    def _is_new(self, partition: int, offset: int) -> bool:
        """Whether it was not here yet."""
        if offset < self._next.get(partition, 0):
            return False
        self._next[partition] = offset + 1
        return True

    def _is_needed(self, partition: int, offset: int) -> bool:
        """Not if it is applied and nothing before it is kept.

        What is folded over MLflow's has to reach to the topic's end: an event without those after it would undo them.
        """
        done = self.overlay.done.get(partition, 0)
        if offset >= done:
            return True
        if not self.overlay.holds(partition):
            return False
        self._applied.append((self._clock() + self._grace, partition, done))
        return True

    def _put(self, partition: int, record: Any, headers: dict[str, bytes], *, ours: bool, needed: bool) -> None:
        kind = headers.get(_TYPE, b"").decode(errors="replace").rpartition(".")[2]
        if not needed and kind not in _TELLING:
            return
        at = int(record.timestamp or 0)
        one = pending(partition, record.offset, record.key, record.value, kind, ours=ours, time=at)
        if one is None:
            return
        if needed:
            self.overlay.put(one)
        if one.event is not None and one.event.tenant_id == one.tenant_id:
            self.experiments.told(one.event)
            self._forget(one.event)

    def made_anew(self) -> None:
        """See `Follower.made_anew`. What was met and the keys of requests stay."""
        self.overlay = Overlay(self.overlay.most)
        self._applied.clear()
        self._next.clear()

    def committed(self, partition: int, end: int) -> None:
        """See `Follower.committed`."""
        if end > self.overlay.done.get(partition, 0):
            self.overlay.done[partition] = end
            self._applied.append((self._clock() + self._grace, partition, end))
        self._prune()

    def remember(self, facts: RunFacts) -> None:
        """A run was met."""
        self._runs[facts.run_id] = (self._clock(), facts)
        self._runs.move_to_end(facts.run_id)
        while len(self._runs) > RUNS_MAX:
            self._runs.popitem(last=False)

    def run(self, run_id: str, *, however_old: bool = False) -> RunFacts | None:
        """A run that was met lately, and that no event has touched since."""
        met, facts = self._runs.get(run_id, (0.0, None))
        return facts if however_old or self._distrusted < met > self._clock() - TRUST_SECONDS else None

    def _forget(self, event: TrackingEvent) -> None:
        """Runs that the event touches have to be looked at again; where that can't be done, what it says is known."""
        payload = event.payload
        if isinstance(payload, events.ExperimentDeleted | events.ExperimentRestored):
            self._distrusted = self._clock()
        elif isinstance(payload, events.RunCreated | events.RunDeleted | events.RunRestored):
            _, facts = self._runs.get(payload.run_id, (0.0, None))
            if facts is not None and facts.tenant_id == event.tenant_id:
                deleted = facts.deleted and isinstance(payload, events.RunCreated)
                deleted = deleted or isinstance(payload, events.RunDeleted)
                self._runs[payload.run_id] = (-math.inf, facts._replace(deleted=deleted))

    def _prune(self) -> None:
        now = self._clock()
        while self._applied and self._applied[0][0] <= now:
            _, partition, end = self._applied.popleft()
            self.overlay.applied(partition, end)
