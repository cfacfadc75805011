"""Who has fallen silent, judged by what stands in one partition: pure, without a clock.

Time is what the partition shows: the broker's times of its records, where a step counts for a minute at most. So while
Kafka is away, or nothing reads the topic, nobody grows silent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from matih_schemas import events
from matih_schemas.identity import event_id

if TYPE_CHECKING:
    from matih_schemas.events import TrackingEvent

STEP_MAX_MS: Final = 60_000
REAPER: Final = "reaper"
Key = tuple[str, str]
"""Tenant and run id."""


class Sign(NamedTuple):
    """One record of the partition.

    Attributes:
        received_at: the broker's time, in ms since the epoch.
        event: decoded if it is one that matters here (a heartbeat, a run's creation, end or deletion), else None.
    """

    key: Key
    offset: int
    received_at: int
    event: TrackingEvent | None = None


@dataclass
class Watched:
    """A run whose owner has had a heartbeat.

    Attributes:
        heartbeat: the offset of the owner's last one: who begins to read there knows the run again.
        heard_at: the partition's time of the last sign of life, in ms.
        occurred_at: the producer's time of the owner's last heartbeat, in ms since the epoch.
        last: the broker's time of the last sign, in ms since the epoch.
    """

    attempt: int
    heartbeat: int
    heard_at: int
    occurred_at: int
    last: int
    host: str


@dataclass
class Partition:
    """The runs of one partition that are watched.

    Attributes:
        silence_ms: how long a run may be silent.
        step_max_ms: the most that one step between two records counts.
        end: the offset behind the last record.
        last_received_at: the broker's time of the last record, in ms since the epoch; 0 before the first.
    """

    silence_ms: int
    step_max_ms: int = STEP_MAX_MS
    end: int = 0
    last_received_at: int = 0
    _time: int = 0
    _runs: dict[Key, Watched] = field(default_factory=dict)

    @property
    def watches(self) -> bool:
        """Whether any run is watched."""
        return bool(self._runs)

    @property
    def needed(self) -> int:
        """The first offset that somebody who begins anew has to read."""
        return min((run.heartbeat for run in self._runs.values()), default=self.end)

    def take(self, sign: Sign) -> list[TrackingEvent]:
        """Takes the next record; returns the ends of the runs that are silent by now."""
        if self.last_received_at:
            self._time += min(max(0, sign.received_at - self.last_received_at), self.step_max_ms)
        self.last_received_at = max(self.last_received_at, sign.received_at)
        self.end = sign.offset + 1
        self._hear(sign)
        silent = [key for key, run in self._runs.items() if self._time - run.heard_at > self.silence_ms]
        return [_end(key, self._runs.pop(key)) for key in silent]

    def _hear(self, sign: Sign) -> None:
        payload = sign.event.payload if sign.event is not None else None
        if isinstance(payload, events.RunDeleted) or (isinstance(payload, events.RunEnded) and payload.owner):
            known = self._runs.get(sign.key)
            if known is not None and getattr(payload, "attempt", known.attempt) >= known.attempt:
                del self._runs[sign.key]
        elif isinstance(payload, events.Heartbeat) and payload.owner and sign.event is not None:
            self._watch(sign, payload, sign.event)
        elif (run := self._runs.get(sign.key)) is not None:
            run.heard_at, run.last = self._time, sign.received_at

    def _watch(self, sign: Sign, payload: events.Heartbeat, event: TrackingEvent) -> None:
        known = self._runs.get(sign.key)
        if known is None or payload.attempt >= known.attempt:
            at = event.occurred_at
            self._runs[sign.key] = Watched(payload.attempt, sign.offset, self._time, at, sign.received_at, event.host)


def _end(key: Key, run: Watched) -> TrackingEvent:
    """The run's end: the same event, however often it is inferred from the same last heartbeat.

    It comes right after that heartbeat in the order of statuses, so the next one takes it back.
    """
    tenant, run_id = key
    at = run.occurred_at + 1
    payload = events.RunEnded(
        run_id=run_id,
        producer_id=REAPER,
        sequence=0,
        status="FAILED",
        attempt=run.attempt,
        owner=True,
        end_time=at,
        inferred=True,
        reason=f"no sign of life from {run.host or 'its host'} any more",
        silent=True,
    )
    name = event_id(run_id, REAPER, run.occurred_at, "RunEnded")
    return events.TrackingEvent(name, tenant, at, payload, host=run.host)
