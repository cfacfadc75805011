"""Journal -> Kafka: metrics a second through one shipper, for one run and for fifty. The bar is 300 000."""

from __future__ import annotations

import asyncio
import secrets
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from matih_kafka.admin import create_topics
from matih_kafka.idempotent import KafkaPublisher
from matih_kafka.settings import KafkaSettings
from matih_local.downloads import fetch
from matih_local.system import LocalSystem
from matih_schemas.identity import experiment_id, new_run_id
from matih_schemas.topics import catalogue
from matih_tracking.journal import entries
from matih_tracking.journal.writer import JournalWriter
from matih_tracking.shipper.journals import Journals
from matih_tracking.shipper.process import Shipper
from matih_tracking.spool import SpoolKey, SpoolSettings, spool_path

if TYPE_CHECKING:
    from collections.abc import Callable

METRICS = 1_500_000
PER_ENTRY = 3
RUNS = (1, 50)
BAR = 300_000


def write(spool: Path, runs: int, calls: int) -> int:
    """Journals as a training would leave them; returns the number of entries."""
    now = int(time.time() * 1000)
    for number in range(runs):
        writer = JournalWriter.create(spool, new_run_id())
        experiment = experiment_id("default", "bench")
        writer.append(entries.encode(entries.Created(now, "default", experiment, "bench", f"run {number}", True)))
        for step in range(calls):
            writer.append(entries.encode((1, now + step, step, {"loss": 1 / (step + 1), "acc": 0.5, "lr": 1e-3})))
        writer.append(entries.encode(entries.Ended(now + calls, "FINISHED")))
        writer.close()
    return runs * (calls + 2)


async def ship(settings: KafkaSettings, spool: Path, written: int) -> tuple[float, float]:
    """Seconds until all of it is on Kafka, connecting included: by the clock, and of this process's CPU."""
    publisher = KafkaPublisher(settings, catalogue(settings.events_topic)[0])
    shipper = Shipper(Journals([spool], None), publisher, lambda shipper: shipper.counts.entries >= written)
    start, cpu = time.perf_counter(), time.process_time()
    await shipper.run()
    return time.perf_counter() - start, time.process_time() - cpu


def fresh_topic(brokers: str) -> KafkaSettings:
    """The settings of an empty topic of its own."""
    settings = KafkaSettings(bootstrap_servers=brokers, events_topic=f"bench.{secrets.token_hex(4)}.events.v1")
    asyncio.run(create_topics(settings, catalogue(settings.events_topic)))
    return settings


def ship_written(settings: KafkaSettings, write_journals: Callable[[Path], int]) -> tuple[float, float]:
    """What `ship` takes for the journals that are written into the spool given, whose number of entries is returned."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as base:
        key = SpoolKey(settings.bootstrap_servers, settings.events_topic)
        spool = spool_path(key, SpoolSettings(base=Path(base)))
        return asyncio.run(ship(settings, spool, write_journals(spool)))


def measure(brokers: str, runs: int) -> tuple[float, float]:
    """Metrics a second, by the clock and by the shipper's CPU: the first depends on who else uses the machine."""
    calls = METRICS // PER_ENTRY // runs
    clock, cpu = ship_written(fresh_topic(brokers), lambda spool: write(spool, runs, calls))
    return runs * calls * PER_ENTRY / clock, runs * calls * PER_ENTRY / cpu


def main() -> None:
    """Prints one line per number of runs; on a broker of its own."""
    fetch()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as home, LocalSystem(Path(home)) as system:
        system.start("kafka")
        for runs in RUNS:
            by_clock, by_cpu = measure(system.kafka.url, runs)
            print(
                f"journal -> Kafka, {runs:>2} run{'s' * (runs > 1):<1} {by_clock:>9,.0f} metrics/s "
                f"({by_clock / BAR:.1f} x the bar), {by_cpu:,.0f} for a second of the shipper's CPU"
            )


if __name__ == "__main__":
    main()
