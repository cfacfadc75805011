"""What the worker counts, in Prometheus' form. A registry of its own, so that two workers fit into one process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

if TYPE_CHECKING:
    from collections.abc import Callable

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The worker's counters. They begin at 0 with the process; events that come again count again."""

    def __init__(self, lag: Callable[[], int | None]) -> None:
        """`lag` gives the events that are on the topic and not acknowledged yet, None while nobody knows."""
        self._registry = CollectorRegistry()
        self.events = self._counter("matih_worker_events", "Events settled: applied, or dead letters")
        self.points = self._counter("matih_worker_points", "Metric points applied")
        self.batches = self._counter("matih_worker_batches", "Batches applied")
        self.retries = self._counter("matih_worker_retries", "Batches tried again")
        self.dead_letters = Counter("matih_worker_dead_letters", "Dead letters", ["reason"], registry=self._registry)
        self.reaped_runs = self._counter("matih_worker_reaped_runs", "Runs ended because their host fell silent")
        self.missing_events = Gauge(
            "matih_worker_missing_events", "Events that the store has not seen", registry=self._registry
        )
        self.in_flight = Gauge("matih_worker_in_flight_events", "Events being applied now", registry=self._registry)
        self.store_up = Gauge("matih_worker_store_up", "1 while the store takes writes", registry=self._registry)
        self.apply_seconds = Histogram(
            "matih_worker_apply_seconds", "Seconds to apply a batch", registry=self._registry, buckets=_SECONDS
        )
        Gauge("matih_worker_lag_events", "Events not acknowledged yet", registry=self._registry).set_function(
            lambda: float("nan") if (events := lag()) is None else events
        )

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self._registry)

    def _counter(self, name: str, meaning: str) -> Counter:
        return Counter(name, meaning, registry=self._registry)
