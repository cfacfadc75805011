"""A worker's peak memory (VmHWM) with a backlog before it, by the size of its events. SQL store on PostgreSQL.

A worker is watched until it has applied everything, but not for longer than a minute: all that waits inside it is full
long before.
"""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.journal_to_kafka import fresh_topic
from benchmarks.kafka_to_mlflow import points_applied, worker_process

from matih_kafka.framing import SINGLE_OBJECT
from matih_kafka.idempotent import KafkaPublisher
from matih_local.downloads import fetch
from matih_local.system import LocalSystem
from matih_schemas import events, identity
from matih_schemas.topics import catalogue

if TYPE_CHECKING:
    from matih_kafka.settings import KafkaSettings

BAR_MB: Final = 400
RUNS: Final = 24
WATCHED_S: Final = 60.0
KEYS: Final = ["loss", "accuracy", "a", "b"]
START: Final = 1_700_000_000_000


@dataclass(frozen=True)
class Case:
    """So many events of so many log calls with four metrics each; the values are all the same: they compress well."""

    name: str
    events: int
    calls: int


CASES = (
    Case("small events", 96_000, 1),
    Case("events of 1 000 points", 9_600, 250),
    Case("events of about 900 KB", 480, 20_000),
)


@dataclass(frozen=True)
class Run:
    """A run and its one producer."""

    run_id: str
    producer_id: str

    def event(self, payload: events.Payload) -> events.TrackingEvent:
        """An event of the run, at the same time as all others."""
        return events.TrackingEvent(secrets.token_hex(16), "bench", START, payload)

    def created(self) -> events.TrackingEvent:
        """Its creation."""
        name = "memory"
        place = identity.experiment_id("bench", name)
        return self.event(
            events.RunCreated(self.run_id, self.producer_id, 0, place, name, "", attempt=START, owner=True)
        )

    def logged(self, first: int, calls: int) -> events.TrackingEvent:
        """So many log calls, the first of them with that number."""
        steps = range(first, first + calls)
        group = events.EntryGroup(
            self.producer_id,
            first,
            shapes=[KEYS],
            shape=[0] * calls,
            time=[START + step for step in steps],
            step=list(steps),
            value=[0.5] * calls * len(KEYS),
        )
        return self.event(events.RunLogged(self.run_id, [group]))


async def publish(settings: KafkaSettings, case: Case) -> tuple[int, int]:
    """The backlog; returns its points and the bytes of one event."""
    publisher = KafkaPublisher(settings, catalogue(settings.events_topic)[0])
    await publisher.connect()
    runs = [Run(identity.new_run_id(), identity.new_producer_id()) for _ in range(RUNS)]
    await asyncio.gather(*[publisher.send(SINGLE_OBJECT.record(run.created())) for run in runs])
    size = 0
    for number in range(case.events // RUNS):
        records = [SINGLE_OBJECT.record(run.logged(1 + number * case.calls, case.calls)) for run in runs]
        size = len(records[0])
        await asyncio.gather(*[publisher.send(one) for one in records])
    await publisher.close()
    return case.events // RUNS * RUNS * case.calls * len(KEYS), size


def peak_mb(pid: int) -> float:
    """The most that the process ever had in memory, in MB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    if found is None:
        raise RuntimeError(f"process {pid} says nothing of its memory: this runs on Linux only")
    return int(found[1]) / 1024


def measure(system: LocalSystem, case: Case) -> None:
    """Prints one case."""
    settings = fresh_topic(system.kafka.url)
    points, size = asyncio.run(publish(settings, case))
    with worker_process(settings, system.postgres.url, "memory") as (url, pid):
        over = time.monotonic() + WATCHED_S
        while (applied := points_applied(url)) < points and time.monotonic() < over:
            time.sleep(0.5)
        peak = peak_mb(pid)
    print(
        f"{case.name:<24} {case.events:>7,} of {size / 1000:>6.1f} KB   "
        f"{applied:>12,} of {points:>12,} points applied   peak {peak:>4.0f} MB (bar {BAR_MB})",
        flush=True,
    )


def main() -> None:
    """Prints one line per case; on servers of its own."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    fetch()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as home, LocalSystem(Path(home)) as system:
        system.start("kafka", "mlflow")
        for case in CASES:
            measure(system, case)


if __name__ == "__main__":
    main()
