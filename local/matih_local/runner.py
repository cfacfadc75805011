"""Carries one part through its life: set-up, start, ready, crash, restart with back-off, stop. It never waits."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, Protocol

from matih_local import children
from matih_local.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matih_local.children import Command
    from matih_local.part import Part


class State(str, Enum):
    """Where a part is in its life."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"
    """It ended by itself; it is being, or is about to be, started again."""
    FAILED = "failed"
    """It does not start. With `Restarts` it is still tried from time to time."""
    STOPPING = "stopping"


class Process(Protocol):
    """What a runner needs of a child process; see `children.Child`."""

    @property
    def pid(self) -> int: ...  # noqa: D102
    def exit_code(self) -> int | None: ...  # noqa: D102
    def signal(self, number: signal.Signals) -> None: ...  # noqa: D102
    def kill(self) -> int: ...  # noqa: D102


@dataclass(frozen=True)
class Restarts:
    """When a part that ended is started again.

    Attributes:
        first_seconds: the wait after the first end; it doubles with each start that failed.
        most_seconds: the longest wait.
        failed_after: so many starts in a row that never got ready are shown as failed.
    """

    first_seconds: float = 0.5
    most_seconds: float = 30.0
    failed_after: int = 3

    def wait(self, failures: int) -> float:
        """Seconds until the next start, after so many failed starts in a row."""
        return min(self.most_seconds, self.first_seconds * 2.0 ** min(failures, 16))


SUPERVISED: Final = Restarts()
START_SECONDS: Final = 120.0
"""A server that is not ready by then is killed, and counts as one that did not start."""


class Runner:
    """One part and its process. Call `tick` often, in the main thread.

    Attributes:
        part: what is run.
        state: as of the last tick.
        restarts: how often it ended by itself and was started again.
        last_exit: the exit code of the last end, negative for a signal; None if it never ended.
        problem: why it is not running, for people; empty if nothing is wrong.
    """

    def __init__(
        self,
        part: Part,
        restarts: Restarts | None = None,
        spawn: Callable[[Command], Process] = children.spawn,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.part = part
        self.state = State.STOPPED
        self.restarts = 0
        self.last_exit: int | None = None
        self.problem = ""
        self._policy = restarts
        self._spawn = spawn
        self._clock = clock
        self._failures = 0
        self._steps: Iterator[Command] | None = None
        self._process: Process | None = None
        self._deadline = 0.0

    @property
    def pid(self) -> int | None:
        """Of the part's process, if there is one."""
        return self._process.pid if self._process else None

    def begin(self) -> None:
        """Starts it if it is stopped."""
        if self.state is State.STOPPED:
            self._failures = 0
            self._enter_setup(State.STARTING)

    def forgive(self) -> None:
        """Lets a part that failed be started as if nothing had been."""
        if self.state is State.FAILED:
            self.kill()

    def tick(self) -> None:
        """Looks at the process and goes on from there."""
        if self.state is State.STOPPING:
            self._watch_stop()
        elif self.state is not State.STOPPED:
            try:
                self._advance()
            except (LocalError, OSError) as error:  # its set-up, or the start of its process
                self._ended(None, str(error))

    def request_stop(self) -> None:
        """Asks it to end in good order, once; `tick` sees to it, and kills it when it takes too long."""
        if self.state in (State.STOPPED, State.STOPPING):
            return
        if self._process is None or self._steps is not None:
            self.kill()
            return
        self._process.signal(self.part.stop_signal)
        self.state, self._deadline = State.STOPPING, self._clock() + self.part.stop_seconds

    def kill(self) -> None:
        """SIGKILL to all its processes; it stays stopped."""
        self._end_process()
        self.state, self.problem = State.STOPPED, ""

    def _enter_setup(self, state: State) -> None:
        self.state = state
        self._steps = self.part.setup()

    def _advance(self) -> None:
        if self._process is None:
            self._start_next()
            return
        code = self._process.exit_code()
        if self._steps is not None and code == 0:
            self._start_next()
        elif code is not None:
            self._ended(code, self._how_it_ended(code))
        elif self._steps is None and self.state is not State.RUNNING:
            self._look_whether_ready()

    def _start_next(self) -> None:
        """The next command of the set-up, or the server after the last; a part that waits for its restart waits on."""
        if self._steps is None:
            if self._policy is None or self._clock() < self._deadline:
                return
            self._enter_setup(self.state)
        assert self._steps is not None
        command = next(self._steps, None)
        if command is None:
            self._steps = None
            self._deadline = self._clock() + START_SECONDS
        self._process = self._spawn(command or self.part.server())

    def _look_whether_ready(self) -> None:
        if self.part.is_ready() and self._is_settled():
            self.state, self.problem, self._failures = State.RUNNING, "", 0
        elif self._clock() > self._deadline:
            self._ended(None, self.problem or f"not ready after {START_SECONDS:.0f} s")

    def _is_settled(self) -> bool:
        try:
            self.part.settle()
        except LocalError as error:
            self.problem = str(error)
            return False
        return True

    def _how_it_ended(self, code: int) -> str:
        what = "its set-up" if self._steps is not None else "it"
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        return f"{what} {how}"

    def _ended(self, code: int | None, problem: str) -> None:
        self._end_process()
        self.last_exit, self.problem = code, problem
        self._failures = 0 if self.state is State.RUNNING else self._failures + 1
        if self._policy is None:
            self.state = State.FAILED
            return
        self.restarts += 1
        self.state = State.FAILED if self._failures >= self._policy.failed_after else State.RESTARTING
        self._deadline = self._clock() + self._policy.wait(self._failures)

    def _watch_stop(self) -> None:
        assert self._process is not None
        if self._process.exit_code() is not None or self._clock() > self._deadline:
            self.kill()  # also what it left behind

    def _end_process(self) -> None:
        if self._process is not None:
            self.last_exit = self._process.kill()
        self._process, self._steps = None, None
