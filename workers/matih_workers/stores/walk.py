"""Through a run's changes in their order: what every store does alike, on the few things that each does its own way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from matih_schemas.errors import InvalidEvent
from matih_workers.merge import KnownRun, RunWrites, is_applied, merge
from matih_workers.stores.refusals import unknown_run

if TYPE_CHECKING:
    from matih_workers.batch import RunGroup
    from matih_workers.changes import Lifecycle, RunChange


@dataclass
class StoredRun:
    """A run as it is in the store.

    Attributes:
        deleted: why nothing can be written to it: `deleted_run` or `deleted_experiment`; None if it can.
        left_out: what MLflow did not take when it was made, in words; to be told once.
    """

    tenant_id: str
    known: KnownRun
    deleted: InvalidEvent | None = None
    left_out: tuple[str, ...] = ()


Run = TypeVar("Run", bound=StoredRun)


class RunPort(Protocol[Run]):
    """What a store does with one run."""

    def find(self, run_id: str) -> Run | None:
        """The run, deleted ones included; None if nobody created it."""

    def create(self, change: RunChange) -> Run:
        """Makes the run of a change with a creation, and its experiment if need be.

        Raises:
            InvalidEvent: it can't be made: its experiment is deleted or another tenant's.
        """

    def write(self, run: Run, writes: RunWrites) -> None:
        """Writes to a run that is not deleted."""

    def set_lifecycle(self, run: Run, lifecycle: Lifecycle) -> None:
        """Deletes or restores the run, also if it is already so; `run.deleted` says it afterwards.

        Raises:
            InvalidEvent: a run can't be restored while its experiment is deleted.
        """


def apply_run(port: RunPort[Run], group: RunGroup) -> dict[int, InvalidEvent]:
    """Applies the changes of one run; returns the refused ones by index."""
    walk = _Walk(port, port.find(group.run_id))
    refused = {index: refusal for index, change in group.changes if (refusal := walk.refusal(change))}
    walk.flush()
    return refused


class _Walk(Generic[Run]):
    def __init__(self, port: RunPort[Run], run: Run | None) -> None:
        self._port = port
        self._run = run
        self._pending: list[RunChange] = []

    def refusal(self, change: RunChange) -> InvalidEvent | None:
        """Takes the change, or says why not."""
        try:
            self._take(change)
        except InvalidEvent as error:
            return None if change.sign_of_life else error
        return self._left_out(change)

    def _left_out(self, change: RunChange) -> InvalidEvent | None:
        """What MLflow did not take of a creation that was applied all the same."""
        if self._run is None or not self._run.left_out:
            return None
        told, self._run.left_out = (*change.problems, *self._run.left_out), ()
        return InvalidEvent("invalid_entry", "; ".join(told))

    def _take(self, change: RunChange) -> None:
        run = self._run = self._run or self._made(change)
        if run.tenant_id != change.tenant_id:
            # The other tenant is not named: whoever reads the dead letter may be this one.
            raise InvalidEvent("tenant_mismatch", f"run {change.run_id} is not tenant {change.tenant_id}'s")
        if change.lifecycle is not None and change.fill and not run.known.filled.is_own(change.fill):
            return  # a replay that fills neither hides nor shows what was there before
        if change.lifecycle is not None:
            self.flush()
            self._port.set_lifecycle(run, change.lifecycle)
        elif run.deleted is None:
            self._pending.append(change)
        elif change.redriven or not is_applied(run.known, change):
            raise InvalidEvent(run.deleted.reason, run.deleted.detail)

    def flush(self) -> None:
        if self._run is None or not self._pending:
            return
        pending, self._pending = self._pending, []
        writes = merge(self._run.known, pending)
        if writes:
            self._port.write(self._run, writes)

    def _made(self, change: RunChange) -> Run:
        if change.creation is None:
            raise unknown_run(change)
        return self._port.create(change)
