"""Replay: a full rebuild beside the ingest of the same events, a fill onto a store that has it all, and the bulk lane.

On PostgreSQL. A word given, `small`, takes a twentieth of the events.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from benchmarks.kafka_to_mlflow import Case, fill_topic, seconds_of_worker
from benchmarks.log_to_mlflow import training

from matih_local import mlflow_schema
from matih_local.downloads import fetch
from matih_local.system import LocalSystem
from matih_workers.cli import settle_interpreter
from matih_workers.replay.access import Access
from matih_workers.replay.session import Order, Session
from matih_workers.replay.verifying import verified
from matih_workers.settings import WorkerSettings, make_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matih_kafka.settings import KafkaSettings

RUNS, POINTS = 1_000, 2_000_000
ROUNDS = 3
FILL_BAR = 100_000
CALLS = 2_000
RATES = (None, 200, 50)
FINGERPRINT = "SELECT count(*), sum(('x' || left(md5(t::text), 12))::bit(48)::bigint::numeric) FROM {} t"
TABLES = ("experiments", "experiment_tags", "runs", "tags", "params", "metrics", "latest_metrics")


def session(kafka: KafkaSettings, uri: str) -> Session:
    settings = WorkerSettings(store_uri=uri)
    return Session(Access(kafka, settings, make_store(settings)))


def replayed(kafka: KafkaSettings, uri: str, order: Order) -> float:
    """Metrics a second from the first record read to the end."""
    began: list[float] = []

    def begin(_total: int) -> Callable[[int], None]:
        return lambda _: began.append(time.monotonic()) if not began else None

    report = asyncio.run(session(kafka, uri).run(order, begin))
    assert not report["refused"], report["refused"]
    return float(report["metrics"]) / (time.monotonic() - began[0])


def fingerprint(uri: str) -> list[Any]:
    """Of every row of MLflow's tables."""
    with psycopg.connect(uri.replace("+psycopg", "")) as connection:
        return [connection.execute(FINGERPRINT.format(table)).fetchone() for table in TABLES]


def empty(system: LocalSystem) -> str:
    uri = system.postgres.create_database(f"replay_{secrets.token_hex(4)}")
    mlflow_schema.main(uri)
    return uri


def rebuild_and_fill(system: LocalSystem, case: Case) -> None:
    """Each round: ingest, full rebuild, fill onto what the ingest made; the medians of the ratios."""
    ingests, fulls, fills = [], [], []
    for number in range(ROUNDS):
        kafka, points = fill_topic(system.kafka.url, case)
        live, rebuilt = empty(system), empty(system)
        ingests.append(points / seconds_of_worker(kafka, live, points))
        fulls.append(replayed(kafka, rebuilt, Order("full")))
        before = fingerprint(live)
        fills.append(replayed(kafka, live, Order("fill")))
        assert fingerprint(live) == before, "the fill changed a table"
        if number == 0:
            began = time.monotonic()
            proof = asyncio.run(verified(session(kafka, rebuilt), old=live, new=rebuilt))
            assert not proof["differences"], proof["findings"][:5]
            print(f"verify: {proof['metrics']:,} metrics equal by MLflow's API, {time.monotonic() - began:.0f} s")
    ratio = statistics.median(full / ingest for full, ingest in zip(fulls, ingests, strict=True))
    print(
        f"{case.runs} runs, {case.points:,} metrics: ingest {statistics.median(ingests):,.0f} metrics/s, full rebuild "
        f"{statistics.median(fulls):,.0f}: {ratio:.2f} x (bar 1); fill onto all of it {statistics.median(fills):,.0f} "
        f"(bar {FILL_BAR:,}), tables unchanged",
        flush=True,
    )


@contextmanager
def beside(system: LocalSystem, kafka: KafkaSettings, rate: float | None) -> Iterator[None]:
    """A replay into the live database that goes on all the while."""
    environment = {
        **os.environ,
        **system.environment(),
        "MATIH_EVENTS_TOPIC": kafka.events_topic,
        "MATIH_STORE_URI": system.postgres.url,
    }
    limit = [] if rate is None else ["--rate", str(rate)]
    command = [
        sys.executable,
        "-m",
        "matih_console.main",
        "replay",
        "--yes",
        "--reason",
        "benchmark",
        "--restart",
        "--json",
    ]
    command += limit
    loop = "import subprocess, sys\nwhile True:\n    subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)"
    process = subprocess.Popen([sys.executable, "-c", loop, *command], env=environment, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(process.pid, 9)
        process.wait()


def bulk_lane(system: LocalSystem, case: Case) -> None:
    """How long a log call takes into MLflow's table, alone and beside a replay."""
    kafka, _ = fill_topic(system.kafka.url, case)
    _tell("live events alone", training(system, CALLS))
    for rate in RATES:
        with beside(system, kafka, rate):
            name = "without a limit" if rate is None else f"--rate {rate}"
            _tell(f"beside a replay {name}", training(system, CALLS))


def _tell(name: str, seconds: list[float]) -> None:
    ordered = sorted(seconds)
    p50, p99 = statistics.median(ordered), ordered[int(len(ordered) * 0.99)]
    print(f"{name:<36} p50 {1000 * p50:6.0f} ms   p99 {1000 * p99:6.0f} ms", flush=True)


def main() -> None:
    """Prints what was measured; on servers of its own."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    fetch()
    settle_interpreter()
    share = 20 if "small" in sys.argv[1:] else 1
    case = Case("PostgreSQL", RUNS // share, POINTS // share, 1.0)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as home, LocalSystem(Path(home)) as system:
        system.start()
        rebuild_and_fill(system, case)
        bulk_lane(system, case)


if __name__ == "__main__":
    main()
