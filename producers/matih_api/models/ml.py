"""Bodies of `/api/v1/ml/experiments`."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from matih_api.models.common import ExperimentTags, JsonNumber, Name, Strict

_ID = "7c1f9c8e-8f0d-5d0e-9a55-1c2b3d4e5f60"
_RUN = "0123456789abcdef0123456789abcdef"


class MlExperimentIn(Strict):
    """An experiment to be made."""

    model_config = ConfigDict(json_schema_extra={"example": {"name": "churn", "tags": {"matih.primary_metric": "f1"}}})
    name: Name = Field(min_length=1, max_length=255)
    description: str = Field(default="", max_length=1000)
    tags: ExperimentTags = Field(default_factory=dict)


class MlExperimentOut(BaseModel):
    """An experiment; `best_metric` is over its completed runs."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": _ID,
                "name": "churn",
                "description": "who leaves",
                "tags": {},
                "run_count": 17,
                "best_metric": {"f1_score": 0.91},
                "status": "active",
                "created_at": "2026-01-01T12:00:00.000Z",
            }
        }
    )
    id: str
    name: str
    description: str
    tags: dict[str, str]
    run_count: int
    best_metric: dict[str, JsonNumber]
    status: str
    created_at: str


class MlExperimentList(BaseModel):
    """A page of experiments; `limit` is the one that was used."""

    experiments: list[MlExperimentOut]
    total: int
    limit: int
    offset: int


class MlRunOut(BaseModel):
    """A run; parameters that are JSON numbers are numbers."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "run_id": _RUN,
                "name": "baseline",
                "status": "completed",
                "parameters": {"lr": 0.001, "optimizer": "adam"},
                "metrics": {"f1_score": 0.91},
                "duration_seconds": 300.0,
                "created_at": "2026-01-01T12:00:00.000Z",
            }
        }
    )
    run_id: str
    name: str
    status: str
    parameters: dict[str, int | float | str]
    metrics: dict[str, JsonNumber]
    duration_seconds: float | None
    created_at: str


class MlRunList(BaseModel):
    """A page of runs; `limit` is the one that was used."""

    runs: list[MlRunOut]
    total: int
    limit: int
    offset: int


class MetricStep(BaseModel):
    """One point; `timestamp` is RFC 3339 in UTC."""

    step: int
    value: JsonNumber
    timestamp: str


class MetricHistoryOut(BaseModel):
    """A metric's points, thinned out if there are more than were asked for; `total_steps` counts all of them."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "metric": "loss",
                "steps": [{"step": 0, "value": 1.0, "timestamp": "2026-01-01T12:00:00.000Z"}],
                "total_steps": 1,
            }
        }
    )
    metric: str
    steps: list[MetricStep]
    total_steps: int
