"""Grouping a batch of changes by what they change: pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from matih_workers.changes import Change, ExperimentChange, RunChange

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

Indexed = tuple[int, RunChange]


@dataclass
class RunGroup:
    """The changes of one run, in their order, each with its index in the batch."""

    tenant_id: str
    run_id: str
    changes: list[Indexed] = field(default_factory=list)


@dataclass
class Groups:
    """A batch, taken apart: groups have no order between them."""

    runs: list[RunGroup]
    experiments: list[list[tuple[int, ExperimentChange]]]


def grouped(changes: Sequence[Change]) -> Groups:
    """The changes by run and by experiment."""
    runs: dict[tuple[str, str], RunGroup] = {}
    experiments: dict[tuple[str, str], list[tuple[int, ExperimentChange]]] = {}
    for index, change in enumerate(changes):
        if isinstance(change, RunChange):
            key = (change.tenant_id, change.run_id)
            runs.setdefault(key, RunGroup(*key)).changes.append((index, change))
        else:
            experiments.setdefault((change.tenant_id, change.experiment_id), []).append((index, change))
    return Groups(list(runs.values()), list(experiments.values()))


def metric_count(changes: Iterable[Change]) -> int:
    """The points in the changes, those that come twice included."""
    return sum(len(logged.metrics) for change in changes if isinstance(change, RunChange) for logged in change.logged)
