"""10 000 short runs (create, 5 params, 20 metrics, end) through one worker, beside MLflow's own client doing the same.

Then the same events again, by a new consumer group, onto the store that has them all.
"""

from __future__ import annotations

import os
import secrets
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.journal_to_kafka import fresh_topic, ship_written
from benchmarks.kafka_to_mlflow import seconds_of_worker

from matih_local.downloads import fetch
from matih_local.system import LocalSystem
from matih_schemas.identity import experiment_id, new_run_id
from matih_tracking.journal import entries
from matih_tracking.journal.writer import JournalWriter

RUNS = 10_000
PEER_RUNS = 300
METRICS = 20
PARAMS = {f"p{number}": str(number) for number in range(5)}
ROUNDS = 3
BAR = 10


def write(spool: Path, runs: int) -> int:
    """Journals of short trainings; returns the number of entries."""
    now = int(time.time() * 1000)
    experiment = experiment_id("default", "short")
    for number in range(runs):
        writer = JournalWriter.create(spool, new_run_id())
        writer.append(entries.encode(entries.Created(now, "default", experiment, "short", f"run {number}", True)))
        writer.append(entries.encode(entries.Params(now, PARAMS)))
        for step in range(METRICS):
            writer.append(entries.encode((1, now + step, step, {"loss": 1 / (step + 1)})))
        writer.append(entries.encode(entries.Ended(now + METRICS, "FINISHED")))
        writer.close()
    return runs * (METRICS + 3)


def seconds_of_client(uri: str) -> float:
    """MLflow's client: three calls a run."""
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    client = MlflowClient(uri)
    experiment = client.create_experiment(f"peer-{secrets.token_hex(4)}")
    now = int(time.time() * 1000)
    params = [Param(key, value) for key, value in PARAMS.items()]
    start = time.perf_counter()
    for number in range(PEER_RUNS):
        run = client.create_run(experiment, run_name=f"run {number}").info.run_id
        metrics = [Metric("loss", 1 / (step + 1), now + step, step) for step in range(METRICS)]
        client.log_batch(run, metrics=metrics, params=params)
        client.set_terminated(run)
    return time.perf_counter() - start


def main() -> None:
    """Prints the medians of three rounds; on servers of its own."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    fetch()
    ours, peers, again = [], [], []
    with tempfile.TemporaryDirectory(dir="/var/tmp") as home, LocalSystem(Path(home)) as system:
        system.start("kafka", "mlflow")
        for _ in range(ROUNDS):
            settings = fresh_topic(system.kafka.url)
            ship_written(settings, lambda spool: write(spool, RUNS))
            points = RUNS * METRICS
            ours.append(RUNS / seconds_of_worker(settings, system.postgres.url, points))
            peers.append(PEER_RUNS / seconds_of_client(system.postgres.url))
            again.append(points / seconds_of_worker(settings, system.postgres.url, points, group="again"))
    ratio = statistics.median(our / peer for our, peer in zip(ours, peers, strict=True))
    print(
        f"{RUNS:,} short runs  worker {statistics.median(ours):,.0f} runs/s   "
        f"MLflow's client {statistics.median(peers):,.0f}   {ratio:.1f} x (bar {BAR})"
    )
    print(f"the same events again: {statistics.median(again):,.0f} metrics/s, in {RUNS:,} runs of {METRICS}")


if __name__ == "__main__":
    main()
