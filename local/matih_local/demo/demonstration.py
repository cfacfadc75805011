"""The demo from its first server to the count: start, train, kill, train on, compare."""

from __future__ import annotations

import json
import os
import secrets
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from matih_local.children import Child, Command, spawn
from matih_local.demo import api_call, counts
from matih_local.demo.comparison import Comparison, compare
from matih_local.demo.faults import VICTIMS, Outage, Stage
from matih_local.demo.jobs import AT_A_TIME, PROBE, RANKS, Job, expected_status, ranks, sweep
from matih_local.demo.ledger import LedgerTail
from matih_local.demo.live import Numbers
from matih_local.demo.read_back import runs_of
from matih_local.demo.report import Result
from matih_local.demo.trainers import Trainers, assignment_of
from matih_local.errors import PartFailed
from matih_tracking.shipper import state
from matih_tracking.spool import spool_path
from matih_tracking.target import target

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matih_local.demo.ledger import Logged
    from matih_local.demo.live import Screen
    from matih_local.system import LocalSystem

TICK_SECONDS = 0.1
ARRIVAL_SECONDS = 120.0


@dataclass
class Demonstration:
    """One demo on a system that runs. Everything happens in the main thread, which never waits for long.

    Attributes:
        folder: for ledgers and logs of the training processes.
        environment: what the training processes get.
        experiment: a new one for each demo.
        began: by `time.monotonic`.
    """

    system: LocalSystem
    screen: Screen
    folder: Path
    environment: dict[str, str]
    experiment: str = field(default_factory=lambda: time.strftime("demo-%Y%m%d-%H%M%S"))
    began: float = field(default_factory=time.monotonic)
    _trainers: list[Trainers] = field(default_factory=list)
    _probe_tail: LedgerTail | None = None

    def run(self) -> Result:
        """The whole demo; takes about a minute.

        Raises:
            PartFailed: a server did not come back.
        """
        self._arrived = counts.Arrived(self.system.postgres.connect, self.experiment)
        jobs = [*ranks(self.experiment), *sweep(self.experiment)]
        self._expected = sum(job.batches for job in jobs if job.fault == "none")
        self._start_shipper()
        probe = self._start_probe()
        self.screen.say(
            f"four processes log into one run, then a sweep of {len(jobs) - RANKS} runs, {AT_A_TIME} at a time"
        )
        self._train(ranks(self.experiment), None)
        self._train(sweep(self.experiment), self._outage())
        self._finish_probe(probe)
        self.screen.say("all training has ended: waiting until MLflow has everything")
        return self._result(self._wait_for_arrival(jobs))

    def _outage(self) -> Outage:
        victims = [self.system.runners[name] for name in VICTIMS]
        return Outage(victims, time.monotonic, self.screen.say, lambda: self.system.want(*VICTIMS))

    def _spawn(self, name: str, module: str, *arguments: str) -> Child:
        command = (sys.executable, "-m", module, *arguments)
        return spawn(Command(command, self.environment, self.folder, self.folder / f"{name}.log"))

    def _start_shipper(self) -> None:
        """As a child of ours, and before the first tracker, which would start one that outlives us."""
        self._spool = spool_path(target(self.environment).spool_key, environ=self.environment)
        shipper = self._spawn("shipper", "matih_tracking.shipper", "--forever")
        while not state.is_running(self._spool):
            if shipper.exit_code() is not None:
                raise PartFailed(f"the shipper ended at once: see {self.folder / 'shipper.log'}")
            time.sleep(TICK_SECONDS)

    def _on_kafka(self) -> int:
        told = state.read(self._spool)
        return told.entries if told else 0

    def _start_probe(self) -> Child:
        ledger = self.folder / f"{PROBE}.ledger"
        self._probe_tail = LedgerTail(ledger)
        self._times = self.folder / f"{PROBE}.json"
        return self._spawn(PROBE, "matih_local.demo.probe", self.experiment, str(ledger), str(self._times))

    def _finish_probe(self, probe: Child) -> None:
        self._times.with_suffix(".stop").touch()
        while probe.exit_code() is None:
            self._tick()

    def _train(self, jobs: Sequence[Job], outage: Outage | None) -> None:
        token = f"demo-{secrets.token_hex(8)}"
        trainers = Trainers([assignment_of(job, self.folder, self.environment, token) for job in jobs], AT_A_TIME)
        self._trainers.append(trainers)
        while not trainers.done or (outage and outage.stage in (Stage.OUT, Stage.RETURNING)):
            trainers.tick()
            if outage:
                calls = sum(len(ledger.call_ns) for ledger in trainers.read())
                outage.tick(calls / sum(job.batches for job in jobs))
            self._tick()

    def _ledgers(self) -> list[Logged]:
        probe = [self._probe_tail.read()] if self._probe_tail else []
        return [ledger for trainers in self._trainers for ledger in trainers.read()] + probe

    def _tick(self) -> None:
        self.system.tick()
        ledgers = self._ledgers()
        p50, p99 = counts.call_percentiles_us(ledgers)
        on_kafka = self._on_kafka()
        states = {name: runner.state.value for name, runner in self.system.runners.items()}
        self.screen.show(
            Numbers(
                seconds=time.monotonic() - self.began,
                logged=max(counts.entries(ledgers), on_kafka),  # no ledger has the entries that end the runs
                on_kafka=on_kafka,
                in_mlflow=self._arrived.read(),
                expected=self._expected,
                p50_us=p50,
                p99_us=p99,
                training=tuple(name for trainers in self._trainers for name in trainers.running),
                servers=tuple(states.items()),
            )
        )
        time.sleep(TICK_SECONDS)

    def _wait_for_arrival(self, jobs: Sequence[Job]) -> Comparison:
        """Compares until nothing is missing, for two minutes at most."""
        from mlflow import MlflowClient

        client = MlflowClient(self.system.mlflow.url)
        statuses = {job.run_name: expected_status(job) for job in jobs} | {PROBE: "FINISHED"}
        deadline = time.monotonic() + ARRIVAL_SECONDS
        logged = counts.entries(self._ledgers())
        while self._arrived.read() < logged and time.monotonic() < deadline:
            self._tick()
        while True:
            found = compare(self._ledgers(), runs_of(client, self.experiment), statuses)
            if found.holds or time.monotonic() > deadline:
                return found
            self._tick()

    def _result(self, comparison: Comparison) -> Result:
        ends = {name: code for trainers in self._trainers for name, code in trainers.unexpected_ends().items()}
        return Result(
            comparison=comparison,
            call_ns=counts.calls_ns(self._ledgers()),
            to_mlflow_ms=json.loads(self._times.read_text()) if self._times.exists() else [],
            unexpected_ends=ends,
            seconds=time.monotonic() - self.began,
            ui_url=self.system.mlflow.url,
            logs=os.fspath(self.system.home.path),
            api=api_call.find_experiment(self.system.api.url, self.experiment),
        )
