"""The API's settings, from the environment."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from pydantic import AliasChoices, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from matih_kafka.environment import from_environment, secret_in

DEFAULT_TRACKING_URI: Final = "http://mlflow:5000"


class ApiSettings(BaseSettings):
    """`MATIH_API_<NAME>` in the environment, but where another name is given.

    Attributes:
        host: the address to listen on; without credentials only the loopback is allowed.
        port: the port to listen on; 0 takes a free one and says which.
        processes: how many processes answer requests.
        tenant: the tenant of creations and lists that name none, in open mode.
        tracking_uri: where runs are read: MLflow's database (fast), or its server.
        tracking_uri_file: the file that holds MATIH_API_TRACKING_URI, which may have a password in it.
        mlflow_url: the address of MLflow's page, for the links to runs; MLFLOW_TRACKING_URI if that is http.
        worker_group: the workers' consumer group: what it has committed is in MLflow.
        idempotency_window: seconds for which a repeated request is known by its Idempotency-Key, also after a restart.
        read_timeout: seconds that one read of MLflow may take.
        kafka_timeout: seconds that a request waits for Kafka before it is refused with 503.
        visible_timeout: seconds that a creation waits to be seen in MLflow before it is answered with 202.
        max_body_bytes: bytes of a request's body.
        max_runs: runs in one answer of a list, at most.
        metric_history_limit: points in one answer of a metric's history, at most.
        pending_bytes: bytes of memory for what was acknowledged and is not in MLflow yet.
        local_artifacts: also where people log in, artifact locations may be on the disk of MLflow's server (`file:`;
            paths in shippers' events): who may write can then read the files that it can. Open mode on the loopback
            allows it anyway.
    """

    model_config = SettingsConfigDict(
        env_prefix="MATIH_API_", env_ignore_empty=True, extra="ignore", frozen=True, populate_by_name=True
    )

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    processes: int = Field(default=1, ge=1, le=64)
    tenant: str = Field(default="default", validation_alias=AliasChoices("MATIH_TENANT", "tenant"))
    tracking_uri: str = Field(
        default=DEFAULT_TRACKING_URI,
        validation_alias=AliasChoices("MATIH_API_TRACKING_URI", "MLFLOW_TRACKING_URI", "tracking_uri"),
    )
    tracking_uri_file: Path | None = None
    mlflow_url: str = ""
    worker_group: str = Field(
        default="matih-ingest", min_length=1, validation_alias=AliasChoices("MATIH_WORKER_GROUP", "worker_group")
    )
    idempotency_window: float = Field(default=600.0, ge=0)
    read_timeout: float = Field(default=5.0, gt=0)
    kafka_timeout: float = Field(default=2.0, gt=0)
    visible_timeout: float = Field(default=2.0, ge=0)
    max_body_bytes: int = Field(default=1 << 20, ge=1024)
    max_runs: int = Field(default=100, ge=1, validation_alias=AliasChoices("TRACKING_MAX_RUNS_PER_QUERY", "max_runs"))
    metric_history_limit: int = Field(
        default=1000,
        ge=4,
        validation_alias=AliasChoices("TRACKING_METRIC_HISTORY_LIMIT", "metric_history_limit"),
    )
    pending_bytes: int = Field(default=64 << 20, ge=1 << 20)
    local_artifacts: bool = False


def api_settings() -> ApiSettings:
    """The settings of this process's environment.

    Raises:
        InvalidSettings: one of them can't be; the message names the variable.
    """
    found = from_environment(ApiSettings)
    if found.tracking_uri_file is not None and not os.environ.get("MATIH_API_TRACKING_URI"):
        found = found.model_copy(update={"tracking_uri": secret_in(found.tracking_uri_file)})
    if found.mlflow_url or not found.tracking_uri.startswith(("http://", "https://")):
        return found
    return found.model_copy(update={"mlflow_url": found.tracking_uri})
