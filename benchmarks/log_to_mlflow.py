"""From a log call to its row in MLflow's table: a training that logs 1 000 metrics/s, a shipper, Kafka, a worker."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from matih_local.downloads import fetch
from matih_local.system import LocalSystem

if TYPE_CHECKING:
    from collections.abc import Mapping

    import psycopg

SECONDS = 20
PAUSE_S = 0.003
CALLS = int(SECONDS / PAUSE_S)
POLL_S = 0.002
ROUNDS = 3
BAR = "p50 <= 150, p99 <= 300 ms"
TRAINING = f"""
import sys, time
from matih_tracking import ExperimentTracker
with ExperimentTracker().start_run("latency") as run:
    print(run.run_id, flush=True)
    for step in range(int(sys.argv[1])):
        run.log_metrics({{"sent": time.time(), "loss": 1 / (step + 1), "lr": 0.1}}, step=step)
        time.sleep({PAUSE_S})
"""


def training(system: LocalSystem, calls: int, more: Mapping[str, str] = MappingProxyType({})) -> list[float]:
    """Seconds from each log call of a training to the first look at the table that saw it; `more` environment."""
    process = subprocess.Popen(
        [sys.executable, "-c", TRAINING, str(calls)],
        env={**os.environ, **system.environment(), **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    run_id = process.stdout.readline().strip()
    with system.postgres.connect() as connection:
        found = delays(connection, run_id, calls)
    process.wait()
    return found


def delays(connection: psycopg.Connection[tuple[object, ...]], run_id: str, calls: int) -> list[float]:
    """Seconds from each log call to the first look at the table that saw it."""
    statement = "SELECT value FROM metrics WHERE run_uuid = %s AND key = 'sent' AND step > %s ORDER BY step"
    found: list[float] = []
    while len(found) < calls:
        rows = connection.execute(statement, (run_id, len(found) - 1)).fetchall()
        now = time.time()
        found += [now - float(str(row[0])) for row in rows]
        time.sleep(POLL_S)
    return found


def main() -> None:
    """Prints the medians of three rounds; on servers of its own."""
    fetch()
    p50s: list[float] = []
    p99s: list[float] = []
    started: list[float] = []
    with tempfile.TemporaryDirectory(dir="/var/tmp") as home, LocalSystem(Path(home)) as system:
        system.start()
        for _ in range(ROUNDS):
            found = training(system, CALLS)
            p50s.append(statistics.median(found))
            p99s.append(sorted(found)[int(len(found) * 0.99)])
            later = sorted(found[int(1 / PAUSE_S) :])
            started.append(later[int(len(later) * 0.99)])
    print(
        f"log call -> MLflow's table, 1 000 metrics/s: p50 {1000 * statistics.median(p50s):.0f} ms, "
        f"p99 {1000 * statistics.median(p99s):.0f} ms (bar: {BAR}); p99 after the first second, in which the shipper "
        f"starts, {1000 * statistics.median(started):.0f} ms"
    )


if __name__ == "__main__":
    main()
