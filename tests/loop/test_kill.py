"""kill -9 of every part at a seeded random moment under load: what was accepted is what MLflow holds."""

from __future__ import annotations

import os
import random
import signal
from typing import TYPE_CHECKING

import pytest
from tests.loop.outages import VICTIMS
from tests.loop.pipe import PARTS
from tests.waiting import until

if TYPE_CHECKING:
    from tests.loop.pipe import Pipe

TRAINERS = 3
CALLS = 500
ENDLESS = 1_000_000
METRICS = 3
PAUSE_MS = 8.0


def kill(pipe: Pipe, victim: str) -> None:
    """kill -9; servers are started again at once, a shipper by the trainers or the sync at the end."""
    if victim == "trainer":
        pipe.processes["trainer-0"].kill()
    elif victim == "shipper":
        pid = until(pipe.shipper_pid, "a shipper to kill")
        os.kill(pid, signal.SIGKILL)
    else:
        pipe.system.kill(victim)
        pipe.system.start(*PARTS)


def statuses_when(trainer_killed: bool) -> dict[str, str]:
    statuses = {f"trainer-{number}": "FINISHED" for number in range(TRAINERS)}
    return statuses | ({"trainer-0": "FAILED"} if trainer_killed else {})


def kill_under_load(pipe: Pipe, victims: list[str], moments: list[float], calls: int = CALLS) -> None:
    """Trainers go on until all victims are killed and `calls` are made: each is alive when its moment has come."""
    pipe.start_shipper()
    for number in range(TRAINERS):
        pipe.start_trainer(f"trainer-{number}", ENDLESS, PAUSE_MS)
    for victim, moment in zip(victims, sorted(moments), strict=True):
        due = int(moment * calls)
        until(lambda due=due: pipe.furthest() >= due, f"a trainer's call {due}", pause=0.005)
        kill(pipe, victim)
    for number in range(1 if "trainer" in victims else 0, TRAINERS):
        until(lambda number=number: pipe.made(f"trainer-{number}") >= calls, f"the calls of trainer {number}")
        pipe.enough(f"trainer-{number}")
    for number in range(TRAINERS):
        name = f"trainer-{number}"
        killed = name == "trainer-0" and "trainer" in victims
        assert pipe.processes[name].wait(60) == (-signal.SIGKILL if killed else 0), name
    sync = pipe.sync()
    assert sync.returncode == 0, (sync.stdout, sync.stderr)
    found = pipe.final_count(statuses_when("trainer" in victims))
    assert found.holds, found
    whole = TRAINERS - ("trainer" in victims)
    assert found.logged >= whole * calls * METRICS
    assert found.in_mlflow >= found.logged
    assert "RUNNING" not in found.statuses.values()


def seeded(victim: str, seed: int) -> float:
    return random.Random(f"{victim}-{seed}").uniform(0.1, 0.9)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1, 6))
@pytest.mark.parametrize("victim", VICTIMS)
def test_one_kill_at_five_moments(pipe: Pipe, victim: str, seed: int) -> None:
    kill_under_load(pipe, [victim], [seeded(victim, seed)])


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.soak), pytest.param(2, marks=pytest.mark.soak)])
def test_all_killed_in_any_order(pipe: Pipe, seed: int) -> None:
    order = random.Random(seed)
    victims = order.sample(VICTIMS, len(VICTIMS))
    kill_under_load(pipe, victims, [order.uniform(0.1, 0.9) for _ in victims], calls=10 * CALLS)
