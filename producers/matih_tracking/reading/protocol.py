"""The contract of whatever reads runs. Every implementation passes tests/reading/test_reader_contract.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from matih_tracking.reading.queries import ExperimentQuery, RunQuery
    from matih_tracking.reading.views import (
        ExperimentSummary,
        ExperimentView,
        History,
        MetricPoint,
        Page,
        RunTable,
        RunView,
    )


class RunReader(Protocol):
    """Reads what is in MLflow. Blocking; safe to call from several threads.

    - Another tenant's object is not found: same answer, and the same work is done as for one that does not exist.
    - Experiments and runs are found by our id (dashed or plain, any case), by an alias (an id that leads to an
      experiment since it was renamed), by MLflow's own id; deleted ones too.
    - Runs labelled `matih.duplicate_of` are never found.
    - Each call answers or raises within the time-out that the reader was made with.

    Every method raises:
        ReadsUnavailable: MLflow can't be asked now.
        NotReadable: it can't be read in this way.
    """

    def check(self) -> None:
        """Asks for next to nothing, to see whether reading works."""

    def experiment(self, tenants: Collection[str] | None, which: str) -> ExperimentView | None:
        """The experiment with this id."""

    def experiment_named(self, tenant: str, name: str) -> ExperimentView | None:
        """The tenant's experiment that has this name now, deleted or not; else the one that had it before."""

    def experiments(self, tenants: Collection[str] | None, query: ExperimentQuery) -> Page[ExperimentView]:
        """Experiments, a page of them."""

    def summaries(self, experiments: Sequence[ExperimentView]) -> dict[str, ExperimentSummary]:
        """What each of these has in runs, by our experiment id."""

    def run(self, tenants: Collection[str] | None, which: str) -> RunView | None:
        """The run with this id."""

    def runs(self, tenants: Collection[str] | None, query: RunQuery) -> Page[RunView]:
        """Runs, a page of them, with their params, tags and latest metrics."""

    def runs_named(self, experiment: ExperimentView, name: str) -> list[RunView]:
        """The runs of an experiment that have exactly this name and are not deleted; at most 20, newest first."""

    def table(
        self,
        experiment: ExperimentView,
        run_ids: Sequence[str] | None = None,
        metrics: Sequence[str] | None = None,
        params: Sequence[str] | None = None,
    ) -> RunTable:
        """Runs of an experiment that are not deleted, in columns.

        Args:
            experiment: whose runs.
            run_ids: ours; None is all of them. Unknown ones are left out.
            metrics: keys of the metrics wanted; None is all.
            params: keys of the params wanted; None is all.
        """

    def history(
        self,
        run: RunView,
        key: str,
        max_points: int | None = None,
        from_step: int | None = None,
        to_step: int | None = None,
    ) -> History:
        """A metric's points in a range of steps (both ends belong to it); none if the run has no such metric.

        Args:
            run: whose metric.
            key: the metric's.
            max_points: at most so many (4 or more), None for all: the first, the last, minima and maxima are kept.
            from_step: the least; None is open.
            to_step: the greatest; None is open.
        """

    def latest(self, run: RunView) -> dict[str, MetricPoint]:
        """The latest point of each metric, read anew."""

    def close(self) -> None:
        """Closes its connections."""
