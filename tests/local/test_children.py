"""Children end with their parent, however it ends, and take all their own with them."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from tests.local.shell import alive
from tests.waiting import until

from matih_local import children
from matih_local.children import Command, clean_environment, spawn
from matih_local.errors import LocalError

STARTS_A_CHILD = """
import subprocess, sys, time
session, stay = sys.argv[2] == "session", float(sys.argv[3])
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"], start_new_session=session)
open(sys.argv[1], "w").write(str(child.pid) + " ")
time.sleep(stay)
"""


def python(folder, *arguments, user=None):
    return Command((sys.executable, *arguments), clean_environment(), folder, folder / "log", user)


@pytest.fixture
def spawned(tmp_path):
    """Spawns commands, and ends those that a test left."""
    running = []

    def start(*arguments):
        running.append(spawn(python(tmp_path, *arguments)))
        return running[-1]

    yield start
    for child in running:
        child.kill()


def test_a_child_dies_with_a_parent_that_is_killed(tmp_path):
    code = (
        "import pathlib, sys, time; from matih_local.children import *;"
        "folder = pathlib.Path(sys.argv[1]);"
        "child = spawn(Command((sys.executable, '-c', 'import time; time.sleep(300)'), {}, folder, folder / 'log'));"
        "print(child.pid, flush=True); time.sleep(300)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as parent:
        pid = int(parent.stdout.readline())
        try:
            # While it becomes the command it has none.
            until(lambda: psutil.Process(pid).cmdline()[1:2] == ["-c"], "the launcher has become the command")
        finally:
            parent.kill()
    until(lambda: not alive(pid), "the child is gone", seconds=20)


def test_kill_takes_what_a_child_started_in_a_session_of_its_own(tmp_path, spawned):
    child = spawned("-c", STARTS_A_CHILD, str(tmp_path / "pid"), "session", "60")
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().endswith(" "), "it has a child")
    grandchild = int((tmp_path / "pid").read_text())
    assert alive(grandchild)
    assert child.kill() == -signal.SIGKILL
    assert not alive(grandchild)
    assert child.exit_code() == -signal.SIGKILL


def test_kill_of_one_that_has_ended_takes_the_rest_of_its_group(tmp_path, spawned):
    child = spawned("-c", STARTS_A_CHILD, str(tmp_path / "pid"), "group", "0")
    until(lambda: child.exit_code() == 0, "it has ended")
    grandchild = int((tmp_path / "pid").read_text())
    assert alive(grandchild)
    assert child.kill() == 0
    until(lambda: not alive(grandchild), "what it left is gone")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a user who has no name")
def test_a_program_that_wants_a_name_gets_one_where_the_user_has_none(tmp_path):
    command = Command((shutil.which("id"), "-un"), clean_environment(), Path("/"), tmp_path / "log", (54321, 54321))
    for named in (False, True):
        child = spawn(replace(command, named=named))
        until(lambda child=child: child.exit_code() is not None, "it has ended")
    assert (tmp_path / "log").read_text().splitlines()[-1] == "nobody"
    assert "54321" in (tmp_path / "log").read_text()


def test_only_the_main_thread_may_start_children(tmp_path):
    errors = []

    def start():
        with pytest.raises(LocalError, match="main thread") as raised:
            spawn(python(tmp_path, "-c", "pass"))
        errors.append(raised.value)

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    assert errors


def test_what_it_prints_goes_to_its_log_and_a_long_log_is_put_aside(tmp_path, spawned, monkeypatch):
    monkeypatch.setattr(children, "_LOG_MAX_BYTES", 3)
    for word in ("first", "second"):
        child = spawned("-c", f"import sys; print({word!r}); sys.stderr.write('too')")
        until(lambda child=child: child.exit_code() == 0, "it has ended")
    assert (tmp_path / "log.1").read_text() == "first\ntoo"
    assert (tmp_path / "log").read_text() == "second\ntoo"
    assert (tmp_path / "log").stat().st_mode & 0o77 == 0


def test_a_users_own_settings_do_not_reach_the_servers(monkeypatch):
    for name in ("KAFKA_OPTS", "MLFLOW_TRACKING_URI", "MATIH_TENANT", "PGPORT"):
        monkeypatch.setenv(name, "theirs")
    environment = clean_environment(MATIH_TENANT="ours")
    assert environment["MATIH_TENANT"] == "ours"
    assert "theirs" not in environment.values()
    assert environment["PATH"] == os.environ["PATH"]
