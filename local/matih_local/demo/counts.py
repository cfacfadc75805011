"""How many points are where, while the demo runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import psycopg

from matih_local.demo.ledger import percentile
from matih_schemas import tags

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matih_local.demo.ledger import Logged

RECENT_CALLS = 4000


def points(ledgers: Sequence[Logged]) -> int:
    """Metric points of all calls that returned."""
    return sum(len(ledger.points) for ledger in ledgers)


def entries(ledgers: Sequence[Logged]) -> int:
    """Entries of all calls that returned: a run's start, its params, tags, metrics."""
    return sum(ledger.entries for ledger in ledgers)


def calls_ns(ledgers: Sequence[Logged]) -> list[int]:
    """The durations of all log calls, in nanoseconds."""
    return [duration for ledger in ledgers for duration in ledger.call_ns]


def call_percentiles_us(ledgers: Sequence[Logged]) -> tuple[float, float]:
    """p50 and p99 of the latest log calls of each process, in microseconds."""
    recent = [duration for ledger in ledgers for duration in ledger.call_ns[-RECENT_CALLS:]]
    return percentile(recent, 0.5) / 1000, percentile(recent, 0.99) / 1000


ARRIVED: Final = """
SELECT coalesce(sum(tags.value::bigint + 1), 0) FROM tags
JOIN runs USING (run_uuid) JOIN experiments USING (experiment_id)
WHERE experiments.name = %s AND starts_with(tags.key, %s)
"""


class Arrived:
    """Counts the entries that MLflow's tables hold: by the marks that the worker writes with the data."""

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]], experiment: str) -> None:
        self._connect, self._experiment = connect, experiment
        self._connection: psycopg.Connection[Any] | None = None
        self._last = 0

    def read(self) -> int:
        """The count now; the last one while the database does not answer."""
        try:
            if self._connection is None:
                self._connection = self._connect()
            row = self._connection.execute(ARRIVED, [self._experiment, tags.applied("")]).fetchone()
            self._last = int(row[0]) if row else 0
        except psycopg.OperationalError:
            self._connection = None
        return self._last
