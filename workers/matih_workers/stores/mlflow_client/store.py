"""The store on MLflow's public API."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from matih_schemas import tags
from matih_schemas.clock import now_ms
from matih_schemas.errors import InvalidEvent, MatihError
from matih_workers.batch import RunGroup, grouped
from matih_workers.positions import Noticed, Spans
from matih_workers.stores.labels import ACTIVE
from matih_workers.stores.mlflow_client.connection import Connection
from matih_workers.stores.mlflow_client.experiments import Experiments
from matih_workers.stores.mlflow_client.knowledge import Knowledge, Outdated
from matih_workers.stores.mlflow_client.lookup import Lookup
from matih_workers.stores.mlflow_client.positions import FIRST_EXPERIMENT, Positions
from matih_workers.stores.mlflow_client.runs import Runs
from matih_workers.stores.protocol import NOWHERE, Refusals, StoreUnavailable
from matih_workers.stores.refusals import refused
from matih_workers.stores.walk import apply_run

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matih_workers.changes import Change
    from matih_workers.positions import Position, Source

_TRIES: Final = 3


class MlflowClientStore:
    """`RunStore` through MlflowClient: one log_batch per 999 metrics, independent runs side by side.

    What it can't do, for MLflow's API does not: end_time stays when a run reopens, and runs in a deleted experiment
    take nothing (`deleted_experiment`). A request that is under way at the very moment when its partition goes to
    another worker can still overwrite a tag; metrics and params can't be harmed.
    """

    def __init__(self, uri: str, timeout: float = 20.0, threads: int = 4, artifact_root: str | None = None) -> None:
        """Does nothing yet; see `open`.

        Args:
            uri: MLflow's tracking URI: a server's or a database's.
            timeout: seconds for one answer of MLflow.
            threads: runs that are written side by side; SQLite takes one writer only.
            artifact_root: where the artifacts of experiments made here go, unless their creation says it;
                None leaves it to MLflow.
        """
        self._uri = uri
        self._artifact_root = artifact_root
        self._timeout = timeout
        self._knowledge = Knowledge()
        self._positions = Positions()
        self.noticed = Noticed()
        self._pool = ThreadPoolExecutor(1 if uri.startswith("sqlite") else threads, thread_name_prefix="store")
        self._opened: tuple[Connection, Experiments, Runs] | None = None

    def open(self) -> None:
        """Imports MLflow and makes its client; see `RunStore`."""
        if self._opened is not None:
            return
        try:
            connection = Connection(self._uri, self._timeout)
        except Exception as error:
            raise StoreUnavailable(f"MLflow at {_shown(self._uri)} can't be opened: {error}") from error
        experiments = Experiments(connection, self._artifact_root)
        lookup = Lookup(connection, experiments)
        self._opened = connection, experiments, Runs(connection, experiments, lookup, self._knowledge)

    def apply(self, changes: Sequence[Change], spans: Spans = NOWHERE) -> Refusals:
        """Applies the changes; see `RunStore`."""
        connection, experiments, runs = self._parts()
        experiments.begin_batch()
        groups = grouped(changes)
        runs.read_ahead(group.run_id for group in groups.runs)
        work = [self._pool.submit(refused, experiments.apply, some) for some in groups.experiments]
        work += [self._pool.submit(self._apply_run, runs, group) for group in groups.runs]
        refusals = _together(work)
        if spans.source is not None:
            self.noticed.put(spans.source, self._positions.advance(connection, spans))
        return refusals

    def probe(self) -> None:
        """Reads, and writes a tag of an experiment; see `RunStore`."""
        connection, *_ = self._parts()
        try:
            active = [item for item in connection.experiments() if item.lifecycle_stage == ACTIVE]
            if active:
                first = min(active, key=lambda item: item.experiment_id)
                connection.set_experiment_tag(first.experiment_id, tags.CANARY, str(now_ms()))
        except StoreUnavailable:
            raise
        except Exception as error:
            raise StoreUnavailable(f"MLflow at {_shown(self._uri)} takes no writes: {error}") from error

    def forget(self) -> None:
        """Begins a new era; see `RunStore`."""
        self._knowledge.begin_era()
        self._positions.forget()

    def positions(self, source: Source, partitions: Iterable[int]) -> dict[int, Position]:
        """Reads the positions; see `RunStore`."""
        connection, *_ = self._parts()
        found = self._positions.read(connection, source, partitions)
        self.noticed.put(source, found)
        return found

    def is_empty(self) -> bool:
        """Looks for experiments; see `RunStore`."""
        connection, *_ = self._parts()
        return {item.experiment_id for item in connection.experiments()} <= {FIRST_EXPERIMENT}

    def present(self, run_ids: Iterable[str]) -> set[str]:
        """Looks the runs up, many in one call, the others one by one; see `RunStore`."""
        _, experiments, runs = self._parts()
        wanted = set(run_ids)
        experiments.begin_batch()
        runs.read_ahead(wanted)
        return {run_id for run_id in wanted if runs.find(run_id) is not None}

    def close(self) -> None:
        """Ends the threads when they are done."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _parts(self) -> tuple[Connection, Experiments, Runs]:
        self.open()
        if self._opened is None:
            raise MatihError("the store is not open")
        return self._opened

    def _apply_run(self, runs: Runs, group: RunGroup, tries: int = _TRIES) -> dict[int, InvalidEvent]:
        """Applies the changes of a run; starts over when it turns out to be other than it was known."""
        try:
            return apply_run(runs, group)
        except Exception as error:
            self._knowledge.drop(group.run_id)
            if not isinstance(error, Outdated) or tries == 1:
                raise
        return self._apply_run(runs, group, tries - 1)


def _together(work: list[Future[dict[int, InvalidEvent]]]) -> dict[int, InvalidEvent]:
    """All refusals, once all is done; an outage is raised before any other error."""
    wait(work)
    errors = [error for done in work if (error := done.exception())]
    if errors:
        raise next((error for error in errors if isinstance(error, StoreUnavailable)), errors[0])
    return {index: refusal for done in work for index, refusal in done.result().items()}


def _shown(uri: str) -> str:
    """The URI without its password."""
    parts = urlsplit(uri)
    return uri if parts.password is None else uri.replace(f":{parts.password}@", ":***@", 1)
