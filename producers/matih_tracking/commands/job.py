"""`matih run -- CMD`: a job with a shipper of its own, waiting for delivery, and the job's own exit code."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from matih_console.errors import CommandError
from matih_console.output import note
from matih_schemas.clock import now_ms
from matih_schemas.identity import new_run_id
from matih_tracking import settings
from matih_tracking.commands.waiting import Shipping, wait
from matih_tracking.ranks import RUN_ID, RUN_ID_USED_BY, given_run_id
from matih_tracking.shipper import state
from matih_tracking.shipper.command import own_spool
from matih_tracking.shipper.survey import Goal, survey
from matih_tracking.spool import SpoolUnusable, open_spool

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

NOT_FOUND: Final = 127
NOT_EXECUTABLE: Final = 126
_FORWARDED: Final = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
_FROM_KEYS: Final = {"SIGINT", "SIGQUIT"}


class CommandNotRun(CommandError):
    """The job's command could not be started; the exit code is a shell's."""

    def __init__(self, command: str, error: OSError) -> None:
        super().__init__(f"can't run {command!r}: {error.strerror}: check its name and its permissions")
        self.exit_code = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE


def run(command: Sequence[str], patience: float | None) -> int:
    """Runs a job.

    Args:
        command: the program and its arguments.
        patience: seconds to wait for delivery; None for MATIH_EXIT_TIMEOUT.

    Returns:
        The command's exit code, 128 + n if signal n ended it. Trouble with tracking never changes it.

    Raises:
        CommandNotRun: there is no such program.
    """
    ours, problems = settings.read(os.environ)
    for problem in problems:
        note(problem)
    started_ms = now_ms()
    shipping = _start_shipping() if ours.mode == "online" else None
    try:
        exit_code = _run(command)
    except CommandNotRun:
        if shipping is not None:
            shipping.stop()
        raise
    if shipping is not None:
        _finish(shipping, started_ms, ours.exit_timeout if patience is None else patience)
    return exit_code


def _start_shipping() -> Shipping | None:
    """A shipper for this job. Without one the job runs all the same: what it logs is kept on disk."""
    try:
        shipping = Shipping(open_spool(own_spool()))
        shipping.ensure()
    except (SpoolUnusable, OSError) as error:
        note(f"no shipper could be started: {error}")
        return None
    return shipping


def _run(command: Sequence[str]) -> int:
    # Where whoever calls us has used its id up for a run of its own, the job gets another.
    environment = {**os.environ, RUN_ID: given_run_id(os.environ) or new_run_id()}
    environment.pop(RUN_ID_USED_BY, None)
    try:
        child = subprocess.Popen(list(command), env=environment)
    except OSError as error:
        raise CommandNotRun(command[0], error) from error
    with _signals_go_to(child):
        code = child.wait()
    return code if code >= 0 else 128 - code


@contextmanager
def _signals_go_to(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """While the child runs, signals to us are meant for it."""

    def forward(number: int, _frame: object) -> None:
        # The terminal has sent Ctrl-C and Ctrl-\\ to the child already, which is in our process group.
        if not (signal.Signals(number).name in _FROM_KEYS and _is_in_foreground()):
            child.send_signal(number)

    numbers = [getattr(signal, name) for name in _FORWARDED if hasattr(signal, name)]
    before = {number: signal.signal(number, forward) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_in_foreground() -> bool:
    """Whether a terminal's keys come to us and our children alike."""
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError, AttributeError):  # no terminal, stdin closed, Windows
        return False


def _finish(shipping: Shipping, started_ms: int, patience: float) -> None:
    deadline = time.monotonic() + patience
    goal = Goal([journal for journal in survey([shipping.spool], None) if journal.created_ms >= started_ms])
    try:
        reached = wait(goal, shipping.ensure, lambda _: time.monotonic() >= deadline)
    except OSError as error:
        note(f"no shipper could be started: {error}")
        reached = goal.is_reached()
    except KeyboardInterrupt:  # enough waiting; the exit code stays the job's
        reached = goal.is_reached()
    if reached:
        shipping.stop()
    _tell(shipping, goal, reached=reached)


def _tell(shipping: Shipping, goal: Goal, *, reached: bool) -> None:
    for journal in goal.unreadable:
        note(journal.reason)
    if not reached:
        note(_left(shipping.spool, goal, shipping.trouble()))
        return
    told = state.read(shipping.spool)
    ours = told.entries if told is not None and told.pid == shipping.pid else 0
    if (ours or goal.journals) and not os.environ.get("MATIH_QUIET"):
        note(f"{f'{ours} entries are' if ours else 'everything logged is'} on Kafka")


def _left(spool: Path, goal: Goal, trouble: str | None) -> str:
    told = state.read(spool)
    who = f"the shipper (pid {told.pid}) goes on trying" if told is not None and state.is_running(spool) else ""
    hope = ", and ".join(part for part in (who, f"`matih sync {spool}` delivers them") if part)
    return f"{goal.left()} entries are not on Kafka{f' ({trouble})' if trouble else ''}; they stay on disk: {hope}"
