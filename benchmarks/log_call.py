"""The log call: p50 and p99 of three metrics, beside a bare os.write and MLflow's own call, all in one process.

The ratios to os.write decide. A shipper runs beside it, to the broker of KAFKA_BOOTSTRAP_SERVERS if that is set. The
times of the import and of the first start_run come from fresh interpreters.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import WAYS, compared, print_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VALUES = {"loss": 0.5, "accuracy": 0.25, "learning_rate": 0.001}
BARS = {
    "tight loop": "p50 <= 3, p99 <= 12 us; p50 <= 2 x, p99 <= 3 x os.write",
    "1 ms apart": "p50 <= 15, p99 <= 75 us",
    "beside a busy thread": "p50 <= 10, p99 <= 100 us",
}
BASE = "os.write, 120 bytes"
UNREACHABLE = "127.0.0.1:9"
IMPORTS = 9
MLFLOW_CALLS = 2


def mlflow_call(folder: str) -> Callable[[int], object]:
    """MLflow's own log_metrics, synchronous, on SQLite."""
    os.environ.update(MLFLOW_DISABLE_TELEMETRY="true", MLFLOW_ENABLE_ASYNC_LOGGING="false")
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    run = mlflow.MlflowClient().create_run("0")
    return lambda step: mlflow.log_metrics(VALUES, step=step, run_id=run.info.run_id)


def fresh(*codes: str) -> list[float]:
    """The median time of each code in fresh interpreters, ms; they take turns, so that all see the same machine."""
    times: list[list[float]] = [[] for _ in codes]
    for _ in range(IMPORTS):
        for code, found in zip(codes, times, strict=True):
            script = f"import time\nstart = time.perf_counter()\n{code}\nprint(time.perf_counter() - start)"
            command = [sys.executable, "-c", script]
            output = subprocess.run(command, capture_output=True, check=True, text=True).stdout
            found.append(float(output.splitlines()[-1]) * 1000)
    return [statistics.median(found) for found in times]


def imports() -> None:
    """Prints the times of the import and of the first run, all backends down."""
    base, ours = fresh("import asyncio", "from matih_tracking import ExperimentTracker")
    print(f"import asyncio {base:.0f} ms, matih_tracking {ours:.0f} ms: {ours / base:.2f} x (bar 2.5)")
    with spool_of_its_own() as spool, configured(spool, UNREACHABLE):
        setup = "from matih_tracking import ExperimentTracker\nstart = time.perf_counter()\n"
        (first,) = fresh(setup + "ExperimentTracker().start_run('bench')")
        print(f"first start_run, all backends down: {first:.0f} ms (bar 50)")


@contextlib.contextmanager
def configured(spool: str, brokers: str, topic: str = "bench") -> Iterator[None]:
    """The environment of a training process."""
    ours = {
        "MATIH_SPOOL_DIR": spool,
        "MATIH_QUIET": "1",
        "KAFKA_BOOTSTRAP_SERVERS": brokers,
        "MATIH_EVENTS_TOPIC": topic,
    }
    before = dict(os.environ)
    os.environ.update(ours)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def spool_of_its_own() -> Iterator[str]:
    """A folder on a disk for spools; its shippers end with it, and it is removed when this process has ended."""
    folder = tempfile.mkdtemp(dir="/var/tmp")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    yield folder
    stop_shippers(folder)


def stop_shippers(base: str) -> None:
    """Ends the shippers that trackers have started for the spools below a folder."""
    from matih_tracking.shipper import state

    for found in Path(base).rglob(state.STATE_FILE):
        shipper = state.read(found.parent)
        if shipper is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(shipper.pid, 15)


def topic_on(brokers: str) -> str:
    """A fresh events topic."""
    from matih_kafka.admin import create_topics
    from matih_kafka.settings import KafkaSettings
    from matih_schemas.topics import catalogue

    topic = f"bench.{secrets.token_hex(4)}.events.v1"
    settings = KafkaSettings(bootstrap_servers=brokers, events_topic=topic)
    asyncio.run(create_topics(settings, catalogue(topic)))
    return topic


def log_calls(spool: str, brokers: str) -> None:
    """Prints a table for each way."""
    from matih_tracking import ExperimentTracker

    run = ExperimentTracker().start_run("bench")
    fd = os.open(f"{spool}/beside", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    line = b"x" * 120
    calls: dict[str, Callable[[int], object]] = {
        "matih_tracking": lambda step: run.log_metrics(VALUES, step=step),
        BASE: lambda _: os.write(fd, line),
    }
    theirs = {"MLflow, SQLite": mlflow_call(spool)}
    shipped = "delivering" if brokers != UNREACHABLE else "waiting for a broker: set KAFKA_BOOTSTRAP_SERVERS"
    print(f"log_metrics of 3 values, us; a shipper runs beside it, {shipped}")
    for way in WAYS:
        rows = compared(way, calls) | compared(way._replace(calls=MLFLOW_CALLS), theirs)
        print_table(f"{way.name} (bar: {BARS[way.name]})", rows, BASE)
    run.end()
    os.close(fd)
    print(f"{run.status().entries} entries, dropped: {run.status().dropped or 'none'}")


def main() -> None:
    """Runs all of it."""
    imports()
    brokers = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", UNREACHABLE)
    topic = "bench" if brokers == UNREACHABLE else topic_on(brokers)
    with spool_of_its_own() as spool, configured(spool, brokers, topic):
        log_calls(spool, brokers)


if __name__ == "__main__":
    main()
