"""Bodies of `/api/v1/experiments`."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from matih_api.locations import place_problem
from matih_api.models.common import (
    ExperimentTags,
    JsonNumber,
    MetricKey,
    Name,
    Number,
    ParamKey,
    ParamValue,
    Step,
    Strict,
    TagKey,
    Tags,
    TagValue,
    Timestamp,
)

BATCH_MAX = 10_000


def _location(value: str) -> str:
    problem = place_problem(value)
    if problem is not None:
        raise ValueError(problem)
    return value


Location = Annotated[str, AfterValidator(_location)]


class ExperimentIn(Strict):
    """An experiment to be made."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"name": "churn", "description": "who leaves", "tags": {"team": "growth"}}}
    )
    name: Name = Field(min_length=1, max_length=255)
    description: str = Field(default="", max_length=1000)
    artifact_location: Location | None = None
    tags: ExperimentTags = Field(default_factory=dict)


class ExperimentPatch(Strict):
    """What changes; what is not given stays."""

    model_config = ConfigDict(json_schema_extra={"example": {"description": "who leaves, and when"}})
    name: Name | None = Field(default=None, min_length=1, max_length=255)
    description: str | None = Field(default=None, max_length=1000)
    tags: ExperimentTags = Field(default_factory=dict)


class ExperimentOut(BaseModel):
    """An experiment. Times are RFC 3339 in UTC."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "7c1f9c8e-8f0d-5d0e-9a55-1c2b3d4e5f60",
                "name": "churn",
                "description": "who leaves",
                "artifact_location": "mlflow-artifacts:/1",
                "lifecycle_stage": "active",
                "created_at": "2026-01-01T12:00:00.000Z",
                "last_updated": "2026-01-01T12:00:00.000Z",
                "tags": {"team": "growth"},
            }
        }
    )
    id: str
    name: str
    description: str
    artifact_location: str
    lifecycle_stage: str
    created_at: str
    last_updated: str
    tags: dict[str, str]


class ExperimentList(BaseModel):
    """A page of experiments; `limit` is the one that was used."""

    experiments: list[ExperimentOut]
    total: int
    limit: int
    offset: int


class RunIn(Strict):
    """A run to be begun."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"experiment_id": "7c1f9c8e-8f0d-5d0e-9a55-1c2b3d4e5f60", "name": "baseline", "tags": {}}
        }
    )
    experiment_id: str = Field(min_length=1, max_length=64)
    name: Name | None = Field(default=None, max_length=250)
    description: str = Field(default="", max_length=1000)
    tags: Tags = Field(default_factory=dict)


class RunOut(BaseModel):
    """A run. Times are RFC 3339 in UTC; `duration_seconds` is null while it is not known."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "0123456789abcdef0123456789abcdef",
                "experiment_id": "7c1f9c8e-8f0d-5d0e-9a55-1c2b3d4e5f60",
                "name": "baseline",
                "status": "finished",
                "start_time": "2026-01-01T12:00:00.000Z",
                "end_time": "2026-01-01T12:05:00.000Z",
                "duration_seconds": 300.0,
                "tags": {},
                "params": {"lr": "0.001"},
                "metrics": {"loss": 0.25},
                "artifacts": [],
                "mlflow_run_id": "0123456789abcdef0123456789abcdef",
                "url": None,
            }
        }
    )
    id: str
    experiment_id: str
    name: str
    status: str
    start_time: str
    end_time: str | None
    duration_seconds: float | None
    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[str, JsonNumber]
    artifacts: list[str]
    mlflow_run_id: str | None
    url: str | None


class RunList(BaseModel):
    """A page of runs, newest first; `limit` is the one that was used."""

    runs: list[RunOut]
    total: int
    limit: int
    offset: int


class MetricsIn(Strict):
    """Metrics of one step; `timestamp` in ms since the epoch, now without one."""

    model_config = ConfigDict(json_schema_extra={"example": {"metrics": {"loss": 0.25, "accuracy": 0.9}, "step": 7}})
    metrics: dict[MetricKey, Number] = Field(min_length=1, max_length=BATCH_MAX)
    step: Step = 0
    timestamp: Timestamp | None = None


class ParamsIn(Strict):
    """Params; the first value of a param holds."""

    model_config = ConfigDict(json_schema_extra={"example": {"params": {"lr": 0.001, "optimizer": "adam"}}})
    params: dict[ParamKey, ParamValue] = Field(min_length=1, max_length=BATCH_MAX)


class BatchMetric(Strict):
    """One metric of a batch."""

    key: MetricKey
    value: Number
    step: Step = 0
    timestamp: Timestamp | None = None


class BatchParam(Strict):
    """One param of a batch."""

    key: ParamKey
    value: ParamValue


class BatchTag(Strict):
    """One tag of a batch."""

    key: TagKey
    value: TagValue


class BatchIn(Strict):
    """Metrics, params and tags, at most 10 000 in all; all of them are taken, or none."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "metrics": [{"key": "loss", "value": 0.25, "step": 7}],
                "params": [{"key": "lr", "value": "0.001"}],
                "tags": [{"key": "stage", "value": "warmup"}],
            }
        }
    )
    metrics: list[BatchMetric] = Field(default_factory=list)
    params: list[BatchParam] = Field(default_factory=list)
    tags: list[BatchTag] = Field(default_factory=list)


class LoggedOut(BaseModel):
    """How much was taken."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"message": "Metrics logged", "run_id": "0123456789abcdef0123456789abcdef", "accepted": 2}
        }
    )
    message: str
    run_id: str
    accepted: int


class EndedOut(BaseModel):
    """How a run ended."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "message": "Run ended",
                "run_id": "0123456789abcdef0123456789abcdef",
                "status": "finished",
                "duration_seconds": 300.0,
            }
        }
    )
    message: str
    run_id: str
    status: str
    duration_seconds: float | None


class RestoringOut(BaseModel):
    """A run is restored that can't be read now."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"message": "Run restored", "run_id": "0123456789abcdef0123456789abcdef"}}
    )
    message: str
    run_id: str


class CompareIn(Strict):
    """Which runs to compare, by what."""

    model_config = ConfigDict(
        json_schema_extra={"example": {"run_ids": ["0123456789abcdef0123456789abcdef"], "metrics": ["accuracy"]}}
    )
    run_ids: list[str] | None = Field(default=None, min_length=1, max_length=BATCH_MAX)
    metrics: list[str] | None = None
    parameters: list[str] | None = None
    goal: str | None = None


class CompareRunsIn(CompareIn):
    """Which runs of one tenant to compare, by what."""

    run_ids: list[str] = Field(min_length=1, max_length=BATCH_MAX)


class ProblemOut(BaseModel):
    """An error, as RFC 9457 has it."""

    type: str = Field(examples=["urn:matih:problem:run-not-found"])
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    errors: list[dict[str, object]]
