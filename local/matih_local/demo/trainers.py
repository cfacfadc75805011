"""The training processes: a queue of jobs, so many at a time, each a process of its own."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from matih_local.demo.forks import Assignment, TrainingProcess
from matih_local.demo.jobs import RANKS, Job
from matih_local.demo.ledger import LedgerTail, Logged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

KILL_AFTER_CALLS = 120
_ENDS = {"none": 0, "exception": 1, "kill": -signal.SIGKILL}


def assignment_of(job: Job, folder: Path, environment: Mapping[str, str], token: str) -> Assignment:
    """What the job's process gets; ranks get the environment that torchrun would give them."""
    variables = dict(environment)
    if job.rank is not None:
        ranks = {"RANK": job.rank, "LOCAL_RANK": job.rank, "WORLD_SIZE": RANKS, "LOCAL_WORLD_SIZE": RANKS}
        variables |= {name: str(value) for name, value in ranks.items()} | {"TORCHELASTIC_RUN_ID": token}
    return Assignment(job, variables, folder / f"{job.name}.ledger", folder / f"{job.name}.log")


class Trainers:
    """Runs jobs, so many at a time. Call `tick` often; it never waits."""

    def __init__(self, assignments: Sequence[Assignment], at_a_time: int) -> None:
        self._waiting = list(assignments)
        self._at_a_time = at_a_time
        self._running: dict[Job, TrainingProcess] = {}
        self._tails = {assignment.job: LedgerTail(assignment.ledger) for assignment in assignments}
        self._exit_codes: dict[Job, int] = {}

    @property
    def running(self) -> list[str]:
        """Names of the processes that run now."""
        return [job.name for job in self._running]

    @property
    def done(self) -> bool:
        """Whether all have ended."""
        return not self._waiting and not self._running

    def tick(self) -> None:
        """Takes in who ended, kills who is to be killed, starts who is next."""
        for job, process in list(self._running.items()):
            if job.fault == "kill" and len(self._tails[job].logged.call_ns) >= KILL_AFTER_CALLS:
                process.kill()
            code = process.exit_code()
            if code is not None:
                self._exit_codes[job] = code
                del self._running[job]
        while self._waiting and len(self._running) < self._at_a_time:
            assignment = self._waiting.pop(0)
            self._running[assignment.job] = TrainingProcess(assignment)

    def read(self) -> list[Logged]:
        """All ledgers as they stand."""
        return [tail.read() for tail in self._tails.values()]

    def unexpected_ends(self) -> dict[str, int]:
        """Names and exit codes of processes that did not end as their job says."""
        return {job.name: code for job, code in self._exit_codes.items() if code != _ENDS[job.fault]}
