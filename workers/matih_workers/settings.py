"""The worker's settings, from the environment."""

from __future__ import annotations

import getpass
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal

from pydantic import AliasChoices, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from matih_kafka.environment import from_environment, secret_in
from matih_kafka.errors import InvalidSettings
from matih_schemas.identity import check_tenant

if TYPE_CHECKING:
    from collections.abc import Callable

    from matih_workers.stores.protocol import RunStore

DEFAULT_STORE_URI: Final = "http://mlflow:5000"
SQL_SCHEMES: Final = ("postgresql", "sqlite")


class WorkerSettings(BaseSettings):
    """`MATIH_<NAME>` in the environment, but where another name is given; Kafka's settings are `KafkaSettings`.

    Attributes:
        store_uri: MLflow's tracking URI: a server's, or a database's.
        store_uri_file: the file that holds MATIH_STORE_URI, which may have a password in it; with `sql` it is read
            again after each outage.
        store: how it is written to: `sql` in bulk into the tables of MLflow's PostgreSQL or SQLite, `client` through
            MLflow's API; `auto` takes `sql` for such a database and `client` for all else.
        store_timeout: seconds for one answer of the store.
        store_threads: runs that are written side by side through MLflow's API.
        store_artifact_root: where the artifacts of experiments made by this worker go. None: where MLflow puts them;
            with `sql` beside those of its first experiment.
        worker_group: the consumer group; workers of one group share the partitions.
        worker_host: the address of the worker's pages.
        worker_port: the port of the worker's pages; 0 takes a free one and says which.
        worker_datadir: a folder for what must survive the process: the events it was at when it was killed.
        worker_tenants: the tenants that may write to this worker's topic, comma separated; empty for all. Others'
            events are dead letters (`tenant_mismatch`). For a tenant with a topic of its own.
        worker_batch_events: events applied at once, at most.
        worker_batch_metrics: points applied at once, at most (an event is never split).
        worker_backoff: seconds before the first retry; each further one waits twice as long.
        worker_backoff_max: seconds that a retry waits at most.
        worker_attempts: how often one event may fail, or kill the worker, before it is a dead letter.
        worker_stop_timeout: seconds that a batch under way has to finish when the worker is told to stop.
        worker_dead_letter_share: the share of dead letters among the last 10 000 events from which on `/status` and
            the log warn; the worker goes on and stays ready.
        reaper: whether this worker also ends runs whose host is gone.
        reaper_silence: seconds without a sign of life after which a run that had heartbeats counts as failed.
    """

    model_config = SettingsConfigDict(
        env_prefix="MATIH_", env_ignore_empty=True, extra="ignore", frozen=True, populate_by_name=True
    )

    store_uri: str = Field(
        default=DEFAULT_STORE_URI, validation_alias=AliasChoices("MATIH_STORE_URI", "MLFLOW_TRACKING_URI", "store_uri")
    )
    store_uri_file: Path | None = None
    store: Literal["auto", "client", "sql"] = "auto"
    store_timeout: float = Field(default=20.0, gt=0)
    store_threads: int = Field(default=4, ge=1, le=64)
    store_artifact_root: str | None = None
    worker_group: str = Field(default="matih-ingest", min_length=1)
    worker_host: str = "127.0.0.1"
    worker_port: int = Field(default=8090, ge=0, le=65535)
    worker_datadir: Path = Field(default_factory=lambda: Path(tempfile.gettempdir()) / f"matih-worker-{_user()}")
    worker_tenants: Annotated[frozenset[str], NoDecode] = frozenset()
    worker_batch_events: int = Field(default=2_048, ge=1)
    worker_batch_metrics: int = Field(default=20_000, ge=1)
    worker_backoff: float = Field(default=0.2, gt=0)
    worker_backoff_max: float = Field(default=5.0, gt=0)
    worker_attempts: int = Field(default=5, ge=1)
    worker_stop_timeout: float = Field(default=5.0, ge=0)
    worker_dead_letter_share: float = Field(default=0.05, ge=0, le=1)
    reaper: bool = True
    reaper_silence: float = Field(default=600.0, ge=1)

    @field_validator("worker_tenants", mode="before")
    @classmethod
    def _tenants(cls, given: object) -> object:
        # A list that turns out empty would let everybody in.
        if not isinstance(given, str):
            return given
        tenants = frozenset(map(check_tenant, filter(None, (name.strip() for name in given.split(",")))))
        if given.strip() and not tenants:
            raise ValueError("name at least one tenant, or leave it empty for all")
        return tenants


def worker_settings() -> WorkerSettings:
    """The settings of this process's environment.

    Raises:
        InvalidSettings: one of them can't be; the message names the variable.
    """
    settings = from_environment(WorkerSettings)
    return settings.model_copy(update={"store_uri": _store_address(settings)()})


def _store_address(settings: WorkerSettings) -> Callable[[], str]:
    """Gives MATIH_STORE_URI; where it comes from a file, as that is now: a password may change under a worker."""
    file = settings.store_uri_file
    if file is None or os.environ.get("MATIH_STORE_URI"):
        return lambda: settings.store_uri
    return lambda: secret_in(file)


def _user() -> str:
    """Who runs this: two users of one machine must not share a folder under the temporary one."""
    return getpass.getuser()


def make_store(settings: WorkerSettings) -> RunStore:
    """The store that the settings name, not opened yet.

    Raises:
        InvalidSettings: there is none of that kind for that URI.
    """
    if uses_sql(settings):
        from matih_workers.stores.mlflow_sql import MlflowSqlStore

        return MlflowSqlStore(_store_address(settings), settings.store_timeout, settings.store_artifact_root)
    from matih_workers.stores.mlflow_client import MlflowClientStore

    return MlflowClientStore(
        settings.store_uri, settings.store_timeout, settings.store_threads, settings.store_artifact_root
    )


def uses_sql(settings: WorkerSettings) -> bool:
    """Whether the store writes MLflow's tables itself.

    Raises:
        InvalidSettings: it shall, and the URI is of no database that it knows.
    """
    scheme = settings.store_uri.partition(":")[0].partition("+")[0]
    if settings.store == "sql" and scheme not in SQL_SCHEMES:
        raise InvalidSettings(
            f"MATIH_STORE=sql with MATIH_STORE_URI={scheme}:...: it writes to {' and '.join(SQL_SCHEMES)} only; "
            "use auto or client"
        )
    return settings.store != "client" and scheme in SQL_SCHEMES
