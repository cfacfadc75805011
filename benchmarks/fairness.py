"""One tenant's flood beside another tenant's run, one worker: the way of the run's log calls into MLflow's table.

The flood is a backlog that keeps the worker at its limit all the while: some hundred times the 1 000 metrics/s of the
training beside it.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.journal_to_kafka import PER_ENTRY, fresh_topic, ship_written
from benchmarks.kafka_to_mlflow import points_applied, worker
from benchmarks.log_to_mlflow import training

from matih_local.downloads import fetch
from matih_local.system import LocalSystem
from matih_schemas.identity import experiment_id, new_run_id, partition_of
from matih_schemas.topics import PARTITIONS
from matih_tracking.journal import entries
from matih_tracking.journal.writer import JournalWriter

if TYPE_CHECKING:
    from matih_kafka.settings import KafkaSettings

CALLS = 2_000
ROUNDS = 3
FLOOD_POINTS = 2_400_000
VICTIM_PARTITION = 5
BAR = "p50 <= 150, p99 <= 300 ms"


@dataclass(frozen=True)
class Case:
    """Where the flood is, and over how many runs it is spread."""

    name: str
    partitions: frozenset[int]
    runs: int


OTHERS = frozenset(range(PARTITIONS)) - {VICTIM_PARTITION}
CASES = (
    Case("no flood", frozenset(), 0),
    Case("1 run on another partition", frozenset({0}), 1),
    Case("44 runs on all 11 others", OTHERS, 44),
    Case("48 runs on all 12", OTHERS | {VICTIM_PARTITION}, 48),
    Case("1 run on the same partition", frozenset({VICTIM_PARTITION}), 1),
)


def run_on(tenant: str, partition: int) -> str:
    """A run id whose events go to that partition."""
    while True:
        run_id = new_run_id()
        if partition_of(f"{tenant}/{run_id}".encode(), PARTITIONS) == partition:
            return run_id


def write(spool: Path, case: Case) -> int:
    """Journals of the flood; returns the number of entries."""
    calls = FLOOD_POINTS // PER_ENTRY // case.runs
    now = int(time.time() * 1000)
    experiment = experiment_id("flood", "flood")
    partitions = sorted(case.partitions)
    for number in range(case.runs):
        writer = JournalWriter.create(spool, run_on("flood", partitions[number % len(partitions)]))
        writer.append(entries.encode(entries.Created(now, "flood", experiment, "flood", f"run {number}", True)))
        for step in range(calls):
            writer.append(entries.encode((1, now + step, step, {"loss": 1 / (step + 1), "acc": 0.5, "lr": 1e-3})))
        writer.append(entries.encode(entries.Ended(now + calls, "FINISHED")))
        writer.close()
    return case.runs * (calls + 2)


def fill(settings: KafkaSettings, case: Case) -> None:
    """Puts the flood on the topic."""
    if case.runs:
        ship_written(settings, lambda spool: write(spool, case))


def delays_in(system: LocalSystem, case: Case) -> tuple[list[float], int]:
    """Sorted delays of the run's calls in seconds, and the points of the flood that were left at its end."""
    settings = fresh_topic(system.kafka.url)
    fill(settings, case)
    with ExitStack() as stack:
        url = stack.enter_context(worker(settings, system.postgres.url, "fairness"))
        while case.runs and not points_applied(url):
            time.sleep(0.01)
        environment = {
            "MATIH_TENANT": "quiet",
            "MATIH_EVENTS_TOPIC": settings.events_topic,
            "MATIH_RUN_ID": run_on("quiet", VICTIM_PARTITION),
            "MATIH_REAPER": "off",
        }
        delays = sorted(training(system, CALLS, environment))
        left = case.runs and FLOOD_POINTS + CALLS * PER_ENTRY - points_applied(url)
    return delays, left


def main() -> None:
    """Prints one line per case: the medians of three rounds; on servers of its own."""
    fetch()
    found: dict[Case, list[tuple[list[float], int]]] = {case: [] for case in CASES}
    with tempfile.TemporaryDirectory(dir="/var/tmp") as home, LocalSystem(Path(home)) as system:
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        system.start("kafka", "mlflow")
        for _ in range(ROUNDS):
            for case in CASES:
                found[case].append(delays_in(system, case))
    print(f"a run of 1 000 metrics/s beside another tenant's flood, log call -> MLflow's table (bar: {BAR})")
    for case, rounds in found.items():
        p50, p99 = (
            1000 * statistics.median(delays[int(len(delays) * part)] for delays, _ in rounds) for part in (0.5, 0.99)
        )
        worst = 1000 * max(delays[-1] for delays, _ in rounds)
        left = min(left for _, left in rounds)
        print(f"  {case.name:<28} p50 {p50:6.0f} ms   p99 {p99:6.0f}   worst {worst:6.0f}   flood left {left:>9,}")


if __name__ == "__main__":
    main()
