"""What ranks find out by themselves: the process that launched them, and torch's process group."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from matih_tracking.process_group import agreed_word
from matih_tracking.processes import launched_by, this_process

ASK = [sys.executable, "-c", "from matih_tracking.processes import launched_by; print(launched_by())"]


def answer(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_children_of_one_launcher_agree_and_shells_between_do_not_count():
    direct = answer(*ASK)
    wrapped = answer("sh", "-c", '"$@"; true', "sh", *ASK)
    twice = answer("bash", "-c", 'sh -c \'"$@"; true\' sh "$@"; true', "bash", *ASK)
    assert direct == wrapped == twice
    assert f"/{os.getpid()}/" in direct
    deeper = answer(sys.executable, "-c", "import subprocess, sys; subprocess.run(sys.argv[1:])", *ASK)
    assert deeper != direct
    assert launched_by() != direct


def test_this_process_is_its_pid_and_start():
    pid, started = this_process().split(",")
    assert int(pid) == os.getpid()
    assert int(started) >= 0


class Store:
    """torch.distributed's store, as far as it is used: compare_set on one server for all ranks."""

    def __init__(self):
        self.values: dict[str, bytes] = {}

    def compare_set(self, key, expected, desired):
        if self.values.get(key, b"") == expected.encode():
            self.values[key] = desired.encode()
        return self.values[key]


@pytest.fixture
def group(monkeypatch):
    """An initialised process group."""
    store = Store()
    distributed = SimpleNamespace(is_available=lambda: True, is_initialized=lambda: True)
    monkeypatch.setitem(sys.modules, "torch.distributed", distributed)
    c10d = SimpleNamespace(_get_default_store=lambda: store)
    monkeypatch.setitem(sys.modules, "torch.distributed.distributed_c10d", c10d)
    return SimpleNamespace(distributed=distributed, c10d=c10d)


def test_ranks_of_a_process_group_agree(group):
    word = agreed_word()
    assert word
    assert agreed_word() == word
    group.c10d._get_default_store = Store
    assert agreed_word() != word


def test_no_group_no_word(group, monkeypatch):
    group.c10d._get_default_store = lambda: 1 / 0
    assert agreed_word() is None
    group.distributed.is_initialized = lambda: False
    assert agreed_word() is None
    monkeypatch.delitem(sys.modules, "torch.distributed")
    assert agreed_word() is None
