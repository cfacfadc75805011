"""The whole system, or some of its parts, as children of this process: for the supervisor, the demo and the tests."""

from __future__ import annotations

import time
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Final

from matih_local import downloads
from matih_local.api import Api
from matih_local.apicurio import SchemaRegistry
from matih_local.audit import Audit
from matih_local.errors import PartFailed
from matih_local.home import Home
from matih_local.kafka import Kafka
from matih_local.lock import HomeLock, Kind
from matih_local.mlflow_server import MlflowServer
from matih_local.postgres import Postgres
from matih_local.runner import Restarts, Runner, State
from matih_local.state import PartState, raise_for_failed, snapshot
from matih_local.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from matih_local.part import Part

TICK_SECONDS: Final = 0.05
PARTS: Final = ("kafka", "postgres", "mlflow", "worker", "api", "audit")
"""What every system has."""


def _nothing() -> None:
    return


class LocalSystem:
    """The system of one MATIH_HOME, in the foreground: its parts end when this process does, however it ends.

    Use it in the main thread, as a context manager or with `stop` at the end. Without `restarts`, a part that dies
    stays dead until it is started again. Kafka's jars have to be there: see `downloads.fetch`.

    Attributes:
        kafka: with `url`, the bootstrap servers.
        postgres: with `url`, `uri(database)`, `create_database(name)` and `connect()`.
        mlflow: with `url`, the tracking URI.
        worker: with `url`, of its pages.
        api: with `url`, the REST API's.
        audit: with `url`, of its pages, and `archive`, its folder.
        schema_registry: with `url`, its Confluent API's; None if the MATIH_HOME has none.
        runners: each part's runner by the part's name.
    """

    def __init__(
        self,
        home: Path | Home,
        *,
        restarts: Restarts | None = None,
        schema_registry: bool = False,
        worker_settings: Mapping[str, str] = MappingProxyType({}),
        api_settings: Mapping[str, str] = MappingProxyType({}),
        audit_settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Prepares everything and starts nothing.

        Args:
            home: the MATIH_HOME, made if need be.
            restarts: start parts that end by themselves again, for as long as `tick` is called.
            schema_registry: have a schema registry, and Confluent's framing. A MATIH_HOME that has one keeps it.
            worker_settings: more environment variables for the worker.
            api_settings: more environment variables for the API.
            audit_settings: more environment variables for the archiver.

        Raises:
            LocalError: the folder can't be used.
        """
        self.home = home if isinstance(home, Home) else Home.open(home)
        has_registry = schema_registry or self.home.has_schema_registry
        self.schema_registry = SchemaRegistry(self.home) if has_registry else None
        framing = self.schema_registry.environment() if self.schema_registry is not None else {}
        self.kafka = Kafka(self.home)
        self.postgres = Postgres(self.home)
        self.mlflow = MlflowServer(self.home, self.postgres)
        self.worker = Worker(self.home, self.kafka.url, self.postgres.url, {**framing, **worker_settings})
        self.api = Api(self.home, self.kafka, self.postgres, self.mlflow, {**framing, **api_settings})
        self.audit = Audit(self.home, self.kafka.url, audit_settings)
        parts: tuple[Part, ...] = (self.kafka, self.postgres, self.mlflow, self.worker, self.api, self.audit)
        if self.schema_registry is not None:
            parts = (*parts, self.schema_registry)
        self.runners: Mapping[str, Runner] = {part.name: Runner(part, restarts) for part in parts}
        self._pending: set[str] = set()
        self._lock: HomeLock | None = None

    def __enter__(self) -> LocalSystem:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def environment(self) -> dict[str, str]:
        """What a training process needs in its environment to log into this system, and an auditor to look into it."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.kafka.url,
            "MLFLOW_TRACKING_URI": self.mlflow.url,
            "MATIH_API_URL": self.api.url,
            "MATIH_SPOOL_DIR": str(self.home.folder("spool")),
            "MATIH_HOME": str(self.home.path),
            **self.audit.environment(),
            **(self.schema_registry.environment() if self.schema_registry is not None else {}),
        }

    @property
    def names(self) -> tuple[str, ...]:
        """All parts that this system has."""
        return tuple(self.runners)

    def data_folders(self) -> tuple[Path, ...]:
        """Where all data is: MATIH_HOME, and for root PostgreSQL's own folder, which its account can reach."""
        return (self.home.path, self.postgres.folder) if self.postgres.outside else (self.home.path,)

    def states(self) -> tuple[PartState, ...]:
        """All parts as of the last `tick`."""
        return snapshot(self.runners.values())

    def state(self, name: str) -> PartState:
        """One part now."""
        self.runners[name].tick()
        return PartState.of(self.runners[name])

    def start(self, *names: str, timeout: float = 180.0, tell: Callable[[], None] = _nothing) -> None:
        """Starts parts (all by default) and what they need, side by side as far as possible, and waits for them.

        Kafka's jars are fetched if need be, with a progress bar on stderr.

        Args:
            names: of the parts.
            timeout: in seconds, for all of them.
            tell: called every now and then while waiting, to show progress.

        Raises:
            HomeInUse: another process runs this MATIH_HOME.
            JarsMissing: Kafka's jars can't be had.
            PartFailed: one of them did not start, or not in time; the others may run.
        """
        wanted = self._with_needs(names or self.names)
        if wanted & {"kafka", "schema-registry"}:
            downloads.fetch(schema_registry="schema-registry" in wanted)
        self.want(*wanted)
        deadline = time.monotonic() + timeout
        while late := [name for name in wanted if not PartState.of(self.runners[name]).is_settled]:
            self.tick()
            tell()
            raise_for_failed(PartState.of(self.runners[name]) for name in wanted)
            if time.monotonic() > deadline:
                raise PartFailed(f"{', '.join(late)}: not ready after {timeout:.0f} s; see {self.home.path / 'logs'}")
            time.sleep(TICK_SECONDS)

    def want(self, *names: str, kind: Kind = "foreground") -> None:
        """Says which parts shall run, and waits for none: `tick` brings them there.

        Raises:
            HomeInUse: another process runs this MATIH_HOME.
        """
        self._lock = self._lock or HomeLock(self.home.path, kind)
        self._pending |= set(names)
        for name in names:
            self.runners[name].forgive()

    def stop(self, *names: str, tell: Callable[[], None] = _nothing) -> None:
        """Stops parts (all by default) in good order, those that need others first; returns once they are gone."""
        stopping = set(names or self.names)
        self._pending -= stopping
        while remaining := {name for name in stopping if self.runners[name].state is not State.STOPPED}:
            for name in remaining - self._held_by(remaining):
                self.runners[name].request_stop()
            self.tick()
            tell()
            time.sleep(TICK_SECONDS)
        if not names and self._lock is not None:
            self._lock.release()
            self._lock = None

    def kill(self, name: str) -> None:
        """SIGKILL to all processes of a part; returns once they are gone. It stays down until it is started again."""
        self._pending.discard(name)
        self.runners[name].kill()

    def tick(self) -> None:
        """Looks at every part once, and starts those that are wanted once what they need runs."""
        for name in tuple(self._pending):
            runner = self.runners[name]
            if all(self.runners[need].state is State.RUNNING for need in runner.part.needs):
                runner.begin()
                self._pending.discard(name)
        for runner in self.runners.values():
            runner.tick()

    def _with_needs(self, names: Iterable[str]) -> set[str]:
        found: set[str] = set()
        for name in names:
            found |= {name} | self._with_needs(self.runners[name].part.needs)
        return found

    def _held_by(self, names: set[str]) -> set[str]:
        """What some of these parts still need or use."""
        parts = [self.runners[name].part for name in names]
        return {other for part in parts for other in (*part.needs, *part.uses)}
