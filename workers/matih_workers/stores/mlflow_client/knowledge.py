"""What this process remembers of runs, bounded, and when it must not be trusted any more."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from matih_schemas.errors import MatihError
from matih_workers.stores.walk import StoredRun

if TYPE_CHECKING:
    from collections.abc import Callable

KNOWN_FOR: Final = 5.0
"""Seconds after its last reading or writing for which a run need not be read again. Less than the consumer group's
session time-out: a worker that was stopped for so long that its partitions went to another reads before it writes."""
RUNS_MAX: Final = 2_000
IDS_MAX: Final = 100_000

_K = TypeVar("_K")
_V = TypeVar("_V")


class Outdated(MatihError):
    """What was known of a run is not so any more: read it again and start over."""


@dataclass(kw_only=True)
class MlflowRun(StoredRun):
    """A run as MLflow has it.

    Attributes:
        status: MLflow's word for it.
        era: when it was read; see `Knowledge`.
        seen_at: when it was last read or written, in seconds of the monotonic clock.
    """

    run_id: str
    mlflow_id: str
    experiment: str
    status: str
    era: int
    seen_at: float = 0.0


class Lru(Generic[_K, _V]):
    """A dictionary of the `size` items used last. Thread-safe."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: OrderedDict[_K, _V] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: _K) -> _V | None:
        """The item, which counts as a use; None if it is not there."""
        with self._lock:
            if key not in self._items:
                return None
            self._items.move_to_end(key)
            return self._items[key]

    def put(self, key: _K, value: _V) -> None:
        """Adds or replaces the item; the one used longest ago may go."""
        with self._lock:
            self._items[key] = value
            self._items.move_to_end(key)
            if len(self._items) > self._size:
                self._items.popitem(last=False)

    def drop(self, key: _K) -> None:
        """Removes the item if it is there."""
        with self._lock:
            self._items.pop(key, None)

    def clear(self) -> None:
        """Removes all."""
        with self._lock:
            self._items.clear()


class Knowledge:
    """The runs this worker wrote to lately, as it left them.

    Nobody else writes to the runs of a partition while it is ours, so what we know of them is right. When partitions
    come or go a new era begins: what was read before is not used any more, neither by new nor by running calls.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._runs: Lru[str, MlflowRun] = Lru(RUNS_MAX)
        self._era = 0
        self.mlflow_ids: Lru[str, str] = Lru(IDS_MAX)

    @property
    def era(self) -> int:
        """The present era; a run read now belongs to it."""
        return self._era

    def begin_era(self) -> None:
        """Nothing known holds from now on, but which MLflow run a run is."""
        self._era += 1
        self._runs.clear()

    def get(self, run_id: str) -> MlflowRun | None:
        """The run, if what is known of it holds."""
        run = self._runs.get(run_id)
        if run is None or run.era != self._era or self._clock() - run.seen_at > KNOWN_FOR:
            return None
        return run

    def keep(self, run: MlflowRun) -> None:
        """Remembers a run just read or written; a deleted one is looked at anew each time."""
        run.seen_at = self._clock()
        if run.deleted is None:
            self._runs.put(run.run_id, run)
        else:
            self._runs.drop(run.run_id)
        self.mlflow_ids.put(run.run_id, run.mlflow_id)

    def drop(self, run_id: str) -> None:
        """Forgets a run: something went wrong with it."""
        self._runs.drop(run_id)
        self.mlflow_ids.drop(run_id)

    def check(self, run: MlflowRun) -> None:
        """Makes sure that the run may still be written to.

        Raises:
            Outdated: it was read in another era.
        """
        if run.era != self._era:
            raise Outdated(f"run {run.run_id}: partitions came or went while it was written")
