"""What the system tells about itself: one JSON file in MATIH_HOME, always whole."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from matih_local.errors import PartFailed
from matih_local.files import last_line, write_whole
from matih_local.lock import Holder, holder
from matih_local.runner import Runner, State

if TYPE_CHECKING:
    from collections.abc import Iterable

OPTIONAL: Final = frozenset({"audit"})
"""Parts without which all else works: that one does not start is shown, and stops nobody.

The archiver refuses to go on if the archive is damaged, or Kafka has lost what is archived.
"""


@dataclass(frozen=True)
class PartState:
    """One part, as `matih local status` shows it.

    Attributes:
        restarts: how often it ended by itself and was started again, since `up`.
        last_exit: exit code of its last end, negative for a signal's number; None if it never ended.
        problem: why it is not running; empty if nothing is wrong.
    """

    name: str
    pid: int | None
    state: State
    url: str
    log: str
    restarts: int
    last_exit: int | None
    problem: str

    @property
    def is_settled(self) -> bool:
        """Whether nobody has to wait for it any more."""
        return self.state is State.RUNNING or (self.state is State.FAILED and self.name in OPTIONAL)

    @classmethod
    def of(cls, runner: Runner) -> PartState:
        """The state of a runner's part now."""
        part = runner.part
        return cls(
            part.name,
            runner.pid,
            runner.state,
            part.url,
            str(part.log),
            runner.restarts,
            runner.last_exit,
            runner.problem,
        )


def raise_for_failed(parts: Iterable[PartState]) -> None:
    """Says of the first part that does not start why that is.

    Raises:
        PartFailed: there is one, and it is not optional.
    """
    for part in parts:
        if part.state is State.FAILED and part.name not in OPTIONAL:
            said = last_line(Path(part.log)) if part.last_exit is not None else ""
            reason = f"{part.problem}: {said}" if said else part.problem
            raise PartFailed(f"{part.name} does not start ({reason}); its log is {part.log}")


@dataclass(frozen=True)
class SystemState:
    """All parts, and who runs them.

    Attributes:
        runner: the process that runs the parts; None if nobody does.
    """

    home: str
    runner: Holder | None
    parts: tuple[PartState, ...]

    @property
    def all_running(self) -> bool:
        """Whether the whole system is up, but for what it can do without."""
        return bool(self.parts) and all(part.is_settled for part in self.parts)

    def report(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def snapshot(runners: Iterable[Runner]) -> tuple[PartState, ...]:
    """The states of all parts now."""
    return tuple(PartState.of(runner) for runner in runners)


def write_state(home: Path, parts: tuple[PartState, ...]) -> None:
    """Puts the states of this process's parts into MATIH_HOME, at once or not at all."""
    write_whole(home / "state.json", json.dumps({"pid": os.getpid(), "parts": [asdict(part) for part in parts]}))


def read_state(home: Path) -> SystemState:
    """The state of a MATIH_HOME; all is stopped when the process that wrote it no longer runs it."""
    by = holder(home)
    try:
        written = json.loads((home / "state.json").read_text())
    except FileNotFoundError:
        return SystemState(str(home), by, ())
    parts = tuple(PartState(**part | {"state": State(part["state"])}) for part in written["parts"])
    if by is None or by.pid != written["pid"]:
        parts = tuple(replace(part, state=State.STOPPED, pid=None) for part in parts)
    return SystemState(str(home), by, parts)
