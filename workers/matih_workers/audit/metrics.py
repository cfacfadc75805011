"""What the archiver counts, in Prometheus' form."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, generate_latest

if TYPE_CHECKING:
    from collections.abc import Callable


class ArchiverMetrics:
    """The archiver's counters; they begin at 0 with the process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.records = self._counter("matih_audit_records", "Records archived")
        self.bytes = self._counter("matih_audit_bytes", "Bytes of records archived, before compression")
        self.files = self._counter("matih_audit_files", "Files of records written")
        self.gaps = self._counter("matih_audit_missing_records", "Offsets that were gone before the archiver came")
        self.anchor_failures = self._counter("matih_audit_anchor_failures", "Checkpoints that could not be anchored")
        self.lag_records = self._gauge("matih_audit_lag_records", "Records on the topic and not archived yet")
        self.lag_seconds = self._gauge("matih_audit_lag_seconds", "Seconds since Kafka received the first of these")
        self.checkpoint_size = self._gauge("matih_audit_checkpoint_size", "Entries that the checkpoint covers")
        self.checkpoint_time = self._gauge("matih_audit_checkpoint_timestamp_seconds", "When it was signed")
        self.up = self._gauge("matih_audit_up", "1 while Kafka and the archive answer")
        ProcessCollector(registry=self._registry)

    def checkpointed(self, size: int) -> None:
        """A checkpoint was written."""
        self.checkpoint_size.set(size)
        self.checkpoint_time.set(time.time())

    def lag(self, records: int, oldest_ms: Callable[[], int]) -> None:
        """So many records wait, and the first of them came then (ms since the epoch; 0 if that is not known)."""
        self.lag_records.set(records)
        since = oldest_ms() if records else 0
        self.lag_seconds.set(max(0.0, time.time() - since / 1000) if since else 0)

    def text(self) -> bytes:
        """All of it, as Prometheus reads it."""
        return generate_latest(self._registry)

    def _counter(self, name: str, meaning: str) -> Counter:
        return Counter(name, meaning, registry=self._registry)

    def _gauge(self, name: str, meaning: str) -> Gauge:
        return Gauge(name, meaning, registry=self._registry)
