"""What a reader can be asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

StageWanted = Literal["active", "deleted", "all"]


@dataclass(frozen=True)
class ExperimentQuery:
    """Which experiments of some tenants, newest first (creation time, then id, descending).

    Attributes:
        search: a part of the name without the tenant, in any case; `%` and `_` are taken literally. Empty: all.
    """

    search: str = ""
    stage: StageWanted = "active"
    limit: int = 100
    offset: int = 0


@dataclass(frozen=True)
class SortKey:
    """What a list of runs is sorted by; runs without it, and NaN, come last in both orders.

    Attributes:
        kind: `attribute`s are `start_time`, `end_time`, `duration`, `status` and `name`.
        key: of the metric, param or tag, or the attribute's name.
    """

    kind: Literal["attribute", "metric", "param", "tag"] = "attribute"
    key: str = "start_time"
    descending: bool = True


@dataclass(frozen=True)
class RunQuery:
    """Which runs; ties of the order are decided by start time and run id, in the same direction.

    Attributes:
        experiment_id: ours; None is all experiments of the tenants.
        status: MLflow's word; None is any.
        run_ids: only these (ours); None is any.
    """

    experiment_id: str | None = None
    status: str | None = None
    run_ids: tuple[str, ...] | None = None
    stage: StageWanted = "active"
    sort: SortKey = SortKey()
    limit: int = 50
    offset: int = 0
