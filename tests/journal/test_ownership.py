"""Who lives: the kernel's answer where it can be had, the record's where not, and "cannot tell" counts as alive."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from tests.waiting import until

from matih_tracking.journal import ownership
from matih_tracking.journal.ownership import Lock, Owner, State, owner, process_start, state


@pytest.fixture
def path(tmp_path):
    return tmp_path / "lock"


@pytest.fixture
def on_network(monkeypatch):
    monkeypatch.setattr(ownership, "is_network_file_system", lambda _: True)


@pytest.fixture
def gone():
    """The pid of a process that isn't there any more, and when it had started."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    started = process_start(process.pid)
    process.communicate(b"\n")
    return process.pid, started


def record(path, **changes):
    path.write_bytes(Owner.this_process(path)._replace(**changes).encode())


def test_a_lock_is_held_until_it_is_closed(path):
    lock = Lock.acquire(path)
    assert state(path) is State.HELD
    assert owner(path) == Owner.this_process(path)
    assert Lock.acquire(path, timeout=0.05) is None
    lock.close()
    lock.close()
    assert state(path) is State.FREE
    again = Lock.acquire(path)
    assert again is not None
    again.close()


def test_looking_at_a_lock_never_keeps_anybody_from_taking_it(path):
    lookers = [
        subprocess.Popen(
            [
                sys.executable,
                "-c",
                "import sys, pathlib; from matih_tracking.journal.ownership import state\n"
                "while True: state(pathlib.Path(sys.argv[1]))",
                path,
            ]
        )
        for _ in range(2)
    ]
    try:
        for _ in range(200):
            lock = Lock.acquire(path)
            assert lock is not None
            lock.close()
    finally:
        for looker in lookers:
            looker.kill()
            looker.wait()


def test_no_lock_file_cannot_be_judged(path):
    assert state(path) is State.UNKNOWN


def test_a_lock_whose_file_was_replaced_is_not_in_place(path):
    lock = Lock.acquire(path)
    assert lock.is_in_place()
    path.unlink()
    assert not lock.is_in_place()
    path.touch()
    assert not lock.is_in_place()
    assert state(path) is State.FREE
    lock.close()


def test_on_a_network_file_system_the_record_decides(path, on_network, gone):
    pid, started = gone
    record(path)
    assert state(path) is State.HELD
    assert Lock.acquire(path, timeout=0.05) is None
    record(path, started=1)
    assert state(path) is State.FREE, "the pid was given to another process"
    record(path, pid=pid, started=started)
    assert state(path) is State.FREE
    lock = Lock.acquire(path)
    assert owner(path) == Owner.this_process(path)
    lock.close()


def test_what_the_record_cannot_tell_counts_as_alive(path, on_network, gone):
    pid, started = gone
    record(path, namespace="pid:[1]", pid=pid, started=started)
    assert state(path) is State.UNKNOWN, "another container's process"
    record(path, machine="f" * 16, boot_id="0" * 31 + "1")
    assert state(path) is State.UNKNOWN, "another machine's"
    path.write_text("what is this\n")
    assert state(path) is State.UNKNOWN
    path.write_text("")
    assert state(path) is State.UNKNOWN


def test_an_earlier_boot_of_this_machine_is_over(path, on_network):
    record(path, boot_id="0" * 31 + "1")
    assert state(path) is State.FREE


def test_a_held_lock_with_a_broken_record_is_held(path):
    lock = Lock.acquire(path)
    path.write_text("")
    assert state(path) is State.HELD
    lock.close()


def test_a_zombie_is_dead():
    process = subprocess.Popen([sys.executable, "-c", ""])
    until(lambda: process_start(process.pid) is None, "it ends")
    os.kill(process.pid, 0)  # still there, as a zombie
    process.wait()


def test_a_record_is_read_as_it_was_written(path):
    mine = Owner.this_process(path)
    assert mine.pid == os.getpid()
    assert Owner.decode(mine.encode().decode()) == mine
    with pytest.raises(ValueError, match="unpack"):
        Owner.decode("half\nof")
