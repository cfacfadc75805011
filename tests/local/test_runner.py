"""A part's life, with processes and a clock of the test's own."""

import signal
from pathlib import Path

import pytest

from matih_local.children import Command
from matih_local.errors import LocalError, PartFailed
from matih_local.runner import START_SECONDS, Restarts, Runner, State


class FakeProcess:
    def __init__(self, name):
        self.name, self.code, self.signals, self.killed = name, None, [], False
        self.pid = id(self)

    def exit_code(self):
        return self.code

    def signal(self, number):
        self.signals.append(number)

    def kill(self):
        self.killed = True
        self.code = -9 if self.code is None else self.code
        return self.code


class FakePart:
    name, needs, uses, url, log = "fake", (), (), "fake://", Path("fake.log")
    stop_signal, stop_seconds = signal.SIGTERM, 10.0

    def __init__(self):
        self.ready, self.steps, self.unsettled = False, ["format"], None

    def setup(self):
        for step in self.steps:
            yield self.command(step)

    def server(self):
        return self.command("server")

    def is_ready(self):
        return self.ready

    def settle(self):
        if self.unsettled:
            raise self.unsettled

    def command(self, name):
        return Command((name,), {}, Path(), self.log)


class World:
    """A runner, the processes it started, and the time."""

    def __init__(self, restarts=None):
        self.part, self.now, self.processes = FakePart(), 0.0, []
        self.runner = Runner(self.part, restarts, self.spawn, lambda: self.now)

    def spawn(self, command):
        self.processes.append(FakeProcess(command.arguments[0]))
        return self.processes[-1]

    @property
    def names(self):
        return [process.name for process in self.processes]

    def end(self, code):
        self.processes[-1].code = code
        self.runner.tick()

    def bring_up(self):
        self.runner.begin()
        self.runner.tick()
        while self.processes[-1].name != "server":
            self.end(0)
        self.part.ready = True
        self.runner.tick()
        assert self.runner.state is State.RUNNING


@pytest.fixture
def world():
    return World()


@pytest.fixture
def supervised():
    return World(Restarts(first_seconds=1, most_seconds=8, failed_after=3))


def test_set_up_runs_to_its_end_before_the_server_and_running_means_ready(world):
    world.runner.begin()
    for _ in range(3):
        world.runner.tick()
    assert world.names == ["format"]
    world.end(0)
    assert world.names == ["format", "server"]
    world.runner.tick()
    assert world.runner.state is State.STARTING
    world.part.ready = True
    world.runner.tick()
    assert (world.runner.state, world.runner.pid) == (State.RUNNING, world.processes[-1].pid)


def test_a_failed_set_up_is_said_and_starts_no_server(world):
    world.runner.begin()
    world.runner.tick()
    world.end(3)
    assert (world.runner.state, world.runner.last_exit) == (State.FAILED, 3)
    assert world.runner.problem == "its set-up ended with exit code 3"
    assert world.names == ["format"]


def test_without_restarts_a_dead_part_stays_dead_until_it_is_begun_again(world):
    world.bring_up()
    world.end(-9)
    for _ in range(5):
        world.now += 100
        world.runner.tick()
    assert (world.runner.state, world.runner.last_exit, world.runner.restarts) == (State.FAILED, -9, 0)
    assert world.runner.problem == "it was killed by SIGKILL"
    world.runner.forgive()
    world.part.steps = []
    world.bring_up()
    assert world.names == ["format", "server", "server"]


def test_a_crash_is_counted_and_restarted_after_the_back_off(supervised):
    supervised.bring_up()
    supervised.part.steps, supervised.part.ready = [], False
    supervised.end(1)
    assert (supervised.runner.state, supervised.runner.restarts) == (State.RESTARTING, 1)
    supervised.runner.tick()
    assert supervised.names.count("server") == 1
    supervised.now += 1
    supervised.runner.tick()
    supervised.part.ready = True
    supervised.runner.tick()
    assert supervised.names.count("server") == 2
    assert (supervised.runner.state, supervised.runner.last_exit, supervised.runner.problem) == (State.RUNNING, 1, "")


def test_starts_that_never_get_ready_wait_longer_and_are_shown_as_failed_but_go_on(supervised):
    supervised.part.steps = []
    supervised.runner.begin()
    waits = []
    for failures in range(1, 6):
        supervised.runner.tick()
        assert len(supervised.processes) == failures
        supervised.end(1)
        assert supervised.runner.state is (State.FAILED if failures >= 3 else State.RESTARTING)
        began = supervised.now
        while len(supervised.processes) == failures:
            supervised.now += 0.5
            supervised.runner.tick()
        waits.append(supervised.now - began)
        supervised.processes.pop()
        supervised.processes.append(FakeProcess("server"))
        supervised.runner._process = supervised.processes[-1]
    assert waits == [2, 4, 8, 8, 8]
    supervised.part.ready = True
    supervised.runner.tick()
    assert (supervised.runner.state, supervised.runner.restarts) == (State.RUNNING, 5)


def test_a_server_that_is_never_ready_is_killed(world):
    world.part.steps = []
    world.runner.begin()
    world.runner.tick()
    world.now += START_SECONDS + 1
    world.runner.tick()
    assert world.processes[-1].killed
    assert (world.runner.state, world.runner.problem) == (State.FAILED, f"not ready after {START_SECONDS:.0f} s")


def test_what_it_needs_to_settle_is_tried_again_before_anybody_is_told(world):
    world.part.unsettled = PartFailed("no topics yet")
    world.part.ready, world.part.steps = True, []
    world.runner.begin()
    world.runner.tick()
    world.runner.tick()
    assert (world.runner.state, world.runner.problem) == (State.STARTING, "no topics yet")
    world.part.unsettled = None
    world.runner.tick()
    assert (world.runner.state, world.runner.problem) == (State.RUNNING, "")


@pytest.mark.parametrize("error", [LocalError("its data is gone"), OSError("disk full")])
def test_a_set_up_that_raises_is_a_failed_start_not_the_end_of_the_supervisor(supervised, error):
    def broken():
        raise error
        yield

    supervised.part.setup = broken
    supervised.runner.begin()
    supervised.runner.tick()
    assert (supervised.runner.state, supervised.runner.problem) == (State.RESTARTING, str(error))


def test_stop_asks_once_waits_and_then_kills(world):
    world.bring_up()
    for _ in range(3):
        world.runner.request_stop()
        world.runner.tick()
    process = world.processes[-1]
    assert (world.runner.state, process.signals, process.killed) == (State.STOPPING, [signal.SIGTERM], False)
    world.now += 11
    world.runner.tick()
    assert (world.runner.state, process.killed, world.runner.pid) == (State.STOPPED, True, None)


def test_a_stop_in_good_order_is_no_crash(supervised):
    supervised.bring_up()
    supervised.runner.request_stop()
    supervised.end(143)
    assert (supervised.runner.state, supervised.runner.restarts) == (State.STOPPED, 0)
    supervised.runner.tick()
    assert supervised.names.count("server") == 1


def test_stop_in_the_middle_of_the_set_up_or_of_a_wait_ends_at_once(supervised):
    supervised.runner.begin()
    supervised.runner.tick()
    supervised.runner.request_stop()
    assert supervised.processes[-1].killed
    assert supervised.runner.state is State.STOPPED
    supervised.part.steps = []
    supervised.bring_up()
    supervised.end(1)
    supervised.runner.request_stop()
    assert supervised.runner.state is State.STOPPED


def test_kill_leaves_it_stopped_whatever_the_restarts_say(supervised):
    supervised.bring_up()
    supervised.runner.kill()
    supervised.now += 100
    supervised.runner.tick()
    assert (supervised.runner.state, supervised.runner.last_exit) == (State.STOPPED, -9)
    assert supervised.names.count("server") == 1
