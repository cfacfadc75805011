"""A shipper is started where there is none: detached, once, and without keeping anybody waiting."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.shipper.world import by_producer
from tests.waiting import until

from matih_tracking.journal.ownership import Lock
from matih_tracking.shipper import spawn, state


@pytest.fixture
def started(monkeypatch):
    """What is started instead of shippers: processes that end at once."""
    commands = []

    def start(spool, *options):
        commands.append(spool)
        return subprocess.Popen([sys.executable, "-c", ""])

    monkeypatch.setattr(spawn, "start", start)
    monkeypatch.setattr(spawn, "_last_attempt", {})
    monkeypatch.setattr(spawn, "_children", [])
    return commands


def test_one_attempt_a_second_and_none_where_one_runs(spool, started, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    for _ in range(10):
        assert spawn.ensure_shipper(spool) is None
    assert started == [spool]
    now[0] += 1.0
    spawn.ensure_shipper(spool)
    assert len(started) == 2
    lock = Lock.acquire(spool / state.LOCK_FILE)
    now[0] += 1.0
    spawn.ensure_shipper(spool)
    assert len(started) == 2
    lock.close()
    now[0] += 1.0
    spawn.ensure_shipper(spool)
    assert len(started) == 3


def test_those_that_ended_leave_no_zombie(spool, started, monkeypatch):
    spawn.ensure_shipper(spool)
    (child,) = spawn._children
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    monkeypatch.setattr(spawn, "_last_attempt", {str(spool): time.monotonic()})
    spawn.ensure_shipper(spool)
    assert not Path(f"/proc/{child.pid}").exists()
    assert spawn._children == []


WITHOUT_PROCESSES = """
import pathlib, subprocess, sys
from tests.shipper.writing import Trainer
from tests.shipper.world import by_producer
from tests.waiting import until
from matih_tracking.shipper import spawn

def refuse(*arguments, **options):
    raise BlockingIOError(11, "Resource temporarily unavailable")

subprocess.Popen = refuse
spool = pathlib.Path(sys.argv[1])
trainer = Trainer(spool)
trainer.log(100)
print(spawn.ensure_shipper(spool))
until(lambda: trainer.journal.acked() == len(trainer.said), "it is delivered")
print(trainer.producer_id, len(trainer.said))
sys.exit(3)
"""


def test_where_no_process_can_be_started_a_thread_delivers(world):
    root = str(Path(__file__).parents[2])
    process = world.start("-c", WITHOUT_PROCESSES, str(world.spool), PYTHONPATH=root)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (3, "")
    told, arrived = out.splitlines()
    assert told == (
        "no process can be started ([Errno 11] Resource temporarily unavailable): "
        "a thread of this one delivers to Kafka instead"
    )
    ((producer, entries),) = by_producer(world.events()).items()
    assert arrived == f"{producer} {len(entries)}"


def test_it_outlives_its_starter_its_group_and_its_terminal(world):
    code = (
        "import sys, pathlib; from matih_tracking.shipper import spawn;"
        "print(spawn.start(pathlib.Path(sys.argv[1]), '--forever').pid)"
    )
    starter = world.start("-c", code, str(world.spool))
    pid = int(starter.communicate(timeout=30)[0])
    until(lambda: (told := state.read(world.spool)) and told.pid == pid, "it holds the spool")
    assert os.getsid(pid) == pid
    assert os.getpriority(os.PRIO_PROCESS, pid) >= 5
    links = [Path(f"/proc/{pid}/fd/{number}").readlink() for number in (0, 1, 2)]
    assert links == [Path("/dev/null"), *[world.spool / state.LOG_FILE] * 2]
    assert Path(f"/proc/{pid}/cwd").readlink() == world.spool


def test_modules_of_the_jobs_folder_do_not_get_in_its_way(world):
    (world.folder / "asyncio.py").write_text("raise SystemExit(9)")
    (world.folder / "logging.py").write_text("raise SystemExit(9)")
    code = (
        "import sys; sys.path.pop(0); import pathlib; from matih_tracking.shipper import spawn;"
        "spawn.start(pathlib.Path(sys.argv[1]), '--forever')"
    )
    assert world.start("-c", code, str(world.spool)).wait(30) == 0
    until(lambda: state.read(world.spool), "it holds the spool")


def test_the_training_does_not_pay_for_it():
    """What the tracker imports to start a shipper brings none of the shipper's libraries."""
    code = "import sys; from matih_tracking.shipper import spawn; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"aiokafka", "fastavro", "pydantic", "asyncio", "typer", "rich"} & set(done.stdout.split())
