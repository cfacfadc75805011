"""Everything is killed under load again and again, several parts at once, for a time; then all is counted.

MATIH_SOAK_SECONDS says for how long (300), MATIH_SOAK_SEED which kills and runs; the test's id has it.
"""

from __future__ import annotations

import os
import random
import signal
import time
from itertools import count, pairwise
from typing import TYPE_CHECKING

import pytest
from tests.loop.outages import SERVERS, VICTIMS, Outage, outages
from tests.loop.pipe import PARTS

if TYPE_CHECKING:
    from tests.loop.pipe import Pipe

SECONDS = float(os.environ.get("MATIH_SOAK_SECONDS", "300"))
# All processes of one test run (pytest-xdist) take the same one.
_ANY = random.Random(os.environ.get("PYTEST_XDIST_TESTRUNUID")).randrange(1_000_000)
SEED = int(os.environ.get("MATIH_SOAK_SEED", str(_ANY)))
TRAINERS = 3
CALLS = (500, 4000)
PAUSE_MS = 8.0
METRICS = 3
LEFT_CALLS = 100
"""A trainer with fewer calls left is not killed: it may have said its end by then."""


class Soak:
    """The trainers and servers under a plan of outages."""

    def __init__(self, pipe: Pipe, seed: int, seconds: float) -> None:
        self._pipe = pipe
        self._plan = outages(seed, seconds)
        self._dice = random.Random(f"trainers-{seed}")
        self._numbers = count()
        self._calls: dict[str, int] = {}
        self._away: dict[str, float] = {}
        self.killed: set[str] = set()

    def run(self, seconds: float) -> None:
        """Kills by the plan until the time is over; there are always as many trainers."""
        began = time.monotonic()
        while (now := time.monotonic() - began) < seconds:
            while self._plan and self._plan[0].at <= now:
                self._kill(self._plan.pop(0), now)
            for _ in range(TRAINERS - len(self._training())):
                self._train()
            self._pipe.system.want(*(name for name in SERVERS if self._away.get(name, 0.0) <= now))
            self._pipe.system.tick()
            time.sleep(0.05)

    def end(self) -> dict[str, str]:
        """Lets all trainers end, with all servers there; the expected status of each run."""
        self._pipe.system.start(*PARTS)
        for name in self._training():
            self._pipe.enough(name)
        for name in self._calls:
            code = -signal.SIGKILL if name in self.killed else 0
            assert self._pipe.processes[name].wait(60) == code, name
        return {name: "FAILED" if name in self.killed else "FINISHED" for name in self._calls}

    def _training(self) -> list[str]:
        return [name for name in self._calls if self._pipe.processes[name].poll() is None]

    def _train(self) -> None:
        name = f"trainer-{next(self._numbers)}"
        self._calls[name] = self._dice.randrange(*CALLS)
        self._pipe.start_trainer(name, self._calls[name], PAUSE_MS)

    def _kill(self, outage: Outage, now: float) -> None:
        if outage.victim == "trainer":
            self._kill_trainer()
        elif outage.victim == "shipper":
            pid = self._pipe.shipper_pid()
            if pid is not None:
                os.kill(pid, signal.SIGKILL)
        else:
            self._pipe.system.kill(outage.victim)
            self._away[outage.victim] = now + outage.seconds

    def _kill_trainer(self) -> None:
        """Kills one that has begun and is far from its end, if there is one."""
        for name in self._training():
            if 0 < self._pipe.made(name) < self._calls[name] - LEFT_CALLS:
                self._pipe.processes[name].kill()
                self._pipe.processes[name].wait()
                self.killed.add(name)
                return


@pytest.mark.soak
@pytest.mark.timeout(SECONDS + 1200)
@pytest.mark.parametrize("seed", [pytest.param(SEED, id=f"MATIH_SOAK_SEED={SEED}")])
def test_outages_that_overlap_for_a_long_time(pipe: Pipe, seed: int) -> None:
    print(f"MATIH_SOAK_SEED={seed} MATIH_SOAK_SECONDS={SECONDS:g}")
    soak = Soak(pipe, seed, SECONDS)
    soak.run(SECONDS)
    expected = soak.end()
    sync = pipe.sync()
    assert sync.returncode == 0, (sync.stdout, sync.stderr)
    found = pipe.final_count(expected, 300, pause=2.0)
    assert found.holds, found
    print(f"{found.logged} points of {len(expected)} runs, {len(soak.killed)} of them killed")
    assert found.in_mlflow >= found.logged >= METRICS * LEFT_CALLS
    assert "RUNNING" not in found.statuses.values()


@pytest.mark.parametrize("seed", range(20))
def test_a_plan_overlaps_kills_everything_and_comes_again_of_its_seed(seed: int) -> None:
    plan = outages(seed, 300)
    assert plan == outages(seed, 300) != outages(seed + 1, 300)
    assert {outage.victim for outage in plan} == set(VICTIMS)
    assert all(first.at < second.at < 300 for first, second in pairwise(plan))
    downs = [outage for outage in plan if outage.seconds]
    assert any(first.at + first.seconds > second.at for first, second in pairwise(downs)), "two are away at once"
    for victim in SERVERS:
        own = [outage for outage in plan if outage.victim == victim]
        assert all(first.at + first.seconds <= second.at for first, second in pairwise(own))
