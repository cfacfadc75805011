"""Reading 100 000 runs in one experiment on PostgreSQL: our reader beside MLflow's own client for the same question.

Servers of its own; the client works on the database directly, without MLflow's server between, which is its fastest.
Percentiles are medians of three rounds, ours and the client's in turn. Told twice: with MLflow's own indexes, and
with those of deploy/postgresql/matih-read-indexes.sql. A number given is how many runs there are.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from benchmarks.filling import TENANT, fill
from benchmarks.measure import percentiles, timed

from matih_local.system import LocalSystem
from matih_tracking.reading.queries import RunQuery, SortKey
from matih_tracking.reading.sql import SqlReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.filling import Filled

ROUNDS = 3
RUNS = 100_000
COMPARED = 30_000
PAGE = 50
PEER_PAGE = 1000
INDEXES = Path(__file__).parent.parent / "deploy" / "postgresql" / "matih-read-indexes.sql"


@dataclass(frozen=True)
class Case:
    """A question, asked by us and by MLflow's client; the bar is for our p99, in ms."""

    name: str
    bar: float
    ours: Callable[[int], object]
    peer: Callable[[int], object]
    calls: int = 40
    peer_calls: int = 3
    peer_share: float = 1.0


def cases(uri: str, reader: SqlReader, large: Filled, compared: Filled) -> list[Case]:
    """What is asked. Of the long table the client is asked for a thousandth part only: all of it takes minutes."""
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    home, table = (reader.experiment([TENANT], each.experiment_id) for each in (large, compared))
    assert home is not None
    assert table is not None
    with_history = [reader.run([TENANT], large.run_uuid(number)) for number in range(2, 12)]

    def page(sort: SortKey) -> Callable[[int], object]:
        def ask(_number: int) -> object:
            return reader.runs([TENANT], RunQuery(home.experiment_id, sort=sort, limit=PAGE))

        return ask

    def search(order: str, number: str = large.mlflow_id, most: int = PAGE) -> Callable[[int], object]:
        return lambda _number: client.search_runs([number], order_by=[order], max_results=most)

    def run(number: int) -> Any:
        return with_history[number % len(with_history)]

    return [
        Case(
            "get a run",
            100,
            lambda number: reader.run([TENANT], large.run_uuid(number * 37 + 1)),
            lambda number: client.get_run(large.run_uuid(number * 37 + 1)),
            peer_calls=20,
        ),
        Case("list by time", 100, page(SortKey()), search("attributes.start_time DESC")),
        Case("list by a metric", 300, page(SortKey("metric", "m3")), search("metrics.m3 DESC")),
        Case("list by a param", 300, page(SortKey("param", "p6")), search("params.p6 DESC")),
        Case(
            "history, 1 000 points",
            100,
            lambda number: reader.history(run(number), "m0", 1000),
            lambda number: client.get_metric_history(run(number).mlflow_run_id, "m0"),
            peer_calls=10,
        ),
        Case(
            "history, 1 000 of 100 000",
            1000,
            lambda _number: reader.history(_first(reader, large), "m0", 1000),
            lambda _number: client.get_metric_history(large.run_uuid(1), "m0"),
            calls=5,
            peer_calls=1,
        ),
        Case(
            f"table of {compared.runs:,} runs",
            2000,
            lambda _number: reader.table(table),
            search("attributes.start_time DESC", compared.mlflow_id, PEER_PAGE),
            calls=3,
            peer_calls=1,
            peer_share=PEER_PAGE / compared.runs,
        ),
    ]


def _first(reader: SqlReader, large: Filled) -> Any:
    return reader.run([TENANT], large.run_uuid(1))


def measure(case: Case, *, beside: bool) -> None:
    """Prints the medians of one case."""
    case.ours(0)
    rounds, peers = [], []
    for _ in range(ROUNDS):
        rounds.append(percentiles(timed(case.ours, case.calls)))
        if beside:
            peers.append(percentiles(timed(case.peer, case.peer_calls)).p50 / 1000 / case.peer_share)
    p50, p99 = (statistics.median(getattr(each, name) for each in rounds) / 1000 for name in ("p50", "p99"))
    told = f"  {case.name:<26} p50 {p50:>8.1f} ms   p99 {p99:>8.1f} ms (bar {case.bar:,.0f})"
    if beside:
        peer = statistics.median(peers)
        told += f"   MLflow's client p50 {peer:>10,.0f} ms: {peer / p50:6.1f} x"
    print(told, flush=True)


def add_indexes(uri: str) -> float:
    """As an operator would; returns the seconds it took."""
    lines = (line for line in INDEXES.read_text().splitlines() if not line.startswith("--"))
    start = time.monotonic()
    with psycopg.connect(uri.replace("+psycopg", ""), autocommit=True) as connection:
        for statement in filter(str.strip, "\n".join(lines).split(";")):
            connection.execute(statement)
    return time.monotonic() - start


def main() -> None:
    """Prints one line per question, without and with our indexes."""
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    runs = int(sys.argv[1]) if sys.argv[1:] else RUNS
    with tempfile.TemporaryDirectory(dir="/var/tmp") as home, LocalSystem(Path(home)) as system:
        system.start("postgres")
        uri = system.postgres.url
        compared = fill(uri, "compared", min(runs, COMPARED))
        large = fill(uri, "large", runs, ((1, min(runs, 100_000)), (20, 1000)))
        reader = SqlReader(uri, timeout=60.0)
        print(f"{runs:,} runs in one experiment, {compared.runs:,} in another; MLflow's own indexes:", flush=True)
        questions = cases(uri, reader, large, compared)
        for case in questions:
            measure(case, beside=True)
        print(f"with the indexes of {INDEXES.name} (made in {add_indexes(uri):.1f} s):", flush=True)
        for case in questions:
            measure(case, beside=False)
        reader.close()


if __name__ == "__main__":
    main()
