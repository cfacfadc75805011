"""Kafka -> MLflow: metrics a second through one worker, beside MLflow's own log_batch(1000) and, on PostgreSQL, COPY.

Each measurement takes its turn on the same machine; the medians of the ratios of three rounds decide. The floor is
COPY of as many rows straight into the table `metrics`, on two connections, without handling of conflicts. `again` is
the same events once more, by a new consumer group, onto the store that has them.
"""

from __future__ import annotations

import math
import os
import re
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psycopg
from benchmarks.journal_to_kafka import PER_ENTRY, fresh_topic, ship_written, write

from matih_local.downloads import fetch
from matih_local.system import LocalSystem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matih_kafka.settings import KafkaSettings

ROUNDS = 3
PEER_POINTS = 20_000
FLOOR_BATCH = 8_000
WAIT_SECONDS = 600.0


@dataclass(frozen=True)
class Case:
    """What is measured: a store, how many runs of how many points, and the bars: for the ratios to peer and floor, and
    for the metrics a second of events that the store has.
    """

    name: str
    runs: int
    points: int
    bar: float
    floor_bar: float | None = None
    again_bar: int | None = None


CASES = (
    Case("PostgreSQL", 1, 300_000, 5.0, 0.5, 100_000),
    Case("PostgreSQL", 50, 1_000_000, 5.0, 0.5, 100_000),
    Case("SQLite", 1, 300_000, 6.0),
    Case("SQLite", 50, 300_000, 6.0),
    Case("HTTP", 1, 60_000, 0.9),
    Case("HTTP", 50, 300_000, 0.9),
    Case("full", 1, 300_000, 5.0, 0.5),
    Case("full", 50, 1_000_000, 5.0, 0.5),
)
FULL: Final = "full"
"""The PostgreSQL cases on a table of 20 million rows: only if it is asked for, filling takes minutes."""
FULL_RUNS: Final = 2_000
FULL_POINTS: Final = 10_000
PRIMARY_KEY = """
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'metrics'::regclass AND contype = 'p'
"""
FILL = """
INSERT INTO metrics (key, value, timestamp, step, is_nan, run_uuid)
SELECT 'loss', random(), 1700000000000 + step, step, false, md5('full' || run)
FROM generate_series(%(first)s::int, %(last)s::int) run, generate_series(1, %(points)s) step
"""


def fill_topic(brokers: str, case: Case) -> tuple[KafkaSettings, int]:
    """A topic with the events of so many runs, as a shipper publishes them; returns the number of points too."""
    settings = fresh_topic(brokers)
    calls = case.points // PER_ENTRY // case.runs
    ship_written(settings, lambda spool: write(spool, case.runs, calls))
    return settings, calls * case.runs * PER_ENTRY


@contextmanager
def worker(settings: KafkaSettings, uri: str, group: str) -> Iterator[str]:
    """A worker process on the topic; gives the address of its metrics."""
    with worker_process(settings, uri, group) as (url, _):
        yield url


@contextmanager
def worker_process(settings: KafkaSettings, uri: str, group: str) -> Iterator[tuple[str, int]]:
    """A worker process on the topic; gives the address of its metrics, and its process id."""
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w+b") as log:
        environment = {
            **os.environ,
            "KAFKA_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
            "MATIH_EVENTS_TOPIC": settings.events_topic,
            "MATIH_STORE_URI": uri,
            "MATIH_WORKER_GROUP": f"{group}-{settings.events_topic}",
            "MATIH_WORKER_PORT": "0",
            "MATIH_WORKER_DATADIR": folder,
        }
        process = subprocess.Popen([sys.executable, "-m", "matih_workers"], env=environment, stdout=log, stderr=log)
        try:
            yield f"http://{_address(Path(log.name))}/metrics", process.pid
        finally:
            process.terminate()
            process.wait()


def _address(log: Path) -> str:
    """Where the worker says that its pages are."""
    while (told := re.search(r"pages: http://([^/\s]+)", log.read_text())) is None:
        time.sleep(0.05)
    return told[1]


def points_applied(url: str) -> int:
    """The worker's counter; 0 while it starts."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return 0
    return next((int(float(line.split()[1])) for line in lines if line.startswith("matih_worker_points_total")), 0)


def seconds_of_worker(settings: KafkaSettings, uri: str, expected: int, group: str = "first") -> float:
    """What the worker takes for all points at the pace at which it applies those after its first batch."""
    with worker(settings, uri, group) as url:
        began = time.monotonic()
        first, start = 0, began
        while (applied := points_applied(url)) < expected:
            now = time.monotonic()
            first, start = (first, start) if first else (applied, now)
            if now - began > WAIT_SECONDS:
                raise TimeoutError(f"only {applied} of {expected} points after {WAIT_SECONDS:.0f} s")
            # Often enough for half a percent and no more: each look costs the worker milliseconds.
            time.sleep(max(0.01, (now - start) / 200))
        return (time.monotonic() - start) * expected / (expected - first)


def seconds_of_peer(uri: str) -> float:
    """MLflow's client, log_batch of 1000 metrics."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    client = MlflowClient(uri)
    run = client.create_run(client.create_experiment(f"peer-{secrets.token_hex(4)}")).info.run_id
    now = int(time.time() * 1000)
    start = time.perf_counter()
    for first in range(0, PEER_POINTS, 1000):
        metrics = [Metric("loss", 1 / (step + 1), now + step, step) for step in range(first, first + 1000)]
        client.log_batch(run, metrics=metrics)
    return time.perf_counter() - start


def seconds_of_floor(uri: str, points: int) -> float:
    """COPY on two connections into the table, rows of runs that are there."""
    address = uri.replace("+psycopg", "")
    with psycopg.connect(address) as connection:
        runs = [row[0] for row in connection.execute("SELECT run_uuid FROM runs ORDER BY start_time DESC LIMIT 50")]
    parts = [runs[0::2] or runs, runs[1::2] or runs]
    base = int(time.time() * 1000) + 10_000_000
    start = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda part: _copy(address, part[1], points // 2, base + part[0]), enumerate(parts)))
    return time.perf_counter() - start


def _copy(address: str, runs: list[str], points: int, base: int) -> None:
    with psycopg.connect(address) as connection:
        for first in range(0, points, FLOOR_BATCH):
            run = runs[first // FLOOR_BATCH % len(runs)]
            lines = [
                f"loss\t{1 / (step + 1)!r}\t{base + 2 * step}\t{step}\tf\t{run}\n"
                for step in range(first, min(points, first + FLOOR_BATCH))
            ]
            with connection.cursor() as cursor:
                statement = "COPY metrics (key, value, timestamp, step, is_nan, run_uuid) FROM STDIN"
                with cursor.copy(statement) as copy:
                    copy.write("".join(lines))
            connection.commit()


def measure(brokers: str, uri: str, case: Case) -> None:
    """Prints the medians of one case."""
    ours, peers, floors, again = [], [], [], []
    for _ in range(ROUNDS):
        settings, points = fill_topic(brokers, case)
        ours.append(points / seconds_of_worker(settings, uri, points))
        peers.append(PEER_POINTS / seconds_of_peer(uri))
        if case.again_bar:
            again.append(points / seconds_of_worker(settings, uri, points, group="again"))
        floors.append(points / seconds_of_floor(uri, points) if case.floor_bar else math.nan)
    ratio = statistics.median(our / peer for our, peer in zip(ours, peers, strict=True))
    text = (
        f"{case.name:<10} {case.runs:>2} runs  worker {statistics.median(ours):>8,.0f} metrics/s   "
        f"log_batch(1000) {statistics.median(peers):>7,.0f}   {ratio:5.2f} x (bar {case.bar})"
    )
    if case.floor_bar:
        share = statistics.median(our / floor for our, floor in zip(ours, floors, strict=True))
        text += f"   COPY {statistics.median(floors):>8,.0f}   {share:4.2f} of it (bar {case.floor_bar})"
    if again:
        text += f"   again {statistics.median(again):>8,.0f} metrics/s (bar {case.again_bar:,})"
    print(text, flush=True)


@contextmanager
def without_indexes(connection: psycopg.Connection[Any]) -> Iterator[None]:
    """Takes the key and the indexes off the table of points, and makes them anew at the end: minutes faster."""
    execute = connection.execute
    (key,) = execute(PRIMARY_KEY).fetchall()
    indexes = execute("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'metrics'").fetchall()
    others = [index for index in indexes if index[0] != key[0]]
    execute("SET session_replication_role = replica")  # no look at `runs` for each row
    execute(f"ALTER TABLE metrics DROP CONSTRAINT {key[0]}")
    for name, _ in others:
        execute(f"DROP INDEX {name}")
    yield
    execute(f"ALTER TABLE metrics ADD CONSTRAINT {key[0]} {key[1]}")
    for _, made in others:
        execute(made)


def fill_table(uri: str) -> None:
    """Puts 20 million points into MLflow's table, of runs that are there."""
    with psycopg.connect(uri.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(
            "INSERT INTO runs (run_uuid, name, source_type, status, start_time, lifecycle_stage, experiment_id) "
            "SELECT md5('full' || run), 'full', 'UNKNOWN', 'FINISHED', 1, 'active', 0 FROM generate_series(1, %s) run",
            (FULL_RUNS,),
        )
        with without_indexes(connection):
            for first in range(1, FULL_RUNS, 100):
                connection.execute(FILL, {"first": first, "last": first + 99, "points": FULL_POINTS})
        connection.execute("ANALYZE metrics")
        print(f"filled with {connection.execute('SELECT count(*) FROM metrics').fetchone()} rows", flush=True)


def main() -> None:
    """Prints one line per case; on servers of its own. A word given (`PostgreSQL`, `full`) chooses cases."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    fetch()
    words = sys.argv[1:]
    with tempfile.TemporaryDirectory(dir="/var/tmp") as home, LocalSystem(Path(home)) as system:
        system.start("kafka")
        system.start("mlflow")
        uris = {
            "PostgreSQL": system.postgres.url,
            "SQLite": f"sqlite:///{home}/bench.db",
            "HTTP": system.mlflow.url,
            FULL: system.postgres.url,
        }
        if FULL in words:
            fill_table(uris[FULL])
        seconds_of_peer(uris["SQLite"])  # makes its tables
        for case in CASES:
            if case.name in words or (not words and case.name != FULL):
                measure(system.kafka.url, uris[case.name], case)


if __name__ == "__main__":
    main()
