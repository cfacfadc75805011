"""Times calls: one at a time, several kinds in turn, so that all of them see the same machine."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Way(NamedTuple):
    """How calls follow one another, and how many of each kind make a round."""

    name: str
    pause_s: float
    busy: bool
    calls: int


TIGHT = Way("tight loop", 0, busy=False, calls=5000)
APART = Way("1 ms apart", 0.001, busy=False, calls=100)
BESIDE = Way("beside a busy thread", 0, busy=True, calls=100)
WAYS = (TIGHT, APART, BESIDE)


class Times(NamedTuple):
    """Percentiles, us."""

    p50: float
    p99: float
    worst: float


def percentiles(times: list[int]) -> Times:
    """Percentiles of times in ns."""
    ordered = sorted(times)
    at = (len(ordered) // 2, int(len(ordered) * 0.99), -1)
    return Times(*(ordered[place] / 1000 for place in at))


def timed(call: Callable[[int], object], calls: int, pause_s: float = 0) -> list[int]:
    """Times of `calls` calls, ns."""
    clock, times = time.perf_counter_ns, []
    for step in range(calls):
        start = clock()
        call(step)
        times.append(clock() - start)
        if pause_s:
            time.sleep(pause_s)
    return times


@contextlib.contextmanager
def busy_thread() -> Iterator[None]:
    """A thread of pure Python, as a data loader may be."""
    over = threading.Event()

    def work() -> None:
        while not over.is_set():
            sum(i * i for i in range(1000))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def compared(way: Way, calls: dict[str, Callable[[int], object]], rounds: int = 20) -> dict[str, Times]:
    """Rounds of each kind in turn."""
    times: dict[str, list[int]] = {name: [] for name in calls}
    with busy_thread() if way.busy else contextlib.nullcontext():
        for _ in range(rounds):
            for name, call in calls.items():
                times[name] += timed(call, way.calls, way.pause_s)
    return {name: percentiles(found) for name, found in times.items()}


def print_table(title: str, rows: dict[str, Times], base: str) -> None:
    """Prints percentiles, and their ratios to one of the rows."""
    print(title)
    for name, row in rows.items():
        ratios = f"{row.p50 / rows[base].p50:6.1f} x {row.p99 / rows[base].p99:6.1f} x"
        print(f"  {name:<22} p50 {row.p50:>9.2f}   p99 {row.p99:>9.2f}   worst {row.worst:>9.0f}   {ratios}")
