"""Training processes forked from one that has imported the libraries: scikit-learn takes two seconds to import."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
import sys
from dataclasses import dataclass
from multiprocessing import forkserver
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matih_local.demo.jobs import Job

_context = multiprocessing.get_context("forkserver")
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Assignment:
    """What a training process gets.

    Attributes:
        environment: all of it; nothing else is inherited.
        ledger: the file it writes down what it logs.
        log: gets what it prints.
    """

    job: Job
    environment: Mapping[str, str]
    ledger: Path
    log: Path


def prepare() -> None:
    """Starts the process that all others are forked from; it imports in the background and ends with this one."""
    _context.set_forkserver_preload(["matih_local.demo.training"])
    forkserver.ensure_running()


class TrainingProcess:
    """One training process; it ends with the demo, however that ends."""

    def __init__(self, assignment: Assignment) -> None:
        self._process = _context.Process(target=_main, args=(assignment,), name=assignment.job.name)
        self._process.start()

    def exit_code(self) -> int | None:
        """Negative for a signal, None while it runs."""
        return self._process.exitcode

    def kill(self) -> None:
        """SIGKILL: it gets no chance to say anything."""
        self._process.kill()


def _main(assignment: Assignment) -> None:
    from matih_local.demo.training import train_in_run

    if sys.platform == "linux":
        # The process that forked this one ends with the demo.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    log = os.open(assignment.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.environ.clear()
    os.environ.update(assignment.environment)
    train_in_run(assignment.job, assignment.ledger)
