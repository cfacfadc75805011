"""What the demo trains: plain data that the training processes and the count at the end agree on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from itertools import product
from typing import Literal

PROBE = "latency-probe"
RANKS = 4
AT_A_TIME = 4

Fault = Literal["none", "exception", "kill"]


@dataclass(frozen=True)
class Job:
    """One training process.

    Attributes:
        experiment: where its run belongs.
        run_name: the run it logs into.
        hidden: units of the hidden layer.
        learning_rate: of Adam.
        batches: how many batches it trains on; a log call for each.
        fault: what happens to it on the way.
        rank: its place among the processes of a common run; None if it is alone.
    """

    experiment: str
    run_name: str
    hidden: int
    learning_rate: float
    batches: int = 450
    fault: Fault = "none"
    rank: int | None = None

    @property
    def name(self) -> str:
        """Names the process: its ledger's file too."""
        return self.run_name if self.rank is None else f"{self.run_name}-rank{self.rank}"

    def as_json(self) -> dict[str, object]:
        """The job for another process's command line."""
        return asdict(self)


def sweep(experiment: str) -> list[Job]:
    """Eight runs over layer sizes and learning rates, one that fails and one that is killed."""
    grid = list(product((16, 32, 64, 128), (0.001, 0.01)))
    jobs = [Job(experiment, f"mlp-{hidden}-lr{rate}", hidden, rate) for hidden, rate in grid]
    jobs.insert(2, Job(experiment, "mlp-diverges", 32, 3.0, fault="exception"))
    jobs.insert(5, Job(experiment, "mlp-is-killed", 64, 0.005, fault="kill"))
    return jobs


def ranks(experiment: str) -> list[Job]:
    """One run that four processes log into together."""
    return [Job(experiment, "four-ranks", 48, 0.003, rank=rank) for rank in range(RANKS)]


def expected_status(job: Job) -> str:
    """How MLflow has to show the job's run in the end."""
    return "FINISHED" if job.fault == "none" else "FAILED"
