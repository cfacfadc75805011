"""`matih demo` as a user runs it, and killed as a user might kill it."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import psutil
import pytest
from tests.waiting import until

from matih_local.home import Home
from matih_local.postgres import Postgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEMO = [sys.executable, "-m", "matih_console.main", "demo"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One home for all demos, as a user has: each begins where the one before was killed."""
    folder = tmp_path_factory.mktemp("demo") / "home"
    yield folder
    shutil.rmtree(Postgres(Home.open(folder)).folder, ignore_errors=True)


def processes_of(home: Path) -> list[psutil.Process]:
    """All processes that have to do with this home, whoever their parent is."""
    found = []
    for process in psutil.process_iter():
        try:
            words = [*process.cmdline(), *process.environ().values(), process.cwd()]
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
        if process.pid != psutil.Process().pid and any(str(home) in word for word in words):
            found.append(process)
    return found


@pytest.mark.soak
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_demo_leaves_no_process(home: Path, number: signal.Signals, tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen([*DEMO, "--json", "--home", str(home)], stdout=out, stderr=out)
        until(lambda: b"four processes" in (tmp_path / "out").read_bytes(), "the training's start", seconds=120)
        process.send_signal(number)
        assert process.wait(60) != 0
    until(lambda: not processes_of(home), "no process of the demo is left")


@pytest.mark.soak
@pytest.mark.timeout(400)
def test_the_demo_proves_itself(home: Path) -> None:
    done = subprocess.run([*DEMO, "--json", "--home", str(home)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["logged"] >= 20_000
    assert report["in_mlflow"] >= report["logged"]
    assert (report["lost"], report["duplicated"]) == (0, 0)
    assert list(report["statuses"].values()).count("FINISHED") == 10
    assert {name for name, status in report["statuses"].items() if status == "FAILED"} == {
        "mlp-diverges",
        "mlp-is-killed",
    }
    assert report["log_call_p99_us"] >= report["log_call_p50_us"] > 0
    assert report["to_mlflow_p50_ms"] > 0
    assert report["ui_url"].startswith("http://127.0.0.1:")
    assert [one["lifecycle_stage"] for one in report["api_answer"]["experiments"]] == ["active"]
    assert re.fullmatch(r"curl -s 'http://127\.0\.0\.1:\d+/api/v1/experiments\?search=demo-\S+'", report["api_command"])
    assert "kill -9" in done.stderr
    until(lambda: not processes_of(home), "no process of the demo is left")
