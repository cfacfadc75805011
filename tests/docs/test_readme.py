"""The README's code runs, its commands exist, its make targets are the Makefile's."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.sdk.spools import only

from matih_console.commands import COMMANDS
from matih_console.main import main
from matih_schemas import identity

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_example_logs_what_it_says(tmp_path: Path) -> None:
    (code,) = blocks("python")
    environment = {"MATIH_MODE": "offline", "MATIH_SPOOL_DIR": str(tmp_path / "spool"), "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    journal = only(tmp_path / "spool")
    assert journal.created.experiment_id == identity.experiment_id("default", "churn")
    assert journal.created.run_name == "baseline"
    assert journal.params == [("lr", "0.001"), ("layers", "4")]
    wanted = [
        point for step in range(1000) for point in (("loss", 1 / (step + 1), step), ("accuracy", step / 1000, step))
    ]
    assert journal.points == wanted
    assert journal.status == "FINISHED"


def test_the_commands_are_those_of_the_help() -> None:
    told = set(re.findall(r"^\| `matih (\w+)", README, re.MULTILINE))
    assert told == {command.name for command in COMMANDS}


@pytest.mark.parametrize("command", [command.name for command in COMMANDS])
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert "Usage" in capsys.readouterr().out


def test_the_make_targets_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    pages = README + (ROOT / "CONTRIBUTING.md").read_text()
    told = set(re.findall(r"`make (\w+)|^make (\w+)", pages, re.MULTILINE))
    assert {name for pair in told for name in pair if name} <= targets
