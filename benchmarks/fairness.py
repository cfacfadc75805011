"""One tenant's flood beside another tenant's run, one worker: the way of the run's log calls into MLflow's table.

The flood is a backlog that keeps the worker at its limit all the while: some hundred times the 1 000 metrics/s of the
training beside it.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.journal_to_kafka import PER_ENTRY, fresh_topic, ship_written
from benchmarks.kafka_to_mlflow import points_applied, worker
from benchmarks.log_to_mlflow import CALLS, PAUSE_S, training

from matih_local.downloads import fetch
from matih_local.system import LocalSystem
from matih_schemas.identity import experiment_id, new_run_id, partition_of
from matih_schemas.topics import PARTITIONS
from matih_tracking.journal import entries
from matih_tracking.journal.writer import JournalWriter

if TYPE_CHECKING:
    from matih_kafka.settings import KafkaSettings

ROUNDS = 3
VICTIM_PARTITION = 5
STARTED = int(1 / PAUSE_S)
"""Calls of a run's first second, in which its shipper starts."""
BAR = "p50 <= 150, p99 <= 300 ms"


@dataclass(frozen=True)
class Case:
    """Where the flood is, over how many runs it is spread, and how many points it has.

    Before the run's own partition it is what the run waits for; elsewhere it has to outlast the run.
    """

    name: str
    partitions: frozenset[int] = frozenset()
    runs: int = 0
    points: int = 0


OTHERS = frozenset(range(PARTITIONS)) - {VICTIM_PARTITION}
CASES = (
    Case("no flood"),
    Case("1 run on another partition", frozenset({0}), 1, 2_400_000),
    Case("44 runs on all 11 others", OTHERS, 44, 2_400_000),
    Case("48 runs on all 12", OTHERS | {VICTIM_PARTITION}, 48, 600_000),
    Case("1 run on the same partition", frozenset({VICTIM_PARTITION}), 1, 600_000),
)


def run_on(tenant: str, partition: int) -> str:
    """A run id whose events go to that partition."""
    while True:
        run_id = new_run_id()
        if partition_of(f"{tenant}/{run_id}".encode(), PARTITIONS) == partition:
            return run_id


def write(spool: Path, case: Case) -> int:
    """Journals of the flood; returns the number of entries."""
    calls = case.points // PER_ENTRY // case.runs
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


def ready(metrics_url: str) -> bool:
    """Whether the worker has its partitions."""
    try:
        with urllib.request.urlopen(metrics_url.replace("/metrics", "/readyz"), timeout=5):
            return True
    except OSError:
        return False


def delays_in(system: LocalSystem, case: Case) -> tuple[list[float], int]:
    """Delays of the run's calls in seconds, in order, and the points of the flood that were left at its end."""
    settings = fresh_topic(system.kafka.url)
    fill(settings, case)
    with ExitStack() as stack:
        url = stack.enter_context(worker(settings, system.postgres.url, "fairness"))
        while not (points_applied(url) if case.runs else ready(url)):
            time.sleep(0.01)
        environment = {
            "MATIH_TENANT": "quiet",
            "MATIH_EVENTS_TOPIC": settings.events_topic,
            "MATIH_RUN_ID": run_on("quiet", VICTIM_PARTITION),
            "MATIH_REAPER": "off",
        }
        delays = training(system, CALLS, environment)
        left = case.runs and case.points + CALLS * PER_ENTRY - points_applied(url)
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
        p50, p99, started = (
            1000 * statistics.median(share(delays[first:], part) for delays, _ in rounds)
            for first, part in ((0, 0.5), (0, 0.99), (STARTED, 0.99))
        )
        left = min(left for _, left in rounds)
        print(
            f"  {case.name:<28} p50 {p50:6.0f} ms   p99 {p99:6.0f}   "
            f"after its first second {started:6.0f}   flood left {left:>9,}"
        )


def share(delays: list[float], part: float) -> float:
    """What so large a part of the delays is below."""
    return sorted(delays)[int(len(delays) * part)]


if __name__ == "__main__":
    main()
