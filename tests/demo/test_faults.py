"""The outage: who is killed when, and that it is over only when everything is back."""

from __future__ import annotations

from matih_local.demo.faults import Outage, Stage
from matih_local.runner import State


class Part:
    state = State.RUNNING

    def kill(self) -> None:
        self.state = State.STOPPED


def test_an_outage_from_its_kill_to_its_end() -> None:
    parts, said, now = [Part(), Part()], [], [0.0]

    def restart() -> None:
        for part in parts:
            part.state = State.STARTING

    outage = Outage(parts, lambda: now[0], said.append, restart, at=0.5, seconds=5)
    outage.tick(0.49)
    assert outage.stage is Stage.AHEAD
    assert all(part.state is State.RUNNING for part in parts)
    outage.tick(0.5)
    assert all(part.state is State.STOPPED for part in parts)
    now[0] = 4.9
    outage.tick(0.6)
    assert outage.stage is Stage.OUT
    now[0] = 5.0
    outage.tick(0.6)
    assert all(part.state is State.STARTING for part in parts)
    parts[0].state = State.RUNNING
    outage.tick(0.7)
    assert outage.stage is Stage.RETURNING
    parts[1].state = State.RUNNING
    outage.tick(0.7)
    assert outage.stage is Stage.OVER
    assert len(said) == 3
