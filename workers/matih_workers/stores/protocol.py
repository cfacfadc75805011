"""The contract of a store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final, Protocol

from matih_schemas.errors import InvalidEvent, MatihError
from matih_workers.positions import Noticed, Position, Source, Spans

if TYPE_CHECKING:
    from matih_workers.changes import Change

NOWHERE: Final = Spans()
Refusals = Mapping[int, InvalidEvent]
"""Why changes were not applied (or not wholly), by their index in the batch."""


class StoreUnavailable(MatihError):
    """The store can't take anything now: keep the events and try again; it says nothing about any of them.

    Attributes:
        retry_after: seconds the store asks to be left alone, None if it did not say.
        what: is away, if it is something else on the way to the store.
    """

    def __init__(self, message: str, retry_after: float | None = None, what: str = "the store") -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.what = what


class StoreTooSlow(StoreUnavailable):
    """It did not finish these within its time: keep the events and try fewer at once, if it takes anything."""


class RunStore(Protocol):
    """Applies changes to MLflow, exactly once in effect.

    - When `apply` returns, every change that is not refused is durable. Changes of one run (or experiment) are
      applied in the order given; between different ones there is no order.
    - Applying again what was applied, in whatever cuts, changes nothing; see merge.py for the rules. Deletions,
      restorations and updates of experiments have no order but the topic's: what came after them comes again too.
    - A run that nobody created is refused (`unknown_run`), as are another tenant's (`tenant_mismatch`) and deleted
      ones; the other changes of the batch are applied all the same.
    - If `apply` raises, any part may have been applied; the caller applies the whole again.
    - `noticed` tells what the positions say: events that this database has not seen, a topic made anew.
    - Calls come one at a time, from any thread. Every call ends within a bounded time, also if the store hangs.
    """

    noticed: Noticed

    def open(self) -> None:
        """Gets ready; imports and connections that take seconds happen here.

        Raises:
            StoreUnavailable: not now.
        """

    def apply(self, changes: Sequence[Change], spans: Spans = NOWHERE) -> Refusals:
        """Applies the changes, and notes how far the partitions are applied with them.

        Raises:
            StoreUnavailable: an outage for sure.
            StoreTooSlow: that, or too much at once; `probe` tells.
            Exception: anything else failed; `probe` tells whether it is the store or the changes.
        """

    def probe(self) -> None:
        """Tries whether the store answers and takes writes, with a write that concerns no run.

        Raises:
            StoreUnavailable: it does not.
        """

    def forget(self) -> None:
        """Drops all that is remembered of runs and experiments, also by an `apply` under way.

        For when others may write to the same runs: after partitions came or went.
        """

    def positions(self, source: Source, partitions: Iterable[int]) -> dict[int, Position]:
        """How far these partitions of a topic are applied, of those of which it was ever noted; `noticed` has it too.

        Raises:
            StoreUnavailable: not now.
        """

    def is_empty(self) -> bool:
        """Whether there are no experiments, deleted ones included, but for MLflow's own first one.

        Raises:
            StoreUnavailable: not now.
        """

    def present(self, run_ids: Iterable[str]) -> set[str]:
        """Those of the runs that are there, deleted ones included.

        Raises:
            StoreUnavailable: not now.
        """

    def close(self) -> None:
        """Gives back connections and threads; the store can't be used afterwards."""
