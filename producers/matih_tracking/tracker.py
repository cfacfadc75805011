"""The tracker: creates experiments and starts runs, with or without a network."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

from matih_schemas.clock import now_ms
from matih_schemas.identity import experiment_id
from matih_tracking.beginning import Start, beginning
from matih_tracking.configs import ExperimentConfig, RunConfig
from matih_tracking.errors import TrackingError, TrackingUnavailable
from matih_tracking.experiments import Experiments, check_name
from matih_tracking.farewell import greeting, titled
from matih_tracking.joining import join_run, leave_run
from matih_tracking.journals import Journals
from matih_tracking.lifecycle import PROCESS
from matih_tracking.mlflow_rest import RunInMlflow
from matih_tracking.notices import say, warn
from matih_tracking.origin import origin
from matih_tracking.reads import Reads, check_resume
from matih_tracking.recorder import NoRecorder, Recorder
from matih_tracking.run import Run
from matih_tracking.run_status import RunIdentity
from matih_tracking.settings import Settings, read
from matih_tracking.spool import volatile_reason
from matih_tracking.tally import Tally
from matih_tracking.target import target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from matih_tracking.comparison import Comparison
    from matih_tracking.membership import Membership
    from matih_tracking.reading.views import RunView

NO_RUN: Final = "0" * 32
"""The run id in the journal that holds experiments only."""


class ExperimentTracker:
    """Logs to this machine's journal at once; a shipper takes it to Kafka, a worker from there to MLflow.

    Nothing here waits for a network, and nothing fails for want of one. May be used from any thread.
    """

    def __init__(self, tracking_uri: str | None = None, *, strict: bool | None = None) -> None:
        """Reads the environment; connects to nothing.

        Args:
            tracking_uri: where runs are read (MLflow's server); None is MLFLOW_TRACKING_URI.
            strict: raise on bad input and on trouble on this machine, instead of mending, dropping, falling back and
                counting; None is MATIH_STRICT.

        Raises:
            TrackingUnavailable: in strict mode, a setting is wrong.
        """
        self._settings = _settings(tracking_uri, strict)
        where = target(os.environ)
        self._goes_to = str(where)
        self._journals = Journals(where, warn, strict=self._settings.strict)
        self._origin = origin()
        self._trouble = Tally(warn, strict=self._settings.strict)
        recorder = self._recorder(NO_RUN, lambda _: (), self._trouble)
        self._experiments = Experiments(recorder, self._trouble, self._origin, self._settings.tenant)
        self._reads = Reads(self._settings.tracking_uri, self._settings.tenant)
        PROCESS.install(self._settings, self._goes_to)
        PROCESS.watch_other(recorder)

    def create_experiment(self, config: ExperimentConfig) -> str:
        """Creates an experiment; one that exists keeps its attributes.

        Returns:
            Its id, a UUID: the same for the same tenant and name in every process, at once and without a network. The
            experiment itself reaches MLflow by the shipper, with or without a run in it.

        Raises:
            InvalidName: the name is blank or holds control characters, or the tenant can't be one.
        """
        created = self._experiments.create(config)
        self._look_after()
        return created

    def get_or_create_experiment(self, name: str, tenant_id: str | None = None) -> str:
        """The id of the tenant's experiment of that name; creates it if it is not there. See `create_experiment`."""
        return self.create_experiment(ExperimentConfig(name, tenant_id=tenant_id))

    def start_run(self, experiment_name: str, run_config: RunConfig | None = None, resume: str = "allow") -> Run:
        """Starts a run, or this process's part in the one that the ranks of its job share.

        Args:
            experiment_name: created if it is not there.
            run_config: what is known about the run.
            resume: `allow`: with the id of a run that exists, that one goes on. `must`: only so; `never`: only a new
                one. These two look into MLflow, for at most 5 s; of a job's ranks the owner does.

        Returns:
            The run: a context manager, or to be ended with `end`.

        Raises:
            InvalidName: the experiment's name or the tenant can't be one.
            NotSupported: another `resume`.
            RunNotFound: `must`, and MLflow answers that it has no such run.
            RunExists: `never`, and MLflow answers that it has the run.
            ReadsUnavailable, NotReadable: `must` or `never`, and MLflow can't be asked in time.
            TrackingUnavailable: in strict mode, nothing can be kept on this machine.
        """
        check_resume(resume)
        config = run_config or RunConfig()
        name = check_name(experiment_name)
        tenant = self._experiments.tenant_of(name, config.tenant_id)
        start = Start(
            time_ms=now_ms(),
            tenant=tenant,
            experiment_id=experiment_id(tenant, name),
            experiment=self._experiments.config(tenant, name),
            run=config,
            member=self._join(tenant, name, config, resume),
            origin=self._origin,
        )
        run = self._run(start)
        self._begin(run, start)
        return run

    def get_metric_history(self, run_id: str, key: str, max_points: int | None = None) -> list[dict[str, Any]]:
        """A metric's points in MLflow: `{"key", "value", "timestamp", "step"}`, by step and timestamp.

        Args:
            run_id: of any tenant's run.
            key: the metric's; `[]` if the run has none of that name.
            max_points: at most so many (4 or more), which keep the first, the last and the extremes; None is all.

        Raises:
            RunNotFound: MLflow has no such run.
            ReadsUnavailable: MLflow does not answer; known within 5 s.
            NotReadable: it can't be read in this way.
        """
        return self._reads.history(run_id, key, max_points)

    def search_runs(
        self,
        filter_string: str = "",
        order_by: Sequence[str] | None = None,
        max_results: int = 1000,
        experiment_names: Sequence[str] | None = None,
    ) -> list[RunView]:
        """The runs of MATIH_TENANT that fit: filter and order in MLflow's syntax, read by MLflow's server.

        Args:
            filter_string: like `metrics.loss < 0.1 and params.lr = '0.001'`.
            order_by: like `["metrics.loss ASC"]`; None is the newest first.
            max_results: at most so many.
            experiment_names: only in these, without the tenant; unknown ones have no runs. None is all.

        Raises:
            ReadsUnavailable: MLflow does not answer; known within 5 s.
            NotReadable: MLflow refuses the filter, or the tracking URI is a database's.
        """
        return self._reads.search(filter_string, order_by, max_results, experiment_names)

    def compare_runs(
        self, run_ids: Sequence[str], metrics: Sequence[str] | None = None, params: Sequence[str] | None = None
    ) -> Comparison:
        """Runs side by side, with these metrics and params (None is all). Raises as `get_metric_history`."""
        return self._reads.compare(run_ids, metrics, params)

    def to_dataframe(self, runs: str | Sequence[str | RunView]) -> Any:
        """Runs as pandas' DataFrame, with the columns of MLflow's `search_runs`.

        Args:
            runs: an experiment's name, run ids, or what `search_runs` returned.

        Raises:
            ExperimentNotFound: MATIH_TENANT has no such experiment.
            RunNotFound, ReadsUnavailable, NotReadable: see `get_metric_history`; NotReadable too without pandas.
        """
        return self._reads.frame(runs)

    def _join(self, tenant: str, name: str, config: RunConfig, resume: str) -> Membership:
        """This process's part in the run. What MATIH_RUN_ID names stays unused if the run may not be started."""
        member = join_run(tenant, name, config)
        if resume != "allow" and member.owner and self._settings.mode != "disabled":
            try:
                self._reads.look_for(resume, tenant, member.run_id)
            except TrackingError:
                leave_run(tenant, name, config, member)
                raise
        return member

    def _run(self, start: Start) -> Run:
        member, tally = start.member, Tally(warn, strict=self._settings.strict)
        first, problems = beginning(start)
        tally.count(problems)
        recorder = self._recorder(member.run_id, first.payloads, tally)
        identity = RunIdentity(member.run_id, start.experiment_id, first.created.run_name, member.owner)
        in_mlflow = RunInMlflow(self._settings.tracking_uri, start.tenant, start.experiment.name, member.run_id)
        return Run(identity, recorder, tally, in_mlflow, self._settings, self._look_after)

    def _begin(self, run: Run, start: Start) -> None:
        # The journal comes before the look at the shipper's lock: one that is about to go away looks once more.
        run.open()
        PROCESS.watch(run)
        self._look_after()
        if start.member.warning:
            warn(start.member.warning)
        if self._settings.mode != "disabled" and start.member.owner:
            self._greet(run, start)

    def _greet(self, run: Run, start: Start) -> None:
        path = self._journals.path
        if self._settings.quiet or path is None:
            return
        offline = self._settings.mode == "offline"
        goes_to = f"{path} (offline: `matih sync {path}` delivers it)" if offline else self._goes_to
        say(greeting(titled(run.run_id, run.name), goes_to, start.member.rank))
        volatile = volatile_reason(path)
        if volatile:
            say(f"what is not delivered by the end of the job may be lost with the spool {path}: {volatile}")

    def _recorder(self, run_id: str, first: Callable[[bool], Iterable[bytes]], tally: Tally) -> Recorder:
        kind = NoRecorder if self._settings.mode == "disabled" else Recorder
        return kind(lambda: self._journals.open(run_id), first, tally, self._settings)

    def _look_after(self) -> None:
        """Starts a shipper if none is there, and this process may."""
        may = self._settings.mode == "online" and self._settings.shipper == "auto"
        if may and self._journals.path is not None:
            from matih_tracking.shipper.spawn import ensure_shipper  # subprocess: not for those who only import us

            trouble = ensure_shipper(self._journals.path)
            if trouble:
                self._trouble.warn_once("no_shipper", trouble)


def _settings(tracking_uri: str | None, strict: bool | None) -> Settings:
    settings, problems = read(os.environ)
    if strict is not None:
        settings = settings._replace(strict=strict)
    if tracking_uri is not None:
        settings = settings._replace(tracking_uri=tracking_uri, tracking_uri_given=True)
    if problems and settings.strict:
        raise TrackingUnavailable("; ".join(problems))
    for problem in problems:
        warn(problem)
    return settings
