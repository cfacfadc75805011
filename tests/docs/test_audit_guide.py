"""The guide's commands are run as they stand there, on an archive of real events."""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from tests.audit.test_events import add
from tests.workers.journals import Entry, Producer

from matih_console.main import main
from matih_workers.audit import notes
from matih_workers.audit.anchor import Anchor
from matih_workers.audit.exporting import COLUMNS
from matih_workers.audit.log import Log
from matih_workers.audit.storage import LocalFolder

GUIDE = (Path(__file__).parents[2] / "docs" / "guides" / "audit.md").read_text()
BLOCKS = "\n".join(re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL))
COMMANDS = [line for line in BLOCKS.splitlines() if line.startswith(("matih audit", "grep "))]
# Those that never end, or need Kafka: tests/audit runs them.
NOT_HERE = ("matih audit archive  ", "matih audit tail --follow")
FIRST = 1200
"""Entries of the checkpoint that the guide has: a topic's name, and records."""


def run(line: str) -> tuple[int, str, str]:
    """One line, as a shell would, but in this process."""
    words, out, errors = shlex.split(line, comments=True), io.StringIO(), io.StringIO()
    if words[0] != "matih":
        done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr
    words, into = (words[1:-2], words[-1]) if words[-2] == ">" else (words[1:], None)
    with redirect_stdout(out), redirect_stderr(errors):
        code = main(words)
    if into:
        Path(into).write_text(out.getvalue())
    return code, out.getvalue(), errors.getvalue()


@pytest.fixture
def run_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A run in an archive with the key and the environment of the guide's beginning, its checkpoints in the anchor."""
    monkeypatch.chdir(tmp_path)
    keygen, exports = BLOCKS.splitlines()[:2]
    assert run(keygen)[0] == 0
    os.environ |= dict(word.split("=") for word in shlex.split(exports)[1:])
    monkeypatch.setitem(add.__globals__, "KEY", notes.signing_key(Path("audit.key").read_text()))
    who, storage = Producer(tenant="acme"), LocalFolder(tmp_path / "archive")
    for step in range(FIRST - 2):
        who.log(Entry({"loss": 1.0}, step=step))
    add(storage, [who.created(), *(who.logged(number, 1) for number in range(1, FIRST - 1))], 3)
    add(storage, [who.ended()], 3)
    for size, signed in Log(storage).history().items():
        Anchor(os.environ["MATIH_AUDIT_ANCHOR"]).put(size, signed)
    del os.environ["KAFKA_BOOTSTRAP_SERVERS"]  # tests/audit and tests/workers look at the events
    return who.run_id


def test_each_command_works(run_id: str) -> None:
    ran = 0
    for line in COMMANDS[1:]:
        if line.startswith(NOT_HERE):
            continue
        code, out, errors = run(line.replace("RUN_ID", run_id))
        assert code == 0, (line, out, errors)
        ran += 1
    assert ran >= 19


def test_the_key_itself(run_id: str) -> None:
    assert run(f"matih audit verify --public-key {shlex.quote(Path('audit.pub').read_text().strip())}")[0] == 0


def test_what_is_done_while_the_archiver_is_stopped(run_id: str) -> None:
    """The lines of compose and of `matih local`, but for what starts and stops them."""
    lines = [line.partition("matih audit ")[2] or line.partition(" audit audit ")[2] for line in BLOCKS.splitlines()]
    erasing = [line for line in lines if line.startswith("erase --run RUN_ID") and "--yes" in line]
    assert len(erasing) == 2
    for line in erasing:
        code, out, errors = run(f"matih audit {line}".replace("RUN_ID", run_id))
        assert code == 0, (line, out, errors)
    assert "no run's id" in run("matih audit erase --run RUN_ID --reason x")[2]


def test_the_columns_are_those_of_an_export() -> None:
    rows = re.findall(r"^\| ([\w, ]+) \|", GUIDE.partition("| column |")[2].partition("\n## ")[0], re.MULTILINE)
    assert [name for row in rows for name in row.split(", ")] == sorted(
        COLUMNS, key=lambda name: [part for row in rows for part in row.split(", ")].index(name)
    )
    assert {name for row in rows for name in row.split(", ")} == set(COLUMNS)
