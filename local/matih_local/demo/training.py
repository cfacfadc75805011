"""What a training process does: real training, logged at every batch."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from matih_local.demo.ledger import Ledger
from matih_tracking import ExperimentTracker, RunConfig

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from matih_local.demo.jobs import Job

BATCH = 64
JUDGED_AT = 100


def batches(images: Any, labels: Any, count: int, seed: int) -> Iterator[tuple[Any, Any]]:
    """`count` random batches."""
    random = np.random.default_rng(seed)
    for _ in range(count):
        chosen = random.integers(0, len(labels), BATCH)
        yield images[chosen], labels[chosen]


class LoggedRun:
    """The tracker's run and the ledger beside it: each call goes into both, and only the tracker's is timed."""

    def __init__(self, run: Any, ledger: Ledger, prefix: str) -> None:
        self._run, self._ledger, self._prefix = run, ledger, prefix

    def metrics(self, step: int, **values: float) -> None:
        """One log call."""
        named = {self._prefix + key: float(value) for key, value in values.items()}
        timestamp = int(time.time() * 1000)
        self._ledger.before(named, step, timestamp)
        start = time.perf_counter_ns()
        self._run.log_metrics(named, step=step, timestamp=timestamp)
        self._ledger.after(time.perf_counter_ns() - start)

    def params(self, params: dict[str, object]) -> None:
        """Params, once."""
        self._run.log_params(params)
        self._ledger.params({key: str(value) for key, value in params.items()})

    def tag(self, key: str, value: str) -> None:
        """One tag."""
        self._run.set_tag(key, value)
        self._ledger.tags({key: value})


def train(job: Job, run: LoggedRun) -> None:
    """Trains on scikit-learn's digits and logs each batch's loss and accuracy, and each 50th the test accuracy."""
    images, labels = load_digits(return_X_y=True)
    fitted, held_out, fitted_labels, held_out_labels = train_test_split(images / 16, labels, random_state=0)
    first_loss = 0.0
    network = MLPClassifier((job.hidden,), learning_rate_init=job.learning_rate, random_state=job.rank or 0)
    for step, (x, y) in enumerate(batches(fitted, fitted_labels, job.batches, seed=job.rank or 0)):
        network.partial_fit(x, y, classes=range(10))
        sure = network.predict_proba(x)
        accuracy = np.mean(sure.argmax(axis=1) == y)
        norm = sum(float(np.square(weights).sum()) for weights in network.coefs_) ** 0.5
        run.metrics(step, loss=network.loss_, accuracy=accuracy, confidence=sure.max(axis=1).mean(), weight_norm=norm)
        first_loss = network.loss_ if step == 0 else first_loss
        if step == JUDGED_AT and network.loss_ > first_loss:
            raise RuntimeError(f"loss {network.loss_:.2f} at step {step}, {first_loss:.2f} at the start: it diverges")
        if step % 50 == 49:
            run.metrics(step, test_accuracy=network.score(held_out, held_out_labels))


def train_in_run(job: Job, ledger_path: Path) -> None:
    """One training process: trains the job inside a run."""
    ledger = Ledger(ledger_path)
    config = RunConfig(run_name=job.run_name, tags={"demo": "true"})
    with ExperimentTracker().start_run(job.experiment, config) as run:
        ledger.run(run.run_id, job.run_name)
        logged = LoggedRun(run, ledger, "" if job.rank is None else f"rank{job.rank}/")
        if not job.rank:
            logged.params({"hidden": job.hidden, "learning_rate": job.learning_rate, "batch": BATCH})
        logged.tag("trained_by" if job.rank is None else f"trained_by_{job.rank}", str(os.getpid()))
        with threadpool_limits(1):  # the processes share the cores
            train(job, logged)
