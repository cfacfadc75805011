"""The faults in the middle: MLflow's server, its database and the worker are killed, stay away, and come back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Protocol

from matih_local.runner import State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

VICTIMS = ("worker", "mlflow", "postgres")
_THEM = "MLflow's server, PostgreSQL and the worker"


class Victim(Protocol):
    """What the outage needs of a part of the system; `runner.Runner` is one."""

    @property
    def state(self) -> State:
        """Where it is in its life."""

    def kill(self) -> None:
        """SIGKILL to all its processes."""


class Stage(Enum):
    """How far the outage is."""

    AHEAD = "ahead"
    OUT = "out"
    RETURNING = "returning"
    OVER = "over"


@dataclass
class Outage:
    """Kills at a share of the work and starts again some seconds later. Call `tick` often; it never waits.

    Attributes:
        restart: starts the victims again, without waiting for them.
        at: the share of all log calls at which it begins, 0 to 1.
        seconds: how long the victims stay away.
        tell: gets a line at each change.
    """

    victims: Sequence[Victim]
    clock: Callable[[], float]
    tell: Callable[[str], None]
    restart: Callable[[], None]
    at: float = 0.35
    seconds: float = 5.0
    stage: Stage = Stage.AHEAD
    _began: float = 0.0

    def tick(self, share: float) -> None:
        """Looks whether it is time for the next step; `share` of all log calls has been made."""
        if self.stage is Stage.AHEAD and share >= self.at:
            self._kill()
        elif self.stage is Stage.OUT and self.clock() - self._began >= self.seconds:
            self.restart()
            self.stage = Stage.RETURNING
            self.tell(f"{_THEM} are being started again after {self.seconds:.0f} s")
        elif self.stage is Stage.RETURNING and all(victim.state is State.RUNNING for victim in self.victims):
            self.stage = Stage.OVER
            self.tell(f"{_THEM} are back ({self.clock() - self._began:.0f} s after the kill)")

    def _kill(self) -> None:
        for victim in self.victims:
            victim.kill()
        self._began = self.clock()
        self.stage = Stage.OUT
        self.tell(f"kill -9 to all processes of {_THEM}: training goes on")
