"""The tracker: creates experiments and starts runs, with or without a network."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Final

from matih_schemas.identity import experiment_id
from matih_tracking.beginning import Start, beginning
from matih_tracking.configs import ExperimentConfig, RunConfig
from matih_tracking.errors import NotSupported, TrackingUnavailable
from matih_tracking.experiments import Experiments, check_name
from matih_tracking.farewell import greeting, titled
from matih_tracking.joining import join_run
from matih_tracking.journals import Journals
from matih_tracking.lifecycle import PROCESS
from matih_tracking.mlflow_rest import RunInMlflow
from matih_tracking.notices import say, warn
from matih_tracking.origin import origin
from matih_tracking.recorder import NoRecorder, Recorder
from matih_tracking.run import Run
from matih_tracking.run_status import RunIdentity
from matih_tracking.settings import Settings, read
from matih_tracking.spool import volatile_reason
from matih_tracking.tally import Tally
from matih_tracking.target import target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

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
            resume: `allow`: with the id of a run that exists, that one goes on.

        Returns:
            The run: a context manager, or to be ended with `end`.

        Raises:
            InvalidName: the experiment's name or the tenant can't be one.
            NotSupported: another `resume`.
            TrackingUnavailable: in strict mode, nothing can be kept on this machine.
        """
        if resume != "allow":
            raise NotSupported(f"resume={resume!r}: this release knows 'allow' only: go on with the run, or start it")
        config = run_config or RunConfig()
        name = check_name(experiment_name)
        tenant = self._experiments.tenant_of(name, config.tenant_id)
        start = Start(
            time_ms=time.time_ns() // 1_000_000,
            tenant=tenant,
            experiment_id=experiment_id(tenant, name),
            experiment=self._experiments.config(tenant, name),
            run=config,
            member=join_run(tenant, name, config),
            origin=self._origin,
        )
        run = self._run(start)
        self._begin(run, start)
        return run

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
