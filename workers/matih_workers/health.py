"""How the worker is: what its pages show, and what its log says, once and not at every try."""

from __future__ import annotations

import logging
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal

from matih_workers.metrics import Metrics
from matih_workers.share import Share
from matih_workers.tenants import Tenants

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from matih_workers.dead_letters import DeadLetter
    from matih_workers.positions import Noticed
    from matih_workers.records import Received

logger = logging.getLogger(__name__)

REMIND_SECONDS: Final = 30.0
State = Literal["starting", "up", "down"]


@dataclass
class Side:
    """One of the things that the worker needs.

    Attributes:
        message: why it is down; empty otherwise.
        since: when its state changed, in seconds of the monotonic clock.
    """

    name: str
    state: State = "starting"
    message: str = ""
    since: float = field(default_factory=time.monotonic)
    reminded: float = 0.0

    def works(self) -> None:
        """It is up; says so in the log if it was not."""
        if self.state == "down":
            logger.info("%s is back after %.0f s", self.name, time.monotonic() - self.since)
        self._become("up", "")

    def fails(self, message: str, what: str | None = None) -> None:
        """It is down, or what stands before it; says so in the log, again every half a minute."""
        self._become("down", message)
        now = time.monotonic()
        if now - self.reminded > REMIND_SECONDS:
            self.reminded = now
            logger.warning("%s is unavailable, everything is kept and tried again: %s", what or self.name, message)

    def report(self) -> dict[str, Any]:
        """For the pages."""
        return {
            "state": self.state,
            "message": self.message,
            "seconds_in_state": round(time.monotonic() - self.since, 1),
        }

    def _become(self, state: State, message: str) -> None:
        if state != self.state:
            self.since, self.reminded = time.monotonic(), 0.0
        self.state, self.message = state, message


class Health:
    """The worker's state and counters. Written by the loop, read by the pages, in one event loop."""

    def __init__(
        self,
        lag: Callable[[], Mapping[int, int] | None] = lambda: None,
        share_bound: float = 0.05,
        oldest: Callable[[int], int | None] = lambda _: None,
    ) -> None:
        """Everything is starting.

        Args:
            lag: gives by partition the events that are on the topic and not acknowledged yet, None while nobody knows.
            share_bound: the share of dead letters from which on it is a warning.
            oldest: gives when Kafka received the first event that waits here of a partition, in ms since the epoch.
        """
        self.store = Side("the store")
        self.kafka = Side("Kafka")
        self.letters = Side("the topic of dead letters")
        self.assigned: frozenset[int] | None = None
        self._warnings: dict[int, list[str]] = {}
        self.metrics = Metrics(self.lag, self.lag_seconds)
        self._lag = lag
        self._oldest = oldest
        self._share_bound = share_bound
        self._share = Share()
        self._tenants = Tenants()
        self._received_at: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        self._counts: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self._started = time.monotonic()

    @contextmanager
    def in_flight(self, events: int) -> Iterator[None]:
        """Counts the events as being applied."""
        self._counts["in_flight"] += events
        self.metrics.in_flight.set(self._counts["in_flight"])
        try:
            yield
        finally:
            self._counts["in_flight"] -= events
            self.metrics.in_flight.set(self._counts["in_flight"])

    def applied(self, events: int, points: int, seconds: float) -> None:
        """A batch is durable."""
        self._counts.update(events=events, points=points, batches=1)
        self.metrics.events.inc(events)
        self.metrics.points.inc(points)
        self.metrics.batches.inc()
        self.metrics.apply_seconds.observe(seconds)

    def took(self, records: Sequence[Received], points: int, now_ms: int) -> None:
        """These were applied; `now_ms` is in ms since the epoch."""
        self.metrics.batch_events.observe(len(records))
        self.metrics.batch_points.observe(points)
        for tenant, (events, size) in self._tenants.counted(records).items():
            self.metrics.tenant_events.labels(tenant).inc(events)
            self.metrics.tenant_bytes.labels(tenant).inc(size)
        for record in records:
            self.metrics.event_age.observe(max(0, now_ms - record.timestamp_ms) / 1000)
            if record.offset < self._ends.get(record.partition, 0):
                self.metrics.redelivered.inc()
            self._ends[record.partition] = max(self._ends.get(record.partition, 0), record.offset + 1)
            self._received_at[record.partition] = record.timestamp_ms

    def lag(self) -> int | None:
        """Events that are on the topic and not acknowledged yet; None: nobody knows."""
        waiting = self._lag()
        return None if waiting is None else sum(waiting.values())

    def lag_seconds(self) -> float | None:
        """How long ago Kafka received what is to be applied next, of the partition that is furthest behind.

        0 when none waits; None: nobody knows. Where nothing of a partition has come yet it is that of its last applied.
        """
        waiting = self._lag()
        if waiting is None:
            return None
        behind = [number for number, events in waiting.items() if events]
        known = [at for number in behind if (at := self._oldest(number) or self._received_at.get(number))]
        if behind and not known:
            return None
        return max(0.0, time.time() - min(known) / 1000) if known else 0.0

    def dead(self, letters: Sequence[DeadLetter], of: int = 1) -> None:
        """These are among the dead letters, of so many events."""
        for letter in letters:
            self._reasons[letter.reason] += 1
            self.metrics.dead_letters.labels(letter.reason).inc()
            self.metrics.tenant_dead_letters.labels(self._tenants.label(letter.record.key)).inc()
        told = self._share.value > self._share_bound
        self._share.add(of, len(letters))
        self.metrics.dead_letter_share.set(self._share.value)
        if self._share.value > self._share_bound and not told:
            logger.warning("%s", self._share_warning())

    def retried(self) -> None:
        """A batch is tried again."""
        self._counts["retries"] += 1
        self.metrics.retries.inc()

    def store_works(self) -> None:
        """The store took or answered something."""
        self.store.works()
        self.metrics.store_up.set(1)

    def store_fails(self, message: str, what: str = "the store") -> None:
        """The store is unavailable, or something else on the way to it."""
        self.retried()
        self.store.fails(message, what)
        self.metrics.store_up.set(0)

    def letters_wait(self, why: str) -> None:
        """Dead letters can't be published: everything of their batch is kept, and they are tried again."""
        self.retried()
        self.letters.fails(why)

    def letters_taken(self) -> None:
        """The topic of dead letters took some."""
        self.letters.works()

    def kafka_works(self) -> bool:
        """Whether Kafka gives events, and took the last dead letters."""
        return self.kafka.state == "up" and self.letters.state != "down"

    def noticed(self, noticed: Noticed) -> None:
        """What the store says of the partitions' positions; new warnings stand in the log, once."""
        for partition, warnings in noticed.by_partition.items():
            for warning in warnings:
                if warning not in self._warnings.get(partition, ()):
                    logger.warning("%s", warning)
        self._warnings = dict(noticed.by_partition)
        self.metrics.missing_events.set(sum(noticed.missing.values()))

    def partitions_warned_of(self) -> list[int]:
        """Those whose positions say that something is missing, or that the topic was made anew."""
        return sorted(number for number, warnings in self._warnings.items() if warnings)

    def warnings(self) -> list[str]:
        """What somebody should look at, although the worker goes on."""
        found = [warning for partition in sorted(self._warnings) for warning in self._warnings[partition]]
        return [*found, self._share_warning()] if self._share.value > self._share_bound else found

    def _share_warning(self) -> str:
        share = f"{100 * self._share.value:.0f} %"
        return f"{share} of the last events are dead letters: `matih dlq list` says whose and why"

    def problems(self) -> list[str]:
        """Why the worker is not ready; empty if it is."""
        sides = [side for side in (self.store, self.kafka) if side.state != "up"]
        sides += [self.letters] if self.letters.state == "down" else []
        found = [f"{side.name} is {side.state}: {side.message}" for side in sides]
        return found if self.assigned is not None else [*found, "no partitions were assigned yet"]

    def report(self) -> dict[str, Any]:
        """Everything, for `/status`; counts since the process began."""
        return {
            "ready": not self.problems(),
            "warnings": self.warnings(),
            "events": self._counts["events"],
            "metrics": self._counts["points"],
            "batches": self._counts["batches"],
            "retries": self._counts["retries"],
            "dead_letters": dict(self._reasons),
            "dead_letter_share": round(self._share.value, 4),
            "lag": self.lag(),
            "lag_seconds": self.lag_seconds(),
            "in_flight": self._counts["in_flight"],
            "partitions": sorted(self.assigned or ()),
            "store": self.store.report(),
            "kafka": self.kafka.report(),
            "dead_letters_topic": self.letters.report(),
            "uptime_seconds": round(time.monotonic() - self._started, 1),
        }
