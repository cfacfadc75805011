"""What a reader answers with: experiments and runs as they are in MLflow, by our ids."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, Literal, NamedTuple, TypeVar

Stage = Literal["active", "deleted"]
Item = TypeVar("Item")


class MetricPoint(NamedTuple):
    """One point of a metric; timestamp in ms since the epoch. The value may be NaN or infinite."""

    key: str
    value: float
    timestamp: int
    step: int


@dataclass(frozen=True)
class ExperimentView:
    """An experiment.

    Attributes:
        experiment_id: ours, a dashed UUID; for one that was made in MLflow by hand the one that it will get
            (`matih_schemas.identity.experiment_id`).
        mlflow_id: MLflow's own number, as text.
        name: without the tenant, whole.
        created_at, last_updated: ms since the epoch.
        tags: all that are stored, the systems' own (`matih.*`, `mlflow.*`) too, but for the tags of positions.
    """

    experiment_id: str
    mlflow_id: str
    tenant_id: str
    name: str
    artifact_location: str
    stage: Stage
    created_at: int
    last_updated: int
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RunView:
    """A run with its params, tags and latest metrics.

    Attributes:
        run_id: ours, 32 hex characters where a producer minted it; MLflow's for a run made in MLflow by hand.
        mlflow_run_id: MLflow's own.
        experiment_id, mlflow_experiment_id: ours and MLflow's.
        status: MLflow's word: RUNNING, SCHEDULED, FINISHED, FAILED or KILLED.
        start_time, end_time: ms since the epoch; no end while it runs.
        stage: `deleted` too if its experiment is.
        metrics: the latest point by key, as MLflow computes it.
        tags: all that are stored, the systems' own too.
    """

    run_id: str
    mlflow_run_id: str
    tenant_id: str
    experiment_id: str
    mlflow_experiment_id: str
    name: str
    status: str
    start_time: int
    end_time: int | None
    stage: Stage
    artifact_uri: str
    tags: dict[str, str] = field(default_factory=dict)
    params: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, MetricPoint] = field(default_factory=dict)


@dataclass(frozen=True)
class Page(Generic[Item]):
    """A part of a list.

    Attributes:
        total: how many there are in all.
    """

    items: list[Item]
    total: int


@dataclass(frozen=True)
class History:
    """A metric's points by (step, timestamp), thinned out if there are more than were asked for.

    Attributes:
        total: how many points there are in the range that was asked for, before thinning.
    """

    points: list[MetricPoint]
    total: int


@dataclass(frozen=True)
class RunTable:
    """Many runs of one experiment in columns, for comparing them.

    Attributes:
        run_ids, names, statuses: one per run, newest run first; ids are ours.
        metrics: per key the latest values, None where a run has none; NaN and infinities as they are.
        params: per key the texts, None where a run has none.
    """

    run_ids: list[str]
    names: list[str]
    statuses: list[str]
    metrics: dict[str, list[float | None]] = field(default_factory=dict)
    params: dict[str, list[str | None]] = field(default_factory=dict)


@dataclass(frozen=True)
class ExperimentSummary:
    """What a list of experiments tells of each one's runs.

    Attributes:
        run_count: runs that are not deleted.
        best: per metric key the greatest and the least latest value (NaN left out) over its FINISHED runs that are
            not deleted.
    """

    run_count: int
    best: dict[str, tuple[float, float]] = field(default_factory=dict)
