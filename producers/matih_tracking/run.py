"""A run: what training code logs into."""

from __future__ import annotations

from time import time_ns
from typing import TYPE_CHECKING, Any, Final, Literal

from matih_tracking import batch, delivery, packing
from matih_tracking.configs import RunMetrics
from matih_tracking.farewell import Part, titled
from matih_tracking.fast_path import pack
from matih_tracking.flatten import flatten
from matih_tracking.guard import Guard
from matih_tracking.journal import entries
from matih_tracking.mend import Mended, Problem, mend_metrics, mend_params, mend_step, mend_tags, mend_timestamp
from matih_tracking.outcome import STATUS_WORDS, outcome
from matih_tracking.recorder import Last
from matih_tracking.run_status import RunIdentity, RunStatus

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from matih_schemas.events import Status
    from matih_tracking.mlflow_rest import RunInMlflow
    from matih_tracking.recorder import Recorder
    from matih_tracking.settings import Settings
    from matih_tracking.tally import Tally

HOUSEKEEPING_NS: Final = 1_000_000_000
KNOWN_KEYS_MAX: Final = 20_000


class Run:
    """One process's part in a run. Its methods never block on Kafka or MLflow, and never fail because of them.

    A context manager: leaving it ends the run, FAILED if an exception left it, KILLED if that was KeyboardInterrupt.
    Made by `ExperimentTracker.start_run`. All methods may be called from any thread.
    """

    def __init__(
        self,
        identity: RunIdentity,
        recorder: Recorder,
        tally: Tally,
        in_mlflow: RunInMlflow,
        settings: Settings,
        look_after: Callable[[], None],
    ) -> None:
        """Use `ExperimentTracker.start_run`.

        Args:
            identity: which run it is.
            recorder: where its entries go.
            tally: where what is lost or changed is counted.
            in_mlflow: where it is read.
            settings: what the environment says.
            look_after: makes sure that a shipper is there; called about once a second.
        """
        self._identity = identity
        self._recorder = recorder
        self._tally = tally
        self._in_mlflow = in_mlflow
        self._settings = settings
        self.look_after = look_after
        self._guard = Guard(tally)
        self._known: set[str] = set()
        self._state: Literal["RUNNING"] | Status = "RUNNING"
        self._kept_at = time_ns()
        self._keep_at = self._kept_at + HOUSEKEEPING_NS

    @property
    def run_id(self) -> str:
        """32 hexadecimal characters, the same in all processes that log into this run."""
        return self._identity.run_id

    @property
    def experiment_id(self) -> str:
        """A UUID, the same for the same tenant and name everywhere."""
        return self._identity.experiment_id

    @property
    def name(self) -> str:
        """The run's name."""
        return self._identity.name

    @property
    def owner(self) -> bool:
        """Whether this process decides how the run ends: it is the only one, or rank 0, and no forked child."""
        return self._identity.owner and not self._recorder.in_child

    @property
    def url(self) -> str | None:
        """The run's page in MLflow; None until MLflow shows it. Asks at most once a second, for half a second."""
        return delivery.url(self._in_mlflow)

    def log_metrics(
        self, metrics: dict[str, Any] | RunMetrics, step: int | None = None, timestamp: int | None = None
    ) -> None:
        """Logs metrics of one step.

        Args:
            metrics: values by key, or a `RunMetrics`, whose step and timestamp hold where none is given here.
            step: int64; None is 0, as in MLflow.
            timestamp: ms since the epoch; None is now.
        """
        now = time_ns()
        if not self._kept_at <= now < self._keep_at:
            self._keep_house(now)
        time_ms = now // 1_000_000 if timestamp is None else timestamp
        payload = pack(metrics, 0 if step is None else step, time_ms, self._known)
        if payload is None:
            with self._guard:
                self._log_mended(metrics, step, timestamp, now)
        else:
            try:
                self._recorder.append(payload)
            except Exception as error:  # noqa: BLE001  # `answer` knows the journal's; the guard counts the others
                with self._guard:
                    self._recorder.answer(payload, error)

    def log_metric(self, key: str, value: Any, step: int | None = None, timestamp: int | None = None) -> None:
        """Logs one metric; see `log_metrics`."""
        self.log_metrics({key: value}, step, timestamp)

    def log_params(self, params: Any) -> None:
        """Logs params: any values, stored as MLflow's str() gives them.

        Args:
            params: a dict, a Namespace or a dataclass; nested ones are flattened, their keys joined with dots.
        """
        with self._guard:
            flat = flatten(params)
            mended = mend_params(flat.kept, redact=self._settings.redact)
            self._record(mended, packing.params(mended.kept, _now_ms()), flat.problems)

    def log_param(self, key: str, value: Any) -> None:
        """Logs one param; see `log_params`."""
        self.log_params({key: value})

    def set_tags(self, tags: dict[str, Any]) -> None:
        """Sets tags; the last value of a tag holds. `matih.*` tags are matih's own."""
        with self._guard:
            mended = mend_tags(tags)
            self._record(mended, packing.tags(mended.kept, _now_ms()))

    def set_tag(self, key: str, value: Any) -> None:
        """Sets one tag; see `set_tags`."""
        self.set_tags({key: value})

    def log_batch(self, metrics: Any = None, params: Any = None, tags: Any = None) -> None:
        """Logs metrics, params and tags together.

        Args:
            metrics: a dict, a `RunMetrics`, or a list of these or of items with key, value, step and timestamp (dicts
                or MLflow's Metric).
            params: a dict, or a list of items with key and value.
            tags: a dict, or a list of items with key and value.
        """
        with self._guard:
            for step in batch.steps(metrics):
                self.log_metrics(step.metrics, step.step, step.timestamp)
            if params is not None:
                self.log_params(batch.pairs(params))
            if tags is not None:
                self.set_tags(batch.pairs(tags))  # type: ignore[arg-type]  # mend.py says what is wrong with it

    def flush(self, timeout: float = 10.0) -> bool:
        """Waits until everything logged here so far is on Kafka.

        Args:
            timeout: seconds.

        Returns:
            Whether it is. At once where nobody delivers (MATIH_MODE=offline).
        """
        return delivery.flush(self._recorder, self.look_after, timeout if self._settings.mode == "online" else 0)

    def wait_applied(self, timeout: float = 30.0) -> bool:
        """Waits until everything logged here so far is in MLflow. For the run's owner: only its progress is marked.

        Args:
            timeout: seconds.

        Returns:
            Whether it is; False too where that can't be seen (another rank, a tracking URI that is not http).
        """
        if not self.owner or not self._in_mlflow.readable:
            why = "MLFLOW_TRACKING_URI is not http(s)" if self.owner else "this process is not the run's owner"
            self._tally.warn_once("wait_applied", f"wait_applied can't see how far the run is applied: {why}")
            return False
        return delivery.wait_applied(self._recorder, self._in_mlflow, self.look_after, timeout)

    def status(self) -> RunStatus:
        """How the run stands in this process; asks nobody."""
        path = self._recorder.path
        return RunStatus(
            run_id=self.run_id,
            state=self._state,
            mode=self._settings.mode,
            owner=self.owner,
            entries=self._recorder.count,
            on_kafka=self._recorder.acked(),
            dropped=dict(self._tally.dropped),
            changed=dict(self._tally.changed),
            journal=str(path) if path is not None else None,
        )

    def end(self, status: str = "FINISHED", reason: str = "") -> None:
        """Ends this process's part: the owner's sets the run's status, another rank's becomes a tag.

        Only the first end counts. Does not wait for delivery; the end of the process does, for MATIH_EXIT_TIMEOUT.

        Args:
            status: FINISHED, FAILED or KILLED; `completed` is FINISHED; in any case.
            reason: for people.
        """
        with self._guard:
            if self._state == "RUNNING":
                word = STATUS_WORDS.get(str(status).strip().lower())
                if word is None:
                    self._tally.count([Problem("unknown_status", f"run status {status!r}", "it is taken as FINISHED")])
                self._state = word or "FINISHED"
                self._recorder.end(lambda: self._last(reason), needed=not self._recorder.in_child)

    @property
    def is_inherited(self) -> bool:
        """Whether the parent of a fork has started the run, and will wait for it."""
        return self._recorder.in_child

    @property
    def is_delivered_here(self) -> bool:
        """Whether a shipper delivers while this job runs (MATIH_MODE=online)."""
        return self._settings.mode == "online"

    def open(self) -> None:
        """Opens the journal, so that the run exists for whoever reads the spool, even if nothing is ever logged.

        Raises:
            TrackingUnavailable: in strict mode, it can't be.
        """
        if not self._recorder.open() and self._recorder.why_not:
            self._tally.warn_once("no_spool", f"nothing can be kept on this machine: {self._recorder.why_not}")

    def part(self) -> Part:
        """This process's part in the run, as the last line tells of it."""
        entries, path = self._recorder.count, self._recorder.path
        return Part(
            title=titled(self.run_id, self.name),
            state=self._state,
            entries=entries,
            left=max(0, entries - self._recorder.acked()),
            spool=str(path.parents[1]) if path is not None else "",
        )

    def url_within(self, seconds: float) -> str | None:
        """The run's page, if it is known, or somebody has said where MLflow is and it answers at once."""
        if self._in_mlflow.last_seen is None and self._settings.tracking_uri_given and seconds > 0:
            self._in_mlflow.look(seconds)
        return self._in_mlflow.last_seen.url if self._in_mlflow.last_seen else None

    def end_from_signal_handler(self, status: Status, reason: str, timeout: float) -> None:
        """The end of a process that a signal kills: a record if that needs no waiting, and nothing else."""
        if self._state == "RUNNING":
            self._state = status
            self._recorder.end_from_signal_handler(lambda: self._last(reason), timeout)

    def after_fork_in_child(self) -> None:
        """The child of a fork logs into the same run, by a journal of its own, and never decides how the run ends."""
        self._recorder.after_fork_in_child()

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.end(*outcome(error))

    def _log_mended(self, metrics: Any, step: Any, timestamp: Any, now_ns: int) -> None:
        if isinstance(metrics, RunMetrics):
            step = metrics.step if step is None else step
            timestamp = metrics.timestamp if timestamp is None else timestamp
            metrics = metrics.metrics
        mended = mend_metrics(metrics)
        whole = mend_step(step)
        time_ms, problem = mend_timestamp(timestamp, now_ns // 1_000_000)
        problems = [problem] if problem else []
        if whole is None and mended.kept:
            answer = "the metrics of this call are dropped; a step is a whole number from -2**63 to 2**63 - 1"
            problems.append(Problem("step_impossible", f"step {step!r:.80}", answer, len(mended.kept)))
        payloads = () if whole is None else packing.metrics(mended.kept, time_ms, whole)
        self._record(mended, payloads, problems)
        self._learn(metrics, mended)

    def _learn(self, metrics: Any, mended: Mended[float]) -> None:
        """Remembers keys that need no mending."""
        if len(self._known) > KNOWN_KEYS_MAX:
            self._known = set()
        self._known.update(key for key in mended.kept if key in metrics)

    def _record(self, mended: Mended[Any], payloads: Any, problems: list[Problem] | None = None) -> None:
        now = time_ns()
        if not self._kept_at <= now < self._keep_at:
            self._keep_house(now)
        self._tally.count([*(problems or ()), *mended.problems])
        for payload in payloads:
            self._recorder.record(payload)

    def _keep_house(self, now_ns: int) -> None:
        self._kept_at, self._keep_at = now_ns, now_ns + HOUSEKEEPING_NS
        with self._guard:
            self._recorder.keep_house()
            self.look_after()

    def _last(self, reason: str) -> Last:
        now = _now_ms()
        whose = "" if self.owner else f".{self._recorder.producer_id}"
        tags = list(packing.tags(self._tally.tags(whose), now))
        assert self._state != "RUNNING"
        return Last(tags, entries.encode(entries.Ended(now, self._state, reason[:500])))


def _now_ms() -> int:
    return time_ns() // 1_000_000
