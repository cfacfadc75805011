"""Compare with parameter impact over 30 000 runs, 10 params, 5 metrics: its parts, wall time and this process's CPU.

Made-up tables: reading them from MLflow's database is not in it. Beside other work the wall time says little; the CPU
time says what it takes on a free core.
"""

from __future__ import annotations

import random
import statistics
import time
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from matih_api.comparison import compare as comparing
from matih_api.comparison.correlation import correlation
from matih_api.comparison.importance import importances, warm_up
from matih_api.comparison.numbers import floats, numbers
from matih_tracking.reading.views import RunTable

if TYPE_CHECKING:
    from collections.abc import Callable

RUNS = 30_000
PARAMS = 10
METRICS = 5
ROUNDS = 5
BAR = "<= 5 s with the reading, on 2 cores; this part <= 2.5 s"


class Took(NamedTuple):
    """Seconds of one call."""

    wall: float
    cpu: float


def made_up(runs: int) -> RunTable:
    """A table of numeric params, half of them with few values, and metrics that depend on the first two."""
    draw = random.Random(1)
    params = {f"p{n}": [draw.random() if n % 2 else draw.randrange(100) for _ in range(runs)] for n in range(PARAMS)}
    metrics = {
        f"m{number}": [params["p0"][run] / 100 + (params["p1"][run] - 0.5) ** 2 + draw.random() for run in range(runs)]
        for number in range(METRICS)
    }
    texts = {key: list(map(repr, values)) for key, values in params.items()}
    return RunTable([f"{run:032x}" for run in range(runs)], ["run"] * runs, ["FINISHED"] * runs, metrics, texts)


def took(call: Callable[[], object]) -> Took:
    """Times one call."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return Took(time.perf_counter() - wall, time.process_time() - cpu)


def parts(table: RunTable) -> dict[str, Callable[[], object]]:
    """The whole, and what it is made of."""
    values = {key: numbers(texts) for key, texts in table.params.items()}
    columns = [column for texts in values.values() if (column := floats(texts)) is not None]
    target = floats(table.metrics["m0"])
    answer = comparing.compare(table).answer()
    return {
        "compare, all of it": lambda: comparing.compare(table),
        "  params as numbers": lambda: [numbers(texts) for texts in table.params.values()],
        "  correlations": lambda: [correlation(column, target) for column in columns],
        "  importance": lambda: importances(columns, target),
        "  the answer's rows": lambda: comparing._runs(table, list(table.metrics), values),
        "JSON of the answer": lambda: msgspec.json.encode(answer),
    }


def main() -> None:
    """Prints the median of five rounds."""
    print(f"warm-up (imports, first fit): {took(lambda: warm_up().join()).wall:.1f} s")
    table = made_up(RUNS)
    calls = parts(table)
    found: dict[str, list[Took]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            found[name].append(took(call))
    print(f"{RUNS:,} runs x {PARAMS} params x {METRICS} metrics (bar: {BAR})")
    for name, times in found.items():
        wall, cpu = (statistics.median(one[part] for one in times) for part in (0, 1))
        print(f"  {name:<22} {wall:6.2f} s   CPU {cpu:6.2f} s")
    print("  reading by SQL         not measured here")


if __name__ == "__main__":
    main()
