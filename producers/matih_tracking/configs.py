"""What a user says about experiments, runs and metrics: plain dataclasses."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

TENANT_TAG: Final = "matih.tenant_id"


@dataclass
class ExperimentConfig:
    """An experiment and what it carries when it is created; an existing one keeps its attributes.

    Attributes:
        name: unique within the tenant.
        description: for people.
        tags: stored as strings; with a `tenant_id` they are a copy that holds the tag `matih.tenant_id` too.
        artifact_location: where its runs' files go; None leaves it to MLflow's server.
        tenant_id: whose it is; None means MATIH_TENANT.
    """

    name: str
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    artifact_location: str | None = None
    tenant_id: str | None = None

    def __post_init__(self) -> None:
        if self.tenant_id is not None:
            self.tags = {**self.tags, TENANT_TAG: self.tenant_id}


@dataclass
class RunConfig:
    """What is known about a run when it starts; all of it is optional.

    Attributes:
        run_name: for people; None makes one of the run's id.
        tenant_id: whose it is; None means the tenant of the experiment in this tracker, else MATIH_TENANT.
        user_id: who runs it (tags `matih.user_id` and `mlflow.user`); None means the operating system's user.
        job_id: the scheduler's or pipeline's job (tag `matih.job_id`).
        description: shown by MLflow as the run's note.
        tags: stored as strings.
        run_id: 32 hexadecimal characters or a UUID; anything else is hashed with the tenant. Starting a run with
            the id of an existing one goes on with that.
        parent_run_id: the run that this one belongs to (tag `mlflow.parentRunId`).
    """

    run_name: str | None = None
    tenant_id: str | None = None
    user_id: str | None = None
    job_id: str | None = None
    description: str | None = None
    tags: dict[str, str] | None = None
    run_id: str | None = None
    parent_run_id: str | None = None


@dataclass
class RunMetrics:
    """Metrics of one step.

    Attributes:
        metrics: values by key.
        step: int64; None is 0, as in MLflow.
        timestamp: ms since the epoch; None is now.
    """

    metrics: dict[str, Any]
    step: int | None = None
    timestamp: int | None = None
