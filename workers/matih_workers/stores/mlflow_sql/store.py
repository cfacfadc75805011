"""The store on MLflow's own tables."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from matih_workers.batch import Groups, RunGroup, grouped
from matih_workers.positions import Noticed, Spans
from matih_workers.stores import refusals
from matih_workers.stores.mlflow_sql.bulk import add_metrics
from matih_workers.stores.mlflow_sql.database import Database
from matih_workers.stores.mlflow_sql.errors import Outdated
from matih_workers.stores.mlflow_sql.experiments import Experiments
from matih_workers.stores.mlflow_sql.plan import Plan, run_uuid_of
from matih_workers.stores.mlflow_sql.positions import advance, read_positions
from matih_workers.stores.mlflow_sql.reading import find_anywhere, read_runs
from matih_workers.stores.mlflow_sql.writing import (
    link_families,
    make_runs,
    points,
    write_attributes,
    write_points,
)
from matih_workers.stores.protocol import NOWHERE, Refusals, StoreUnavailable
from matih_workers.stores.walk import apply_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import sqlalchemy as sa

    from matih_schemas.errors import InvalidEvent
    from matih_workers.changes import Change
    from matih_workers.positions import Position, Source
    from matih_workers.stores.mlflow_sql.writing import Points

_TRIES: Final = 3


class MlflowSqlStore:
    """`RunStore` on the tables of MLflow's PostgreSQL or SQLite, a batch in one transaction.

    The runs of a batch are read, locked and written in that transaction, so no worker ever writes by old knowledge.
    On PostgreSQL a second connection inserts half of the points side by side and commits first: points alone are
    idempotent by themselves, so a crash between the two commits is harmless.
    """

    def __init__(self, uri: str | Callable[[], str], timeout: float = 20.0, artifact_root: str | None = None) -> None:
        """Does nothing yet; see `open`.

        Args:
            uri: the database's, as MLflow's server has it in `--backend-store-uri`; or what gives it, and is asked
                again after each outage.
            timeout: seconds for one answer of the database.
            artifact_root: where the artifacts of experiments made here go, unless their creation says it;
                None: beside those of MLflow's first experiment.
        """
        self._database = Database(uri if callable(uri) else lambda: uri, timeout)
        self._artifact_root = artifact_root
        self.noticed = Noticed()
        self._helper = ThreadPoolExecutor(1, thread_name_prefix="store")

    def open(self) -> None:
        """Connects and looks at the tables' release; see `RunStore`."""
        with self._database.transaction():
            pass

    def apply(self, changes: Sequence[Change], spans: Spans = NOWHERE) -> Refusals:
        """Applies the changes; see `RunStore`."""
        return self._apply_anew(grouped(changes), spans, _TRIES)

    def probe(self) -> None:
        """Writes a tag of an experiment; see `RunStore`."""
        with self._database.transaction() as connection:
            Experiments(connection, self._artifact_root).touch()

    def forget(self) -> None:
        """Nothing is remembered from one batch to the next; see `RunStore`."""

    def positions(self, source: Source, partitions: Iterable[int]) -> dict[int, Position]:
        """Reads the positions; see `RunStore`."""
        with self._database.transaction() as connection:
            found = read_positions(connection, source, partitions)
        self.noticed.put(source, found)
        return found

    def is_empty(self) -> bool:
        """Looks for experiments; see `RunStore`."""
        with self._database.transaction() as connection:
            return Experiments(connection, self._artifact_root).are_none()

    def present(self, run_ids: Iterable[str]) -> set[str]:
        """Looks the runs up; see `RunStore`."""
        wanted = {run_uuid_of(run_id): run_id for run_id in run_ids}
        with self._database.transaction() as connection:
            found = find_anywhere(connection, sorted({*wanted, *wanted.values()}))
        return {wanted.get(name, name) for name in found}

    def close(self) -> None:
        """Closes the connections; see `RunStore`."""
        self._helper.shutdown(wait=False, cancel_futures=True)
        self._database.close()

    def _apply_anew(self, groups: Groups, spans: Spans, tries: int) -> dict[int, InvalidEvent]:
        """Applies the groups; starts over when another worker made one of its runs or experiments meanwhile."""
        try:
            return self._apply(groups, spans)
        except Outdated as error:
            if tries == 1:
                raise StoreUnavailable(f"{error}, {_TRIES} times over") from error
        return self._apply_anew(groups, spans, tries - 1)

    def _apply(self, groups: Groups, spans: Spans) -> dict[int, InvalidEvent]:
        refused: dict[int, InvalidEvent] = {}
        with self._database.transaction() as connection:
            experiments = Experiments(connection, self._artifact_root)
            for some in groups.experiments:
                refused |= refusals.refused(experiments.apply, some)
            if groups.runs:
                refused |= self._apply_runs(connection, experiments, groups.runs)
            positions = advance(connection, spans)
        if spans.source is not None:
            self.noticed.put(spans.source, positions)
        return refused

    def _apply_runs(
        self, connection: sa.Connection, experiments: Experiments, groups: Sequence[RunGroup]
    ) -> dict[int, InvalidEvent]:
        plan = Plan(read_runs(connection, experiments, groups), experiments.ensure)
        refused = {index: refusal for group in groups for index, refusal in apply_run(plan, group).items()}
        runs = list(plan.runs.values())
        some = points(runs, side_by_side=self._database.is_postgres)
        make_runs(connection, runs)
        beside = self._helper.submit(self._add_beside, some) if some.second else None
        try:
            write_attributes(connection, runs)
            write_points(connection, some)
            link_families(connection, runs)
        finally:
            _finish(beside)
        return refused

    def _add_beside(self, some: Points) -> None:
        with self._database.transaction() as connection:
            add_metrics(connection, some.second, new=some.new)


def _finish(beside: Future[None] | None) -> None:
    """Waits for the second connection's commit: the first one's must come after it."""
    if beside is not None:
        beside.result()
