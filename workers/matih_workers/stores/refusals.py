"""Why a store refuses a change: the same words from every store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matih_schemas.errors import InvalidEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from matih_workers.changes import ExperimentChange, RunChange


def refused(
    apply: Callable[[ExperimentChange], None], changes: Iterable[tuple[int, ExperimentChange]]
) -> dict[int, InvalidEvent]:
    """Applies the changes one after the other; returns the refused ones by index."""
    return {index: refusal for index, change in changes if (refusal := _refusal(apply, change))}


def _refusal(apply: Callable[[ExperimentChange], None], change: ExperimentChange) -> InvalidEvent | None:
    try:
        apply(change)
    except InvalidEvent as error:
        return error
    return None


def unknown_run(change: RunChange) -> InvalidEvent:
    """The refusal of what comes for a run that is not there."""
    return InvalidEvent("unknown_run", f"nobody created run {change.run_id} of tenant {change.tenant_id}")


def unknown_experiment(tenant_id: str, experiment_id: str) -> InvalidEvent:
    """The refusal of a change to an experiment that is not there."""
    return InvalidEvent("unknown_experiment", f"nobody created experiment {experiment_id} of tenant {tenant_id}")


def foreign_experiment(tenant_id: str, experiment_id: str) -> InvalidEvent:
    """The refusal of what would touch another tenant's experiment."""
    return InvalidEvent("tenant_mismatch", f"experiment {experiment_id} is not tenant {tenant_id}'s")


def deleted_experiment(mlflow_name: str) -> InvalidEvent:
    """The refusal of what would go to a deleted experiment."""
    return InvalidEvent("deleted_experiment", f"experiment {mlflow_name!r} is deleted: restore it, then redrive")


def deleted_run(run_id: str) -> InvalidEvent:
    """The refusal of what would go to a run that was deleted on its own."""
    return InvalidEvent("deleted_run", f"run {run_id} is deleted: restore it, then redrive")


def name_taken(mlflow_name: str, wanted: str, why: object) -> InvalidEvent:
    """The refusal of an experiment's new name."""
    return InvalidEvent("invalid_entry", f"experiment {mlflow_name!r} can't be named {wanted!r}: {why}")
