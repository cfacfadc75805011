"""One test's trainers, shipper and spool on the whole system, and the count of what arrived."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow import MlflowClient
from tests.waiting import until

from matih_local.demo.comparison import Comparison, compare
from matih_local.demo.ledger import LedgerTail
from matih_local.demo.read_back import runs_of

if TYPE_CHECKING:
    from matih_local.system import LocalSystem

TRAINER = Path(__file__).with_name("trainer.py")
ARRIVAL_SECONDS = 90.0
PARTS = ("mlflow", "worker")
"""Of the system, with what they need."""


class Pipe:
    """What a test of the whole loop needs. All processes end with `close`."""

    def __init__(self, system: LocalSystem, folder: Path) -> None:
        self.system = system
        self.folder = folder
        self.experiment = f"loop-{secrets.token_hex(6)}"
        self.tails: dict[str, LedgerTail] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.spool_base = folder / "spool"

    def environment(self, **more: str) -> dict[str, str]:
        """For the test's processes: the system's servers, a spool of the test's own."""
        ours = {**self.system.environment(), "MATIH_SPOOL_DIR": str(self.spool_base), **more}
        return {**os.environ, **ours}

    def start(self, name: str, *command: str, **more: str) -> subprocess.Popen[bytes]:
        """A process whose output goes to a file of that name."""
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, *command], env=self.environment(**more), stdout=log, stderr=log, cwd=self.folder
            )
        self.processes[name] = process
        return process

    def start_trainer(self, name: str, calls: int, pause_ms: float, **more: str) -> subprocess.Popen[bytes]:
        """A training process with a run of that name."""
        ledger = self.folder / f"{name}.ledger"
        self.tails[name] = LedgerTail(ledger)
        run_name = more.pop("run_name", name)
        return self.start(name, str(TRAINER), str(ledger), self.experiment, run_name, str(calls), str(pause_ms), **more)

    def start_shipper(self, name: str = "shipper") -> subprocess.Popen[bytes]:
        """A shipper for the test's spool; returns once it holds the spool."""
        process = self.start(name, "-m", "matih_tracking.shipper", "--forever")
        until(self.shipper_pid, "a shipper holds the spool")
        return process

    def shipper_pid(self) -> int | None:
        """The process id of the shipper that holds the spool, whoever started it."""
        for state in self.spool_base.rglob("shipper.json"):
            pid = int(json.loads(state.read_text())["pid"])
            if Path(f"/proc/{pid}").exists():
                return pid
        return None

    def made(self, trainer: str) -> int:
        """Log calls that it has made so far."""
        return len(self.tails[trainer].read().call_ns)

    def furthest(self) -> int:
        """Log calls so far of the trainer that has made the most: while it has some left, all that live have."""
        return max(map(self.made, self.tails))

    def enough(self, trainer: str) -> None:
        """Lets it end after its call under way."""
        self.tails[trainer].path.with_suffix(".enough").touch()

    def sync(self) -> subprocess.CompletedProcess[bytes]:
        """Runs `matih sync` to its end."""
        return subprocess.run(
            [sys.executable, "-m", "matih_console.main", "sync", "--json"],
            env=self.environment(),
            capture_output=True,
            check=False,
            timeout=120,
        )

    def count(self, statuses: dict[str, str]) -> Comparison:
        """What was logged against what MLflow's client reads."""
        ledgers = [tail.read() for tail in self.tails.values()]
        return compare(ledgers, runs_of(MlflowClient(self.system.mlflow.url), self.experiment), statuses)

    def final_count(self, statuses: dict[str, str], seconds: float = ARRIVAL_SECONDS, pause: float = 0.2) -> Comparison:
        """The count once nothing is missing, or after a while whatever it is then."""
        deadline = time.monotonic() + seconds
        while True:
            found = self.count(statuses)
            if found.holds or time.monotonic() > deadline:
                return found
            time.sleep(pause)

    def close(self) -> None:
        """Ends all processes, a shipper that a trainer started among them."""
        for process in self.processes.values():
            process.kill()
            process.wait()
        pid = self.shipper_pid()
        if pid:
            os.kill(pid, signal.SIGKILL)
