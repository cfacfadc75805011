"""The process around the runs: its exit, a SIGTERM, a fork. One object per process, installed with the first run."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

from matih_tracking.delivery import until
from matih_tracking.exit_code import ExitWatch
from matih_tracking.farewell import farewell
from matih_tracking.notices import say, say_from_signal_handler
from matih_tracking.outcome import Outcome, outcome

if TYPE_CHECKING:
    from types import FrameType

    from matih_tracking.recorder import Recorder
    from matih_tracking.run import Run
    from matih_tracking.settings import Settings

SIGNAL_SECONDS: Final = 0.2
"""How long the handler of a SIGTERM waits for another thread's log call to finish."""
_URL_SECONDS: Final = 0.5
_FORGET_AT: Final = 64


class Lifecycle:
    """Ends the runs that nobody has ended, waits for delivery once, and says what became of it."""

    def __init__(self) -> None:
        self._installed = False
        self._lock = threading.Lock()
        self._watch = ExitWatch()
        self._runs: list[Run] = []
        self._others: list[Recorder] = []
        self._goes_to = ""
        self._exit_timeout = 0.0
        self._quiet = False
        self._delivered_runs = self._delivered_entries = 0
        self._forget_at = _FORGET_AT

    def install(self, settings: Settings, goes_to: str) -> None:
        """Hooks into the process, once; the settings of the last tracker hold."""
        with self._lock:
            self._exit_timeout, self._quiet, self._goes_to = settings.exit_timeout, settings.quiet, goes_to
            if self._installed:
                return
            self._installed = True
        atexit.register(self._at_exit)
        self._watch.install()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._after_fork_in_child)
        in_main_thread = threading.current_thread() is threading.main_thread()
        if in_main_thread and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            signal.signal(signal.SIGTERM, self._on_sigterm)

    def watch(self, run: Run) -> None:
        """Ends this run with the process."""
        with self._lock:
            self._runs.append(run)
            if len(self._runs) >= self._forget_at:
                self._forget_delivered()

    def watch_other(self, recorder: Recorder) -> None:
        """Closes this journal with the process."""
        self._others.append(recorder)

    def _forget_delivered(self) -> None:
        """A process may make any number of runs: those that are over are only counted."""
        kept = []
        for run in self._runs:
            part = run.part()
            if part.state == "RUNNING" or part.left:
                kept.append(run)
            else:
                self._delivered_runs += 1
                self._delivered_entries += part.entries
        self._runs = kept
        self._forget_at = max(_FORGET_AT, 2 * len(kept))

    def _at_exit(self) -> None:
        self._end_all(self._watch.outcome())
        mine = [run for run in self._runs if not run.is_inherited]
        deadline = time.monotonic() + self._exit_timeout
        try:
            self._wait(mine, deadline)
        except KeyboardInterrupt:  # whoever waits for this has waited enough
            deadline = 0.0
        self._say_farewell(mine, deadline)

    def _end_all(self, how: Outcome) -> None:
        for run in list(self._runs):
            run.end(*how)
        for recorder in self._others:
            recorder.close()

    def _wait(self, runs: list[Run], deadline: float) -> None:
        waiting = [run for run in runs if run.is_delivered_here]

        def delivered() -> bool:
            waiting[:] = [run for run in waiting if run.part().left]
            return not waiting

        if not delivered():
            until(delivered, deadline - time.monotonic(), waiting[0].look_after)

    def _say_farewell(self, runs: list[Run], deadline: float) -> None:
        parts = [run.part() for run in runs]
        if self._quiet or not any(part.entries for part in parts):
            return
        if len(parts) == 1 and not parts[0].left and not self._delivered_runs:
            parts = [parts[0]._replace(url=runs[0].url_within(min(_URL_SECONDS, deadline - time.monotonic())))]
        before = (self._delivered_runs, self._delivered_entries)
        offline = not any(run.is_delivered_here for run in runs)
        for line in farewell(parts, self._goes_to, before=before, offline=offline):
            say(line)

    def _on_sigterm(self, number: int, _frame: FrameType | None) -> None:
        running = [run for run in self._runs if run.part().state == "RUNNING" and not run.is_inherited]
        for run in self._runs:
            run.end_from_signal_handler("KILLED", "SIGTERM", SIGNAL_SECONDS)
        if running and not self._quiet:
            say_from_signal_handler(f"SIGTERM: {len(running)} runs KILLED" if len(running) > 1 else _killed(running[0]))
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    def _after_fork_in_child(self) -> None:
        self._lock = threading.Lock()
        self._runs = [run for run in self._runs if run.part().state == "RUNNING"]
        self._delivered_runs = self._delivered_entries = 0
        for run in self._runs:
            run.after_fork_in_child()
        for recorder in self._others:
            recorder.after_fork_in_child()
        util = sys.modules.get("multiprocessing.util")
        if util is not None:
            # Its children end by os._exit, past atexit; and it forgets finalizers that are registered before this.
            util.register_after_fork(self, lambda _: util.Finalize(None, self._end_worker, exitpriority=-100))

    def _end_worker(self) -> None:
        self._end_all(outcome(sys.exc_info()[1]))


def _killed(run: Run) -> str:
    part = run.part()
    return f"{part.title} {part.state} (SIGTERM): {part.left} of {part.entries} entries are still on their way"


PROCESS: Final = Lifecycle()
"""This process's."""
