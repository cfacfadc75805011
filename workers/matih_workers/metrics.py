"""What the worker counts, in Prometheus' form. A registry of its own, so that two workers fit into one process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
_AGES: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0, 3600.0)
_SIZES: Final = (1.0, 4.0, 16.0, 64.0, 256.0, 1024.0)
_POINTS: Final = (10.0, 100.0, 1000.0, 5000.0, 10000.0, 20000.0, 50000.0)
_SECONDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """The worker's counters. They begin at 0 with the process; events that come again count again."""

    def __init__(self, lag: Callable[[], int | None], lag_seconds: Callable[[], float | None] = lambda: None) -> None:
        """Both tell what is on the topic and not acknowledged yet, in events and in seconds; None: nobody knows."""
        self._registry = CollectorRegistry()
        self.events = self._counter("matih_worker_events", "Events settled, again or not: applied, or dead letters")
        self.points = self._counter("matih_worker_points", "Metric points applied")
        self.batches = self._counter("matih_worker_batches", "Batches applied")
        self.retries = self._counter("matih_worker_retries", "Batches, or their dead letters, tried again")
        self.dead_letters = self._counter("matih_worker_dead_letters", "Dead letters", "reason")
        self.tenant_events = self._counter("matih_worker_tenant_events", "Events settled, by tenant", "tenant")
        self.tenant_bytes = self._counter("matih_worker_tenant_bytes", "Bytes of events settled, by tenant", "tenant")
        self.tenant_dead_letters = self._counter(
            "matih_worker_tenant_dead_letters", "Dead letters, by tenant", "tenant"
        )
        self.dead_letter_share = self._gauge(
            "matih_worker_dead_letter_share", "Dead letters among the last 10 000 events"
        )
        self.batch_events = self._histogram("matih_worker_batch_events", "Events in a batch", _SIZES)
        self.batch_points = self._histogram("matih_worker_batch_points", "Metric points in a batch", _POINTS)
        self.event_age = self._histogram(
            "matih_worker_event_age_seconds", "Seconds from Kafka's receipt of an event until it was applied", _AGES
        )
        self.kafka_up = self._gauge(
            "matih_worker_kafka_up", "1 while the group's coordinator and the partitions' leaders give and take records"
        )
        self.ready = self._gauge("matih_worker_ready", "1 while /readyz says so")
        self.redelivered = self._counter(
            "matih_worker_redelivered_events", "Events at offsets that this process had settled before"
        )
        self.reaped_runs = self._counter("matih_worker_reaped_runs", "Runs ended because their host fell silent")
        self.missing_events = self._gauge("matih_worker_missing_events", "Events that the store has not seen")
        self.in_flight = self._gauge("matih_worker_in_flight_events", "Events being applied now")
        self.store_up = self._gauge("matih_worker_store_up", "1 while the store takes writes")
        self.apply_seconds = self._histogram("matih_worker_apply_seconds", "Seconds to apply a batch", _SECONDS)
        self._gauge("matih_worker_lag_events", "Events not acknowledged yet").set_function(lambda: _number(lag()))
        self._gauge(
            "matih_worker_lag_seconds",
            "Seconds since Kafka received what is next, of the partition furthest behind; 0: none",
        ).set_function(lambda: _number(lag_seconds()))
        ProcessCollector(registry=self._registry)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self._registry)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(name, meaning, labels, registry=self._registry)

    def _gauge(self, name: str, meaning: str) -> Gauge:
        return Gauge(name, meaning, registry=self._registry)

    def _histogram(self, name: str, meaning: str, buckets: Sequence[float]) -> Histogram:
        return Histogram(name, meaning, registry=self._registry, buckets=buckets)


def _number(known: float | None) -> float:
    return float("nan") if known is None else known
