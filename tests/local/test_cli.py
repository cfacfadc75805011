"""What `matih local` says when there is nothing to say, and how the state looks."""

import io
import socket
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from matih_local.display import Progress, table
from matih_local.errors import PartFailed
from matih_local.home import Home
from matih_local.lock import Holder
from matih_local.runner import State
from matih_local.state import PartState, SystemState, raise_for_failed, read_state, write_state
from matih_local.system import LocalSystem

AUDIT = PartState("audit", None, State.FAILED, "", "/logs/audit.log", 3, 1, "it ended with exit code 1")
KAFKA = PartState("kafka", 7, State.RUNNING, "127.0.0.1:20000", "/logs/kafka.log", 0, None, "")


def system_state(*parts):
    return SystemState("/home", Holder(1, "supervisor"), parts)


@pytest.mark.parametrize("command", ["down", "status", "env"])
def test_a_home_that_is_not_there_is_one_line_and_is_not_made(matih, command):
    done = matih.run(command)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"matih: there is no system in {matih.home}: `matih local up --home {matih.home}`")
    assert done.stderr.count("\n") == 1
    assert not matih.home.exists()


def test_a_home_that_cannot_be_made_is_one_line(matih):
    matih.home.write_text("a file")
    done = matih.run("up")
    assert done.returncode == 1
    assert done.stderr == f"matih: MATIH_HOME {matih.home} can't be used (File exists): choose another folder\n"


def test_env_of_a_system_that_does_not_run_says_so_beside_the_variables(matih):
    matih.home.mkdir()
    done = matih.run("env")
    assert done.returncode == 0
    assert done.stderr.startswith("matih: the system does not run: `matih local up")
    assert done.stdout.startswith("export KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:")


def test_a_home_with_odd_characters_is_quoted(matih):
    odd = type(matih)(matih.home.with_name("it's a $home"))
    odd.home.mkdir()
    assert f"export MATIH_HOME='{matih.home.parent}/it'\"'\"'s a $home'\n" in odd.run("env").stdout


def test_a_taken_port_is_a_failed_start_that_names_it(matih):
    port = Home.open(matih.home).port("kafka")
    taken = f"kafka does not start .port {port} is taken by another program: stop"
    with (
        socket.create_server(("127.0.0.1", port)),
        LocalSystem(matih.home) as system,
        pytest.raises(PartFailed, match=taken),
    ):
        system.start("kafka")


def test_a_state_is_only_believed_while_its_writer_runs(tmp_path):
    write_state(tmp_path, (KAFKA,))
    assert read_state(tmp_path).parts == (replace(KAFKA, state=State.STOPPED, pid=None),)
    assert read_state(tmp_path / "none") == SystemState(str(tmp_path / "none"), None, ())


def test_the_table_tells_of_restarts_and_problems():
    crashed = replace(KAFKA, name="worker", restarts=2, last_exit=-9)
    waiting = replace(KAFKA, name="mlflow", state=State.RESTARTING, problem="it ended with exit code 1")
    console = Console(file=io.StringIO(), width=200)
    console.print(table(system_state(KAFKA, crashed, waiting)))
    text = console.file.getvalue()
    assert "running (last exit -9)" in text
    assert "restarting: it ended with exit code 1" in text


def test_without_a_terminal_each_change_is_a_line(capsys):
    with Progress() as progress:
        progress.show(system_state(replace(KAFKA, state=State.STARTING)))
        for _ in range(3):
            progress.show(system_state(KAFKA))
    assert capsys.readouterr().err.split(" s  ")[1:] == ["kafka running\n"]


def test_data_folders_are_all_of_them(tmp_path):
    system = LocalSystem(tmp_path / "home")
    folders = system.data_folders()
    assert folders[0] == tmp_path / "home"
    assert any(system.postgres.folder.is_relative_to(folder) for folder in folders)
    assert all(isinstance(folder, Path) for folder in folders)


def test_the_api_waits_for_what_it_needs_only_and_is_stopped_before_what_it_reads(tmp_path):
    api = LocalSystem(tmp_path / "home").api
    assert set(api.needs) == {"kafka", "postgres"}
    assert set(api.uses) == {"mlflow", "worker", "schema-registry"}


def test_all_but_the_archiver_has_to_work():
    raise_for_failed([KAFKA, AUDIT])
    assert system_state(KAFKA, AUDIT).all_running
    assert not system_state(replace(KAFKA, state=State.STARTING), AUDIT).all_running
    assert not system_state(KAFKA, replace(AUDIT, state=State.RESTARTING)).all_running
    with pytest.raises(PartFailed, match="kafka does not start"):
        raise_for_failed([AUDIT, replace(KAFKA, state=State.FAILED)])
